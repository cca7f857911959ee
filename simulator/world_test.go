package simulator

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/leapslot/ota"
)

// start is when the tests' worlds begin.
var start = time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC)

// world is a cloud with a clock, for tests.
type world struct {
	t       testing.TB
	cloud   *Cloud
	now     time.Time
	product string
	pushes  []Push // all so far
	at      []time.Time
}

func newCloud(rate int) *Cloud {
	return New(Options{Random: rand.NewChaCha8([32]byte{1}), MaxPushRate: rate})
}

// newWorld has a product with the devices d1, d2 and so on, which all report version
// 1.0; they are offline.
func newWorld(t testing.TB, devices int) *world {
	w := &world{t: t, cloud: newCloud(0), now: start}
	w.product = w.do(CreateProduct{Account: "me", Name: "lamp"}).(Product).Key
	if devices > 0 {
		names := make([]string, devices)
		for i := range names {
			names[i] = "d" + itoa(i+1)
		}
		w.do(RegisterDevices{Product: w.product, Names: names})
		for _, n := range names {
			w.happen(Online{w.dev(n)}, Informed{w.dev(n), "", "1.0"}, Offline{w.dev(n)})
		}
	}
	return w
}

func itoa(n int) string { return strings.TrimLeft(formatID('0', int64(n)), "0") }

func (w *world) dev(name string) ota.Device { return ota.Device{ProductKey: w.product, Name: name} }

// do applies a command that must succeed.
func (w *world) do(cmd Command) any {
	w.t.Helper()
	v, err := w.cloud.Apply(cmd, w.now)
	if err != nil {
		w.t.Fatalf("%T: %v", cmd, err)
	}
	w.commit()
	return v
}

// refused applies a command that must be refused for this field, and changes nothing.
func (w *world) refused(cmd Command, code Code, field, text string) {
	w.t.Helper()
	_, err := w.cloud.Apply(cmd, w.now)
	var e *Error
	if !errors.As(err, &e) || e.Code != code || e.Field != field || !strings.Contains(e.Message, text) {
		w.t.Errorf("%+v\ngot  %#v\nwant %s of %s with %q", cmd, err, code, field, text)
	}
	if n := w.cloud.Changes().Rows(); n != 0 {
		w.t.Errorf("%T was refused and changed %d rows", cmd, n)
	}
}

func (w *world) happen(events ...Event) {
	for _, e := range events {
		w.cloud.Happen(e, w.now)
		w.commit()
	}
}

func (w *world) commit() {
	w.cloud.Commit()
	for _, p := range w.cloud.TakePushes() {
		w.pushes, w.at = append(w.pushes, p), append(w.at, w.now)
	}
}

// wait lets time pass, ticking when the cloud wants it.
func (w *world) wait(d time.Duration) {
	end := w.now.Add(d)
	for {
		next := w.cloud.Next()
		if next.IsZero() || next.After(end) {
			break
		}
		if next.After(w.now) {
			w.now = next
		}
		w.cloud.Tick(w.now)
		w.commit()
	}
	w.now = end
	w.cloud.Tick(w.now)
	w.commit()
}

func (w *world) online(names ...string) {
	for _, n := range names {
		w.happen(Online{w.dev(n)})
	}
}

func (w *world) inform(name, version string) { w.happen(Informed{w.dev(name), "", version}) }

func (w *world) progress(name string, step ota.Step) {
	w.happen(Progressed{w.dev(name), "", step, ""})
}

// pkg makes a full package of version 2.0 that needs no verification.
func (w *world) pkg(name string) Package {
	w.t.Helper()
	return w.do(w.full(name)).(Package)
}

func (w *world) full(name string) CreatePackage {
	return CreatePackage{
		Product: w.product, Name: name, Version: "2.0", SignMethod: ota.MD5, Files: []File{goodFile("fw.bin")},
	}
}

func goodFile(name string) File {
	return File{Name: name, Key: "k", Size: 100, MD5: strings.Repeat("ab", 16), SHA256: strings.Repeat("cd", 32)}
}

// batch makes a static batch of all devices, and waits until its rate has let the
// first few of them have their notice.
func (w *world) batch(p Package, edit func(*CreateStaticJob)) Job {
	w.t.Helper()
	cmd := CreateStaticJob{Package: p.ID, Target: TargetAll}
	if edit != nil {
		edit(&cmd)
	}
	j := w.do(cmd).(Job)
	w.wait(time.Second)
	return j
}

func (w *world) job(id string) Job { return w.do(FindJob{id}).(Job) }

// task gives the device's unfinished task.
func (w *world) task(name string) Task {
	w.t.Helper()
	d := w.cloud.findDevice(w.dev(name))
	if len(d.active) != 1 {
		w.t.Fatalf("%s has %d unfinished tasks, want 1", name, len(d.active))
	}
	return d.active[0].Task
}

func (w *world) wantTask(name string, s TaskStatus, p Phase, attempt int) {
	w.t.Helper()
	if t := w.task(name); t.Status != s || t.Phase != p || t.Attempt != attempt {
		w.t.Errorf("%s: %s, %s, attempt %d; want %s, %s, attempt %d", name, t.Status, t.Phase, t.Attempt, s, p, attempt)
	}
}

func (w *world) wantCounts(j Job, want Counts) {
	w.t.Helper()
	if got := w.job(j.ID).Counts; got != want {
		w.t.Errorf("job has %+v, want %+v", got, want)
	}
}
