package simulator

import "github.com/leapslot/ota"

// UpdateModule changes a module's alias and description (P10, P11); its name never
// changes (P9), and the default module has neither. nil leaves a text as it is.
// Result: Module.
type UpdateModule struct {
	Product, Name string
	Alias, Desc   *string
}

// ModifyPackage changes what a package is called and told about (P13, P16). nil
// leaves a text as it is; what devices install never changes. Result: Package.
type ModifyPackage struct {
	Package         string
	Name, Desc, UDI *string
}

// module finds a module of a product and its place; the default one is none of them.
func (c *Cloud) module(key, name string) (*product, int, error) {
	p, err := c.product("Product", key)
	if err != nil {
		return nil, 0, err
	}
	switch name {
	case "":
		return nil, 0, fail(Missing, "Name", "which module?")
	case ota.DefaultModule:
		return nil, 0, fail(Refused, "Name", "the module %s is the whole device's firmware: it is always there, as it is", name)
	}
	for i, m := range p.modules {
		if m.Name == name {
			return p, i, nil
		}
	}
	return nil, 0, fail(NotFound, "Name", "the product has no module %q", name)
}

func (cmd UpdateModule) apply(c *Cloud, now Stamp) (any, error) {
	p, i, err := c.module(cmd.Product, cmd.Name)
	if err != nil {
		return nil, err
	}
	if cmd.Alias != nil && *cmd.Alias != "" {
		if err := ota.CheckAlias(*cmd.Alias); err != nil {
			return nil, invalid("Alias", err)
		}
	}
	if cmd.Desc != nil {
		if err := ota.CheckText("the description", *cmd.Desc, MaxDescription); err != nil {
			return nil, invalid("Desc", err)
		}
	}
	e := c.editModule(p.modules[i])
	put(&e.Alias, cmd.Alias)
	put(&e.Desc, cmd.Desc)
	e.Modified = now
	return *e, nil
}

func (cmd ModifyPackage) apply(c *Cloud, now Stamp) (any, error) {
	p, err := c.pack(cmd.Package)
	if err != nil {
		return nil, err
	}
	if cmd.Name != nil {
		if err := CheckPackageName(*cmd.Name); err != nil {
			return nil, invalid("Name", err)
		}
		for _, other := range c.packages {
			if other != p && other.Account == p.Account && other.Name == *cmd.Name {
				return nil, fail(Exists, "Name", "there is a package named %q already", *cmd.Name)
			}
		}
	}
	if cmd.Desc != nil {
		if err := ota.CheckText("the description", *cmd.Desc, MaxDescription); err != nil {
			return nil, invalid("Desc", err)
		}
	}
	if cmd.UDI != nil {
		if err := ota.CheckText("the custom info", *cmd.UDI, ota.MaxUDILen); err != nil {
			return nil, invalid("UDI", err)
		}
	}
	e := c.editPackage(p)
	put(&e.Name, cmd.Name)
	put(&e.Desc, cmd.Desc)
	put(&e.UDI, cmd.UDI)
	e.Modified = now
	return *e, nil
}

// put sets a text that was given.
func put(to, from *string) {
	if from != nil {
		*to = *from
	}
}
