package simulator

import (
	"testing"
	"time"
)

func TestQuirkTwoReportsAtOnceTheLastCounts(t *testing.T) {
	w := newWorld(t, 3)
	j := w.batch(w.pkg("p"), retry(10, 1))
	w.online("d1", "d2", "d3")
	w.settled()
	w.progress("d2", 50)

	w.inform("d1", "app-0.0") // pushed: a version of the SDK's own
	w.inform("d2", "app-0.0") // upgrading
	w.wait(900 * time.Millisecond)
	w.inform("d1", "1.0")
	w.inform("d2", "2.0")
	w.wait(time.Hour)
	w.wantTask("d1", Notified, PhaseNotified, 1)
	w.wantCounts(j, Counts{Notified: 2, Succeeded: 1})

	w.inform("d3", "1.0")
	w.inform("d3", "app-0.0") // in the other order it is the failure that counts
	w.settled()
	w.wantTask("d3", Notified, PhaseWaiting, 1)
	if got := w.task("d3").Reason; got != "reported version app-0.0, neither 1.0 nor 2.0" {
		t.Errorf("reason %q", got)
	}
}

// A device that never stops changing its mind is judged a second after its first
// report all the same.
func TestQuirkReportsWithoutEnd(t *testing.T) {
	w := newWorld(t, 1)
	w.online("d1")
	w.batch(w.pkg("p"), retry(10, 1))
	for i := range 4 {
		w.inform("d1", "0."+itoa(i+1))
		w.wait(300 * time.Millisecond)
	}
	w.wantTask("d1", Notified, PhaseWaiting, 1)
}

// A device of which nothing was known upgrades from what it reports first, or second
// when that comes right after; a patch for the first one is not given to it then.
func TestQuirkFirstReportsOfADevice(t *testing.T) {
	w := newWorld(t, 0)
	w.do(RegisterDevices{Product: w.product, Names: []string{"new"}})
	w.batch(w.pkg("p"), nil)
	w.online("new")
	w.inform("new", "app-0.0")
	w.inform("new", "1.0")
	w.settled()
	if got := w.task("new"); got.Source != "1.0" || got.Status != Notified {
		t.Errorf("%s from %s", got.Status, got.Source)
	}
}

// A report that is awaited to settle when the process stops is judged by the next one.
func TestSettlingAfterLoad(t *testing.T) {
	w := newWorld(t, 1)
	w.online("d1")
	j := w.batch(w.pkg("p"), nil)
	w.progress("d1", 10)
	w.inform("d1", "0.7")
	again, err := Load(Options{Random: w.cloud.opt.Random}, w.cloud.state())
	if err != nil {
		t.Fatal(err)
	}
	w.cloud = again
	w.settled()
	w.wantCounts(j, Counts{Failed: 1})
}

// The second report does not make a patch for the first one's version fit.
func TestQuirkSecondReportAndAPatch(t *testing.T) {
	w := newWorld(t, 0)
	w.do(RegisterDevices{Product: w.product, Names: []string{"new"}})
	w.online("new")
	w.inform("new", "1.0")
	cmd := w.full("patch")
	cmd.Diff, cmd.Source = true, "1.0"
	j := w.do(CreateStaticJob{Package: w.do(cmd).(Package).ID, Target: TargetAll}).(Job)
	w.wait(500 * time.Millisecond)
	w.inform("new", "1.1")
	w.settled()
	w.wantCounts(j, Counts{Failed: 1}) // P47
}

// A report that waits to settle for a dynamic batch's sake is not held against a task
// that began after it.
func TestP48ReportFromBeforeTheFirstProgress(t *testing.T) {
	w := newWorld(t, 1)
	j := w.batch(w.pkg("p"), nil)
	w.dynamic(w.to("q", "3.0"), func(c *CreateDynamicJob) { c.Mode = NewlyReported })
	w.online("d1")
	w.inform("d1", "1.0")
	w.wait(500 * time.Millisecond)
	w.progress("d1", 10)
	w.settled()
	w.wantCounts(j, Counts{InProgress: 1})
}

func TestDeletedDeviceWakesNobody(t *testing.T) {
	w := newWorld(t, 1)
	w.batch(w.pkg("p"), nil)
	w.inform("d1", "0.7")
	if w.cloud.Next().IsZero() {
		t.Fatal("nothing waits for the report to settle")
	}
	w.do(DeleteDevice{w.product, "d1"})
	if next := w.cloud.Next(); !next.IsZero() {
		t.Errorf("the cloud wakes up at %v for a device that is gone", next)
	}
}
