package agent

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/agent/fetch"
)

// overMQTT has the world's package announced for a download over MQTT. Its web
// server must not be needed.
func (w *world) overMQTT() {
	w.notice.Stream = &ota.Stream{ID: 7, FileID: 1}
	w.notice.Files[0].URL = ""
	w.server.Close()
}

// Block implements fetch.Blocks: the stand-in gives out what the package server has.
func (c *cloud) Block(_ context.Context, r ota.BlockRequest, patience time.Duration) (ota.Block, error) {
	c.w.cut.effect("block")
	c.mu.Lock()
	c.asked = append(c.asked, r)
	bad := c.badBlock
	c.mu.Unlock()
	if bad != nil {
		if b, done, err := bad(r); done {
			return b, err
		}
	}
	if c.w.notice.Stream == nil || r.Stream != *c.w.notice.Stream {
		return ota.Block{Code: 403, Message: "not yours"}, nil
	}
	pkg := c.w.pkg
	end := min(r.Offset+int64(r.Size), int64(len(pkg)))
	return ota.Block{Code: 200, FileSize: int64(len(pkg)), Offset: r.Offset, Data: pkg[r.Offset:end]}, nil
}

// offsets are where blocks were asked for.
func (c *cloud) offsets() (at []int64) {
	for _, r := range c.asked {
		at = append(at, r.Offset)
	}
	return at
}

// A full image, a compressed one and a patch come over MQTT as they do over HTTP.
func TestUpdateOverMQTT(t *testing.T) {
	for _, s := range stories() {
		if !s.wantNew {
			continue
		}
		w := newWorld(t, s.pkg(image(1, "OLD"), s.new), s.new, s.isDiff)
		w.overMQTT()
		w.live()
		if got := fmt.Sprint(w.cloud.heard()); got != s.heard || !w.lives() {
			t.Errorf("%s: the cloud heard %s (all: %s)", s.name, got, w.cloud.all())
		}
		if len(w.cloud.asked) == 0 {
			t.Errorf("%s: no block was asked for", s.name)
		}
	}
}

// A tampered file is found by its digest, -3; one of another length is another
// file, and after some starts over -2.
func TestMQTTNotWhatWasAnnounced(t *testing.T) {
	w := newWorld(t, image(2, "NEW"), image(2, "NEW"), false)
	w.overMQTT()
	w.pkg = append([]byte(nil), w.pkg...)
	w.pkg[len(w.pkg)/2] ^= 1
	w.live()
	if got := fmt.Sprint(w.cloud.heard()); got != "[1.0.0 -3]" || w.lives() {
		t.Errorf("tampered: the cloud heard %s", got)
	}
	w = newWorld(t, image(2, "NEW"), image(2, "NEW"), false)
	w.overMQTT()
	w.pkg = w.pkg[:len(w.pkg)-1]
	w.live()
	if got := fmt.Sprint(w.cloud.heard()); got != "[1.0.0 -2]" || w.lives() || len(w.cloud.asked) != 1+maxRestarts {
		t.Errorf("another length: the cloud heard %s after %d blocks", got, len(w.cloud.asked))
	}
}

// After a power cut the download goes on from the last checkpoint, and from the
// byte it had when it was stopped in order (W9).
func TestW9MQTTResumes(t *testing.T) {
	w := newWorld(t, image(2, "NEW"), image(2, "NEW"), false)
	w.overMQTT()
	w.cloud.badBlock = func(r ota.BlockRequest) (ota.Block, bool, error) {
		if r.Offset >= imageSize/2 {
			w.cut.cutNow.Store(true) // before the next effect
			w.cloud.badBlock = nil
		}
		return ota.Block{}, false, nil
	}
	w.boot()
	before := w.cloud.offsets()
	w.cloud.asked = nil
	w.live()
	after := w.cloud.offsets()
	first, last := after[0], before[len(before)-1]
	if first == 0 || first > last || last-first > 256<<10+ota.MaxBlockSize {
		t.Errorf("cut at %d, went on at %d", last, first)
	}
	if got := fmt.Sprint(w.cloud.heard()); got != "[1.0.0 100 2.0.0]" || !w.lives() {
		t.Errorf("the cloud heard %s", got)
	}
}

// A stream that the cloud refuses is asked for again, once, and the download goes
// on from the byte it has (N17); when there is none the update has failed, -2.
func TestN17MQTTStreamRefused(t *testing.T) {
	for _, there := range []bool{true, false} {
		w := newWorld(t, image(2, "NEW"), image(2, "NEW"), false)
		w.overMQTT()
		w.cloud.badBlock = func(r ota.BlockRequest) (ota.Block, bool, error) {
			if r.Offset < imageSize/2 || r.Stream.ID != 7 {
				return ota.Block{}, false, nil
			}
			if there {
				w.notice.Stream = &ota.Stream{ID: 8, FileID: 1}
			}
			return ota.Block{Code: 403, Message: "over"}, true, nil
		}
		w.live()
		want := map[bool]string{true: "[1.0.0 100 2.0.0]", false: "[1.0.0 -2]"}[there]
		if got := fmt.Sprint(w.cloud.heard()); got != want || w.lives() != there || strings.Count(w.cloud.all(), "get") != 1 {
			t.Errorf("a fresh stream %v: the cloud heard %s (all: %s)", there, got, w.cloud.all())
		}
		seen := map[int64]int{}
		for _, at := range w.cloud.offsets() {
			seen[at]++
		}
		for at, n := range seen {
			if n > 2 || n > 1 && at < imageSize/2 {
				t.Errorf("byte %d was asked for %d times", at, n)
			}
		}
	}
}

// A user has cancelled the job and made one of the same package that is downloaded
// in the other way: the download goes on where it is.
func TestMQTTAndHTTPChange(t *testing.T) {
	for _, toMQTT := range []bool{true, false} {
		w := newWorld(t, image(2, "NEW"), image(2, "NEW"), false)
		url, stream := w.notice.Files[0].URL, &ota.Stream{ID: 7, FileID: 1}
		over := func(mqtt bool) {
			w.notice.Stream, w.notice.Files[0].URL = nil, url
			if mqtt {
				w.notice.Stream, w.notice.Files[0].URL = stream, ""
			}
		}
		over(!toMQTT)
		if toMQTT {
			w.bad = func(rw http.ResponseWriter, r *http.Request) bool {
				if r.Header.Get("Range") != "" {
					over(true)
					rw.WriteHeader(http.StatusForbidden)
					return true
				}
				rw.Header().Set("Content-Length", fmt.Sprint(len(w.pkg)))
				rw.Write(w.pkg[:imageSize/2])
				panic(http.ErrAbortHandler)
			}
			client, err := fetch.New(fetch.Options{Retries: 1})
			if err != nil {
				t.Fatal(err)
			}
			w.change = func(c *Config) { c.Downloads = client }
		} else {
			w.cloud.badBlock = func(r ota.BlockRequest) (ota.Block, bool, error) {
				if r.Offset >= imageSize/2 {
					over(false)
					return ota.Block{Code: 403}, true, nil
				}
				return ota.Block{}, false, nil
			}
		}
		w.live()
		if got := fmt.Sprint(w.cloud.heard()); got != "[1.0.0 100 2.0.0]" || !w.lives() {
			t.Errorf("to MQTT %v: the cloud heard %s (all: %s)", toMQTT, got, w.cloud.all())
		}
		if at := w.cloud.offsets(); len(at) == 0 || toMQTT && at[0] == 0 || !toMQTT && !strings.HasPrefix(w.ranges[0], "bytes=") {
			t.Errorf("to MQTT %v: it began again: blocks at %v, ranges %q", toMQTT, at, w.ranges)
		}
	}
}

// A device whose cloud or whose downloads know no blocks says so, -1.
func TestMQTTNotPossible(t *testing.T) {
	w := newWorld(t, image(2, "NEW"), image(2, "NEW"), false)
	w.overMQTT()
	w.change = func(c *Config) { c.Downloads = onlyHTTP{c.Downloads} }
	w.live()
	if got := fmt.Sprint(w.cloud.heard()); got != "[1.0.0 -1]" || w.lives() {
		t.Errorf("the cloud heard %s", got)
	}
}

type onlyHTTP struct{ Downloads }

// Cancelled in the middle, it ends at once.
func TestN24MQTTCancelled(t *testing.T) {
	w := newWorld(t, image(2, "NEW"), image(2, "NEW"), false)
	w.overMQTT()
	w.cloud.badBlock = func(ota.BlockRequest) (ota.Block, bool, error) {
		return ota.Block{}, true, errors.New("no connection")
	}
	client, err := fetch.New(fetch.Options{Retries: 1000})
	if err != nil {
		t.Fatal(err)
	}
	m := w.machine()
	if _, err := m.PowerOn(); err != nil {
		t.Fatal(err)
	}
	w.change = func(c *Config) { c.Downloads = client }
	a, err := New(w.config(m, "boot"))
	if err != nil {
		t.Fatal(err)
	}
	w.cloud.connect()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	for a.Status().Stage != Fetch {
		time.Sleep(time.Millisecond)
	}
	begun := time.Now()
	if err := a.Cancel(); err != nil {
		t.Fatal(err)
	}
	for a.Status().Stage != Idle || a.Status().Owed > 0 {
		time.Sleep(time.Millisecond)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
	stop()
	<-ended
	if got := fmt.Sprint(w.cloud.heard()); !strings.HasPrefix(got, "[1.0.0 -") {
		t.Errorf("the cloud heard %s", got)
	}
}
