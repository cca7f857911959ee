package simulator

import (
	"encoding/hex"
	"fmt"
	"io"

	"github.com/leapslot/ota"
)

func (cmd CreateProduct) apply(c *Cloud, now Stamp) (any, error) {
	if cmd.Name == "" {
		return nil, fail(Missing, "Name", "a product needs a name")
	}
	if err := ota.CheckText("the name", cmd.Name, MaxProductName); err != nil {
		return nil, invalid("Name", err)
	}
	if err := ota.CheckText("the description", cmd.Desc, MaxDescription); err != nil {
		return nil, invalid("Desc", err)
	}
	if cmd.NodeType != 0 && cmd.NodeType != 1 {
		return nil, fail(Invalid, "NodeType", "0 is a device and 1 a gateway, not %d", cmd.NodeType)
	}
	for _, p := range c.products {
		if p.Account == cmd.Account && p.Name == cmd.Name {
			return nil, fail(Exists, "Name", "there is a product named %q already, its key is %s", cmd.Name, p.Key)
		}
	}
	key, err := c.random(productKeyLen)
	if err != nil {
		return nil, err
	}
	secret, err := c.random(productSecretLen)
	if err != nil {
		return nil, err
	}
	key = "a1" + key
	if c.products[key] != nil {
		return nil, fmt.Errorf("the random source gave the same key %s twice", key)
	}
	p := &product{devices: map[string]*device{}}
	*c.editProduct(p) = Product{
		Key: key, Account: cmd.Account, Name: cmd.Name, Secret: secret, Desc: cmd.Desc,
		NodeType: cmd.NodeType, Created: now, Revision: 1,
	}
	c.products[key] = p
	return p.Product, nil
}

// Lengths of what the cloud makes up.
const (
	productKeyLen    = 9 // after "a1"
	productSecretLen = 16
	deviceNameLen    = 20
	deviceSecretLen  = 16 // bytes, written in hexadecimal
)

const letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// random gives n letters and digits.
func (c *Cloud) random(n int) (string, error) {
	out := make([]byte, 0, n)
	buf := make([]byte, n)
	for len(out) < n {
		if _, err := io.ReadFull(c.opt.Random, buf); err != nil {
			return "", fmt.Errorf("reading random bytes: %w", err)
		}
		for _, b := range buf {
			if b &= 63; int(b) < len(letters) && len(out) < n {
				out = append(out, letters[b])
			}
		}
	}
	return string(out), nil
}

func (cmd SetSecureUpgrade) apply(c *Cloud, _ Stamp) (any, error) {
	p, err := c.product("Product", cmd.Product)
	if err != nil {
		return nil, err
	}
	if cmd.On && len(cmd.SigningKey) == 0 && len(p.SigningKey) == 0 {
		return nil, fail(Missing, "SigningKey", "secure upgrade needs a key pair")
	}
	e := c.editProduct(p)
	e.SecureUpgrade = cmd.On
	if len(e.SigningKey) == 0 {
		e.SigningKey, e.PublicKey = cmd.SigningKey, cmd.PublicKey
	}
	return p.Product, nil
}

func (cmd RegisterDevices) apply(c *Cloud, now Stamp) (any, error) {
	p, err := c.product("Product", cmd.Product)
	if err != nil {
		return nil, err
	}
	names, err := cmd.names(c, p)
	if err != nil {
		return nil, err
	}
	secrets := make([]byte, deviceSecretLen*len(names))
	if _, err := io.ReadFull(c.opt.Random, secrets); err != nil {
		return nil, fmt.Errorf("reading random bytes: %w", err)
	}
	made := make([]Device, len(names))
	for i, name := range names {
		d := &device{}
		*c.editDevice(d) = Device{
			Device:     ota.Device{ProductKey: p.Key, Name: name},
			Secret:     hex.EncodeToString(secrets[i*deviceSecretLen:][:deviceSecretLen]),
			Registered: now, Revision: 1,
		}
		if len(cmd.Nicknames) > 0 {
			d.Nickname = cmd.Nicknames[i]
		}
		p.devices[name] = d
		p.list = append(p.list, d)
		made[i] = d.Device
	}
	return made, nil
}

// names checks the names, or makes them up.
func (cmd RegisterDevices) names(c *Cloud, p *product) ([]string, error) {
	n := max(cmd.Count, len(cmd.Names))
	switch {
	case n < 1:
		return nil, fail(Missing, "Names", "give names, or how many devices to register")
	case n > MaxRegistration:
		return nil, fail(Invalid, "Names", "%d devices, allowed are at most %d at once", n, MaxRegistration)
	case len(cmd.Names) > 0 && cmd.Count != 0 && cmd.Count != n:
		return nil, fail(Invalid, "Count", "%d, but there are %d names", cmd.Count, n)
	case len(cmd.Nicknames) != 0 && len(cmd.Nicknames) != n:
		return nil, fail(Invalid, "Nicknames", "%d nicknames for %d devices", len(cmd.Nicknames), n)
	}
	for _, s := range cmd.Nicknames {
		if err := ota.CheckText("a nickname", s, MaxNickname); err != nil {
			return nil, invalid("Nicknames", err)
		}
	}
	names := cmd.Names
	for i := 0; len(cmd.Names) == 0 && i < n; i++ {
		name, err := c.random(deviceNameLen)
		if err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	seen := make(map[string]struct{}, n)
	for _, name := range names {
		if err := (ota.Device{ProductKey: p.Key, Name: name}).Validate(); err != nil {
			return nil, invalid("Names", err)
		}
		if _, twice := seen[name]; twice || p.devices[name] != nil {
			return nil, fail(Exists, "Names", "there is a device named %q already", name)
		}
		seen[name] = struct{}{}
	}
	return names, nil
}

func (cmd SetDeviceDisabled) apply(c *Cloud, _ Stamp) (any, error) {
	d, err := c.device(cmd.Product, cmd.Name)
	if err != nil {
		return nil, err
	}
	if d.Disabled != cmd.Disabled {
		c.editDevice(d).Disabled = cmd.Disabled
	}
	return d.Device, nil
}

func (cmd CreateModule) apply(c *Cloud, now Stamp) (any, error) {
	p, err := c.product("Product", cmd.Product)
	if err != nil {
		return nil, err
	}
	if cmd.Name == "" {
		return nil, fail(Missing, "Name", "a module needs a name")
	}
	if err := ota.CheckModule(cmd.Name); err != nil {
		return nil, invalid("Name", err)
	}
	if cmd.Alias != "" {
		if err := ota.CheckAlias(cmd.Alias); err != nil {
			return nil, invalid("Alias", err)
		}
	}
	if err := ota.CheckText("the description", cmd.Desc, MaxDescription); err != nil {
		return nil, invalid("Desc", err)
	}
	if p.hasModule(cmd.Name) {
		return nil, fail(Exists, "Name", "the product has a module named %q already", cmd.Name)
	}
	if len(p.modules) >= MaxModules {
		return nil, fail(Limit, "Name", "the product has %d modules already, allowed are at most %d", len(p.modules), MaxModules)
	}
	m := &module{}
	*c.editModule(m) = Module{
		Product: p.Key, Name: cmd.Name, Alias: cmd.Alias, Desc: cmd.Desc,
		Created: now, Modified: now, Revision: 1,
	}
	p.modules = append(p.modules, m)
	return m.Module, nil
}

// hasModule: the default module always exists (P8).
func (p *product) hasModule(name string) bool {
	for _, m := range p.modules {
		if m.Name == name {
			return true
		}
	}
	return name == ota.DefaultModule
}
