package simulator

import "slices"

// MaxCancelDevices is the most devices of one CancelTasksByDevice.
const MaxCancelDevices = 200

// CancelTasksByDevice cancels the unfinished tasks of a package that these devices
// have, of one job when it is given (P52). Result: int, how many were cancelled.
type CancelTasksByDevice struct {
	Product string
	Package string
	Job     string // empty: of any
	Devices []string
}

func (cmd CancelTasksByDevice) apply(c *Cloud, now Stamp) (any, error) {
	p, err := c.pack(cmd.Package)
	if err != nil {
		return nil, err
	}
	if cmd.Product != p.Product {
		return nil, fail(Invalid, "Product", "the package is one of the product %s, not of %q", p.Product, cmd.Product)
	}
	if cmd.Job != "" {
		j, err := c.job(cmd.Job)
		if err != nil {
			return nil, err
		}
		if j.pkg != p {
			return nil, fail(Invalid, "Job", "job %s is of package %s, not of %s", j.ID, j.Package, p.ID)
		}
	}
	if n := len(cmd.Devices); n > MaxCancelDevices {
		return nil, fail(Invalid, "Devices", "%d devices, allowed are at most %d at once", n, MaxCancelDevices)
	}
	devices, err := c.named(p, cmd.Devices)
	if err != nil {
		return nil, err
	}
	n := 0
	for _, d := range devices {
		for _, t := range slices.Clone(d.active) {
			if t.job.pkg == p && (cmd.Job == "" || t.Job == cmd.Job) {
				c.change(t, t.canceled(ReasonCanceled, now))
				n++
			}
		}
	}
	return n, nil
}
