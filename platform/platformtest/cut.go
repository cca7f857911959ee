package platformtest

import "testing"

// scene is a life of a machine that stops, by returning false, when the power
// is cut. It says by calling promise what must be running from then on however
// it goes on, if anything is certain.
type scene func(m Machine, h Harness, t testing.TB, promise func(slot string)) bool

// update is a good update: tried, started, kept.
func update(m Machine, h Harness, t testing.TB, promise func(string)) bool {
	b := m.PowerOn(t)
	if b == nil {
		return false
	}
	promise(h.Kept)
	promise("") // from the next call on it is one or the other
	if b.Try(h.Spare) != nil {
		return false
	}
	if b = m.PowerOn(t); b == nil {
		return false
	}
	if b.Keep() != nil {
		return false
	}
	promise(h.Spare)
	return m.PowerOn(t) != nil
}

// sick is an update that is left again.
func sick(m Machine, h Harness, t testing.TB, promise func(string)) bool {
	b := m.PowerOn(t)
	if b == nil || b.Try(h.Spare) != nil {
		return false
	}
	if b = m.PowerOn(t); b == nil {
		return false
	}
	if b.Try(h.Kept) != nil {
		return false
	}
	promise(h.Kept)
	if b = m.PowerOn(t); b == nil {
		return false
	}
	return b.Keep() == nil && m.PowerOn(t) != nil
}

func cutEverywhere(t *testing.T, h Harness) { everyCut(t, h, update) }
func cutLeaving(t *testing.T, h Harness)    { everyCut(t, h, sick) }

// everyCut plays the scene once for each of its steps, with the power cut
// there, and looks at what the machine does afterwards.
func everyCut(t *testing.T, h Harness, play scene) {
	if h.NoCut != "" {
		t.Skip(h.NoCut)
	}
	for n := 1; n <= maxSteps; n++ {
		m := h.New(t)
		m.CutAt(n)
		certain := ""
		whole := play(m, h, t, func(slot string) { certain = slot })
		if whole == m.Off() {
			t.Fatalf("cut at step %d: the power is off: %v, but the scene was played to its end: %v", n, m.Off(), whole)
		}
		m.CutAt(0)
		if !whole {
			again(t, h, m, n, certain)
			continue
		}
		t.Logf("cut at each of %d steps", n-1)
		if n == 1 {
			t.Fatal("the machine takes no steps: CutAt does nothing")
		}
		return
	}
	t.Fatalf("the scene has more than %d steps", maxSteps)
}

// again starts the machine after a cut: it runs the old or the new system, and
// with nobody there to keep anything it ends in one that does not change any
// more, and that an update can start from.
func again(t *testing.T, h Harness, m Machine, n int, certain string) {
	t.Helper()
	d := &device{t: t, m: m}
	for boot := 1; boot <= h.Attempts+1; boot++ {
		d.powerOn()
		got := d.running()
		if got != h.Kept && got != h.Spare {
			t.Fatalf("cut at step %d: boot %d runs %q", n, boot, got)
		}
		if certain != "" && got != certain {
			t.Fatalf("cut at step %d: boot %d runs %q, promised was %q", n, boot, got, certain)
		}
	}
	settled, other := d.running(), h.Spare
	if settled == h.Spare {
		other = h.Kept
	}
	d.boots(h.Attempts+1, settled, "settled")
	d.try(other)
	d.powerOn()
	d.runs(other, "the next update, on trial")
	d.keep()
	d.boots(h.Attempts+1, other, "the next update, kept")
}
