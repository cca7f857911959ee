package simulator

import (
	"slices"

	"github.com/leapslot/ota"
)

func (e Online) happen(c *Cloud, now Stamp) {
	d := c.findDevice(e.Device)
	if d == nil {
		return
	}
	d.Online, d.LastOnline = true, now // not noted: a connect alone is not worth a write
	if d.Activated == 0 {
		c.editDevice(d).Activated = now
	}
	for _, t := range slices.Clone(d.active) {
		if t.Phase == PhaseNotified || t.Phase == PhaseBegun {
			if t.missed = t.job.Pause.On(); !t.missed {
				c.send(t, Reply{}) // again, in the same state; the rate counted it the first time
			}
		}
		c.place(t)
	}
}

func (e Offline) happen(c *Cloud, _ Stamp) {
	if d := c.findDevice(e.Device); d != nil {
		d.Online = false // its task in a ready queue is passed over there
	}
}

func (e Progressed) happen(c *Cloud, now Stamp) {
	d := c.findDevice(e.Device)
	if d == nil || e.Step > ota.StepDone {
		return
	}
	if t := d.taskOf(moduleOr(e.Module)); t != nil {
		c.change(t, t.progressed(e.Step, e.Desc, d.Version(t.Module), t.terms(), now))
		c.place(t)
	}
}

// A device that asks is answered with its notice, if it has one to get by now. The
// rate holds for the answer too: a device that has to wait is told that there is
// nothing, and gets its notice when its place comes.
func (e Asked) happen(c *Cloud, now Stamp) {
	nothing := Push{Device: e.Device, Reply: e.Reply, Empty: true}
	d := c.findDevice(e.Device)
	if d == nil {
		return
	}
	t := d.taskOf(moduleOr(e.Module))
	if t == nil || t.Phase == PhaseWaiting || t.Phase == PhaseUnconfirmed || t.job.Status != JobInProgress || t.held() {
		c.pushes = append(c.pushes, nothing)
		return
	}
	if t.Phase == PhaseQueued {
		if !c.takePlace(t.job, now.Time()) {
			c.pushes = append(c.pushes, nothing)
			return
		}
		c.notify(t, now)
	}
	c.send(t, e.Reply)
}
