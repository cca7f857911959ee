package server

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestSamplesEveryHour: which versions run is kept every hour when it has changed, also
// over a restart, and goes with its product.
func TestSamplesEveryHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		c := open(t, dir).run()
		c.fill("d1", "d2")
		time.Sleep(time.Minute)
		d1, d2 := c.connect("d1"), c.connect("d2")
		d1.inform("1.0")
		d2.inform("1.0")
		time.Sleep(5 * time.Hour)
		d1.inform("1.1")
		time.Sleep(2 * time.Hour)
		d1.off()
		d2.off()
		product := c.product
		c.stop()
		c = open(t, dir)
		defer c.Close()
		list, err := c.store.Samples(t.Context(), product, 0)
		if err != nil || len(list) != 2 || len(list[0].Counts) != 1 || list[0].Counts[0].Devices != 2 || len(list[1].Counts) != 2 {
			t.Fatalf("%+v, %v", list, err)
		}
		if apart := list[1].At - list[0].At; apart != 5*3600_000 {
			t.Errorf("the samples are %d ms apart", apart)
		}
	})
}
