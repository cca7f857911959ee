package server

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server/store"
)

// TestP26P55DynamicInVirtualTime: a device that is registered after a dynamic batch was
// made gets its notice a second after it has reported a version that matches, over the
// real broker; after the strategy was cancelled no other one does.
func TestP26P55DynamicInVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, t.TempDir()).run()
		defer c.stop()
		p := c.fill("d1")
		j := c.do(simulator.CreateDynamicJob{Package: p.ID, Sources: []string{"1.0"}}).(simulator.Job)
		c.do(simulator.RegisterDevices{Product: c.product, Names: []string{"late", "later"}})
		d := c.connect("late")
		defer d.off()
		d.inform("0.9")
		time.Sleep(10 * time.Second)
		d.nothing()
		d.inform("1.0")
		time.Sleep(2 * time.Second)
		d.notice()
		d.progress(50)
		d.inform("2.0")
		c.wantCounts(j, simulator.Counts{Succeeded: 1})

		c.do(simulator.CancelStrategyByJob{Job: j.ID})
		if got := c.do(simulator.FindJob{Job: j.ID}).(simulator.Job); got.Status != simulator.JobCompleted {
			t.Errorf("job is %s", got.Status)
		}
		e := c.connect("later")
		defer e.off()
		e.inform("1.0")
		time.Sleep(10 * time.Second)
		e.nothing()
	})
}

// TestConfirmInVirtualTime: a task that waits for a user is pushed when it is confirmed,
// and one that is not to be pushed when the device asks.
func TestConfirmInVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, t.TempDir()).run()
		defer c.stop()
		p := c.fill("d1")
		d := c.connect("d1")
		defer d.off()
		d.inform("1.0")
		j := c.batch(p, func(b *simulator.CreateStaticJob) { b.NeedConfirm = true })
		time.Sleep(time.Hour)
		d.nothing()
		found, _, err := c.store.Tasks(t.Context(), store.TaskFilter{Job: j.ID}, store.Page{})
		if err != nil || len(found) != 1 || found[0].Status != simulator.Unconfirmed {
			t.Fatalf("stored %+v, %v", found, err)
		}
		c.do(simulator.ConfirmTasks{Tasks: []string{found[0].ID}})
		d.notice()
		d.progress(-1)
		c.wantCounts(j, simulator.Counts{Failed: 1})
		found, _, err = c.store.Tasks(t.Context(), store.TaskFilter{Job: j.ID}, store.Page{})
		if err != nil || len(found) != 1 {
			t.Fatalf("stored %+v, %v", found, err)
		}
		c.do(simulator.ReupgradeTasks{Tasks: found}) // as the store has it
		d.notice()
		d.inform("2.0")
		c.wantCounts(j, simulator.Counts{Succeeded: 1})
	})
}
