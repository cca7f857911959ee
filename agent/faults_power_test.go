package agent

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/leapslot/ota/platform"
)

// W5: the same bad version is offered again and again.
func TestW5TriesAreBounded(t *testing.T) {
	w := goodWorld(t)
	w.pkg = bytes.Clone(w.pkg)
	w.pkg[7] ^= 1
	for i := range DefaultAttempts + 2 {
		w.live()
		w.cloud.mu.Lock()
		w.cloud.ended = false
		w.cloud.mu.Unlock()
		if want := min(i+1, DefaultAttempts); len(w.ranges) != want {
			t.Fatalf("offered %d times, fetched %d times", i+1, len(w.ranges))
		}
	}
	if s := w.cloud.all(); strings.Count(s, "-3") != DefaultAttempts || !strings.Contains(s, "-1") {
		t.Errorf("heard %s", s)
	}
}

// W5: a stage that brings the device down each time.
func TestW5RebootLoop(t *testing.T) {
	w := goodWorld(t)
	w.breakSlot(1, brokenSlot{})
	w.change = func(c *Config) { c.Slots[1] = &deadlySlot{c.Slots[1]} }
	w.ends("[1.0.0 -2 1.0.0]", false, "interrupted")
}

type deadlySlot struct{ platform.Slot }

func (s *deadlySlot) Open(write bool) (platform.Medium, error) {
	if write {
		panic(errPowerCut)
	}
	return s.Slot.Open(write)
}

// W9: no byte before the last checkpoint is fetched again, and at most one
// checkpoint's worth is; also for a patch and for a compressed image.
func TestW9ResumeFetchesAtMostOneCheckpointAgain(t *testing.T) {
	img := image(2, "NEW")
	for _, s := range []struct {
		name   string
		pkg    []byte
		new    []byte
		isDiff bool
	}{
		{"raw", img, img, false},
		{"gzip", gzipOf(nil, img), img, false},
		{"patch", patchOf(image(9, "old"), img), img, true},
	} {
		w := newWorld(t, s.pkg, s.new, s.isDiff)
		w.allow = true
		broken := 0
		w.badServer(func(rw http.ResponseWriter, r *http.Request) bool {
			if broken++; broken > 1 {
				return false
			}
			rw.Header().Set("ETag", `"1"`)
			rw.Header().Set("Content-Length", fmt.Sprint(len(w.pkg)))
			rw.Write(w.pkg[:900<<10])
			rw.(http.Flusher).Flush()
			time.Sleep(100 * time.Millisecond)
			w.cut.cutNow.Store(true)
			rw.Write(w.pkg[900<<10 : 950<<10])
			return true
		})
		w.live()
		if len(w.ranges) != 2 {
			t.Fatalf("%s: ranges %q", s.name, w.ranges)
		}
		var from int
		if _, err := fmt.Sscanf(w.ranges[1], "bytes=%d-", &from); err != nil || from < 900<<10-256<<10-copyBuffer || from > 950<<10 {
			t.Errorf("%s: went on with %q, wanted at most one checkpoint before %d", s.name, w.ranges[1], 900<<10)
		}
	}
}
