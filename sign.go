package ota

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"sort"
	"strings"
)

// HMACMethod is how a device proves that it knows its secret, spelled as in a
// client id. The empty method means hmacmd5 (protocol section 1).
type HMACMethod string

// The methods that the platform knows.
const (
	HMACMD5    HMACMethod = "hmacmd5"
	HMACSHA1   HMACMethod = "hmacsha1"
	HMACSHA256 HMACMethod = "hmacsha256"
)

// SDKTimestamp is the constant that the platform's own SDKs sign with: its
// freshness is not enforced, so a device without a clock can sign in.
const SDKTimestamp = "2524608000000"

// ErrSignature means that a password was not made with the device's secret.
var ErrSignature = errors.New("the password does not match the device's secret")

func (m HMACMethod) hash() (func() hash.Hash, error) {
	switch HMACMethod(strings.ToLower(string(m))) {
	case HMACMD5, "":
		return md5.New, nil
	case HMACSHA1:
		return sha1.New, nil
	case HMACSHA256:
		return sha256.New, nil
	}
	return nil, fmt.Errorf("sign method %.40q is not hmacmd5, hmacsha1 or hmacsha256", string(m))
}

// SignContent is the text that is signed: the parameters sorted by name, each
// name followed by its value, with nothing in between.
func SignContent(params map[string]string) string {
	names := make([]string, 0, len(params))
	for name := range params {
		names = append(names, name)
	}
	sort.Strings(names)
	var b strings.Builder
	for _, name := range names {
		b.WriteString(name)
		b.WriteString(params[name])
	}
	return b.String()
}

// Sign gives the lower-case hexadecimal HMAC of content under secret.
func (m HMACMethod) Sign(secret, content string) (string, error) {
	h, err := m.hash()
	if err != nil {
		return "", err
	}
	mac := hmac.New(h, []byte(secret))
	mac.Write([]byte(content))
	return hex.EncodeToString(mac.Sum(nil)), nil
}

// Login is what a device sends in an MQTT CONNECT.
type Login struct {
	ClientID string
	Username string
	Password string
}

// Signer knows a device's secret and does not tell it: a TPM or a token that
// signs inside.
type Signer interface {
	// HMAC gives the raw HMAC of content (protocol section 1; less than a
	// kilobyte) under the device's secret, with the hash of the credentials'
	// Method: 32 bytes for hmacsha256. It is called for every attempt to connect.
	HMAC(content []byte) ([]byte, error)
}

// Credentials are what a device signs in with: either Secret or Signer. Method
// "" is hmacsha256 here (and hmacmd5 when absent on the wire); Timestamp "" is
// [SDKTimestamp]; ClientID "" is "productKey.deviceName".
type Credentials struct {
	Device    Device
	Secret    string
	Signer    Signer // where the secret is when it is not in memory
	ClientID  string
	Method    HMACMethod
	Timestamp string
	TLS       bool
}

// Login makes the three fields of CONNECT. Every attempt to connect wants one
// of its own, because it may be signed elsewhere (a TPM) or with a new time.
// The error of a Signer is wrapped.
func (c Credentials) Login() (Login, error) {
	if err := c.Device.Validate(); err != nil {
		return Login{}, err
	}
	switch {
	case c.Signer != nil && c.Secret != "":
		return Login{}, errors.New("there are both a device secret and a signer that knows it: one of them must go")
	case c.Signer == nil && (c.Secret == "" || len(c.Secret) > maxSecretLen):
		return Login{}, fmt.Errorf("the device secret is empty or longer than %d characters", maxSecretLen)
	}
	if c.Method == "" {
		c.Method = HMACSHA256
	}
	if c.Timestamp == "" {
		c.Timestamp = SDKTimestamp
	}
	if c.ClientID == "" {
		// A name that is too long for a client id is cut: it identifies nothing,
		// the platform keeps one connection per device whatever the client id.
		c.ClientID = clip(c.Device.ProductKey+"."+c.Device.Name, maxClientIDLen)
	}
	id := ClientID{ID: c.ClientID, SecureMode: "3", Method: c.Method, Timestamp: c.Timestamp}
	if c.TLS {
		id.SecureMode = "2"
	}
	if err := id.check(); err != nil {
		return Login{}, err
	}
	password, err := c.password(id.content(c.Device))
	if err != nil {
		return Login{}, err
	}
	return Login{ClientID: id.String(), Username: c.Device.Name + "&" + c.Device.ProductKey, Password: password}, nil
}

// password signs the content, in memory or where the secret is.
func (c Credentials) password(content string) (string, error) {
	if c.Signer == nil {
		return c.Method.Sign(c.Secret, content)
	}
	h, err := c.Method.hash()
	if err != nil {
		return "", err
	}
	mac, err := c.Signer.HMAC([]byte(content))
	if err != nil {
		return "", fmt.Errorf("the device secret's signer: %w", err)
	}
	// The wrong hash would be refused by the cloud, as if the secret were wrong.
	if want := h().Size(); len(mac) != want {
		return "", fmt.Errorf("the device secret's signer gave %d bytes, %s has %d: set the sign method that it signs with", len(mac), c.Method, want)
	}
	return hex.EncodeToString(mac), nil
}

// ClientID is an MQTT client id taken apart: id|name=value,...|
type ClientID struct {
	ID         string
	SecureMode string // "2" over TLS, "3" over TCP; "-2" with a device token
	Method     HMACMethod
	Timestamp  string // absent from the signed content when empty
	AuthType   string // "register" and others; empty for a plain sign-in
	Random     string
}

// ParseClientID reads a client id. Unknown parameters and a trailing comma are
// passed over; the parameters' order does not matter.
func ParseClientID(s string) (ClientID, error) {
	if len(s) > maxRawClientIDLen {
		return ClientID{}, fmt.Errorf("client id has %d characters, allowed are at most %d", len(s), maxRawClientIDLen)
	}
	id, params, ok := strings.Cut(s, "|")
	params, closed := strings.CutSuffix(params, "|")
	if !ok || !closed || strings.Contains(params, "|") {
		return ClientID{}, fmt.Errorf("client id %.80q has no parameters between two bars", s)
	}
	c := ClientID{ID: id}
	for _, p := range strings.Split(params, ",") {
		name, value, _ := strings.Cut(p, "=")
		switch strings.TrimSpace(name) {
		case "securemode":
			c.SecureMode = value
		case "signmethod":
			c.Method = HMACMethod(strings.ToLower(value))
		case "timestamp":
			c.Timestamp = value
		case "authType":
			c.AuthType = value
		case "random":
			c.Random = value
		}
	}
	return c, c.check()
}

func (c ClientID) check() error {
	if c.ID == "" || len(c.ID) > maxClientIDLen {
		return fmt.Errorf("client id %.80q has %d characters before its parameters, allowed are 1 to %d", c.ID, len(c.ID), maxClientIDLen)
	}
	if strings.ContainsAny(c.ID, "|\x00") {
		return fmt.Errorf("client id %q has a bar or a NUL in it", c.ID)
	}
	_, err := c.Method.hash()
	return err
}

// String gives the client id as it stands in CONNECT.
func (c ClientID) String() string {
	s := c.ID + "|securemode=" + c.SecureMode
	for _, p := range [...]struct{ name, value string }{
		{"signmethod", string(c.Method)}, {"timestamp", c.Timestamp}, {"authType", c.AuthType}, {"random", c.Random},
	} {
		if p.value != "" {
			s += "," + p.name + "=" + p.value
		}
	}
	return s + "|"
}

func (c ClientID) content(d Device) string {
	params := map[string]string{"clientId": c.ID, "deviceName": d.Name, "productKey": d.ProductKey}
	if c.Timestamp != "" {
		params["timestamp"] = c.Timestamp
	}
	return SignContent(params)
}

// ParseUsername reads deviceName&productKey.
func ParseUsername(s string) (Device, error) {
	dn, pk, ok := strings.Cut(s, "&")
	d := Device{ProductKey: pk, Name: dn}
	if !ok {
		return Device{}, fmt.Errorf("user name %.80q is not deviceName&productKey", s)
	}
	return d, d.Validate()
}

// Verify checks a plain sign-in against the device's secret: nil, ErrSignature,
// or what is wrong with the fields. The password may be in either case.
func (l Login) Verify(secret string) error {
	id, err := ParseClientID(l.ClientID)
	if err != nil {
		return err
	}
	d, err := ParseUsername(l.Username)
	if err != nil {
		return err
	}
	want, err := id.Method.Sign(secret, id.content(d))
	if err != nil {
		return err
	}
	if secret == "" || !hmac.Equal([]byte(want), []byte(strings.ToLower(l.Password))) {
		return ErrSignature
	}
	return nil
}
