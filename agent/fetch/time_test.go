package fetch

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// These run in virtual time over pipes, with the real server and client of
// net/http.

const virtualURL = "http://files.test/fw.bin?auth_key=SECRET"

func virtually(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

// away is a network that cannot be dialled until the time has passed.
func away(d time.Duration, err error) (dial func(context.Context, string, string) (net.Conn, error), attempts *[]time.Duration) {
	began := time.Now()
	attempts = new([]time.Duration)
	return func(context.Context, string, string) (net.Conn, error) {
		*attempts = append(*attempts, time.Since(began))
		if time.Since(began) < d {
			return nil, err
		}
		return nil, nil
	}, attempts
}

func TestN2ServerAwayForAWhile(t *testing.T) {
	file := content(1000)
	refusal := errors.New("connect: connection refused")
	virtually(t, func(t *testing.T) {
		dial, attempts := away(20*time.Second, refusal)
		_, c := inVirtualTime(t, Options{Dial: dial, Retries: 40}, good(file))
		whole(t, c, Request{URL: virtualURL, Size: 1000}, file)
		if n := len(*attempts); n > 30 {
			t.Errorf("%d attempts in 20 s", n)
		}
	})
	virtually(t, func(t *testing.T) {
		dial, attempts := away(time.Hour, refusal)
		_, c := inVirtualTime(t, Options{Dial: dial}, good(file))
		refused(t, c, Request{URL: virtualURL, Size: 1000}, nil, "after 13 attempts without progress: connect: connection refused (http://files.test/fw.bin?...)")
		if n := len(*attempts); n != DefaultRetries+1 {
			t.Errorf("%d attempts", n)
		}
		for i := 1; i < len(*attempts); i++ {
			if pause, most := (*attempts)[i]-(*attempts)[i-1], min(MinBackoff<<(i-1), MaxBackoff); pause > most {
				t.Errorf("pause %d is %v, more than %v", i, pause, most)
			}
		}
	})
}

// Full jitter: clients that fail together do not come back together.
func TestF1PausesAreSpread(t *testing.T) {
	b := backoff{MinBackoff, MaxBackoff}
	var low, high int
	for range 1000 {
		switch d := b.next(100); {
		case d < 0 || d > MaxBackoff:
			t.Fatalf("pause %v", d)
		case d < MaxBackoff/4:
			low++
		case d > MaxBackoff*3/4:
			high++
		}
	}
	if low < 150 || high < 150 {
		t.Errorf("of 1000 pauses %d are in the first quarter, %d in the last", low, high)
	}
}

func TestN11RetryAfter(t *testing.T) {
	file := content(1000)
	date := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name     string
		code     int
		fields   []string
		at, most time.Duration
	}{
		{"seconds", 429, []string{"Retry-After", "120"}, 120 * time.Second, 121 * time.Second},
		{"date, by the server's clock", 503, []string{"Retry-After", date.Add(90 * time.Second).Format(http.TimeFormat), "Date", date.Format(http.TimeFormat)},
			90 * time.Second, 91 * time.Second},
		{"date in the past", 503, []string{"Retry-After", date.Add(-time.Hour).Format(http.TimeFormat), "Date", date.Format(http.TimeFormat)}, 0, time.Second},
		{"absent", 503, nil, 0, time.Second},
		{"garbled", 503, []string{"Retry-After", "soon"}, 0, time.Second},
		{"negative", 503, []string{"Retry-After", "-5"}, 0, time.Second},
		{"capped", 429, []string{"Retry-After", "999999"}, 10 * time.Minute, 10*time.Minute + time.Second},
		{"capped, huge", 429, []string{"Retry-After", "9223372036854775807"}, 10 * time.Minute, 10*time.Minute + time.Second},
		{"capped date", 503, []string{"Retry-After", date.AddDate(1, 0, 0).Format(http.TimeFormat), "Date", date.Format(http.TimeFormat)},
			10 * time.Minute, 10*time.Minute + time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			virtually(t, func(t *testing.T) {
				_, c := inVirtualTime(t, Options{MaxRetryAfter: 10 * time.Minute}, answer(tt.code, tt.fields...), good(file))
				began := time.Now()
				whole(t, c, Request{URL: virtualURL, Size: 1000}, file)
				if d := time.Since(began); d < tt.at || d > tt.most {
					t.Errorf("came back after %v, must be within %v and %v", d, tt.at, tt.most)
				}
			})
		})
	}
}

// drip gives a byte a second.
func drip(file []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		good(file)(&dripper{w, r.Context()}, r)
	}
}

type dripper struct {
	http.ResponseWriter
	ctx context.Context
}

func (d *dripper) Write(p []byte) (int, error) {
	for i := range p {
		if sleep(d.ctx, time.Second) != nil {
			return i, d.ctx.Err()
		}
		if _, err := d.ResponseWriter.Write(p[i : i+1]); err != nil {
			return i, err
		}
		_ = http.NewResponseController(d.ResponseWriter).Flush()
	}
	return len(p), nil
}

func TestN13LowSpeed(t *testing.T) {
	file := content(1000)
	virtually(t, func(t *testing.T) {
		m, c := inVirtualTime(t, Options{}, drip(file), good(file))
		began := time.Now()
		whole(t, c, Request{URL: virtualURL, Size: 1000}, file)
		if d := time.Since(began); d > DefaultLowSpeedTime+2*time.Second {
			t.Errorf("took %v", d)
		}
		if got := m.ranges(t); len(got) != 2 || got[1] != rangeFrom(31, 1000) {
			t.Errorf("asked for %q", got)
		}
	})
	// It ends even though every attempt gives 31 bytes: the first at once, with the head.
	virtually(t, func(t *testing.T) {
		_, c := inVirtualTime(t, Options{Retries: 3}, drip(file))
		refused(t, c, Request{URL: virtualURL, Size: 1000}, file[:4*31], "after 4 attempts without progress: slower than 128 bytes a second for 30s")
	})
	virtually(t, func(t *testing.T) {
		_, c := inVirtualTime(t, Options{LowSpeed: -1}, drip(file))
		whole(t, c, Request{URL: virtualURL, Size: 1000}, file)
	})
}

// A reader that is slow itself does not make the server slow.
func TestN13SlowSlotIsNotASlowServer(t *testing.T) {
	file := content(300)
	virtually(t, func(t *testing.T) {
		m, c := inVirtualTime(t, Options{}, good(file))
		b, err := c.Open(t.Context(), Request{URL: virtualURL, Size: 300})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		var got []byte
		for one := make([]byte, 1); ; {
			n, err := b.Read(one)
			if got = append(got, one[:n]...); err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Minute)
		}
		if !bytes.Equal(got, file) || len(m.requests()) != 1 {
			t.Errorf("%d bytes by %d requests", len(got), len(m.requests()))
		}
	})
}

func TestN14Silence(t *testing.T) {
	file := content(1000)
	silent := func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	half := func(w http.ResponseWriter, r *http.Request) {
		good(file)(&cutter{ResponseWriter: w, left: 500}, r)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
	virtually(t, func(t *testing.T) {
		m, c := inVirtualTime(t, Options{IdleTimeout: 20 * time.Second}, silent, half, good(file))
		began := time.Now()
		whole(t, c, Request{URL: virtualURL, Size: 1000}, file)
		if d := time.Since(began); d < 40*time.Second || d > 45*time.Second {
			t.Errorf("took %v", d)
		}
		if got := m.ranges(t); len(got) != 3 || got[2] != rangeFrom(500, 1000) {
			t.Errorf("asked for %q", got)
		}
	})
	virtually(t, func(t *testing.T) {
		_, c := inVirtualTime(t, Options{Retries: 2}, silent)
		refused(t, c, Request{URL: virtualURL, Size: 1000}, nil, "the server was silent for 1m0s")
	})
}

// The resolver is a dialer here that fails as a resolver does.
func TestN15NamesAreNotResolvedForAWhile(t *testing.T) {
	file := content(1000)
	virtually(t, func(t *testing.T) {
		dial, attempts := away(10*time.Second, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "files.test", IsNotFound: true}})
		_, c := inVirtualTime(t, Options{Dial: dial, Retries: 30}, good(file))
		whole(t, c, Request{URL: virtualURL, Size: 1000}, file)
		if len(*attempts) < 2 {
			t.Error("the resolver did not fail")
		}
	})
}

func TestRateLimit(t *testing.T) {
	file := content(100_000)
	virtually(t, func(t *testing.T) {
		_, c := inVirtualTime(t, Options{RateLimit: 10_000}, good(file))
		began := time.Now()
		b, err := c.Open(t.Context(), Request{URL: virtualURL, Size: 100_000})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		total := 0
		for p := make([]byte, 32<<10); ; {
			n, err := b.Read(p)
			total += n
			if allowed := 10_000*time.Since(began).Seconds() + 2*float64(burst(10_000)) + 1; float64(total) > allowed {
				t.Fatalf("%d bytes after %v", total, time.Since(began))
			}
			if err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
		if d := time.Since(began); d < 9500*time.Millisecond || d > 10500*time.Millisecond {
			t.Errorf("%d bytes took %v", total, d)
		}
	})
}

func TestContextEndsEverything(t *testing.T) {
	file := content(1000)
	silent := func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	for name, tt := range map[string]struct {
		opt  Options
		step http.HandlerFunc
	}{
		"a silent server": {Options{}, silent},
		"a pause":         {Options{}, answer(503, "Retry-After", "600")},
		"the rate limit":  {Options{RateLimit: 1}, good(content(1 << 20)[:1000])},
		"a drip":          {Options{LowSpeed: -1}, drip(file)},
	} {
		t.Run(name, func(t *testing.T) {
			virtually(t, func(t *testing.T) {
				_, c := inVirtualTime(t, tt.opt, tt.step)
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				b, err := c.Open(ctx, Request{URL: virtualURL, Size: 1000})
				if err != nil {
					t.Fatal(err)
				}
				defer b.Close()
				began := time.Now()
				if name == "the rate limit" { // burst is a KiB at least: the file comes at once, another must wait
					_, _ = io.ReadAll(b)
					b, _ = c.Open(ctx, Request{URL: virtualURL, Size: 1000})
				}
				_, err = io.ReadAll(b)
				b.Close()
				if !errors.Is(err, context.DeadlineExceeded) && name != "the rate limit" || time.Since(began) > 5*time.Second {
					t.Errorf("ended after %v with %v", time.Since(began), err)
				}
				if err != nil && !strings.Contains(err.Error(), "was stopped at byte") {
					t.Errorf("error %v", err)
				}
			})
		})
	}
}
