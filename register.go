package ota

import (
	"crypto/hmac"
	"errors"
	"fmt"
	"strings"
)

// Topics that the platform publishes on to a client that does not know its own
// names or secret yet, and that need no SUBSCRIBE (protocol section 1).
const (
	RegisterTopic = "/ext/register"               // RegisterTopic carries a [Registered].
	IdentityTopic = "/ext/auth/identity/response" // IdentityTopic tells a device with a certificate its names.
)

// Values of authType in a client id (protocol section 1).
const (
	AuthRegister    = "register" // a pre-registered device asks for its secret
	AuthRegisterNew = "regnwl"   // a device that need not be registered asks for a token
	AuthToken       = "connwl"   // it signs in with that token
)

// Limits of what is given to a device.
const (
	maxTokenLen    = 256
	maxIdentityLen = 4 << 10
)

// Registration is what a device asks for its own credentials with, over TLS: it
// knows its names and its product's secret. Method "" is hmacsha256, ClientID ""
// is "productKey.deviceName".
type Registration struct {
	Device        Device
	ProductSecret string
	ClientID      string
	Random        string
	Method        HMACMethod
	New           bool // without pre-registration
}

// Login makes the three fields of CONNECT.
func (r Registration) Login() (Login, error) {
	if err := r.Device.Validate(); err != nil {
		return Login{}, err
	}
	if r.ProductSecret == "" || len(r.ProductSecret) > maxSecretLen || r.Random == "" {
		return Login{}, errors.New("a registration needs a product secret and a random")
	}
	if r.Method == "" {
		r.Method = HMACSHA256
	}
	if r.ClientID == "" {
		r.ClientID = clip(r.Device.ProductKey+"."+r.Device.Name, maxClientIDLen)
	}
	id := ClientID{ID: r.ClientID, SecureMode: "2", AuthType: AuthRegister, Method: r.Method, Random: r.Random}
	if r.New {
		id.SecureMode, id.AuthType = "-2", AuthRegisterNew
	}
	if err := id.check(); err != nil {
		return Login{}, err
	}
	password, err := r.Method.Sign(r.ProductSecret, registrationContent(r.Device, r.Random))
	return Login{ClientID: id.String(), Username: r.Device.Name + "&" + r.Device.ProductKey, Password: password}, err
}

func registrationContent(d Device, random string) string {
	return SignContent(map[string]string{"deviceName": d.Name, "productKey": d.ProductKey, "random": random})
}

// VerifyRegistration checks a registration against the product's secret: nil,
// ErrSignature, or what is wrong with the fields. The password may be in either
// case.
func (l Login) VerifyRegistration(productSecret string) error {
	id, err := ParseClientID(l.ClientID)
	if err != nil {
		return err
	}
	d, err := ParseUsername(l.Username)
	if err != nil {
		return err
	}
	if id.Random == "" {
		return errors.New("a registration without random")
	}
	want, err := id.Method.Sign(productSecret, registrationContent(d, id.Random))
	if err != nil {
		return err
	}
	if productSecret == "" || !hmac.Equal([]byte(want), []byte(strings.ToLower(l.Password))) {
		return ErrSignature
	}
	return nil
}

// Registered are the credentials that a registration brings: a secret, or, without
// pre-registration, a client id and a token.
type Registered struct {
	Device   Device
	Secret   string
	ClientID string
	Token    string
}

type wireRegistered struct {
	ProductKey   string `json:"productKey"`
	DeviceName   string `json:"deviceName"`
	DeviceSecret string `json:"deviceSecret,omitempty"`
	ClientID     string `json:"clientId,omitempty"`
	DeviceToken  string `json:"deviceToken,omitempty"`
}

// Encode gives the message for [RegisterTopic]; with neither secret nor token it is
// the message for [IdentityTopic].
func (r Registered) Encode() []byte {
	return encode(wireRegistered{r.Device.ProductKey, r.Device.Name, r.Secret, r.ClientID, r.Token})
}

// DecodeRegistered reads the message of [RegisterTopic] or [IdentityTopic]. On the
// second one there is neither a secret nor a token.
func DecodeRegistered(payload []byte) (Registered, error) {
	if len(payload) > maxIdentityLen {
		return Registered{}, badf("%d bytes, allowed are at most %d", len(payload), maxIdentityLen)
	}
	var w wireRegistered
	if err := decode(payload, &w); err != nil {
		return Registered{}, err
	}
	r := Registered{Device{w.ProductKey, w.DeviceName}, w.DeviceSecret, w.ClientID, w.DeviceToken}
	if err := r.Device.Validate(); err != nil {
		return Registered{}, badf("%v", err)
	}
	if len(r.Secret) > maxSecretLen || len(r.ClientID) > maxClientIDLen || len(r.Token) > maxTokenLen {
		return Registered{}, badf("a secret, client id or token is longer than %d, %d and %d characters", maxSecretLen, maxClientIDLen, maxTokenLen)
	}
	return r, nil
}

// Login makes the three fields of CONNECT of a device that was registered without
// pre-registration: it signs in with its token, over TLS.
func (r Registered) Login() (Login, error) {
	if err := r.Device.Validate(); err != nil {
		return Login{}, err
	}
	if r.ClientID == "" || r.Token == "" {
		return Login{}, fmt.Errorf("device %s has no client id and token: register it first", r.Device)
	}
	id := ClientID{ID: r.ClientID, SecureMode: "-2", AuthType: AuthToken}
	return Login{ClientID: id.String(), Username: r.Device.Name + "&" + r.Device.ProductKey, Password: r.Token}, id.check()
}
