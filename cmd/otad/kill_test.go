package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/leapslot/ota/agent"
	"github.com/leapslot/ota/platform/durable"
)

const (
	fetchKills = 20 // while the package comes
	lateKills  = 5  // afterwards, at most
	killImage  = 112 << 20
	checkpoint = 4 << 20   // what may be fetched again,
	atOnce     = 256 << 10 // and what is written at a time
	chunk      = 64 << 10
)

// killer serves an image and kills who fetches it after so many bytes.
type killer struct {
	t     *testing.T
	image []byte

	mu    sync.Mutex
	cmd   *exec.Cmd // who fetches
	quota int64     // bytes left until it is killed; never when negative
	sent  int64     // the end of what was ever sent
	floor int64     // the last checkpoint: nothing before it may be asked for again
	lives int       // killed while fetching
	late  func()    // kills it later
}

func (k *killer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var start int64
	if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &start); err != nil && r.Header.Get("Range") != "" {
		k.t.Errorf("Range %q", r.Header.Get("Range"))
	}
	k.asked(start)
	w.Header().Set("ETag", `"1"`)
	w.Header().Set("Content-Length", fmt.Sprint(len(k.image)-int(start)))
	if start > 0 {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", start, len(k.image)-1, len(k.image)))
		w.WriteHeader(http.StatusPartialContent)
	}
	for at := start; at < int64(len(k.image)); {
		n, err := w.Write(k.image[at:min(at+chunk, int64(len(k.image)))])
		at += int64(n)
		if err != nil || !k.served(at, int64(n)) {
			return
		}
	}
}

func (k *killer) asked(start int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if start < k.floor {
		k.t.Errorf("W9: asked for byte %d again, the last checkpoint is %d", start, k.floor)
	}
}

func (k *killer) served(end, n int64) (more bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.sent = max(k.sent, end)
	if end == int64(len(k.image)) && k.quota < 0 {
		k.late()
	}
	if k.quota < 0 {
		return true
	}
	if k.quota -= n; k.quota <= 0 {
		k.cmd.Process.Kill()
		k.lives++
		k.quota = -1
		return false
	}
	return true
}

func (k *killer) done() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.sent == int64(len(k.image))
}

// W4, W9: killed at random moments of one update, the device goes on from its
// last checkpoint, and ends with the old system or the new one and says which.
func TestW4W9Kill(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	image := make([]byte, killImage)
	io.ReadFull(rand.NewChaCha8(sha256.Sum256([]byte("image"))), image)
	k := &killer{t: t, image: image}
	srv := httptest.NewServer(k)
	defer srv.Close()
	b := startBroker(t, "127.0.0.1:0")
	d := newDevice(t, b.url, "")
	if err := os.Truncate(d.path("b.img"), killImage); err != nil {
		t.Fatal(err)
	}
	// The notice comes until the update has begun, as the cloud sends it.
	b.answerWith(fmt.Sprintf(`{"size":%d,"sign":"%x","version":"1.1","signMethod":"SHA256","url":"%s/fw"}`, len(image), sha256.Sum256(image), srv.URL))
	r := d.run()
	b.wait(t, "/inform/", `"version":"1.0.0"`)
	r.stop(syscall.SIGTERM, exitOK)

	killed, worst := 0, int64(0)
	for starts := 0; ; starts++ {
		if starts > 4*fetchKills {
			t.Fatalf("%d starts and no end", starts)
		}
		done := k.done()
		floor := d.lastCheckpoint()
		if floor >= 0 {
			lost := d.written(image) - floor
			worst = max(worst, lost)
			if lost > checkpoint+atOnce {
				t.Errorf("W9: %d bytes that were written are fetched again, at most %d may be", lost, checkpoint)
			}
		}
		k.mu.Lock()
		k.floor = max(floor, 0)
		k.quota = -1
		if killed < fetchKills {
			k.quota = 4<<20 + rnd.Int64N(8<<20)
		}
		r := d.start()
		k.cmd = r.cmd
		delay := time.Duration(rnd.IntN(50)) * time.Millisecond
		if k.late = func() {}; killed < fetchKills+lateKills {
			k.late = func() { time.AfterFunc(delay, func() { r.cmd.Process.Kill() }) }
		}
		k.mu.Unlock()
		if starts == 0 {
			eventually(t, "the service answers", d.answers)
			// It may be killed before it answers.
			exec.Command("otad", "check", "-c", d.file).Run()
		}
		if done {
			k.late()
		}
		if over := d.await(r, b); over {
			r.stop(syscall.SIGTERM, exitOK)
			break
		}
		if !r.cmd.ProcessState.Exited() {
			killed++
		} else if code := r.cmd.ProcessState.ExitCode(); code != exitReboot {
			t.Fatalf("otad ended with %d", code)
		}
	}
	t.Logf("killed %d times, %d of them while fetching; at most %d bytes were fetched again", killed, k.lives, worst)
	if k.lives < fetchKills/2 {
		t.Errorf("killed only %d times while fetching", k.lives)
	}
	d.oldOrNew(b, image)
}

// await waits until the process ends, or the update has ended and the cloud
// knows.
func (d *device) await(r *process, b *broker) (over bool) {
	d.t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		select {
		case <-r.ended:
			return false
		case <-time.After(20 * time.Millisecond):
		}
		out, err := exec.Command("otad", "status", "-o", "json", "-c", d.file).Output()
		var s apiStatus
		if err != nil || json.Unmarshal(out, &s) != nil {
			continue
		}
		if s.Running && s.Stage == "idle" && s.Last != nil && s.Owed == 0 {
			return true
		}
	}
	d.t.Fatal("no end within 20 s")
	return false
}

// oldOrNew wants what runs to be whole, and to be what was reported.
func (d *device) oldOrNew(b *broker, image []byte) {
	d.t.Helper()
	s := d.status()
	slot, err := os.ReadFile(d.path(s.Slot + ".img"))
	if err != nil {
		d.t.Fatal(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	last := ""
	for _, m := range b.got {
		if strings.Contains(m, "/inform/") {
			last = m
		}
	}
	d.t.Logf("ended in slot %s with version %s: step %d %s", s.Slot, s.Version, s.Last.Step, s.Last.Reason)
	switch {
	case s.Slot == "b" && s.Version == "1.1" && s.Last.Step == 100 && bytes.Equal(slot, image) && strings.Contains(last, `"1.1"`):
	case s.Slot == "a" && s.Version == "1.0.0" && s.Last.Step < 0 && strings.Trim(string(slot), "a") == "" && strings.Contains(last, `"1.0.0"`):
	default:
		d.t.Errorf("neither old nor new: %+v, last of the cloud's versions %s", s, last)
	}
}

// written is how much of the image is in the spare slot.
func (d *device) written(image []byte) int64 {
	d.t.Helper()
	slot, err := os.ReadFile(d.path("b.img"))
	if err != nil {
		d.t.Fatal(err)
	}
	n := 0
	for n < len(image) && bytes.Equal(image[n:min(n+chunk, len(image))], slot[n:min(n+chunk, len(slot))]) {
		n += chunk
	}
	return int64(min(n, len(image)))
}

// lastCheckpoint is how far the record says that the download has come, -1 when
// there is none under way.
func (d *device) lastCheckpoint() int64 {
	d.t.Helper()
	p, err := durable.OpenPair(d.path("state"), recordName)
	if err != nil {
		d.t.Fatal(err)
	}
	saved, err := p.Load()
	if errors.Is(err, durable.ErrNone) {
		return -1
	}
	if err != nil {
		d.t.Fatal(err)
	}
	var rec struct {
		Update *struct {
			Stage agent.Stage
			Mark  struct{ In int64 }
		}
	}
	if err := json.Unmarshal(saved, &rec); err != nil {
		d.t.Fatal(err)
	}
	if rec.Update == nil || rec.Update.Stage != agent.Fetch {
		return -1
	}
	return rec.Update.Mark.In
}
