package fleet

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/leapslot/ota/simulator/fleet/report"
)

func (c *Config) check() error {
	if c.Ramp == nil {
		c.Ramp = Constant{500}
	}
	if c.Quiet == 0 {
		c.Quiet = DefaultQuiet
	}
	if c.Downloads == 0 {
		c.Downloads = DefaultDownloads
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	switch {
	case c.Target.addr == "":
		return errors.New("no broker is given")
	case c.Recorder == nil:
		return errors.New("no recorder is given")
	case len(c.Members) == 0 || len(c.Members) > MaxDevices:
		return fmt.Errorf("%d devices are given, wanted are 1 to %d", len(c.Members), MaxDevices)
	case c.Duration < 0 || c.Duration > MaxDuration:
		return fmt.Errorf("a run takes at most %v, not %v", MaxDuration, c.Duration)
	case c.Downloads < 1 || c.Downloads > MaxDevices:
		return fmt.Errorf("%d downloads at once: give 1 or more", c.Downloads)
	case c.Shard.Count > 1 && (c.Shard.Index < 0 || c.Shard.Index >= c.Shard.Count):
		return fmt.Errorf("there is no shard %d of %d", c.Shard.Index+1, c.Shard.Count)
	}
	if err := c.Target.checkSources(c.Sources); err != nil {
		return err
	}
	return c.Scenario.Validate()
}

// muster makes the devices of this shard.
func (f *Fleet) muster() error {
	subs := f.cfg.Subs
	for i, k := range f.scenario.deal(len(f.cfg.Members)) {
		t, m := &f.traits[k], &f.cfg.Members[i]
		if err := m.Validate(); err != nil {
			return fmt.Errorf("device %d: %w", i+1, err)
		}
		if f.cfg.Certificate != nil && (f.target.tls == nil || t.Client != ClientSmall) {
			return fmt.Errorf("certificates are for small clients over mqtts, not for behaviour %.40q", t.Name)
		}
		if m.Secret == "" && f.cfg.Certificate == nil && (f.cfg.ProductSecret == "" || f.target.tls == nil || t.Client != ClientSmall) {
			return fmt.Errorf("%s has no secret: small clients register over mqtts, with their product's (--product-secret)", m.Device)
		}
		var mine []*sub
		if t.Subs > 0 {
			if len(subs) < t.Subs {
				return fmt.Errorf("behaviour %.40q wants %d sub-devices for %s and %d are left: give more of them", t.Name, t.Subs, m.Device, len(subs))
			}
			for k := range subs[:t.Subs] {
				mine = append(mine, &sub{m: &subs[k], version: f.scenario.Version, fails: t.nextSub()})
			}
			subs = subs[t.Subs:]
		}
		if !f.cfg.Shard.has(i) {
			continue
		}
		t.expect(mine)
		if t.Client == ClientAgent {
			a := &realAgent{f: f, m: m, b: t, place: len(f.agents)}
			f.agents = append(f.agents, a)
			f.places = append(f.places, place{agent: a, hit: i})
			continue
		}
		d := f.device(m, t, mine)
		f.devices = append(f.devices, d)
		f.places = append(f.places, place{device: d, hit: i})
	}
	n := 0
	for _, d := range f.devices {
		n += 1 + len(d.subs)
	}
	n += len(f.agents)
	f.rec.Devices(n)
	f.all = n
	for _, d := range f.devices { // whether a gateway itself is upgraded is another matter
		if d.counted = len(d.subs) > 0; d.counted {
			n--
		}
	}
	f.unsettled.Store(int64(n))
	return nil
}

func (f *Fleet) device(m *Member, t *trait, subs []*sub) *device {
	d := &device{f: f, m: m, b: t, subs: subs, luck: f.scenario.luck(m.Device), versions: make([]string, 1+len(t.Modules))}
	for i := range d.versions {
		d.versions[i] = f.scenario.Version
	}
	if len(f.sources) > 0 {
		d.source = uint16(len(f.devices) % len(f.sources))
	}
	return d
}

// expect says how the update of a device of the behaviour should end, or those of the
// devices behind it.
func (b *trait) expect(subs []*sub) {
	for _, s := range subs {
		b.Devices(1)
		b.Expect(s.wanted(), 1)
	}
	if len(subs) == 0 {
		b.Devices(1)
		b.Expect(b.wanted(), 1)
	}
}

// wanted is how an update should end when the cloud tries again what failed.
func (b *trait) wanted() report.Outcome {
	switch {
	case b.Silent:
		return report.NeverAnswered
	case b.HangAt > 0:
		return report.Unfinished
	case b.WrongRange:
		return report.VerifyFailed
	case b.Fail != 0 && b.FailTimes == 0:
		return report.OutcomeOf(b.Fail)
	case b.Reports != "":
		return report.OtherFailed
	}
	return report.Succeeded
}

// judge gives each update that has not ended its end. Nothing is played any more.
func (f *Fleet) judge() {
	for _, d := range f.devices {
		if !d.over && (d.noticed || len(d.subs) == 0) {
			d.ended = unended(d.noticed, d.answered)
			d.b.Ended(d.ended)
		}
		for _, s := range d.subs {
			if !s.over {
				s.ended = unended(s.noticed, s.update != nil)
				d.b.Ended(s.ended)
			}
		}
	}
	for _, a := range f.agents {
		if !a.over {
			a.ended = unended(a.noticed, a.answered)
			a.b.Ended(a.ended)
		}
	}
}

func unended(noticed, answered bool) report.Outcome {
	switch {
	case !noticed:
		return report.NotReached
	case !answered:
		return report.NeverAnswered
	}
	return report.Unfinished
}

// Endings are what became of each device. Run must have returned.
func (f *Fleet) Endings() []Ending {
	var out []Ending
	for _, d := range f.devices {
		out = append(out, Ending{d.m.Device, d.b.Name, d.versions[0], d.ended})
		for _, s := range d.subs {
			out = append(out, Ending{s.m.Device, d.b.Name, s.version, s.ended})
		}
	}
	for _, a := range f.agents {
		out = append(out, Ending{a.m.Device, a.b.Name, a.version, a.ended})
	}
	return out
}
