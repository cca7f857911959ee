package simulator

import (
	"strings"
	"testing"
	"time"

	"github.com/leapslot/ota"
)

func (w *world) rules(r Rules) {
	w.t.Helper()
	if got := w.do(SetRules{w.product, r}).(Product); got.Rules != r {
		w.t.Fatalf("rules %+v", got.Rules)
	}
}

func TestP45OptionBothProgressAndVersion(t *testing.T) {
	w := newWorld(t, 3)
	w.rules(Rules{NeedProgress: true})
	w.online("d1", "d2", "d3")
	j := w.batch(w.pkg("p"), nil)
	for _, d := range []string{"d1", "d2", "d3"} {
		w.progress(d, 50)
	}
	w.progress("d1", 100)
	w.inform("d1", "2.0")
	w.wantCounts(j, Counts{InProgress: 2, Succeeded: 1})
	w.inform("d2", "2.0") // 50 % and the version: no success, and no failure
	w.settled()
	w.wantCounts(j, Counts{InProgress: 2, Succeeded: 1})
	w.progress("d2", 100)
	w.wantCounts(j, Counts{InProgress: 1, Succeeded: 2})
	w.progress("d3", 100)
	w.progress("d3", -3) // 100 before a failure
	w.wantCounts(j, Counts{Failed: 1, Succeeded: 2})
}

func TestP48OptionTheSourceVersionIsTolerated(t *testing.T) {
	w := newWorld(t, 1)
	w.rules(Rules{TolerateSource: true})
	w.online("d1")
	j := w.batch(w.pkg("p"), nil)
	w.progress("d1", 50)
	w.inform("d1", "1.0")
	w.settled()
	w.wantTask("d1", InProgress, PhaseBegun, 1)
	w.inform("d1", "0.7") // another one is still a failure
	w.settled()
	w.wantCounts(j, Counts{Failed: 1})
}

func TestP37OptionTimeoutOfAllAttempts(t *testing.T) {
	w := newWorld(t, 2)
	w.rules(Rules{TimeoutOnce: true})
	p := w.pkg("p")
	w.refused(CreateStaticJob{Package: p.ID, Target: TargetAll, RetryCount: 2, RetryMinutes: 10, TimeoutMinutes: 10}, Invalid, "RetryMinutes", "10 minutes")
	w.online("d1", "d2")
	j := w.batch(p, func(c *CreateStaticJob) { c.RetryCount, c.RetryMinutes, c.TimeoutMinutes = 2, 10, 25 })
	w.progress("d1", 10)
	w.progress("d1", -1)
	w.progress("d2", 10)
	w.progress("d2", -1)
	w.wait(10 * time.Minute)
	w.wantTask("d1", InProgress, PhaseNotified, 2)
	w.progress("d2", 10) // begins again
	w.wait(14 * time.Minute)
	w.wantCounts(j, Counts{InProgress: 2})
	w.wait(time.Minute) // 25 minutes from the first progress of the first attempt
	w.wantCounts(j, Counts{Failed: 2})
}

func TestP37OptionSetWhileRunning(t *testing.T) {
	w := newWorld(t, 1)
	w.online("d1")
	j := w.batch(w.pkg("p"), func(c *CreateStaticJob) { c.RetryCount, c.RetryMinutes, c.TimeoutMinutes = 1, 60, 5 })
	w.progress("d1", 10)
	w.progress("d1", -1)
	w.wait(6 * time.Minute) // waits for its retry: no timeout
	w.wantCounts(j, Counts{InProgress: 1})
	w.rules(Rules{TimeoutOnce: true})
	w.wait(time.Second)
	w.wantCounts(j, Counts{Failed: 1})
}

// twoModules has a batch of the default module pushed and gives a package of another.
func twoModules(t *testing.T) (*world, Job, Package) {
	w := newWorld(t, 1)
	w.do(CreateModule{Product: w.product, Name: "mcu"})
	w.happen(Informed{w.dev("d1"), "mcu", "1.0"})
	w.online("d1")
	a := w.batch(w.pkg("p"), nil)
	cmd := w.full("mcu")
	cmd.Module = "mcu"
	return w, a, w.do(cmd).(Package)
}

func TestP24OneTaskOfADeviceWhateverTheModule(t *testing.T) {
	w, a, mcu := twoModules(t)
	b := w.batch(mcu, nil)
	w.wantCounts(a, Counts{Notified: 1})
	w.wantCounts(b, Counts{Failed: 1})
	b = w.batch(mcu, func(c *CreateStaticJob) { c.Overwrite = OverwriteTask })
	w.wantCounts(a, Counts{Canceled: 1})
	w.wantCounts(b, Counts{Notified: 1})
}

func TestP24OptionTaskPerModule(t *testing.T) {
	for _, multi := range []bool{false, true} { // of the product, or of the job alone
		w, a, mcu := twoModules(t)
		w.rules(Rules{TaskPerModule: !multi})
		b := w.batch(mcu, func(c *CreateStaticJob) { c.Overwrite, c.MultiModule = OverwriteTask, multi })
		w.wantCounts(a, Counts{Notified: 1})
		w.wantCounts(b, Counts{Notified: 1})
		w.happen(Progressed{w.dev("d1"), "mcu", 10, ""})
		w.wantCounts(a, Counts{Notified: 1})
		w.wantCounts(b, Counts{InProgress: 1})
		again := w.batch(mcu, func(c *CreateStaticJob) { c.Overwrite, c.MultiModule = OverwriteTask, multi })
		w.wantCounts(again, Counts{Failed: 1}) // of one module there is one
		w.happen(Informed{w.dev("d1"), "mcu", "2.0"})
		w.wantCounts(a, Counts{Notified: 1})
		w.wantCounts(b, Counts{Succeeded: 1})
	}
}

func TestP3OptionSuffixes(t *testing.T) {
	w := newWorld(t, 0)
	for _, name := range []string{"fw.dav", "fw.apk", "fw.tar.xz", "fw.pack"} {
		cmd := w.full(strings.ReplaceAll(name, ".", "_"))
		cmd.Files = []File{goodFile(name)}
		w.rules(Rules{})
		w.refused(cmd, Invalid, "Files", "ends in")
		w.rules(Rules{NowLimits: true})
		w.do(cmd)
	}
}

func TestP29OptionAMillionTargets(t *testing.T) {
	w := newWorld(t, 0)
	names := make([]string, MaxTargets+1)
	for i := range names {
		names[i] = "d" + itoa(i+1)
	}
	w.do(RegisterDevices{Product: w.product, Names: names})
	cmd := CreateStaticJob{Package: w.pkg("p").ID, Target: TargetSpecific, Devices: names}
	w.refused(cmd, Invalid, "Devices", "10000")
	w.rules(RulesNow())
	w.do(cmd)
	cmd.Devices = make([]string, MaxTargetsNow+1)
	w.refused(cmd, Invalid, "Devices", "1000000")
}

// What the source leaves open: the target version reported after a timeout changes
// nothing about the task. It has failed, the device's version is kept, and batches made
// later pass it over.
func TestP45P51TargetVersionAfterATimeout(t *testing.T) {
	w := newWorld(t, 2)
	w.online("d1")
	p := w.pkg("p")
	j := w.batch(p, func(c *CreateStaticJob) {
		c.TimeoutMinutes, c.Target, c.Devices = 5, TargetSpecific, []string{"d1"}
	})
	w.progress("d1", 90)
	w.wait(5 * time.Minute)
	w.inform("d1", "2.0")
	w.settled()
	w.wantCounts(j, Counts{Failed: 1})
	d := w.do(FindDevice{w.product, "d1"}).(Device)
	if got := d.Version(ota.DefaultModule); got != "2.0" {
		t.Errorf("device is known to run %s", got)
	}
	w.wantCounts(w.batch(p, nil), Counts{Queued: 1}) // d2 alone
}

func TestP6VersionsAreCounted(t *testing.T) {
	w := newWorld(t, 3)
	w.do(CreateModule{Product: w.product, Name: "mcu"})
	w.inform("d1", "2.0")
	w.inform("d1", "2.0")
	w.happen(Informed{w.dev("d2"), "mcu", "7"})
	got := w.do(FindVersions{Product: w.product}).([]VersionCount)
	want := []VersionCount{{"default", "1.0", 2}, {"default", "2.0", 1}, {"mcu", "7", 1}}
	if len(got) != len(want) || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
		t.Errorf("%v, want %v", got, want)
	}
	if got := w.do(FindVersions{w.product, "mcu"}).([]VersionCount); len(got) != 1 || got[0] != want[2] {
		t.Errorf("of the module: %v", got)
	}
	w.refused(FindVersions{w.product, "none"}, NotFound, "Module", "none")
	w.cloud.Happen(Informed{w.dev("d3"), "", "3.0"}, w.now)
	w.cloud.Undo()
	if got := w.do(FindVersions{w.product, "default"}).([]VersionCount); len(got) != 2 || got[0] != want[0] {
		t.Errorf("after Undo: %v", got)
	}
}
