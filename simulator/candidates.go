package simulator

import "strings"

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

	Name  string // a part of their names, in any case; empty is all
	Group string // id: only devices of this group; empty is all
	Skip  int    // so many that would be listed are passed over
	Count bool   // Candidates.Total is wanted: every device is looked at
}

// Candidates is a part of a list of devices. Next is where the next part begins, 0 when
// this was the last one. Total is how many there are from From on, if that was asked for.
type Candidates struct {
	Devices []Device
	Next    int
	Total   int
}

func (cmd FindCandidates) apply(c *Cloud, _ Stamp) (any, error) {
	p, err := c.pack(cmd.Package)
	if err != nil {
		return nil, err
	}
	if err := checkSources(p, cmd.Sources); err != nil {
		return nil, err
	}
	if cmd.From < 0 || cmd.Skip < 0 || cmd.Limit < 0 || cmd.Limit > MaxCandidates {
		return nil, fail(Invalid, "Limit", "%d devices from %d, allowed are at most %d at once", cmd.Limit, cmd.From, MaxCandidates)
	}
	if cmd.Limit == 0 {
		cmd.Limit = MaxCandidates
	}
	if cmd.Group != "" {
		g, err := c.group(cmd.Group)
		if err != nil {
			return nil, err
		}
		if g.Account != p.Account {
			return nil, fail(NotFound, "Group", "there is no group %q", cmd.Group)
		}
	}
	return c.candidates(p, &cmd), nil
}

func (c *Cloud) candidates(p *pack, cmd *FindCandidates) Candidates {
	out := Candidates{Devices: []Device{}}
	part := strings.ToLower(cmd.Name)
	list := c.products[p.Product].list
	for i := cmd.From; i < len(list); i++ {
		d := list[i]
		if !p.offers(d.Version(p.Module), cmd.Sources) || part != "" && !strings.Contains(strings.ToLower(d.Name), part) ||
			cmd.Group != "" && !c.inGroup(d, cmd.Group) {
			continue
		}
		out.Total++
		switch {
		case out.Total <= cmd.Skip:
		case len(out.Devices) < cmd.Limit:
			out.Devices = append(out.Devices, d.Device)
		case out.Next == 0:
			out.Next = i
		}
		if out.Next != 0 && !cmd.Count {
			break
		}
	}
	if !cmd.Count {
		out.Total = 0
	}
	return out
}
