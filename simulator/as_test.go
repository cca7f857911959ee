package simulator

import (
	"errors"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/leapslot/ota"
)

// twoTenants is a cloud with a product, a device, a package and a job of "me", and
// nothing of "other".
func twoTenants(t *testing.T) (c *Cloud, product, pack, job string) {
	t.Helper()
	c = New(Options{Random: rand.NewChaCha8([32]byte{7}), AppEvents: true})
	do := func(cmd Command) any {
		v, err := c.Apply(As{Account: "me", Command: cmd}, noon)
		if err != nil {
			t.Fatalf("%T: %v", cmd, err)
		}
		return v
	}
	product = do(CreateProduct{Account: "me", Name: "lamp"}).(Product).Key
	do(RegisterDevices{Product: product, Names: []string{"a", "b"}})
	pack = do(CreatePackage{
		Product: product, Name: "fw", Version: "2.0", SignMethod: ota.MD5,
		Files: []File{{Name: "fw.bin", Key: "k", Size: 10, MD5: strings.Repeat("ab", 16)}},
	}).(Package).ID
	job = do(CreateStaticJob{Package: pack, Target: TargetAll}).(Job).ID
	return c, product, pack, job
}

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// TestF5As: what belongs to another account is not found, in the words that it would be
// if it were not there, and nothing of it changes.
func TestF5As(t *testing.T) {
	c, product, pack, job := twoTenants(t)
	c.Commit()
	before := c.state()
	for _, cmd := range []struct{ foreign, absent Command }{
		{FindProduct{Product: product}, FindProduct{Product: "x"}},
		{FindDevice{Product: product, Name: "a"}, FindDevice{Product: "x", Name: "a"}},
		{FindModules{Product: product}, FindModules{Product: "x"}},
		{FindPackage{Package: pack}, FindPackage{Package: "x"}},
		{FindJob{Job: job}, FindJob{Job: "x"}},
		{RegisterDevices{Product: product, Names: []string{"a"}}, RegisterDevices{Product: "x", Names: []string{"a"}}},
		{SetDeviceDisabled{Product: product, Name: "a", Disabled: true}, SetDeviceDisabled{Product: "x", Name: "a"}},
		{SetSecureUpgrade{Product: product}, SetSecureUpgrade{Product: "x"}},
		{CreateModule{Product: product, Name: "MCU"}, CreateModule{Product: "x", Name: "MCU"}},
		{CreateVerifyJob{Package: pack, Devices: []string{"a"}}, CreateVerifyJob{Package: "x", Devices: []string{"a"}}},
		{CreateStaticJob{Package: pack, Target: TargetAll}, CreateStaticJob{Package: "x", Target: TargetAll}},
		{CancelTasksByJob{Job: job, Queued: true}, CancelTasksByJob{Job: "x", Queued: true}},
	} {
		_, foreign := c.Apply(As{Account: "other", Command: cmd.foreign}, noon)
		_, absent := c.Apply(As{Account: "other", Command: cmd.absent}, noon)
		var f, a *Error
		if !errors.As(foreign, &f) || !errors.As(absent, &a) || f.Code != NotFound || f.Field != a.Field {
			t.Errorf("%T: a foreign object %v, an absent one %v", cmd.foreign, foreign, absent)
			continue
		}
		for _, id := range []string{product, pack, job} {
			f.Message = strings.ReplaceAll(f.Message, id, "x")
		}
		if f.Message != a.Message {
			t.Errorf("%T: a foreign object is told from an absent one: %q, %q", cmd.foreign, f.Message, a.Message)
		}
	}
	if diff := cmp.Diff(before, c.state()); diff != "" {
		t.Errorf("something changed:\n%s", diff)
	}
	if _, err := c.Apply(FindProduct{Product: product}, noon); err != nil {
		t.Errorf("after a command in somebody's name: %v", err)
	}
}

// TestAudit: a changing command is written down with what came of it, in the changes that
// it made; a look is not, and Undo takes the line back.
func TestAudit(t *testing.T) {
	c, product, _, job := twoTenants(t)
	c.Commit()
	e := &AuditEntry{Account: "me", Key: "id", Action: "CreateOTAModule", Object: "ProductKey=" + product, From: "127.0.0.1", Request: "r"}
	for _, cmd := range []Command{FindJob{Job: job}, CreateModule{Product: product, Name: "MCU"}, CreateModule{Product: product, Name: "MCU"}, CancelTasksByJob{Job: job, Queued: true}, nil} {
		_, _ = c.Apply(As{Account: "me", Entry: e, Command: cmd}, noon)
	}
	var got []string
	for _, a := range c.Changes().Audit {
		if a.At != At(noon) || a.Key != "id" || a.Request != "r" || a.From != "127.0.0.1" {
			t.Errorf("entry %+v", a)
		}
		got = append(got, a.Object+": "+a.Result)
	}
	of := e.Object
	want := []string{of + ": OK", of + `: exists: Name: the product has a module named "MCU" already`, of + " " + job + ": OK", of + ": OK"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if n := c.Changes().Rows(); n < 4 {
		t.Errorf("%d rows to store", n)
	}
	c.Undo()
	if ch := c.Changes(); !reflect.DeepEqual(ch, &Changes{}) {
		t.Errorf("after Undo there is %+v", ch)
	}
	long := &AuditEntry{Object: strings.Repeat("灯", 1000), Result: strings.Repeat("x", 1000)}
	_, _ = c.Apply(As{Entry: long}, noon)
	if a := c.Changes().Audit[0]; len([]rune(a.Object)) != MaxAuditObject || len(a.Result) != MaxAuditResult {
		t.Errorf("%d and %d characters", len([]rune(a.Object)), len(a.Result))
	}
}

// TestAppEvents: applications are told of versions that changed, of tasks that succeeded
// or failed, and of each state of a job; not of a task that failed because the device was
// busy, nor of one that was cancelled, nor of a version reported again.
func TestAppEvents(t *testing.T) {
	c, product, pack, job := twoTenants(t)
	a, b := ota.Device{ProductKey: product, Name: "a"}, ota.Device{ProductKey: product, Name: "b"}
	now := noon
	happen := func(events ...Event) {
		for _, e := range events {
			now = now.Add(5 * time.Second)
			c.Happen(e, now)
			now = now.Add(5 * time.Second)
			c.Tick(now)
		}
	}
	if _, err := c.Apply(CreateStaticJob{Package: pack, Target: TargetAll}, now); err != nil { // whose tasks fail at once: both are busy
		t.Fatal(err)
	}
	happen(Online{Device: a}, Online{Device: b},
		Informed{Device: a, Version: "1.0"}, Informed{Device: a, Version: "1.0"},
		Progressed{Device: a, Step: 10}, Informed{Device: a, Version: "2.0"},
		Progressed{Device: b, Step: -2, Desc: "no route"})
	topics := map[string]int{}
	var order []string
	for _, e := range c.Changes().Events {
		kind := e.Topic[strings.Index(e.Topic, "ota/"):]
		topics[kind]++
		switch p := e.Payload.(type) {
		case UpgradeEnded:
			order = append(order, p.DeviceName+" "+string(p.Status)+" "+p.JobID)
		case JobPosted:
			order = append(order, p.JobID+" "+string(p.Status))
			if e.Topic != "/"+product+"/"+pack+"/"+p.JobID+"/ota/job/status" {
				t.Errorf("topic %s", e.Topic)
			}
		case VersionPosted:
			if e.Topic != "/"+product+"/a/ota/version/post" || p.ModuleName != "default" || p.IotID == "" {
				t.Errorf("%s %+v", e.Topic, p)
			}
		}
	}
	if topics["ota/version/post"] != 2 || topics["ota/upgrade"] != 2 {
		t.Errorf("told %v", topics)
	}
	text := strings.Join(order, "\n")
	for _, line := range []string{job + " IN_PROGRESS", "a SUCCEEDED " + job, "b FAILED " + job, job + " COMPLETED"} {
		i := strings.Index(text, line)
		if i < 0 {
			t.Fatalf("%q is not told, or not in this order, of:\n%s", line, strings.Join(order, "\n"))
		}
		text = text[i:]
	}
	c.Commit()
	if ch := c.Changes(); len(ch.Events) != 0 {
		t.Errorf("told again: %+v", ch.Events)
	}
}

// TestAppEventsUndone: what could not be stored is told when it is stored, once.
func TestAppEventsUndone(t *testing.T) {
	c, _, _, job := twoTenants(t)
	c.Commit()
	for range 2 {
		if _, err := c.Apply(CancelTasksByJob{Job: job, Queued: true}, noon); err != nil {
			t.Fatal(err)
		}
		if n := len(c.Changes().Events); n != 1 {
			t.Errorf("%d events, want the job's end", n)
		}
		c.Undo()
	}
}
