package simulator

import (
	"slices"

	"github.com/leapslot/ota"
)

// Limits of gateways (protocol section 1): the source document's time, and now.
const (
	MaxSubDevices    = 1500 // MaxSubDevices is the most sub-devices of a gateway.
	MaxSubBatch      = 5    // MaxSubBatch is the most sub-devices of one login or logout.
	MaxSubDevicesNow = 2000
	MaxSubBatchNow   = 50
)

// The commands below come from gateways, not from users: they are refused with a
// *ota.GatewayError, which the gateway is told. A gateway is a device of a product with
// NodeType 1, a sub-device one of a product of the same account with NodeType 0.

// AddSubDevices takes sub-devices in, all of them or none. Each is proved with its own
// secret, and leaves the gateway that it was with. Result: []ota.Device, those that
// have left another gateway.
type AddSubDevices struct {
	Gateway ota.Device
	Subs    []ota.SubLogin
}

// RemoveSubDevices lets sub-devices go, all of them or none. Result: []ota.Device,
// those that were named.
type RemoveSubDevices struct {
	Gateway ota.Device
	Subs    []ota.Device
}

// FindSubDevices lists the sub-devices of a gateway in the order that they were taken
// in. Result: []ota.Device.
type FindSubDevices struct{ Gateway ota.Device }

// AdmitSubDevice checks a sub-device's login over its gateway. Result: Device.
type AdmitSubDevice struct {
	Gateway ota.Device
	Login   ota.SubLogin
}

// FindSubLimits gives what a gateway's product allows. Result: SubLimits.
type FindSubLimits struct{ Gateway ota.Device }

// SubLimits are the most sub-devices of a gateway, and of one login or logout.
type SubLimits struct{ Devices, Batch int }

func refuse(code ota.GatewayCode, d ota.Device, text string) error {
	return &ota.GatewayError{Code: code, Message: text, Device: d}
}

// gateway gives a device that may have sub-devices.
func (c *Cloud) gateway(d ota.Device) (*device, error) {
	g := c.findDevice(d)
	if g == nil {
		return nil, refuse(ota.GatewayNoDevice, d, "there is no such gateway")
	}
	if c.products[d.ProductKey].NodeType != 1 {
		return nil, refuse(ota.GatewayNoTopology, d, "its product is not one of gateways")
	}
	return g, nil
}

// subDevice gives a device that may be a sub-device of the gateway. One of another
// account is not there, in the same words.
func (c *Cloud) subDevice(g *device, d ota.Device) (*device, error) {
	s := c.findDevice(d)
	if s == nil || c.products[d.ProductKey].Account != c.products[g.ProductKey].Account {
		return nil, refuse(ota.GatewayNoDevice, d, "there is no such device")
	}
	if c.products[d.ProductKey].NodeType != 0 {
		return nil, refuse(ota.GatewayNoTopology, d, "a gateway is nobody's sub-device")
	}
	return s, nil
}

// proved checks that the gateway has the sub-device's secret.
func (s *device) proved(l ota.SubLogin) error {
	if l.Verify(s.Secret) != nil {
		return refuse(ota.GatewaySignature, l.Device, "the sign was not made with the device's secret")
	}
	if s.Disabled {
		return refuse(ota.GatewayDisabled, l.Device, "the device is disabled")
	}
	return nil
}

// isOf reports whether the device is a sub-device of the gateway.
func (s *device) isOf(g *device) bool {
	return s.More != nil && s.More.Gateway != nil && *s.More.Gateway == g.Device.Device &&
		g.More != nil && slices.Contains(g.More.Subs, s.Device.Device)
}

// subs gives the sub-devices of a gateway that are there still.
func (c *Cloud) subs(g *device) []ota.Device {
	if g.More == nil {
		return nil
	}
	out := make([]ota.Device, 0, len(g.More.Subs))
	for _, d := range g.More.Subs {
		if s := c.findDevice(d); s != nil && s.More != nil && s.More.Gateway != nil && *s.More.Gateway == g.Device.Device {
			out = append(out, d)
		}
	}
	return out
}

// setMore changes what few devices have: edit gets a copy.
func (c *Cloud) setMore(d *device, edit func(*More)) {
	var more More
	if d.More != nil {
		more = *d.More
	}
	edit(&more)
	c.editDevice(d).More = &more
}

func (c *Cloud) subLimits(g *device) SubLimits {
	if c.products[g.ProductKey].Rules.NowLimits {
		return SubLimits{MaxSubDevicesNow, MaxSubBatchNow}
	}
	return SubLimits{MaxSubDevices, MaxSubBatch}
}

func (cmd AddSubDevices) apply(c *Cloud, _ Stamp) (any, error) {
	g, err := c.gateway(cmd.Gateway)
	if err != nil {
		return nil, err
	}
	subs := c.subs(g)
	var added []*device
	for _, l := range cmd.Subs {
		s, err := c.subDevice(g, l.Device)
		if err == nil {
			err = s.proved(l)
		}
		if err != nil {
			return nil, err
		}
		if !s.isOf(g) && !slices.Contains(added, s) {
			added = append(added, s)
			subs = append(subs, l.Device)
		}
	}
	if most := c.subLimits(g).Devices; len(subs) > most {
		return nil, refuse(ota.GatewayFull, cmd.Gateway, "the gateway has as many sub-devices as it may have")
	}
	left := []ota.Device{}
	for _, s := range added {
		if s.More != nil && s.More.Gateway != nil {
			left = append(left, s.Device.Device)
		}
		c.setMore(s, func(m *More) { m.Gateway = &cmd.Gateway })
	}
	if len(added) > 0 {
		c.setMore(g, func(m *More) { m.Subs = subs })
	}
	return left, nil
}

func (cmd RemoveSubDevices) apply(c *Cloud, _ Stamp) (any, error) {
	g, err := c.gateway(cmd.Gateway)
	if err != nil {
		return nil, err
	}
	for _, d := range cmd.Subs {
		s, err := c.subDevice(g, d)
		if err != nil {
			return nil, err
		}
		if !s.isOf(g) {
			return nil, refuse(ota.GatewayNoTopology, d, "it is no sub-device of this gateway")
		}
	}
	for _, d := range cmd.Subs {
		c.setMore(c.findDevice(d), func(m *More) { m.Gateway = nil })
	}
	if len(cmd.Subs) > 0 {
		subs := c.subs(g)
		c.setMore(g, func(m *More) { m.Subs = subs })
	}
	return cmd.Subs, nil
}

func (cmd FindSubDevices) apply(c *Cloud, _ Stamp) (any, error) {
	g, err := c.gateway(cmd.Gateway)
	if err != nil {
		return nil, err
	}
	return c.subs(g), nil
}

func (cmd AdmitSubDevice) apply(c *Cloud, _ Stamp) (any, error) {
	g, err := c.gateway(cmd.Gateway)
	if err != nil {
		return nil, err
	}
	s, err := c.subDevice(g, cmd.Login.Device)
	if err == nil && !s.isOf(g) {
		err = refuse(ota.GatewayNoTopology, cmd.Login.Device, "it is no sub-device of this gateway")
	}
	if err == nil {
		err = s.proved(cmd.Login)
	}
	if err != nil {
		return nil, err
	}
	return s.Device, nil
}

func (cmd FindSubLimits) apply(c *Cloud, _ Stamp) (any, error) {
	g, err := c.gateway(cmd.Gateway)
	if err != nil {
		return nil, err
	}
	return c.subLimits(g), nil
}
