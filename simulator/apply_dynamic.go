package simulator

import "slices"

func (cmd CreateDynamicJob) apply(c *Cloud, now Stamp) (any, error) {
	p, err := c.pack(cmd.Package)
	if err != nil {
		return nil, err
	}
	if err := checkUsable(p); err != nil {
		return nil, err
	}
	cmd.Sources = slices.Clone(cmd.Sources)
	if p.Diff && len(cmd.Sources) == 0 {
		cmd.Sources = []string{p.Source}
	}
	if cmd.Mode == 0 {
		cmd.Mode = AllMatching
	}
	if err := cmd.check(c, p, now); err != nil {
		return nil, err
	}
	j := c.newJob(p, now)
	common := cmd.common()
	common.fill(j, c)
	j.Selection, j.Dynamic, j.Watching = Dynamic, int(cmd.Mode), true
	j.product.watching = append(j.product.watching, j)
	var matching []*device
	if cmd.Mode == AllMatching {
		for _, d := range j.product.list {
			if c.watches(j, d, Version{Module: p.Module, Version: d.Version(p.Module)}) {
				matching = append(matching, d)
			}
		}
	}
	c.startJob(j, matching, now)
	return j.Job, nil
}

// common gives what a dynamic batch has in common with a static one.
func (cmd *CreateDynamicJob) common() CreateStaticJob {
	s := CreateStaticJob{
		Package: cmd.Package, Target: TargetAll, Sources: cmd.Sources, Group: cmd.Group,
		TimeoutMinutes: cmd.TimeoutMinutes, RetryMinutes: cmd.RetryMinutes, RetryCount: cmd.RetryCount,
		MaximumPerMinute: cmd.MaximumPerMinute, Overwrite: cmd.Overwrite, Tags: cmd.Tags, Desc: cmd.Desc,
		Protocol: cmd.Protocol, Rate: cmd.Rate, NoPush: cmd.NoPush, NeedConfirm: cmd.NeedConfirm, MultiModule: cmd.MultiModule, Stop: cmd.Stop,
	}
	if cmd.Group != "" {
		s.Target = TargetGroup
	}
	return s
}

func (cmd *CreateDynamicJob) check(c *Cloud, p *pack, now Stamp) error {
	if len(cmd.Sources) == 0 {
		return fail(Missing, "Sources", "a dynamic batch needs the source versions that it is for") // P25
	}
	if cmd.Mode != AllMatching && cmd.Mode != NewlyReported {
		return fail(Invalid, "Mode", "%d is neither %d (all that match) nor %d (only newly reported)", cmd.Mode, AllMatching, NewlyReported)
	}
	common := cmd.common()
	if err := common.check(c, p, now); err != nil {
		return err
	}
	return cmd.checkOthers(c, p)
}

// checkOthers is P22: a package has one dynamic batch for a source version, or, by an
// option of the product, one altogether. Those of other packages do not matter (P23).
func (cmd *CreateDynamicJob) checkOthers(c *Cloud, p *pack) error {
	pr := c.products[p.Product]
	for _, j := range pr.watching {
		if j.pkg != p {
			continue
		}
		if pr.Rules.OneDynamic {
			return fail(Refused, "Package", "the package has the dynamic batch %s: cancel its strategy first", j.ID)
		}
		for _, v := range cmd.Sources {
			if slices.Contains(j.Sources, v) {
				return fail(Refused, "Sources", "the package has the dynamic batch %s for version %s: cancel its strategy first", j.ID, v)
			}
		}
	}
	return nil
}

func (cmd CancelStrategyByJob) apply(c *Cloud, now Stamp) (any, error) {
	j, err := c.job(cmd.Job)
	if err != nil {
		return nil, err
	}
	if j.Selection != Dynamic {
		return nil, fail(Refused, "Job", "job %s is static: it has no strategy, cancel its tasks", j.ID)
	}
	if j.Watching {
		e := c.editJob(j)
		e.Watching, e.Modified = false, now
		j.product.watching = slices.DeleteFunc(slices.Clone(j.product.watching), func(o *job) bool { return o == j })
	}
	if cmd.Tasks {
		for _, t := range j.sortedTasks() {
			c.change(t, t.canceled(ReasonCanceled, now))
		}
	}
	c.settle(j, now)
	return j.Job, nil
}
