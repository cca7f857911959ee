package simulator

import (
	"crypto/hmac"

	"github.com/leapslot/ota"
)

// RegisterDynamic is a device's own request for what it signs in with (protocol section
// 1): it knows its product's secret. The product's rules must allow it.
//
// A pre-registered device gets its secret, one that need not be registered (Fresh) is
// registered by it and gets a token. Either is given until the device has signed in for
// the first time, so that an answer that was lost on the way can be asked for again,
// and never after that: whoever has the product's secret learns nothing of devices in
// use. To register such a device again, delete it and register it anew.
//
// The result is an ota.Registered.
type RegisterDynamic struct {
	Device ota.Device
	Login  ota.Login
	Fresh  bool
}

func (cmd RegisterDynamic) apply(c *Cloud, now Stamp) (any, error) {
	p := c.products[cmd.Device.ProductKey]
	if p == nil {
		return nil, fail(NotFound, "Device", "there is no product %q", cmd.Device.ProductKey)
	}
	if on := p.Rules.Registration; !cmd.Fresh && !on || cmd.Fresh && !p.Rules.NewRegistration {
		return nil, fail(Refused, "Device", "the product does not allow this registration")
	}
	if err := cmd.Login.VerifyRegistration(p.Secret); err != nil {
		return nil, fail(Refused, "Login", "%v", err)
	}
	d := p.devices[cmd.Device.Name]
	if d == nil && cmd.Fresh {
		if _, err := (RegisterDevices{Product: p.Key, Names: []string{cmd.Device.Name}}).apply(c, now); err != nil {
			return nil, err
		}
		d = p.devices[cmd.Device.Name]
	}
	switch {
	case d == nil:
		return nil, fail(NotFound, "Device", "product %s has no device %q", p.Key, cmd.Device.Name)
	case d.Disabled:
		return nil, fail(Refused, "Device", "the device is disabled")
	case d.Activated != 0:
		return nil, fail(Refused, "Device", "the device has signed in before")
	}
	if !cmd.Fresh {
		return ota.Registered{Device: cmd.Device, Secret: d.Secret}, nil
	}
	id, token := d.Token()
	return ota.Registered{Device: cmd.Device, ClientID: id, Token: token}, nil
}

// Token is what the device signs in with when it was registered without
// pre-registration. Both follow from its secret and do not give it away; a device
// that was not registered so never learns them.
func (d *Device) Token() (clientID, token string) {
	clientID, _ = ota.HMACSHA256.Sign(d.Secret, "clientId"+d.Device.String()) // the method is known
	token, _ = ota.HMACSHA256.Sign(d.Secret, "deviceToken"+d.Device.String())
	return clientID[:32], token
}

// IsToken reports whether a client id and a token are the device's, in a time that does
// not tell how much of them is right.
func (d *Device) IsToken(clientID, token string) bool {
	id, want := d.Token()
	return d.Secret != "" && hmac.Equal([]byte(id+want), []byte(clientID+token))
}
