package agent

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/platform/files"
)

// fullSpool is a state directory without room for a package.
type fullSpool struct{ Spool }

func (fullSpool) Free() (int64, error) { return 0, nil }

// framesOf packs an image as several zstd frames.
func framesOf(img []byte, frame int) []byte {
	e, err := zstd.NewWriter(nil)
	if err != nil {
		panic(err)
	}
	defer e.Close()
	var out []byte
	for len(img) > 0 {
		n := min(frame, len(img))
		out = e.EncodeAll(img[:n], out)
		img = img[n:]
	}
	return out
}

// A compressed image resumes at a frame boundary where it has them, else from
// the spool when there is room for one, else from its start; the log says which.
func TestWhereCompressedImagesResume(t *testing.T) {
	img := image(2, "NEW")
	frames := framesOf(img, 100_000)
	for _, s := range []struct {
		name, log string
		pkg       []byte
		room      bool
		from, to  int
	}{
		{"frames without room", "at frame boundaries", frames, false, 500_000, 950 << 10},
		{"one member without room", "at frame boundaries", gzipOf(nil, img), false, 0, 0},
		{"one member with room", "from the spool", gzipOf(nil, img), true, 500_000, 950 << 10},
	} {
		var log bytes.Buffer
		w := newWorld(t, s.pkg, img, false)
		w.change = func(c *Config) {
			c.Log = slog.New(slog.NewTextHandler(&log, nil))
			if !s.room {
				c.Spool = fullSpool{c.Spool}
			}
		}
		var once sync.Once
		w.badServer(func(rw http.ResponseWriter, r *http.Request) (done bool) {
			once.Do(func() {
				rw.Header().Set("ETag", `"1"`)
				rw.Header().Set("Content-Length", fmt.Sprint(len(w.pkg)))
				rw.Write(w.pkg[:900<<10])
				rw.(http.Flusher).Flush()
				time.Sleep(100 * time.Millisecond)
				w.cut.cutNow.Store(true)
				rw.Write(w.pkg[900<<10 : 950<<10])
				done = true
			})
			return done
		})
		w.ends("[1.0.0 100 2.0.0]", true, "")
		from := 0
		if len(w.ranges) != 2 {
			t.Fatalf("%s: ranges %q", s.name, w.ranges)
		}
		fmt.Sscanf(w.ranges[1], "bytes=%d-", &from)
		if from < s.from || from > s.to {
			t.Errorf("%s: went on at %d, wanted %d to %d", s.name, from, s.from, s.to)
		}
		if !strings.Contains(log.String(), s.log) {
			t.Errorf("%s: the log does not say %q: %s", s.name, s.log, log.String())
		}
	}
}

// counting is a cloud that only notes when something was posted.
type counting struct {
	*cloud
	at    []time.Time
	steps []ota.Step
}

func (c *counting) Post(_ ota.TopicKind, payload []byte) {
	p, err := ota.DecodeProgress(payload)
	if err != nil {
		panic(err)
	}
	c.at, c.steps = append(c.at, time.Now()), append(c.steps, p.Step)
}

// Progress is posted at most once a second, and each 5 %, in virtual time.
func TestProgressIsThrottled(t *testing.T) {
	for _, pace := range []time.Duration{10 * time.Millisecond, 300 * time.Millisecond, 3 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			c := &counting{}
			slot, err := files.NewSlot("a", t.TempDir()+"/a", 1)
			if err != nil {
				t.Fatal(err)
			}
			a := &Agent{cfg: Config{Cloud: c}, running: slot}
			u := &Update{Notice: ota.Notice{Module: ota.DefaultModule}}
			for percent := range 96 {
				a.progress(u, percent)
				a.progress(u, percent)
				time.Sleep(pace)
			}
			if len(c.steps) == 0 || c.steps[0] != 0 {
				t.Fatalf("posted %v", c.steps)
			}
			for i := 1; i < len(c.steps); i++ {
				if c.at[i].Sub(c.at[i-1]) < time.Second || c.steps[i] < c.steps[i-1]+5 {
					t.Errorf("pace %v: %d %% %v after %d %%", pace, c.steps[i], c.at[i].Sub(c.at[i-1]), c.steps[i-1])
				}
			}
			if pace == 3*time.Second && len(c.steps) != 20 {
				t.Errorf("a slow update posted %d times, wanted each 5 %%: %v", len(c.steps), c.steps)
			}
		})
	}
}

// N22: what happened stays owed until the cloud has acknowledged it, in order,
// also over a restart.
func TestN22OwedUntilDelivered(t *testing.T) {
	w := goodWorld(t)
	deaf := &deafCloud{cloud: w.cloud}
	w.change = func(c *Config) { c.Cloud = deaf }
	for range 2 { // the update, to the restart into the new system
		deaf.deaf = w.boots > 0
		if w.boots == 0 {
			w.boot()
			continue
		}
		a, stop := w.started()
		w.cloud.events <- ota.Event{}
		eventually(t, "the end", func() bool { return a.Status().Last != nil })
		if a.Status().Owed == 0 {
			t.Error("nothing is owed, though nothing was acknowledged")
		}
		stop()
	}
	deaf.deaf = false
	w.live()
	if got := fmt.Sprint(w.cloud.heard()); got != "[1.0.0 100 2.0.0]" {
		t.Errorf("heard %s", got)
	}
}

// deafCloud acknowledges nothing while it is deaf.
type deafCloud struct {
	*cloud
	deaf bool
}

func (c *deafCloud) Send(ctx context.Context, kind ota.TopicKind, payload []byte) error {
	if c.deaf {
		return context.DeadlineExceeded
	}
	return c.cloud.Send(ctx, kind, payload)
}
