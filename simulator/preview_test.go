package simulator

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/leapslot/ota"
)

// TestMatchesP25 : a preview counts what the batch then does, says why the rest does not
// match, changes nothing, and is refused in the batch's own words.
func TestMatchesP25(t *testing.T) {
	c := New(Options{Random: rand.NewChaCha8([32]byte{3})})
	now := time.Unix(1_800_000_000, 0)
	must := func(cmd Command) any {
		t.Helper()
		v, err := c.Apply(cmd, now)
		if err != nil {
			t.Fatal(err)
		}
		c.Commit()
		return v
	}
	pr := must(CreateProduct{Account: "a", Name: "lamp"}).(Product)
	names := []string{}
	for i := range 20 {
		names = append(names, fmt.Sprintf("lamp-%02d", i))
	}
	must(RegisterDevices{Product: pr.Key, Names: names})
	for i, name := range names[:18] { // 10 at 1.0, 5 at 1.1, 3 at the target, 2 silent
		v := "1.0"
		if i >= 10 {
			v = "1.1"
		}
		if i >= 15 {
			v = "2.0"
		}
		c.Happen(Informed{Device: ota.Device{ProductKey: pr.Key, Name: name}, Module: "default", Version: v}, now)
	}
	c.Happen(Online{Device: ota.Device{ProductKey: pr.Key, Name: names[0]}}, now)
	c.Commit()
	p := must(CreatePackage{
		Product: pr.Key, Name: "fw", Version: "2.0", SignMethod: ota.SHA256, NeedToVerify: true,
		Files: []File{{Name: "fw.bin", Size: 1, MD5: "", SHA256: fmt.Sprintf("%064d", 1)}},
	}).(Package)
	job := CreateStaticJob{Package: p.ID, Target: TargetAll, Sources: []string{"1.0"}}
	var refused *Error
	_, made := c.Apply(job, now)
	_, looked := c.Apply(FindMatches{Static: &job}, now)
	if !errors.As(looked, &refused) || made.Error() != looked.Error() {
		t.Errorf("of a package that is not verified: %v, the batch says %v", looked, made)
	}
	must(CreateVerifyJob{Package: p.ID, Devices: []string{"lamp-14"}})
	c.Happen(Informed{Device: ota.Device{ProductKey: pr.Key, Name: "lamp-14"}, Module: "default", Version: "2.0"}, now)
	c.Commit()
	got := must(FindMatches{Static: &job})
	want := Matches{Looked: 20, Matching: 10, Chosen: 10, Online: 1, Current: 4, Other: 4, Silent: 2}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	job.Target, job.Gray = TargetGray, "25"
	if got := must(FindMatches{Static: &job}).(Matches); got.Matching != 10 || got.Chosen != 2 {
		t.Errorf("a quarter of 10, rounded down: %+v", got)
	}
	dyn := CreateDynamicJob{Package: p.ID, Sources: []string{"1.1"}, Mode: NewlyReported}
	if got := must(FindMatches{Dynamic: &dyn}).(Matches); got.Matching != 4 || got.Chosen != 0 {
		t.Errorf("only newly reported: %+v", got)
	}
	if n := c.Changes().Rows(); n != 0 {
		t.Errorf("looking has changed %d rows", n)
	}
	if j := must(job).(Job); j.Counts.Total() != 2 {
		t.Errorf("the batch has %+v, the preview said 2", j.Counts)
	}
	busy := CreateStaticJob{Package: p.ID, Target: TargetAll}
	if got := must(FindMatches{Static: &busy}).(Matches); got.Busy != 2 || got.Silent != 0 || got.Matching != 16 {
		t.Errorf("two devices have a task, nobody is asked for a version: %+v", got)
	}
}
