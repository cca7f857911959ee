package server

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leapslot/ota/simulator"
)

// openFast is open with a faster clock.
func openFast(t *testing.T, dir string, speed int) *cloud {
	t.Helper()
	s, err := New(t.Context(), Config{Dir: dir, PublicURL: "http://cloud.test", AccessKey: testKey, MaxPushRate: simulator.Unlimited, ClockSpeed: speed})
	if err != nil {
		t.Fatal(err)
	}
	return &cloud{Server: s, t: t, dir: dir, ended: make(chan error, 1)}
}

// TestClockSpeedWeek rehearses a week at speed 60 in 2.8 hours: a start in 7 days, a
// retry after 24 hours, a timeout of an hour, and a restart in between that does not
// take the clock back.
func TestClockSpeedWeek(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const speed = 60
		dir := t.TempDir()
		c := openFast(t, dir, speed).run()
		p := c.fill("d1")
		began := time.Now()
		start := c.engine.clock.now().Add(7 * 24 * time.Hour)
		j := c.batch(p, func(b *simulator.CreateStaticJob) {
			b.Start, b.RetryCount, b.RetryMinutes, b.TimeoutMinutes = simulator.At(start), 1, 24*60, 60
		})
		d := c.connect("d1")
		d.inform("1.0")
		time.Sleep(7*24*time.Hour/speed - time.Minute - time.Since(began))
		d.nothing()
		d.off()
		before := c.engine.clock.now()
		c.stop()

		c = openFast(t, dir, speed)
		if now := c.engine.clock.now(); before.Sub(now) > 8*24*time.Hour || simulator.At(now) < c.engine.latest {
			t.Errorf("after the restart it is %v, was %v", now, before)
		}
		product := p.Product
		c.run()
		c.product = product
		defer c.stop()
		d = c.connect("d1")
		defer d.off()
		time.Sleep(start.Sub(c.engine.clock.now())/speed + time.Second)
		d.notice()
		d.progress(-1)
		time.Sleep(24*time.Hour/speed - time.Minute)
		d.nothing()
		time.Sleep(2 * time.Minute)
		d.notice()
		d.progress(10)
		time.Sleep(58 * time.Second)
		c.wantCounts(j, simulator.Counts{InProgress: 1})
		time.Sleep(4 * time.Second)
		c.wantCounts(j, simulator.Counts{Failed: 1})
	})
}

// TestClockSpeedSaid: every answer says how fast the clock is and what it shows; at
// speed 1 none does.
func TestClockSpeedSaid(t *testing.T) {
	for _, speed := range []int{0, 1, 7} {
		c := openFast(t, t.TempDir(), speed).run()
		for _, path := range []string{"/", "/healthz", "/metrics"} {
			w := httptest.NewRecorder()
			c.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
			said, want := w.Header().Get(headerSpeed), ""
			now, err := strconv.ParseInt(w.Header().Get(headerNow), 10, 64)
			if speed > 1 {
				want = strconv.Itoa(speed)
				if off := c.engine.clock.now().Sub(time.UnixMilli(now)); err != nil || off < 0 || off > time.Minute {
					t.Errorf("%s at speed %d: now is %d, %v", path, speed, now, err)
				}
			}
			if said != want {
				t.Errorf("%s at speed %d says %q, want %q", path, speed, said, want)
			}
		}
		c.stop()
	}
	for _, speed := range []int{-1, MaxClockSpeed + 1} {
		if s, err := New(t.Context(), Config{Dir: t.TempDir(), PublicURL: "http://cloud.test", AccessKey: testKey, ClockSpeed: speed}); err == nil {
			_ = s.Close()
			t.Errorf("speed %d is accepted", speed)
		}
	}
}

// TestClockSpeedRate: a rate of 60 devices a minute is one a second of the model's time.
func TestClockSpeedRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := openFast(t, t.TempDir(), 10).run()
		defer c.stop()
		names := make([]string, 30)
		for i := range names {
			names[i] = "d" + strconv.Itoa(i)
		}
		p := c.fill(names...)
		for _, n := range names {
			d := c.connect(n)
			defer d.off()
		}
		j := c.batch(p, func(b *simulator.CreateStaticJob) { b.MaximumPerMinute = 60 })
		time.Sleep(time.Second)
		if n := c.counts(j).Notified; n < 9 || n > 12 {
			t.Errorf("%d devices notified after a second, want one for each of the model's ten", n)
		}
		time.Sleep(2 * time.Second)
		c.wantCounts(j, simulator.Counts{Notified: len(names)})
	})
}
