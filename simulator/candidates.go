package simulator

// MaxCandidates is the most devices that FindCandidates gives at once.
const MaxCandidates = 200

// FindCandidates lists the devices that a user may choose for a verification or a
// targeted batch (P18, P19, P28): those that are not at the package's target and, when
// source versions are given, run one of them. A diff package has its own.
// Result: Candidates.
type FindCandidates struct {
	Package string
	Sources []string
	From    int // 0, and then Candidates.Next
	Limit   int // 0 is MaxCandidates
}

// Candidates is a part of a list of devices. Next is where the next part begins, 0 when
// this was the last one.
type Candidates struct {
	Devices []Device
	Next    int
}

func (cmd FindCandidates) apply(c *Cloud, _ Stamp) (any, error) {
	p, err := c.pack(cmd.Package)
	if err != nil {
		return nil, err
	}
	if err := checkSources(p, cmd.Sources); err != nil {
		return nil, err
	}
	if cmd.From < 0 || cmd.Limit < 0 || cmd.Limit > MaxCandidates {
		return nil, fail(Invalid, "Limit", "%d devices from %d, allowed are at most %d at once", cmd.Limit, cmd.From, MaxCandidates)
	}
	if cmd.Limit == 0 {
		cmd.Limit = MaxCandidates
	}
	out := Candidates{Devices: []Device{}}
	list := c.products[p.Product].list
	for i := cmd.From; i < len(list); i++ {
		if !p.offers(list[i].Version(p.Module), cmd.Sources) {
			continue
		}
		if len(out.Devices) == cmd.Limit {
			out.Next = i
			break
		}
		out.Devices = append(out.Devices, list[i].Device)
	}
	return out, nil
}
