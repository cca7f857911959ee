package simulator

// FindUnknown gives the places in Names of devices that the product does not have.
// Result: []int, in order.
type FindUnknown struct {
	Product string
	Names   []string
}

func (cmd FindUnknown) apply(c *Cloud, _ Stamp) (any, error) {
	p, err := c.product("Product", cmd.Product)
	if err != nil {
		return nil, err
	}
	var out []int
	for i, name := range cmd.Names {
		if p.devices[name] == nil {
			out = append(out, i)
		}
	}
	return out, nil
}
