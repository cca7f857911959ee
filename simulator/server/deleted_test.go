package server

import (
	"testing"
	"testing/synctest"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
)

// TestDeleteDeviceKicks: a device that is deleted in the middle of its upgrade is
// forced off, and one that is registered under its name later has nothing of it, before
// and after a restart.
func TestDeleteDeviceKicks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		c := open(t, dir).run()
		p := c.fill("d1", "d2")
		d := c.connect("d1")
		defer d.off()
		j := c.batch(p, nil)
		d.notice()
		d.progress(10)
		c.do(simulator.DeleteDevice{Product: c.product, Name: "d1"})
		synctest.Wait()
		if d.IsConnected() {
			t.Error("a deleted device is still connected")
		}
		if got := c.counts(j); got.Canceled != 1 || got.Queued != 1 {
			t.Errorf("counts %+v", got)
		}
		made := c.do(simulator.RegisterDevices{Product: c.product, Names: []string{"d1"}}).([]simulator.Device)[0]
		product := c.product
		c.stop()

		again := open(t, dir).run()
		defer again.stop()
		v, err := again.Do(t.Context(), simulator.FindDevice{Product: product, Name: "d1"})
		if got, ok := v.(simulator.Device); err != nil || !ok || got.Secret != made.Secret || got.Version(ota.DefaultModule) != "" {
			t.Errorf("after a restart d1 is %+v, %v", v, err)
		}
	})
}
