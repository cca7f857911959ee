package server

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/leapslot/ota/simulator"
)

// TestPauseOverTheWire: a paused batch sends nothing to a device that is connected, comes
// online or comes back, also after the server was started again; resumed, it goes on
// with all of them.
func TestPauseOverTheWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		c := open(t, dir).run()
		p := c.fill("d1", "d2", "d3")
		d1 := c.connect("d1")
		j := c.batch(p, func(b *simulator.CreateStaticJob) { b.Stop = simulator.FailureStop{Percent: 10, Least: 1} })
		d1.notice()
		c.do(simulator.PauseJob{Job: j.ID})
		d2 := c.connect("d2")
		time.Sleep(time.Hour)
		d2.nothing()
		d1.off()
		d2.off()
		product := c.product
		c.stop()

		c = open(t, dir).run()
		defer c.stop()
		c.product = product
		d1, d2 = c.connect("d1"), c.connect("d2")
		defer func() { d1.off(); d2.off() }()
		time.Sleep(time.Hour)
		d1.nothing()
		d2.nothing()
		c.do(simulator.ResumeJob{Job: j.ID})
		d1.notice()
		d2.notice()
		d1.progress(-2)
		time.Sleep(time.Second)
		if got := c.do(simulator.FindJob{Job: j.ID}).(simulator.Job).Pause; got.Why != simulator.PauseFailures {
			t.Errorf("after a failure it is %+v", got)
		}
		d3 := c.connect("d3")
		defer d3.off()
		time.Sleep(time.Hour)
		d3.nothing()
	})
}
