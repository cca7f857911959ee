package server

import (
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/leapslot/ota/simulator"
)

// MaxClockSpeed is the most that Config.ClockSpeed may be: a week in a minute.
const MaxClockSpeed = 10_000

// Headers of every answer of a cloud whose clock runs faster than the world's.
const (
	headerSpeed = "X-Clock-Speed"
	headerNow   = "X-Clock-Now" // milliseconds since 1970, as the API's times of schedules are
)

// clock is the model's time. At speed 1 it is the machine's, and follows when that is
// set. At other speeds it runs that many times as fast from the moment it was made, and
// never goes back.
//
// Only rules run faster: schedules, retries, timeouts, rates a minute, and the moments
// that are stored. What takes part in the world does not: signatures of requests, upload
// forms and download URLs, keep-alives, limits of messages a second. So a device is
// speed times as slow in the eyes of the rules: with a timeout of 10 minutes at speed 60
// it has 10 seconds.
type clock struct {
	speed int
	start time.Time // with the monotonic reading
	model time.Time // what the model's clock showed at start
}

// newClock starts a clock; at speeds above 1 no earlier than latest, where a former run
// of the same directory has left off.
func newClock(speed int, latest simulator.Stamp) *clock {
	c := &clock{speed: max(speed, 1), start: time.Now()}
	c.model = c.start
	if at := latest.Time(); at.After(c.model) {
		c.model = at
	}
	return c
}

func (c *clock) now() time.Time {
	if c.speed == 1 {
		return time.Now()
	}
	return c.model.Add(time.Since(c.start) * time.Duration(c.speed))
}

// real is how long the model's duration takes in the world, rounded up: who waits that
// long has waited long enough.
func (c *clock) real(d time.Duration) time.Duration {
	n := time.Duration(c.speed)
	return (d + n - 1) / n
}

// say logs what is unusual about the clock.
func (c *clock) say(log *slog.Logger, latest simulator.Stamp) {
	if c.speed > 1 {
		log.Warn("the clock runs faster than the world's: a rehearsal", "speed", c.speed, "now", c.now())
	} else if ahead := latest.Time().Sub(time.Now()); ahead > time.Hour {
		log.Warn("this directory was used with a faster clock, or a wrong one: what is stored lies in the future", "by", ahead.Round(time.Minute))
	}
}

// mark has every answer say that the clock runs faster.
func (c *clock) mark(h http.Handler) http.Handler {
	if c.speed == 1 {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(headerSpeed, strconv.Itoa(c.speed))
		w.Header().Set(headerNow, strconv.FormatInt(c.now().UnixMilli(), 10))
		h.ServeHTTP(w, r)
	})
}

// latest is the last moment at which anything was stored.
func latest(s *simulator.State) simulator.Stamp {
	var last simulator.Stamp
	for i := range s.Products {
		last = max(last, s.Products[i].Created)
	}
	for i := range s.Devices {
		d := &s.Devices[i]
		last = max(last, d.Registered, d.LastOnline)
		for _, v := range d.Versions {
			last = max(last, v.At)
		}
	}
	for i := range s.Packages {
		last = max(last, s.Packages[i].Modified)
	}
	for i := range s.Jobs {
		last = max(last, s.Jobs[i].Modified)
	}
	for i := range s.Tasks {
		last = max(last, s.Tasks[i].Modified)
	}
	return last
}
