package simulator

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/leapslot/ota"
)

func TestP2PackagesOfAnAccount(t *testing.T) {
	w := newWorld(t, 0)
	for i := range MaxPackages {
		w.pkg(fmt.Sprint("p", i))
	}
	w.refused(w.full("another"), Limit, "Name", "at most 500")
	other := w.do(CreateProduct{Account: "you", Name: "lamp"}).(Product)
	cmd := w.full("another")
	cmd.Product = other.Key
	w.do(cmd) // another account has its own 500
}

func TestP3PackageFiles(t *testing.T) {
	w := newWorld(t, 0)
	for i, s := range []string{".bin", ".tar", ".gz", ".tar.gz", ".zip", ".gzip", ".BIN"} {
		cmd := w.full(fmt.Sprint("good", i))
		cmd.Files[0].Name = "fw" + s
		w.do(cmd)
	}
	for _, name := range []string{"fw.apk", "fw", ".bin", "", "fw.bin/..", "../fw.bin", "fw.bin\x00"} {
		cmd := w.full("bad")
		cmd.Files[0].Name = name
		w.refused(cmd, Invalid, "Files", "package file")
	}
	for _, size := range []int64{0, -1, MaxFileSize + 1} {
		cmd := w.full("bad")
		cmd.Files[0].Size = size
		w.refused(cmd, Invalid, "Files", "1,000 MB")
	}
	cmd := w.full("biggest")
	cmd.Files[0].Size = MaxFileSize
	w.do(cmd)
}

func TestP4NoticeAtOnceOrWhenOnline(t *testing.T) {
	w := newWorld(t, 2)
	w.online("d1")
	w.batch(w.pkg("p"), nil)
	if len(w.pushes) != 1 || w.pushes[0].Device.Name != "d1" {
		t.Fatalf("pushes %v, want one to the device that is online", w.pushes)
	}
	w.wait(time.Hour)
	w.online("d2")
	if len(w.pushes) != 2 || w.pushes[1].Device.Name != "d2" {
		t.Fatalf("pushes %v, want a second one to d2", w.pushes)
	}
}

func TestP4AgainWhenOnlineUnfinished(t *testing.T) {
	w := newWorld(t, 1)
	w.online("d1")
	w.batch(w.pkg("p"), nil)
	w.happen(Offline{w.dev("d1")})
	w.online("d1")
	w.progress("d1", 5)
	w.wantTask("d1", InProgress, PhaseBegun, 1)
	w.happen(Offline{w.dev("d1")})
	w.online("d1")
	w.wantTask("d1", InProgress, PhaseBegun, 1)
	if len(w.pushes) != 3 {
		t.Errorf("%d pushes, want 3: the first and one for each time it came online", len(w.pushes))
	}
}

func TestP5PackageOfOneProduct(t *testing.T) {
	w := newWorld(t, 1)
	other := w.do(CreateProduct{Account: "me", Name: "switch"}).(Product)
	w.do(RegisterDevices{Product: other.Key, Names: []string{"x1"}})
	p := w.pkg("p")
	w.refused(CreateStaticJob{Package: p.ID, Target: TargetSpecific, Devices: []string{"x1"}}, NotFound, "Devices", "x1")
	if j := w.batch(p, nil); j.Counts.Total() != 1 {
		t.Errorf("%d tasks, want 1: the other product's devices are no concern of it", j.Counts.Total())
	}
}

func TestP8DefaultModule(t *testing.T) {
	w := newWorld(t, 1)
	mods := w.do(FindModules{w.product}).([]Module)
	if len(mods) != 1 || mods[0].Name != ota.DefaultModule {
		t.Fatalf("modules %v", mods)
	}
	if p := w.pkg("p"); p.Module != ota.DefaultModule {
		t.Errorf("package's module %q", p.Module)
	}
	cmd := w.full("q")
	cmd.Module = "MCU"
	w.refused(cmd, NotFound, "Module", "MCU")
	w.do(CreateModule{Product: w.product, Name: "MCU"})
	p := w.do(cmd).(Package)
	w.online("d1")
	w.batch(p, nil)
	w.inform("d1", "2.0") // of the default module
	w.wantTask("d1", Notified, PhaseNotified, 1)
	w.happen(Informed{w.dev("d1"), "MCU", "2.0"})
	if len(w.cloud.findDevice(w.dev("d1")).active) != 0 {
		t.Error("the report of the MCU's target version did not end the task")
	}
}

func TestP9ModuleName(t *testing.T) {
	w := newWorld(t, 0)
	w.do(CreateModule{Product: w.product, Name: "A.b_c-9"})
	w.refused(CreateModule{Product: w.product, Name: "A.b_c-9"}, Exists, "Name", "already")
	w.refused(CreateModule{Product: w.product, Name: "default"}, Exists, "Name", "already")
	w.refused(CreateModule{Product: w.product}, Missing, "Name", "needs")
	for _, s := range []string{"a b", "模块", strings.Repeat("a", 65)} {
		w.refused(CreateModule{Product: w.product, Name: s}, Invalid, "Name", "module")
	}
	w.do(CreateModule{Product: w.product, Name: strings.Repeat("a", 64)})
	other := w.do(CreateProduct{Account: "me", Name: "b"}).(Product)
	w.do(CreateModule{Product: other.Key, Name: "A.b_c-9"}) // unique in its product only
}

func TestP10P11AliasAndDescription(t *testing.T) {
	w := newWorld(t, 0)
	w.do(CreateModule{Product: w.product, Name: "m1", Alias: "abcd", Desc: strings.Repeat("描", 100)})
	w.refused(CreateModule{Product: w.product, Name: "m2", Alias: "abc"}, Invalid, "Alias", "4")
	w.refused(CreateModule{Product: w.product, Name: "m2", Desc: strings.Repeat("描", 101)}, Invalid, "Desc", "100")
}

func TestP12P14Versions(t *testing.T) {
	w := newWorld(t, 0)
	for _, tc := range []struct {
		diff            bool
		source, version string
		code            Code
		field           string
	}{
		{false, "", "", Missing, "Version"},
		{false, "", "1 0", Invalid, "Version"},
		{false, "", strings.Repeat("1", 65), Invalid, "Version"},
		{false, "1.0", "2.0", Invalid, "Source"},
		{true, "", "2.0", Missing, "Source"},
		{true, "2.0", "2.0", Invalid, "Source"},
		{true, "ä", "2.0", Invalid, "Source"},
	} {
		cmd := w.full("p")
		cmd.Diff, cmd.Source, cmd.Version = tc.diff, tc.source, tc.version
		w.refused(cmd, tc.code, tc.field, "")
	}
	cmd := w.full("p")
	cmd.Diff, cmd.Source, cmd.Version = true, "1.0", strings.Repeat("2", 64)
	w.do(cmd)
}

func TestP13PackageName(t *testing.T) {
	for _, s := range []string{"a", "9", "固件", "ファーム", "ひらがな", "漢字カナkana-_()1", "エー", strings.Repeat("包", 40)} {
		if err := CheckPackageName(s); err != nil {
			t.Errorf("%q: %v", s, err)
		}
	}
	for _, s := range []string{"", "-a", "(a", "_", "a b", "a.b", "ä", "펌웨어", "a\x00", "a\xff", strings.Repeat("包", 41)} {
		if CheckPackageName(s) == nil {
			t.Errorf("%q was accepted", s)
		}
	}
	w := newWorld(t, 0)
	w.pkg("firmware")
	w.refused(w.full("firmware"), Exists, "Name", "already")
	w.refused(w.full("-"), Invalid, "Name", "begins")
	w.refused(w.full(""), Missing, "Name", "needs")
}

func TestP15SignMethod(t *testing.T) {
	w := newWorld(t, 0)
	cmd := w.full("sha")
	cmd.SignMethod = ota.SHA256
	w.do(cmd)
	cmd = w.full("crc")
	cmd.SignMethod = "CRC32"
	w.refused(cmd, Invalid, "SignMethod", "SHA256")
	cmd = w.full("none")
	cmd.Files[0].MD5 = ""
	w.refused(cmd, Invalid, "Files", "MD5")
}

func TestP16Description(t *testing.T) {
	w := newWorld(t, 0)
	cmd := w.full("p")
	cmd.Desc = strings.Repeat("述", 101)
	w.refused(cmd, Invalid, "Desc", "100")
	cmd.Desc = strings.Repeat("述", 100)
	w.do(cmd)
}

func (w *world) unverified(name string) Package {
	cmd := w.full(name)
	cmd.NeedToVerify = true
	return w.do(cmd).(Package)
}

func TestP17VerifiedBeforeBatch(t *testing.T) {
	w := newWorld(t, 3)
	w.online("d1", "d2", "d3")
	p := w.unverified("p")
	batch := CreateStaticJob{Package: p.ID, Target: TargetAll}
	w.refused(batch, Refused, "Package", "verified")
	w.do(CreateVerifyJob{Package: p.ID, Devices: []string{"d1", "d2"}})
	w.refused(batch, Refused, "Package", "verified") // still running
	w.progress("d1", -1)
	w.inform("d2", "2.0")
	w.refused(batch, Refused, "Package", "verified") // one of them failed
	w.do(CreateVerifyJob{Package: p.ID, Devices: []string{"d1"}})
	w.inform("d1", "2.0")
	if got := w.do(FindPackage{p.ID}).(Package); got.Status != Verified || got.Progress != 100 {
		t.Errorf("package is %d at %d %%, want verified", got.Status, got.Progress)
	}
	w.do(batch)
}

func TestP17CancelledVerificationProvesNothing(t *testing.T) {
	w := newWorld(t, 1)
	p := w.unverified("p")
	j := w.do(CreateVerifyJob{Package: p.ID, Devices: []string{"d1"}}).(Job)
	w.do(CancelTasksByJob{Job: j.ID, Queued: true})
	if s := w.do(FindPackage{p.ID}).(Package).Status; s != Unverified {
		t.Errorf("status %d after a cancelled verification, want %d", s, Unverified)
	}
}

func TestP17P18P19VerificationDevices(t *testing.T) {
	w := newWorld(t, 12)
	cmd := w.full("diff")
	cmd.Diff, cmd.Source, cmd.NeedToVerify = true, "1.5", true
	p := w.do(cmd).(Package)
	w.refused(CreateVerifyJob{Package: p.ID}, Missing, "Devices", "which")
	w.refused(CreateVerifyJob{Package: p.ID, Devices: []string{"d1"}}, Invalid, "Devices", "1.5")
	w.refused(CreateVerifyJob{Package: p.ID, Devices: []string{"nobody"}}, NotFound, "Devices", "nobody")
	w.inform("d1", "1.5")
	w.refused(CreateVerifyJob{Package: p.ID, Devices: []string{"d1", "d1"}}, Invalid, "Devices", "twice")
	j := w.do(CreateVerifyJob{Package: p.ID, Devices: []string{"d1"}}).(Job)
	if len(j.Sources) != 1 || j.Sources[0] != "1.5" {
		t.Errorf("sources %v, want the package's", j.Sources)
	}
	full := w.unverified("full")
	w.inform("d2", "2.0")
	w.refused(CreateVerifyJob{Package: full.ID, Devices: []string{"d2"}}, Invalid, "Devices", "already")
	var all []string
	for i := range 11 {
		all = append(all, "d"+itoa(i+1))
	}
	w.refused(CreateVerifyJob{Package: full.ID, Devices: all}, Invalid, "Devices", "at most 10")
}

func TestP20P37Timeout(t *testing.T) {
	w := newWorld(t, 1)
	p := w.pkg("p")
	for _, n := range []int{-1, 1441} {
		w.refused(CreateVerifyJob{Package: p.ID, Devices: []string{"d1"}, TimeoutMinutes: n}, Invalid, "TimeoutMinutes", "1 to 1440")
		w.refused(CreateStaticJob{Package: p.ID, Target: TargetAll, TimeoutMinutes: n}, Invalid, "TimeoutMinutes", "1 to 1440")
	}
	w.online("d1")
	j := w.do(CreateVerifyJob{Package: p.ID, Devices: []string{"d1"}, TimeoutMinutes: 1}).(Job)
	w.wait(24 * time.Hour) // no progress yet: it does not run
	w.wantTask("d1", Notified, PhaseNotified, 1)
	w.progress("d1", 1)
	w.wait(30 * time.Second)
	w.progress("d1", 50) // counted from the first report, not from this one
	w.wait(29 * time.Second)
	w.wantTask("d1", InProgress, PhaseBegun, 1)
	w.wait(time.Second)
	w.wantCounts(j, Counts{Failed: 1})
}

func TestP21P53SeveralBatchesOfAPackage(t *testing.T) {
	w := newWorld(t, 3)
	w.inform("d2", "1.1")
	p := w.pkg("p")
	a := w.batch(p, func(c *CreateStaticJob) { c.Sources = []string{"1.1"} })
	b := w.batch(p, func(c *CreateStaticJob) { c.Sources = []string{"1.0"} })
	w.wantCounts(a, Counts{Queued: 1})
	w.wantCounts(b, Counts{Queued: 2})
}

func TestP24P38P46OneBatchAtATime(t *testing.T) {
	w := newWorld(t, 3)
	w.online("d1", "d2")
	p := w.pkg("p")
	a := w.batch(p, nil) // d1, d2 notified; d3 queued
	w.progress("d2", 10)
	b := w.batch(p, nil)
	w.wantCounts(a, Counts{Queued: 1, Notified: 1, InProgress: 1})
	w.wantCounts(b, Counts{Failed: 3})
	if s := w.job(b.ID).Status; s != JobCompleted {
		t.Errorf("a batch whose tasks all failed at once is %s", s)
	}
}

func TestP38P39Overwrite(t *testing.T) {
	w := newWorld(t, 3)
	w.online("d1", "d2")
	p := w.pkg("p")
	a := w.batch(p, nil)
	w.progress("d2", 10)
	b := w.batch(p, func(c *CreateStaticJob) { c.Overwrite = OverwriteTask })
	w.wantCounts(a, Counts{InProgress: 1, Canceled: 2}) // upgrading is never overwritten
	w.wantCounts(b, Counts{Queued: 1, Notified: 1, Failed: 1})
	if got := w.task("d2").Job; got != a.ID {
		t.Errorf("the upgrading device's task is of %s, want the older batch", got)
	}
	w.refused(CreateStaticJob{Package: p.ID, Target: TargetAll, Overwrite: 3}, Invalid, "Overwrite", "neither")
}

func TestP25SourceVersions(t *testing.T) {
	w := newWorld(t, 2)
	p := w.pkg("p")
	job := CreateStaticJob{Package: p.ID, Target: TargetSpecific, Devices: []string{"d1"}, Sources: []string{"1.0"}}
	w.refused(job, Invalid, "Sources", "targeted")
	job = CreateStaticJob{Package: p.ID, Target: TargetAll, Sources: []string{"2.0"}}
	w.refused(job, Invalid, "Sources", "target version")
	job.Sources = []string{"1.0", "1.0"}
	w.refused(job, Invalid, "Sources", "twice")
	job.Sources = []string{"0.9"}
	w.refused(job, Refused, "Devices", "no device matches")
	cmd := w.full("diff")
	cmd.Diff, cmd.Source = true, "1.0"
	d := w.do(cmd).(Package)
	w.refused(CreateStaticJob{Package: d.ID, Target: TargetAll, Sources: []string{"0.9"}}, Invalid, "Sources", "1.0")
	w.inform("d2", "1.1")
	j := w.batch(d, nil)
	w.wantCounts(j, Counts{Queued: 1}) // d1 only, by the package's source version
}

func TestP26P27StaticAllTakesWhatMatchesNow(t *testing.T) {
	w := newWorld(t, 3)
	w.inform("d3", "2.0")
	j := w.batch(w.pkg("p"), nil)
	w.wantCounts(j, Counts{Queued: 2}) // d3 is at the target already
	w.do(RegisterDevices{Product: w.product, Names: []string{"late"}})
	w.online("late")
	w.inform("late", "1.0")
	w.wantCounts(j, Counts{Queued: 2})
}

func TestP28Targeted(t *testing.T) {
	w := newWorld(t, 3)
	p := w.pkg("p")
	j := w.batch(p, func(c *CreateStaticJob) { c.Target, c.Devices = TargetSpecific, []string{"d3", "d1"} })
	w.wantCounts(j, Counts{Queued: 2})
	w.refused(CreateStaticJob{Package: p.ID, Target: TargetSpecific}, Missing, "Devices", "which")
	w.refused(CreateStaticJob{Package: p.ID, Target: TargetAll, Devices: []string{"d1"}}, Invalid, "Devices", "all")
	w.refused(CreateStaticJob{Package: p.ID}, Missing, "Target", "which")
	w.refused(CreateStaticJob{Package: p.ID, Target: "HALF"}, Invalid, "Target", "HALF")
	w.refused(CreateStaticJob{Package: p.ID, Target: TargetSpecific, Devices: make([]string, MaxTargets+1)}, Invalid, "Devices", "10000")
}

func TestP31P32P33Schedule(t *testing.T) {
	w := newWorld(t, 2)
	w.online("d1", "d2")
	p := w.pkg("p")
	at := func(d time.Duration) Stamp { return At(w.now.Add(d)) }
	for _, tc := range []struct {
		start, finish time.Duration
		field         string
	}{
		{5*time.Minute - time.Millisecond, 0, "Start"},
		{7*24*time.Hour + time.Millisecond, 0, "Start"},
		{time.Hour, 2*time.Hour - time.Millisecond, "Finish"},
		{time.Hour, 30*24*time.Hour + time.Hour + time.Millisecond, "Finish"},
	} {
		cmd := CreateStaticJob{Package: p.ID, Target: TargetAll, Start: at(tc.start)}
		if tc.finish != 0 {
			cmd.Finish = at(tc.finish)
		}
		w.refused(cmd, Invalid, tc.field, "allowed")
	}
	j := w.batch(p, func(c *CreateStaticJob) { c.Start, c.Finish = at(5*time.Minute), at(65*time.Minute) })
	if j.Status != JobPlanned || w.causes(j)[0] != WaitingSchedule {
		t.Errorf("%s, %v; want a planned job", j.Status, w.causes(j))
	}
	w.wait(5*time.Minute - 2*time.Second)
	if len(w.pushes) != 0 {
		t.Error("pushed before the start")
	}
	w.wait(2 * time.Second)
	w.wantCounts(j, Counts{Notified: 2})
	w.inform("d1", "2.0")
	w.wait(time.Hour)
	w.wantCounts(j, Counts{Succeeded: 1, Canceled: 1}) // ended by force
}

func (w *world) causes(j Job) []Cause {
	var tasks []Task
	for _, t := range w.cloud.jobs[j.ID].sortedTasks() {
		tasks = append(tasks, t.Task)
	}
	return w.do(FindCauses{tasks}).([]Cause)
}

func TestP34PushRate(t *testing.T) {
	w := newWorld(t, 30)
	p := w.pkg("p")
	for _, n := range []int{-1, 1, 9, 1001} {
		w.refused(CreateStaticJob{Package: p.ID, Target: TargetAll, MaximumPerMinute: n}, Invalid, "MaximumPerMinute", "10 to 1000")
	}
	for i := range 30 {
		w.online("d" + itoa(i+1))
	}
	j := w.batch(p, func(c *CreateStaticJob) { c.MaximumPerMinute = 10 })
	if c := w.causes(j)[29]; c != RateLimited {
		t.Errorf("the last device waits for %q, want its rate", c)
	}
	w.wait(59 * time.Second)
	w.wantCounts(j, Counts{Queued: 20, Notified: 10})
	w.wait(121 * time.Second)
	w.wantCounts(j, Counts{Queued: 0, Notified: 30})
}

func TestP34RaisedLimit(t *testing.T) {
	w := newWorld(t, 1)
	w.cloud.opt.MaxPushRate = Unlimited
	w.batch(w.pkg("p"), func(c *CreateStaticJob) { c.MaximumPerMinute = 1_000_000 })
}

func TestP35P36RetryValues(t *testing.T) {
	w := newWorld(t, 1)
	p := w.pkg("p")
	for _, n := range []int{-1, 5, 15, 1441} {
		w.refused(CreateStaticJob{Package: p.ID, Target: TargetAll, RetryCount: 1, RetryMinutes: n}, Invalid, "RetryMinutes", "0 10 30 60 1440")
	}
	for _, n := range []int{-1, 3, 6} {
		w.refused(CreateStaticJob{Package: p.ID, Target: TargetAll, RetryCount: n}, Invalid, "RetryCount", "1 2 5")
	}
	w.refused(CreateStaticJob{Package: p.ID, Target: TargetAll, RetryMinutes: 10}, Invalid, "RetryCount", "1 2 5")
}

func TestP41Tags(t *testing.T) {
	w := newWorld(t, 1)
	w.online("d1")
	p := w.pkg("p")
	for _, tag := range []Tag{{"", "v"}, {"k", ""}, {"a b", "v"}, {strings.Repeat("k", 31), "v"}, {"k", strings.Repeat("v", 1025)}, {"url", "v"}, {"_package_udi", "v"}} {
		w.refused(CreateStaticJob{Package: p.ID, Target: TargetAll, Tags: []Tag{tag}}, Invalid, "Tags", "")
	}
	w.batch(p, func(c *CreateStaticJob) { c.Tags = []Tag{{"key1", "value1"}} })
	if got := w.pushes[0].Tags; len(got) != 1 || got[0] != (Tag{"key1", "value1"}) {
		t.Errorf("the notice has tags %v", got)
	}
}

func TestP42Causes(t *testing.T) {
	w := newWorld(t, 1)
	j := w.batch(w.pkg("p"), nil)
	if c := w.causes(j); c[0] != DeviceOffline {
		t.Errorf("cause %q, want offline", c)
	}
	w.online("d1")
	if c := w.causes(j); c[0] != NotPending {
		t.Errorf("cause %q of a pushed task", c)
	}
}

func TestP43P44P45States(t *testing.T) {
	w := newWorld(t, 1)
	j := w.batch(w.pkg("p"), nil)
	w.wantTask("d1", Queued, PhaseQueued, 1)
	w.online("d1")
	w.wantTask("d1", Notified, PhaseNotified, 1)
	w.progress("d1", 0)
	w.wantTask("d1", InProgress, PhaseBegun, 1)
	w.progress("d1", 100) // without the new version it is no success
	w.wantTask("d1", InProgress, PhaseBegun, 1)
	w.inform("d1", "2.0")
	w.wantCounts(j, Counts{Succeeded: 1})
	if s := w.job(j.ID).Status; s != JobCompleted {
		t.Errorf("job is %s", s)
	}
}

func TestP45TheVersionDecides(t *testing.T) {
	w := newWorld(t, 2)
	j := w.batch(w.pkg("p"), nil)
	w.inform("d1", "2.0") // pending, and without any progress
	w.online("d2")
	w.inform("d2", "2.0")
	w.wantCounts(j, Counts{Succeeded: 2})
}

func retry(minutes, count int) func(*CreateStaticJob) {
	return func(c *CreateStaticJob) { c.RetryMinutes, c.RetryCount, c.TimeoutMinutes = minutes, count, 5 }
}

func TestP47RetryFromPendingOrPushed(t *testing.T) {
	w := newWorld(t, 2)
	j := w.batch(w.pkg("p"), retry(10, 1))
	w.inform("d1", "0.7") // pending
	w.wantTask("d1", Queued, PhaseWaiting, 1)
	w.online("d2")
	w.inform("d2", "1.0") // the source version means nothing yet
	w.wantTask("d2", Notified, PhaseNotified, 1)
	w.inform("d2", "0.7")
	w.wantTask("d2", Notified, PhaseWaiting, 1)
	w.wait(10 * time.Minute)
	w.wantTask("d1", Queued, PhaseQueued, 2)
	w.wantTask("d2", Notified, PhaseNotified, 2)
	w.inform("d1", "0.6")
	w.inform("d2", "0.6")
	w.wantCounts(j, Counts{Failed: 2})
}

func TestP48RetryFromUpgrading(t *testing.T) {
	w := newWorld(t, 1)
	w.online("d1")
	j := w.batch(w.pkg("p"), retry(10, 1))
	w.progress("d1", 50)
	w.inform("d1", "1.0") // the source version, while upgrading
	w.wantTask("d1", InProgress, PhaseWaiting, 1)
	w.wait(10 * time.Minute)
	w.inform("d1", "1.0") // the next attempt has not begun: it is what the device should have
	w.wantTask("d1", InProgress, PhaseNotified, 2)
	w.progress("d1", 50)
	w.inform("d1", "1.0")
	w.wantCounts(j, Counts{Failed: 1})
}

func TestP49P50NegativeSteps(t *testing.T) {
	for _, step := range []ota.Step{-1, -2, -3, -4, -77} {
		w := newWorld(t, 2)
		w.online("d1", "d2")
		j := w.batch(w.pkg("p"), retry(0, 1))
		w.progress("d2", 10)
		w.progress("d1", step)
		w.progress("d2", step)
		w.wait(time.Second)
		w.wantTask("d1", Notified, PhaseNotified, 2) // at once, and shown as before
		w.wantTask("d2", InProgress, PhaseNotified, 2)
		w.progress("d1", step)
		w.progress("d2", step)
		w.wantCounts(j, Counts{Failed: 2})
	}
}

func TestP49WithoutRetry(t *testing.T) {
	w := newWorld(t, 1)
	w.online("d1")
	j := w.batch(w.pkg("p"), nil)
	w.happen(Progressed{w.dev("d1"), "", -3, "md5 differs"})
	w.wantCounts(j, Counts{Failed: 1})
}

func TestP51NeverRetried(t *testing.T) {
	w := newWorld(t, 2)
	w.online("d1", "d2")
	j := w.batch(w.pkg("p"), retry(0, 5))
	w.progress("d1", 10)
	w.wait(5 * time.Minute)
	w.wantCounts(j, Counts{Notified: 1, Failed: 1})
	w.do(CancelTasksByJob{Job: j.ID, Notified: true})
	w.wantCounts(j, Counts{Canceled: 1, Failed: 1})
	w.wait(24 * time.Hour)
	w.wantCounts(j, Counts{Canceled: 1, Failed: 1})
}

func TestP51TimeoutDoesNotRunWhileWaiting(t *testing.T) {
	w := newWorld(t, 1)
	w.online("d1")
	w.batch(w.pkg("p"), retry(60, 1)) // timeout 5 minutes
	w.progress("d1", 10)
	w.progress("d1", -2)
	w.wait(60 * time.Minute)
	w.wantTask("d1", InProgress, PhaseNotified, 2)
	w.wait(time.Hour) // nor before the next attempt's first progress
	w.wantTask("d1", InProgress, PhaseNotified, 2)
	w.progress("d1", 0)
	w.wait(4 * time.Minute)
	w.wantTask("d1", InProgress, PhaseBegun, 2)
}

func TestP52P54Cancel(t *testing.T) {
	w := newWorld(t, 3)
	w.online("d1", "d2")
	j := w.batch(w.pkg("p"), nil)
	w.progress("d1", 1)
	w.refused(CancelTasksByJob{Job: j.ID}, Missing, "Scheduled", "which")
	w.refused(CancelTasksByJob{Job: "j0", Queued: true}, NotFound, "Job", "j0")
	w.do(CancelTasksByJob{Job: j.ID, Scheduled: true}) // it has none
	w.wantCounts(j, Counts{Queued: 1, Notified: 1, InProgress: 1})
	w.do(CancelTasksByJob{Job: j.ID, Queued: true})
	w.wantCounts(j, Counts{Canceled: 1, Notified: 1, InProgress: 1})
	w.do(CancelTasksByJob{Job: j.ID, Notified: true, InProgress: true})
	w.wantCounts(j, Counts{Canceled: 3})
	if s := w.job(j.ID).Status; s != JobCanceled {
		t.Errorf("job is %s", s)
	}
	n := len(w.pushes)
	w.online("d1", "d2", "d3")
	if len(w.pushes) != n {
		t.Error("a cancelled task was pushed")
	}
}

func TestAskedIsAnswered(t *testing.T) {
	w := newWorld(t, 1)
	ask := Asked{Device: w.dev("d1"), Reply: Reply{ota.TopicGetReply, "7"}}
	w.online("d1")
	w.happen(ask)
	if p := w.pushes[0]; !p.Empty || p.Reply.ID != "7" {
		t.Errorf("answer %+v, want an empty one", p)
	}
	w.batch(w.pkg("p"), nil)
	w.happen(ask)
	if p := w.pushes[2]; p.Empty || p.Task.Version != "2.0" {
		t.Errorf("answer %+v, want the notice", p)
	}
}

func TestAskedKeepsTheRate(t *testing.T) {
	w := newWorld(t, 20)
	for i := range 20 {
		w.online("d" + itoa(i+1))
	}
	j := w.batch(w.pkg("p"), func(c *CreateStaticJob) { c.MaximumPerMinute = 10 })
	for i := range 20 {
		w.happen(Asked{Device: w.dev("d" + itoa(i+1)), Reply: Reply{ota.TopicGetReply, "7"}})
	}
	w.wantCounts(j, Counts{Queued: 19, Notified: 1})
}
