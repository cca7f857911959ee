package fleet

import (
	"context"
	"errors"
	"hash"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator/fleet/report"
	"github.com/leapslot/ota/verify"
)

// update is one that a device has begun.
type update struct {
	dev      ota.Device // the device itself, or one behind it
	notice   ota.Notice
	module   int
	noticed  time.Time
	began    time.Time // the download: its first byte
	digest   hash.Hash // of the bytes that are here
	done     int64     // so many
	skipped  int64     // bytes that a device left out that asks for the wrong range
	etag     string
	percent  int       // that was reported last
	posted   time.Time // and when
	tries    int       // of the download, without progress
	failed   ota.Step  // what it is to report after the restart
	hung     bool      // nothing more is done for it
	switched bool      // the new system was chosen
}

// failure is why an update ends badly: the place it breaks in is the step.
type failure struct {
	step ota.Step
	why  string
}

func (f *failure) Error() string { return f.why }

// act does what a message asks for.
func (d *device) act(ctx context.Context, m mail) error {
	if m.kind != ota.TopicUpgrade && m.kind != ota.TopicGetReply || m.device != d.m.Device {
		return d.actForSub(ctx, m)
	}
	n, ok := d.notice(m)
	if !ok {
		return nil
	}
	d.f.touched()
	module := d.moduleOf(n.Module)
	switch u := d.update; {
	case u != nil && u.notice.Same(n):
		d.again(m)
		return nil // its walk goes on by itself
	case u != nil:
		d.announced(m)
		d.f.rec.Add(report.OutOfOrder, 1)
		return nil
	case module < 0:
		d.announced(m)
		d.owe(message{kind: ota.TopicProgress, step: ota.StepUpgradeFailed, final: true, payload: ota.Progress{ID: d.id(),
			Module: n.Module, Step: ota.StepUpgradeFailed, Desc: "no such module"}.Encode()})
		return d.flush()
	case d.versions[module] == n.Version:
		d.again(m)
		d.inform(module, n.Version, false) // settles the task
		return d.flush()
	}
	d.noticed = true
	d.announced(m)
	if d.over && d.ended != report.Succeeded {
		d.f.rec.Add(report.Retries, 1)
	}
	if d.b.Silent {
		d.settle()
		return nil
	}
	if int(d.ignored) < d.b.Ignore {
		d.ignored++
		return errAnew
	}
	d.update = &update{dev: d.m.Device, notice: n, module: module, noticed: m.at}
	return d.walk(ctx)
}

// notice reads a notice.
func (d *device) notice(m mail) (ota.Notice, bool) {
	n, _, err := ota.DecodeNotice(m.payload)
	if errors.Is(err, ota.ErrNothing) {
		return n, false
	}
	if err != nil {
		d.f.log.Warn("a notice is not understood", "device", m.device, "err", err)
		d.f.rec.Note("a notice was not understood: " + err.Error())
		return n, false
	}
	return n, true
}

// announced counts a notice of something new.
func (d *device) announced(m mail) {
	if m.kind == ota.TopicGetReply {
		d.f.rec.Add(report.NoticesPulled, 1)
		return
	}
	d.f.rec.Add(report.NoticesPushed, 1)
	d.f.pushedAt(m.at)
}

// again counts a notice that says what the device knows. The report takes those that were
// pushed away from the cloud's push rate.
func (d *device) again(m mail) {
	if m.kind == ota.TopicGetReply {
		d.f.rec.Add(report.NoticesPulled, 1)
		return
	}
	d.f.rec.Add(report.NoticesPushed, 1)
	d.f.rec.Add(report.DuplicateNotices, 1)
}

// walk goes on with the update: fetch, verify, then the restart. The error is why the
// session ends.
func (d *device) walk(ctx context.Context) error {
	u := d.update
	d.answered = true
	err := d.bring(ctx, u)
	var bad *failure
	switch {
	case errors.As(err, &bad):
		d.f.log.Debug("an update fails", "device", d.m.Device, "step", bad.step, "why", bad.why)
		d.fail(bad)
		return d.flush()
	case err != nil:
		return err
	case u.hung:
		d.settle()
		return nil
	}
	u.switched = true
	if d.fails(ota.StepUpgradeFailed) {
		u.failed = ota.StepUpgradeFailed
	}
	if u.module != 0 { // a module of files: nothing restarts
		d.cameUp(u)
		return d.flush()
	}
	d.informed = false
	return errReboot
}

// bring fetches and verifies the package.
func (d *device) bring(ctx context.Context, u *update) error {
	if u.digest == nil {
		d.move(report.Notified)
		if err := d.report(u, 0); err != nil {
			return err
		}
		if err := d.flood(u); err != nil {
			return err
		}
		var err error
		if u.digest, err = verify.NewDigest(u.notice.SignMethod); err != nil {
			return &failure{ota.StepUpgradeFailed, err.Error()}
		}
		if len(u.notice.Files) != 1 {
			return &failure{ota.StepUpgradeFailed, "a package of several files"}
		}
	}
	if err := d.fetch(ctx, u); err != nil || u.hung {
		return err
	}
	if d.fails(ota.StepDownloadFailed) {
		return &failure{ota.StepDownloadFailed, "as its behaviour wants"}
	}
	d.move(report.Verifying)
	began := time.Now()
	err := d.verify(u)
	d.f.rec.Observe(report.Verify, time.Since(began))
	if err == nil && d.fails(ota.StepVerifyFailed) {
		err = errors.New("as its behaviour wants")
	}
	if err != nil {
		return &failure{ota.StepVerifyFailed, err.Error()}
	}
	if d.fails(ota.StepWriteFailed) {
		return &failure{ota.StepWriteFailed, "as its behaviour wants"}
	}
	return nil
}

func (d *device) verify(u *update) error {
	sum := u.digest.Sum(nil)
	if err := verify.Equal(u.notice.Files[0].Sign, sum); err != nil {
		return err
	}
	if d.f.key == nil {
		return nil
	}
	return verify.VerifyDigestSign(d.f.key, u.notice.SignMethod, sum, u.notice.DigestSign)
}

// fails says whether the behaviour wants this step to fail now, and counts.
func (d *device) fails(step ota.Step) bool {
	if ota.Step(d.b.Fail) != step || d.b.FailTimes > 0 && int(d.failed) >= d.b.FailTimes {
		return false
	}
	d.failed++
	return true
}

// fail owes the failure; the update is over when that is acknowledged.
func (d *device) fail(bad *failure) {
	u := d.update
	d.owe(message{kind: ota.TopicProgress, module: int16(u.module), step: bad.step, final: true,
		payload: ota.Progress{ID: d.id(), Module: d.module(u.module), Step: bad.step, Desc: bad.why}.Encode()})
}

// cameUp owes how the update has ended, after the restart.
func (d *device) cameUp(u *update) {
	name := d.module(u.module)
	u.switched, u.hung = false, true // nothing is left but to say how it ended
	if u.failed != 0 {
		d.fail(&failure{u.failed, "the new system is not well, as its behaviour wants"})
		d.inform(u.module, d.versions[u.module], false)
		return
	}
	d.owe(message{kind: ota.TopicProgress, step: ota.StepDone, payload: ota.Progress{ID: d.id(), Module: name, Step: ota.StepDone}.Encode()})
	version := u.notice.Version
	if d.b.Reports != "" {
		version = d.b.Reports
	}
	d.versions[u.module] = version
	d.inform(u.module, version, true)
}

// report says how far the update is, as often as the behaviour wants.
func (d *device) report(u *update, percent int) error {
	if percent > 0 {
		if step := d.b.Percent; step > 0 {
			if percent/step <= u.percent/step || percent >= 100 {
				return nil
			}
		} else if percent < u.percent+5 || time.Since(u.posted) < time.Second {
			return nil
		}
	}
	u.percent, u.posted = percent, time.Now()
	return d.progress(u.dev, d.module(u.module), ota.Step(percent))
}

func (d *device) flood(u *update) error {
	for range d.b.Flood {
		if err := d.progress(u.dev, d.module(u.module), 1); err != nil {
			return err
		}
	}
	return nil
}
