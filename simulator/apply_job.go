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
	for _, err := range []error{c.checkDownload(p, cmd.Protocol), checkTags(cmd.Tags), checkSources(p, cmd.Sources)} {
		if err != nil {
			return nil, err
		}
	}
	devices, err := c.named(p, cmd.Devices)
	if err != nil {
		return nil, err
	}
	for _, d := range devices { // chosen one by one: each is told apart (P18, P19)
		switch v := d.Version(p.Module); {
		case p.offers(v, cmd.Sources):
		case v == p.Version:
			return nil, fail(Invalid, "Devices", "device %q runs %s already", d.Name, v)
		case !p.Diff:
			return nil, fail(Invalid, "Devices", "device %q runs %q, which is none of the source versions", d.Name, v)
		default:
			return nil, fail(Invalid, "Devices", "device %q runs %q, the package is for %s", d.Name, v, p.Source)
		}
	}
	j := c.newJob(p, now)
	j.Type, j.Selection, j.Target, j.Desc = VerifyFirmware, Static, TargetSpecific, cmd.Desc
	j.Protocol = cmd.Protocol
	j.Tags, j.Sources = slices.Clone(cmd.Tags), slices.Clone(cmd.Sources)
	j.Policy = Policy{
		TimeoutMinutes: cmd.TimeoutMinutes, MaximumPerMinute: min(MaxPushRate, c.opt.MaxPushRate), Overwrite: KeepTask,
		NoPush: cmd.NoPush, NeedConfirm: cmd.NeedConfirm,
	}
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
	if err := checkUsable(p); err != nil {
		return nil, err
	}
	if err := cmd.check(c, p, now); err != nil {
		return nil, err
	}
	gray := 0
	if cmd.Target == TargetGray {
		if gray, err = parseGray(cmd.Gray); err != nil {
			return nil, err
		}
	}
	devices := c.products[p.Product].list
	if cmd.Target == TargetSpecific {
		if devices, err = c.named(p, cmd.Devices); err != nil {
			return nil, err
		}
	}
	var matching []*device
	for _, d := range devices {
		if p.offers(d.Version(p.Module), cmd.Sources) && (cmd.Target != TargetGroup || c.inGroup(d, cmd.Group)) {
			matching = append(matching, d)
		}
	}
	if len(matching) == 0 {
		return nil, fail(Refused, "Devices", "no device matches: %d looked at, all of them run version %s already or none of the source versions", len(devices), p.Version)
	}
	if cmd.Target == TargetGray {
		matching = chooseGray(p.ID, matching, gray)
	}
	j := c.newJob(p, now)
	cmd.fill(j, c)
	c.startJob(j, matching, now)
	return j.Job, nil
}

// fill sets what a batch was asked to be.
func (cmd *CreateStaticJob) fill(j *job, c *Cloud) {
	j.Type, j.Selection, j.Target, j.Desc = UpgradeFirmware, Static, cmd.Target, cmd.Desc
	j.Sources, j.Policy, j.Tags = slices.Clone(cmd.Sources), cmd.policy(c), slices.Clone(cmd.Tags)
	j.Start, j.Finish, j.Protocol, j.Gray, j.Group = cmd.Start, cmd.Finish, cmd.Protocol, cmd.Gray, cmd.Group
	if j.pkg.Diff {
		j.Sources = []string{j.pkg.Source}
	}
	if j.Start != 0 {
		j.Status = JobPlanned
	}
}

// checkUsable is P17.
func checkUsable(p *pack) error {
	if !p.Status.Usable() {
		return fail(Refused, "Package", "package %s must be verified on a few devices before it can be used in a batch", p.ID)
	}
	return nil
}

func (cmd *CreateStaticJob) policy(c *Cloud) Policy {
	pol := Policy{
		TimeoutMinutes: cmd.TimeoutMinutes, RetryMinutes: cmd.RetryMinutes, RetryCount: cmd.RetryCount,
		MaximumPerMinute: cmd.MaximumPerMinute, Overwrite: cmd.Overwrite,
		Rate: cmd.Rate, NoPush: cmd.NoPush, NeedConfirm: cmd.NeedConfirm, MultiModule: cmd.MultiModule, Stop: cmd.Stop,
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
	pr := c.products[p.Product]
	if n := pr.Rules.maxTargets(); len(names) > n {
		return nil, fail(Invalid, "Devices", "%d devices, allowed are at most %d", len(names), n)
	}
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
	j := &job{pkg: p, product: c.products[p.Product], tasks: map[string]*task{}}
	*c.editJob(j) = Job{
		ID: c.newID('j'), Account: p.Account, Product: p.Product, Package: p.ID,
		Status: JobInProgress, Created: now, Modified: now, Revision: 1,
	}
	c.jobs[j.ID] = j
	c.running[j] = struct{}{}
	return j
}

// startJob makes the tasks.
func (c *Cloud) startJob(j *job, devices []*device, now Stamp) {
	for _, d := range devices {
		c.addTask(j, d, now)
	}
	c.settle(j, now)
}

// addTask makes one task. One that cannot run because the device has another one has
// failed from the start (P38, P39, P46).
func (c *Cloud) addTask(j *job, d *device, now Stamp) {
	t := &task{job: j, device: d}
	next := Task{
		ID: c.newID('t'), Job: j.ID, Package: j.Package, Device: d.Device.Device, Module: j.pkg.Module,
		Source: d.Version(j.pkg.Module), Version: j.pkg.Version,
		Status: Queued, Phase: PhaseQueued, Attempt: 1, Created: now, Modified: now, Revision: 1,
	}
	if j.Policy.NeedConfirm {
		next.Status, next.Phase = Unconfirmed, PhaseUnconfirmed
	}
	if !c.makeRoom(j, d, now) {
		next.Status, next.Phase, next.Reason = Failed, PhaseOver, ReasonBusy
	}
	*c.editTask(t) = next
	*c.editJob(j).Counts.of(t.Status)++
	if t.Phase == PhaseOver {
		c.noteMatch(t)
		return
	}
	j.tasks[t.ID] = t
	d.active = append(d.active, t)
	c.place(t)
}

// rivals gives the device's tasks that a new one of the job cannot run beside: all of
// them (P24), or those of the same module where modules are upgraded on their own.
func (d *device) rivals(j *job) []*task {
	return slices.DeleteFunc(slices.Clone(d.active), func(t *task) bool {
		return (j.Policy.MultiModule || j.product.Rules.TaskPerModule) && t.Module != j.pkg.Module
	})
}

// blocked reports whether one of the device's tasks keeps a new one of the job from
// running: the job may not overwrite them, or one is upgrading (P38, P39).
func (d *device) blocked(j *job) bool {
	return slices.ContainsFunc(d.rivals(j), func(t *task) bool {
		return j.Policy.Overwrite != OverwriteTask || t.Status == InProgress
	})
}

// makeRoom reports whether the device is free for a new task of the job, having
// cancelled what may be overwritten.
func (c *Cloud) makeRoom(j *job, d *device, now Stamp) bool {
	if d.blocked(j) {
		return false
	}
	for _, t := range d.rivals(j) {
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
		case t.Status == Unconfirmed:
			want = cmd.Unconfirmed
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
