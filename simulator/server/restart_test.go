package server

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
)

// TestP34RateAcrossARestart: the batch's next place in time is stored, so that a server
// that is started again does not begin a new minute; and F3: the devices that had their
// notice get it again, which the rate counted already.
func TestP34RateAcrossARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		c := open(t, dir).run()
		var names []string
		for i := range 15 {
			names = append(names, fmt.Sprintf("d%02d", i))
		}
		p := c.fill(names...)
		connect := func() (all []*device) {
			for _, n := range names {
				all = append(all, c.connect(n))
			}
			return all
		}
		off := func(all []*device) {
			for _, d := range all {
				d.off()
			}
		}
		all := connect()
		begin := time.Now()
		j := c.batch(p, func(b *simulator.CreateStaticJob) { b.MaximumPerMinute = 10 })
		time.Sleep(25 * time.Second)
		before := c.counts(j).Notified
		if before < 4 {
			t.Errorf("%d notices in 25 s", before)
		}
		off(all)
		product := c.product
		c.stop()

		c = open(t, dir).run()
		defer c.stop()
		c.product = product
		all = connect()
		defer func() { off(all) }()
		synctest.Wait()
		again := 0
		for _, d := range all {
			again += len(d.got)
		}
		if again < before || again > before+1 {
			t.Errorf("%d notices after the restart, %d devices had one", again, before)
		}
		time.Sleep(59*time.Second - time.Since(begin))
		if n := c.counts(j).Notified; n > 10 || n < 9 {
			t.Errorf("%d devices had their notice after 59 s, want 9 or 10", n)
		}
	})
}

// TestF3SendAgainAfterSending: the server dies after sending and before it has heard of
// anything. The device gets the notice a second time, which is harmless.
func TestF3SendAgainAfterSending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		c := open(t, dir).run()
		p := c.fill("d1")
		d := c.connect("d1")
		j := c.batch(p, nil)
		first := d.notice()
		d.off()
		product := c.product
		c.stop()

		c = open(t, dir).run()
		defer c.stop()
		c.product = product
		d = c.connect("d1")
		defer d.off()
		if n := d.notice(); !n.Same(first) {
			t.Errorf("first %+v\nthen  %+v", first, n)
		}
		d.progress(ota.StepDone)
		d.inform("2.0")
		c.wantCounts(j, simulator.Counts{Succeeded: 1})
	})
}
