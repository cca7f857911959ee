package gateway

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/platform/durable"
	"github.com/leapslot/ota/verify"
)

const (
	maxStarts     = 10              // of the process without progress in between, before an update is given up (W5)
	maxLater      = 1000            // times that an installer may postpone one update
	settleEvery   = 5 * time.Second // between two questions for the version after an update
	progressEvery = time.Second
	progressStep  = 5
	fetched       = 90              // percent when the package is there
	stale         = 5 * time.Minute // after which a notice is asked for again before it is acted on
)

// stage is a place in the corridor, as the record has it.
type stage string

const (
	accept  stage = "accept"
	trust   stage = "trust"
	pull    stage = "fetch"
	check   stage = "verify"
	install stage = "install"
	prove   stage = "prove"
)

// flow is the corridor: the place where an update fails is the code that is
// reported. What comes before the installer is walked again after an interruption:
// a package is verified by the process that hands it over (T6).
var flow = [...]struct {
	stage stage
	do    func(*walk, context.Context) error
	fails ota.Step
}{
	{accept, (*walk).accept, ota.StepUpgradeFailed},
	{trust, (*walk).trust, ota.StepVerifyFailed},
	{pull, (*walk).fetch, ota.StepDownloadFailed},
	{check, (*walk).verify, ota.StepVerifyFailed},
	{install, (*walk).install, ota.StepWriteFailed},
	{prove, (*walk).prove, ota.StepUpgradeFailed},
}

func (s stage) known() bool {
	for _, r := range flow {
		if r.stage == s {
			return true
		}
	}
	return false
}

// walk is one go at the update of a sub-device.
type walk struct {
	g         *Gateway
	s         *sub
	u         *update
	spool     *durable.Spool
	grant     verify.Grant // what is signed of the package, once trust was walked
	installed bool         // the installer may have had the package before this process began

	posted  time.Time
	percent int
}

// start begins, or takes up again, the update that waits longest.
func (g *Gateway) start(ctx context.Context, wg *sync.WaitGroup) {
	if g.updating != nil {
		return
	}
	var first *sub
	for _, s := range g.order {
		ready := s.in && s.rec.Owed == nil && s.question == "" && s != g.reading && (s.resume || s.notice != nil)
		if ready && s.Version != nil && s.version == "" && s.readAt.IsZero() {
			ready = false // ask it first
		}
		if ready && (first == nil || s.wanted.Before(first.wanted)) {
			first = s
		}
	}
	if first == nil {
		return
	}
	if time.Since(first.wanted) > stale {
		first.unsure, first.notice, first.resume = true, nil, false // it waited for others: ask first
		return
	}
	g.begin(first)
	wg.Go(func() {
		w := &walk{g: g, s: first, u: first.rec.Update, installed: first.rec.Update.Stage == install || first.rec.Update.Stage == prove}
		if err := w.through(ctx); err != errInterrupted {
			g.leave(ctx, func() { g.over(w, err) })
		}
	})
}

func (g *Gateway) begin(s *sub) {
	if !s.resume {
		s.rec.Update = &update{Notice: *s.notice, From: s.version, Stage: accept}
		s.rec.Tried.count(*s.notice)
		g.cfg.Log.Info("update of a sub-device begins", "device", s.Device.Device, "from", s.version, "to", s.notice.Version, "bytes", s.notice.TotalSize())
	} else {
		g.cfg.Log.Info("update of a sub-device goes on", "device", s.Device.Device, "to", s.rec.Update.Notice.Version, "stage", s.rec.Update.Stage)
	}
	s.rec.Update.Starts++
	s.notice, s.busy, g.updating = nil, s.rec.Update.Notice, s
	g.set(s, func(st *Status) { st.To, st.Percent = s.busy.Version, 0 })
}

// failure is why an update ended, and what is reported for it.
type failure struct {
	step ota.Step
	err  error
}

func (f failure) Error() string { return f.err.Error() }

// errInterrupted: the process ends. The record says how far the update is, and nobody
// may take that for an end.
var errInterrupted = errors.New("interrupted")

// through walks the corridor. The error is errInterrupted, ErrLater, or a failure.
func (w *walk) through(ctx context.Context) error {
	defer func() {
		if w.spool != nil {
			w.spool.Close()
		}
	}()
	for _, r := range flow {
		err := w.enter(r.stage)
		if err == nil && w.u.Starts > maxStarts {
			err = fmt.Errorf("interrupted %d times in a row", w.u.Starts-1)
		}
		if err == nil {
			err = r.do(w, ctx)
		}
		switch {
		case ctx.Err() != nil:
			return errInterrupted
		case err == nil:
		case errors.Is(err, ErrLater) && r.stage == install && w.u.Later < maxLater:
			return ErrLater
		default:
			return failure{r.fails, err}
		}
	}
	return nil
}

// enter records the stage, but none that an interrupted walk was past: the record
// must go on saying that the installer may have had the package.
func (w *walk) enter(at stage) error {
	w.g.set(w.s, func(st *Status) { st.Stage = string(at) })
	if !w.installed || at == prove {
		w.u.Stage = at
	}
	return w.s.save()
}

// over ends an update, in the loop.
func (g *Gateway) over(w *walk, err error) {
	s := w.s
	g.updating, s.resume, s.fresh = nil, false, nil
	if s.question != "" {
		s.question, s.askAt = "", time.Time{} // it was for the download
	}
	s.later = time.Time{}
	if err == ErrLater {
		w.u.Later++
		w.u.Starts = 0
		s.later = time.Now().Add(g.cfg.Later)
		g.cfg.Log.Info("update of a sub-device postponed", "device", s.Device.Device, "to", w.u.Notice.Version, "until", s.later.UTC().Format(time.TimeOnly))
		g.set(s, func(st *Status) { st.Stage = postponedStage })
		g.record(s)
		return
	}
	o := &outcome{Module: w.u.Notice.Module, Step: ota.StepDone}
	var f failure
	if errors.As(err, &f) {
		o.Step, o.Reason = f.step, f.Error()
		g.cfg.Log.Warn("update of a sub-device failed", "device", s.Device.Device, "to", w.u.Notice.Version, "step", o.Step, "why", o.Reason)
	} else {
		s.rec.Tried = tried{}
		s.rec.Installed = w.u.Notice.Version
		s.rec.Security = max(s.rec.Security, w.grant.SecurityVersion)
		g.cfg.Log.Info("sub-device updated", "device", s.Device.Device, "to", w.u.Notice.Version)
	}
	s.rec.Owed, s.rec.Update = o, nil
	s.told, s.askAt = false, time.Time{}
	switch {
	case o.Step == ota.StepDone:
		s.setVersion(g, w.u.Notice.Version)
	case s.Version != nil: // it may be anything now
		s.readAt = time.Time{}
		s.setVersion(g, "")
	}
	g.set(s, func(st *Status) {
		st.Stage, st.To, st.Percent = "", "", 0
		st.Last = &Result{w.u.Notice.Version, o.Step, clip(o.Reason)}
	})
	g.record(s)
	g.clear(s)
}

func (g *Gateway) record(s *sub) {
	if err := s.save(); err != nil {
		g.cfg.Log.Error("the record of a sub-device", "device", s.Device.Device, "err", err)
	}
}

// clear removes the package of an update that is over. The record says so already:
// what a power cut leaves here is removed at the next start.
func (g *Gateway) clear(s *sub) {
	if err := os.Remove(s.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		g.cfg.Log.Warn("the package of an update stays", "device", s.Device.Device, "err", err)
	}
}

// progress tells the cloud, at most once a second and when there is news.
func (w *walk) progress(percent int) {
	w.g.set(w.s, func(st *Status) { st.Percent = percent })
	if !w.posted.IsZero() && (time.Since(w.posted) < progressEvery || percent < w.percent+progressStep) {
		return
	}
	w.posted, w.percent = time.Now(), percent
	p := ota.Progress{ID: w.g.id(), Module: w.u.Notice.Module, Step: ota.Step(percent)}
	w.g.cfg.Cloud.Post(w.s.Device.Device, ota.TopicProgress, p.Encode())
}

// accept refuses what cannot be done at all, and bounds how often it is tried.
func (w *walk) accept(context.Context) error {
	n := w.u.Notice
	switch {
	case len(n.Files) != 1:
		return fmt.Errorf("a package of %d files cannot be handed to an installer", len(n.Files))
	case n.Stream != nil && !w.g.streams():
		return errors.New("a download over MQTT is not possible behind this gateway: choose HTTPS for the package")
	case w.s.rec.Tried.Count > w.g.cfg.Attempts:
		return fmt.Errorf("version %s failed here %d times, the bound is %d: make a new version", n.Version, w.s.rec.Tried.Count-1, w.g.cfg.Attempts)
	}
	return nil
}

// trust is the policy's word on what was announced. It is asked anew after each
// interruption, so what it grants need not be remembered.
func (w *walk) trust(context.Context) (err error) {
	w.grant, err = w.g.cfg.Trust.Check(&w.u.Notice, verify.Device{
		Product: w.s.Device.ProductKey, Version: w.u.From, SecurityVersion: w.s.rec.Security, Now: w.g.cfg.Clock(),
	})
	return err
}

// install hands the package over. An installer that a power cut has interrupted may
// have come to its end: then the sub-device says so.
func (w *walk) install(ctx context.Context) error {
	n := w.u.Notice
	if w.installed && w.s.Version != nil {
		if v, err := w.s.ask(ctx); err == nil && v == n.Version {
			return nil
		}
	}
	w.progress(fetched)
	err := w.s.Install(ctx, Update{
		Device: w.s.Device.Device, From: w.u.From, Version: n.Version, Path: w.s.path, Size: n.Files[0].Size,
		IsDiff: n.IsDiff, UDI: n.UDI, Tags: n.Tags,
	})
	if errors.Is(err, ErrLater) {
		w.u.Stage = check // it says that it did nothing
	}
	return err
}

// prove wants the sub-device to be what was announced.
func (w *walk) prove(ctx context.Context) error {
	if w.s.Version == nil {
		return nil
	}
	limit := time.Now().Add(w.g.cfg.Settle)
	for {
		v, err := w.s.ask(ctx)
		if err == nil && v == w.u.Notice.Version {
			return nil
		}
		if err == nil {
			err = fmt.Errorf("the sub-device is version %.64q after the update, announced was %s", v, w.u.Notice.Version)
		} else {
			err = fmt.Errorf("after the update the sub-device does not say its version: %w", err)
		}
		if time.Until(limit) < settleEvery {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(settleEvery):
		}
	}
}
