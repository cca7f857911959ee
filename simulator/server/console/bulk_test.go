package console_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/leapslot/ota/simulator"
)

// TestRetryAllFailed: more failed tasks than any page or command takes are started anew by
// one press of the button; those that cannot are passed over, and said to be left.
func TestRetryAllFailed(t *testing.T) {
	const devices, stuck = 12_000, 3
	w := serve(t)
	x := w.things("acme", devices)
	var busy []simulator.Job // each device has a task already: those of the batch fail (P46)
	names := make([]string, devices)
	for i := range names {
		names[i] = x.devices[i].Name
	}
	for _, part := range [][]string{names[:stuck], names[stuck : devices/2], names[devices/2:]} {
		busy = append(busy, w.cmd(simulator.CreateStaticJob{Package: x.usable.ID, Target: simulator.TargetSpecific, Devices: part}).(simulator.Job))
	}
	job := w.cmd(simulator.CreateStaticJob{Package: x.usable.ID, Target: simulator.TargetAll}).(simulator.Job)
	if job.Counts.Failed != devices {
		t.Fatalf("%+v", job.Counts)
	}
	for _, j := range busy[1:] {
		w.cmd(simulator.CancelTasksByJob{Job: j.ID, Queued: true})
	}
	b := w.as("operator", "acme")
	b.must(b.post("batches/" + job.ID + "/retry"))
	page := b.get("batches/" + job.ID)
	if !page.says("11,997 devices start anew, 3 are left") {
		t.Errorf("%.400s", page.text())
	}
	if c := w.cmd(simulator.FindJob{Job: job.ID}).(simulator.Job).Counts; c.Failed != stuck || c.Queued != devices-stuck {
		t.Errorf("%+v", c)
	}
	if a := b.post("batches/" + job.ID + "/retry"); a.status != 422 || !a.says("the device has not finished another upgrade") {
		t.Errorf("only those that cannot are left: %d %s", a.status, a.text())
	}
	lines := strings.Split(b.get("batches/"+job.ID+"/tasks.csv?status=FAILED").body, "\n")
	if len(slices.DeleteFunc(lines, func(s string) bool { return s == "" })) != stuck+1 {
		t.Errorf("%d lines are exported", len(lines))
	}
}
