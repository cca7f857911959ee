package simulator

import (
	"slices"
)

func (cmd CreateVerifyJob) apply(c *Cloud, now Stamp) (any, error) {
	p, err := c.pack(cmd.Package)
	if err != nil {
		return nil, err
	}
	if err := checkTimeout(cmd.TimeoutMinutes); err != nil {
		return nil, err
	}
	if n := len(cmd.Devices); n > MaxVerifyDevices {
		return nil, fail(Invalid, "Devices", "%d devices, a verification has at most %d", n, MaxVerifyDevices)
	}
	if err := c.checkDownload(p, cmd.Protocol); err != nil {
		return nil, err
	}
	devices, err := c.named(p, cmd.Devices)
	if err != nil {
		return nil, err
	}
	for _, d := range devices { // chosen one by one: each is told apart (P18, P19)
		switch v := d.Version(p.Module); {
		case p.offers(v, nil):
		case v == p.Version:
			return nil, fail(Invalid, "Devices", "device %q runs %s already", d.Name, v)
		default:
			return nil, fail(Invalid, "Devices", "device %q runs %q, the package is for %s", d.Name, v, p.Source)
		}
	}
	j := c.newJob(p, now)
	j.Type, j.Selection, j.Target, j.Desc = VerifyFirmware, Static, TargetSpecific, cmd.Desc
	j.Protocol = cmd.Protocol
	j.Policy = Policy{TimeoutMinutes: cmd.TimeoutMinutes, MaximumPerMinute: min(MaxPushRate, c.opt.MaxPushRate), Overwrite: KeepTask}
	if p.Diff {
		j.Sources = []string{p.Source}
	}
	if !p.Status.Usable() {
		c.editPackage(p).Status = Verifying
	}
	c.startJob(j, devices, now)
	return j.Job, nil
}

func (cmd CreateStaticJob) apply(c *Cloud, now Stamp) (any, error) {
	p, err := c.pack(cmd.Package)
	if err != nil {
		return nil, err
	}
	if !p.Status.Usable() {
		return nil, fail(Refused, "Package", "package %s must be verified on a few devices before it can be used in a batch", p.ID)
	}
	if err := cmd.check(c, p, now); err != nil {
		return nil, err
	}
	devices := c.products[p.Product].list
	if cmd.Target == TargetSpecific {
		if devices, err = c.named(p, cmd.Devices); err != nil {
			return nil, err
		}
	}
	var matching []*device
	for _, d := range devices {
		if p.offers(d.Version(p.Module), cmd.Sources) {
			matching = append(matching, d)
		}
	}
	if len(matching) == 0 {
		return nil, fail(Refused, "Devices", "no device matches: %d looked at, all of them run version %s already or none of the source versions", len(devices), p.Version)
	}
	j := c.newJob(p, now)
	j.Type, j.Selection, j.Target, j.Desc = UpgradeFirmware, Static, cmd.Target, cmd.Desc
	j.Sources, j.Policy, j.Tags = slices.Clone(cmd.Sources), cmd.policy(c), slices.Clone(cmd.Tags)
	j.Start, j.Finish, j.Protocol = cmd.Start, cmd.Finish, cmd.Protocol
	if p.Diff {
		j.Sources = []string{p.Source}
	}
	if j.Start != 0 {
		j.Status = JobPlanned
	}
	c.startJob(j, matching, now)
	return j.Job, nil
}

func (cmd *CreateStaticJob) policy(c *Cloud) Policy {
	pol := Policy{
		TimeoutMinutes: cmd.TimeoutMinutes, RetryMinutes: cmd.RetryMinutes, RetryCount: cmd.RetryCount,
		MaximumPerMinute: cmd.MaximumPerMinute, Overwrite: cmd.Overwrite,
	}
	if pol.MaximumPerMinute == 0 {
		pol.MaximumPerMinute = min(MaxPushRate, c.opt.MaxPushRate)
	}
	if pol.Overwrite == 0 {
		pol.Overwrite = KeepTask
	}
	return pol
}

// named gives the package's product's devices of these names.
func (c *Cloud) named(p *pack, names []string) ([]*device, error) {
	if len(names) == 0 {
		return nil, fail(Missing, "Devices", "which devices?")
	}
	if len(names) > MaxTargets {
		return nil, fail(Invalid, "Devices", "%d devices, allowed are at most %d", len(names), MaxTargets)
	}
	pr := c.products[p.Product]
	out := make([]*device, 0, len(names))
	seen := make(map[string]struct{}, len(names))
	for _, name := range names {
		d := pr.devices[name]
		if d == nil {
			return nil, fail(NotFound, "Devices", "product %s has no device %q", pr.Key, name)
		}
		if _, twice := seen[name]; twice {
			return nil, fail(Invalid, "Devices", "device %q is named twice", name)
		}
		seen[name] = struct{}{}
		out = append(out, d)
	}
	return out, nil
}

// newJob gives a job of the package; the caller fills it in and starts it.
func (c *Cloud) newJob(p *pack, now Stamp) *job {
	j := &job{pkg: p, tasks: map[string]*task{}}
	*c.editJob(j) = Job{
		ID: c.newID('j'), Account: p.Account, Product: p.Product, Package: p.ID,
		Status: JobInProgress, Created: now, Modified: now, Revision: 1,
	}
	c.jobs[j.ID] = j
	c.running[j] = struct{}{}
	return j
}

// startJob makes the tasks. Those that cannot run because the device has another one
// have failed from the start (P38, P39, P46).
func (c *Cloud) startJob(j *job, devices []*device, now Stamp) {
	for _, d := range devices {
		t := &task{job: j, device: d}
		next := Task{
			ID: c.newID('t'), Job: j.ID, Package: j.Package, Device: d.Device.Device, Module: j.pkg.Module,
			Source: d.Version(j.pkg.Module), Version: j.pkg.Version,
			Status: Queued, Phase: PhaseQueued, Attempt: 1, Created: now, Modified: now, Revision: 1,
		}
		if !c.makeRoom(d, j.Policy.Overwrite, now) {
			next.Status, next.Phase, next.Reason = Failed, PhaseOver, ReasonBusy
		}
		*c.editTask(t) = next
		*j.Counts.of(t.Status)++
		if t.Phase != PhaseOver {
			j.tasks[t.ID] = t
			d.active = append(d.active, t)
			c.place(t)
		}
	}
	c.settle(j, now)
}

// makeRoom reports whether the device is free for a new task, having cancelled what
// may be overwritten. A task that is upgrading never is (P39).
func (c *Cloud) makeRoom(d *device, mode OverwriteMode, now Stamp) bool {
	for _, t := range slices.Clone(d.active) {
		if mode != OverwriteTask || t.Status == InProgress {
			return false
		}
		c.change(t, t.canceled(ReasonOverwritten, now))
	}
	return true
}

func (cmd CancelTasksByJob) apply(c *Cloud, now Stamp) (any, error) {
	j, err := c.job(cmd.Job)
	if err != nil {
		return nil, err
	}
	if !cmd.Scheduled && !cmd.Queued && !cmd.Notified && !cmd.InProgress && !cmd.Unconfirmed {
		return nil, fail(Missing, "Scheduled", "say which tasks to cancel: scheduled, queued, notified, in progress or unconfirmed")
	}
	for _, t := range j.sortedTasks() {
		var want bool
		switch {
		case t.Status == Queued && j.Status == JobPlanned:
			want = cmd.Scheduled
		case t.Status == Queued:
			want = cmd.Queued
		case t.Status == Notified:
			want = cmd.Notified
		case t.Status == InProgress:
			want = cmd.InProgress
		}
		if want {
			c.change(t, t.canceled(ReasonCanceled, now))
		}
	}
	return j.Job, nil
}

func checkTimeout(n int) error {
	if n != 0 && (n < MinTimeout || n > MaxTimeout) {
		return fail(Invalid, "TimeoutMinutes", "%d minutes, allowed are %d to %d", n, MinTimeout, MaxTimeout)
	}
	return nil
}
