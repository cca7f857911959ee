package simulator

// FindMatches says what a batch would do if it were made now, without making it. Exactly
// one of Static and Dynamic is set. It is refused as the batch would be, in the same
// words, but that no device matches is an answer. Result: Matches.
type FindMatches struct {
	Static  *CreateStaticJob
	Dynamic *CreateDynamicJob
}

// Matches is what a batch would do. Looked is the devices that were looked at: those of
// the product, or those that were named. Each of them matches, or is counted once with
// the reason why not.
type Matches struct {
	Looked, Matching int
	Chosen           int // of those that match, the ones that get a task: with a percentage, not all
	Online           int // of the chosen
	Busy             int // of the chosen: another task keeps the new one from running (P38, P39)

	Current int // runs the target version already
	Other   int // runs a version that the batch is not for
	Silent  int // has reported no version, and the batch is for some
	Outside int // is not in the group
}

func (cmd FindMatches) apply(c *Cloud, now Stamp) (any, error) {
	static := cmd.Static
	if cmd.Dynamic != nil {
		p, err := c.pack(cmd.Dynamic.Package)
		if err != nil {
			return nil, err
		}
		dyn := *cmd.Dynamic
		if p.Diff && len(dyn.Sources) == 0 {
			dyn.Sources = []string{p.Source}
		}
		if dyn.Mode == 0 {
			dyn.Mode = AllMatching
		}
		if err := checkUsable(p); err != nil {
			return nil, err
		}
		if err := dyn.check(c, p, now); err != nil {
			return nil, err
		}
		common := dyn.common()
		static = &common
	}
	if static == nil {
		return nil, fail(Missing, "Static", "which batch?")
	}
	m, err := c.preview(static, now)
	if err == nil && cmd.Dynamic != nil && cmd.Dynamic.Mode == NewlyReported {
		m.Chosen, m.Online, m.Busy = 0, 0, 0 // it begins with none (P40)
	}
	return m, err
}

func (c *Cloud) preview(cmd *CreateStaticJob, now Stamp) (Matches, error) {
	p, err := c.pack(cmd.Package)
	if err != nil {
		return Matches{}, err
	}
	if err := checkUsable(p); err != nil {
		return Matches{}, err
	}
	if err := cmd.check(c, p, now); err != nil {
		return Matches{}, err
	}
	gray := wholeGray
	if cmd.Target == TargetGray {
		if gray, err = parseGray(cmd.Gray); err != nil {
			return Matches{}, err
		}
	}
	devices := c.products[p.Product].list
	if cmd.Target == TargetSpecific {
		if devices, err = c.named(p, cmd.Devices); err != nil {
			return Matches{}, err
		}
	}
	m := Matches{Looked: len(devices)}
	var matching []*device
	for _, d := range devices {
		switch v := d.Version(p.Module); {
		case v == p.Version:
			m.Current++
		case !p.offers(v, cmd.Sources) && v == "":
			m.Silent++
		case !p.offers(v, cmd.Sources):
			m.Other++
		case cmd.Target == TargetGroup && !c.inGroup(d, cmd.Group):
			m.Outside++
		default:
			matching = append(matching, d)
		}
	}
	m.Matching = len(matching)
	if cmd.Target == TargetGray {
		matching = chooseGray(p.ID, matching, gray)
	}
	m.Chosen = len(matching)
	would := &job{Job: Job{Policy: cmd.policy(c)}, pkg: p, product: c.products[p.Product]}
	for _, d := range matching {
		if d.Online {
			m.Online++
		}
		if d.blocked(would) {
			m.Busy++
		}
	}
	return m, nil
}

// FindDevices looks devices of a product up. Result: []Device, those of Names that are
// there, in their order.
type FindDevices struct {
	Product string
	Names   []string
}

func (cmd FindDevices) apply(c *Cloud, _ Stamp) (any, error) {
	p, err := c.product("Product", cmd.Product)
	if err != nil {
		return nil, err
	}
	out := make([]Device, 0, len(cmd.Names))
	for _, name := range cmd.Names {
		if d := p.devices[name]; d != nil {
			out = append(out, d.Device)
		}
	}
	return out, nil
}
