package server

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
)

// TestWeekInVirtualTime is a batch of seven days with tries every 24 hours, with
// the real broker, the real store and the real paho client (P33, P35, P36, P42,
// P51): one device comes through at its fourth try, one uses up all of them, one
// is away until the fifth day, one never comes and ends with the schedule.
func TestWeekInVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, t.TempDir()).run()
		defer c.stop()
		p := c.fill("late", "never", "stubborn", "hopeless")
		begin := time.Now().Add(time.Hour)
		job := c.batch(p, func(b *simulator.CreateStaticJob) {
			b.Start, b.Finish = simulator.At(begin), simulator.At(begin.Add(7*24*time.Hour))
			b.RetryCount, b.RetryMinutes = 5, 1440
		})
		stubborn, hopeless := c.connect("stubborn"), c.connect("hopeless")
		defer stubborn.off()
		defer hopeless.off()
		stubborn.nothing() // scheduled
		c.wantCounts(job, simulator.Counts{Queued: 4})
		time.Sleep(time.Until(begin) + time.Minute)
		for day := range 6 {
			hopeless.notice()
			hopeless.progress(10)
			hopeless.progress(ota.StepDownloadFailed)
			if day < 4 {
				stubborn.notice()
				stubborn.progress(50)
				if day < 3 {
					stubborn.progress(ota.StepVerifyFailed)
				} else {
					stubborn.inform("2.0")
				}
			}
			if day == 4 {
				late := c.connect("late")
				late.notice()
				late.progress(0)
				late.inform("2.0")
				late.off()
			}
			hopeless.nothing()
			time.Sleep(time.Until(begin.Add(time.Duration(day+1)*24*time.Hour + time.Duration(day+2)*time.Minute)))
		}
		c.wantCounts(job, simulator.Counts{Queued: 1, Succeeded: 2, Failed: 1})
		time.Sleep(time.Until(begin.Add(7*24*time.Hour + time.Minute)))
		never := c.connect("never")
		defer never.off()
		never.nothing()
		if got := c.counts(job); got.Active() != 0 || got.Succeeded != 2 || got.Failed+got.Canceled != 2 {
			t.Errorf("after the end of the schedule: %+v", got)
		}
	})
}
