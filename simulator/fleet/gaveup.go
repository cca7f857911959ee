package fleet

import (
	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator/fleet/report"
)

// GaveUp tells the report of devices whose updates the cloud has given up, which only the
// cloud can say: their outcome becomes report.TimedOut, and so does the one that is
// expected of those that hang or never answer. What a device has failed with itself stays.
// It gives how many there are, and may be called once Run has returned.
func (f *Fleet) GaveUp(devices map[ota.Device]bool) int {
	n := 0
	late := func(d ota.Device, b *trait, wanted report.Outcome, ended *report.Outcome) {
		switch *ended {
		case report.Succeeded, report.Unfinished, report.NeverAnswered, report.NotReached:
		default:
			return
		}
		if !devices[d] {
			return
		}
		b.Taken(*ended)
		b.Ended(report.TimedOut)
		if *ended == wanted && wanted != report.Succeeded {
			b.Expect(wanted, -1)
			b.Expect(report.TimedOut, 1)
		}
		*ended = report.TimedOut
		n++
	}
	for _, d := range f.devices {
		if d.over || d.noticed || len(d.subs) == 0 { // judge has counted these
			late(d.m.Device, d.b, d.b.wanted(), &d.ended)
		}
		for _, s := range d.subs {
			late(s.m.Device, d.b, s.wanted(), &s.ended)
		}
	}
	for _, a := range f.agents {
		late(a.m.Device, a.b, a.b.wanted(), &a.ended)
	}
	return n
}
