package report

import (
	"bytes"
	"context"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"
)

// TestShowPlain: without a terminal there is one line each 5 s and nothing that
// steers a cursor.
func TestShowPlain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(time.Now())
		r.Devices(10)
		r.Behaviour("good").Devices(10)
		ctx, stop := context.WithTimeout(t.Context(), 21*time.Second)
		defer stop()
		go r.Run(ctx, func() int { return 3 })
		go func() {
			for range 5 {
				r.Move(Waiting, Updated)
				r.Add(Connected, 1)
				r.Observe(Connect, 20*time.Millisecond)
				r.Behaviour("good").Ended(Succeeded)
				time.Sleep(3 * time.Second)
			}
			r.Invalid("a \x1b[31mreason")
		}()
		var b bytes.Buffer
		r.Show(ctx, Screen{Out: &b})
		lines := strings.Split(strings.TrimSpace(b.String()), "\n")
		if len(lines) != 4 || !strings.HasPrefix(lines[0], "0:05, waiting 8, updated 2, connects 0/s") {
			t.Errorf("%d lines: %q", len(lines), lines)
		}
		if !strings.Contains(lines[1], "connect p99 20 ms") || !strings.Contains(lines[1], "ETA 0:") {
			t.Errorf("no latency, or no ETA: %q", lines[1])
		}
		if strings.ContainsAny(b.String(), "\x1b\r") || !strings.Contains(lines[3], "INVALID: a  [31mreason") {
			t.Errorf("%q", b.String())
		}
		synctest.Wait()
		if got := r.Result(time.Now()); got.Health[0].SocketsMax != 3 || got.series.len() < 20 || got.Measures[Lateness].Count() < 900 {
			t.Errorf("%d sockets, %d buckets, %d looks at the clock", got.Health[0].SocketsMax, got.series.len(), got.Measures[Lateness].Count())
		}
	})
}

// TestShowLive: in a terminal every frame goes up over the last one, and no line
// is wider than the terminal.
func TestShowLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(time.Now())
		describeTown(r, "1/4")
		r.Devices(10)
		r.Move(Waiting, Downloading)
		ctx, stop := context.WithTimeout(t.Context(), 3500*time.Millisecond)
		defer stop()
		var b bytes.Buffer
		r.Show(ctx, Screen{Out: &b, Size: func() int { return 44 }})
		frames := strings.Split(b.String(), "\x1b[J")
		if len(frames) != 5 || strings.Contains(frames[0], "A\r") {
			t.Fatalf("%d frames: %q", len(frames), b.String())
		}
		lines := strings.Count(frames[0], "\n")
		up := "\x1b[" + string(rune('0'+lines/10)) + string(rune('0'+lines%10)) + "A"
		if !strings.HasPrefix(frames[1], up) {
			t.Errorf("the second frame begins with %q, not %q", frames[1][:8], up)
		}
		for l := range strings.Lines(frames[0]) {
			l = strings.TrimSuffix(strings.TrimPrefix(l, "\r\x1b[K"), "\n")
			if utf8.RuneCountInString(l) > 44 {
				t.Errorf("%q is too long", l)
			}
		}
		if !strings.Contains(frames[0], "shard 1/4") || !strings.Contains(frames[0], "downloading") || !strings.Contains(frames[0], "█") {
			t.Errorf("%q", frames[0])
		}
	})
}

// TestETA: at a steady pace it is right.
func TestETA(t *testing.T) {
	r := New(start)
	r.Devices(105)
	r.Behaviour("silent").Expect(NeverAnswered, 5) // these are not waited for
	d := dashboard{r: r}
	b := r.Behaviour("good")
	for i := range 40 {
		b.Ended(Succeeded)
		d.look(start.Add(time.Duration(i+1) * time.Second))
	}
	if f := d.look(start.Add(40 * time.Second)); f.eta < 59*time.Second || f.eta > 63*time.Second {
		t.Errorf("with 60 devices to go at one a second, %v", f.eta)
	}
	if len(d.past) > 35 {
		t.Errorf("%d frames are remembered", len(d.past))
	}
}

// TestMetrics reads what Prometheus would.
func TestMetrics(t *testing.T) {
	r := New(start)
	r.Devices(2)
	r.Move(Waiting, Online)
	r.Add(Bytes, 1000)
	r.PushLimit(600)
	r.Observe(Connect, 250*time.Millisecond)
	r.Transferred(2_000_000, time.Second)
	b := r.Behaviour("ba\"d\n")
	b.Expect(VerifyFailed, 2)
	b.Ended(VerifyFailed)
	r.Tick(start.Add(time.Second), Sample{CPU: 1500 * time.Millisecond, Memory: 7, Sockets: 2})
	w := httptest.NewRecorder()
	r.Metrics().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{
		`otasim_fleet_devices{state="online"} 1`, `otasim_fleet_devices{state="waiting"} 1`, `otasim_fleet_events_total{event="bytes"} 1000`,
		`otasim_fleet_seconds{measure="connect",quantile="0.99"} 0.25`, `otasim_fleet_seconds_count{measure="connect"} 1`, `otasim_fleet_seconds{measure="connect",quantile="0.999"} 0.25`,
		`otasim_fleet_download_bytes_per_second{quantile="0.5"} 2e+06`, `otasim_fleet_outcomes_total{behaviour="ba\"d ",outcome="-3"} 1`,
		`otasim_fleet_outcomes_expected{behaviour="ba\"d ",outcome="-3"} 2`, `otasim_fleet_generator_cpu_seconds_total 1.5`,
		`otasim_fleet_generator_memory_bytes 7`, `otasim_fleet_generator_sockets 2`, `otasim_fleet_push_limit 600`, `otasim_fleet_invalid 0`,
	} {
		if !strings.Contains(w.Body.String(), want+"\n") {
			t.Errorf("%s is missing", want)
		}
	}
	if t.Failed() {
		t.Log(w.Body.String())
	}
}
