package gateway

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/platform/durable"
)

// dribble serves 100,000 bytes and then nothing more, for as long as it is asked to.
func dribble(w *world) (fast func()) {
	var slow atomic.Bool
	slow.Store(true)
	w.serve = func(rw http.ResponseWriter, r *http.Request) bool {
		if !slow.Load() {
			return false
		}
		rw.Header().Set("ETag", `"1"`)
		rw.Header().Set("Content-Length", "300000")
		rw.Write(w.pkg[:100_000])
		rw.(http.Flusher).Flush()
		<-r.Context().Done()
		return true
	}
	return func() { slow.Store(false) }
}

// W9: stopped in the middle of a download, it goes on from where it was, after the
// cloud was asked; no byte is fetched twice.
func TestW9DownloadGoesOnAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, lamp)
		fast := dribble(w)
		w.start()
		w.settle(time.Second)
		w.wants(lamp, nil)
		w.settle(5 * time.Second)
		w.stop()
		fast()
		w.locked(func() { w.ranges = nil })
		w.start()
		w.settle(time.Minute)
		if s := w.state(lamp); s != "succeeded" || len(w.requests()) != 1 || w.requests()[0] != "bytes=100000-299999" {
			t.Errorf("the task is %q, asked for %q", s, w.requests())
		}
		if got := w.got("lamp inform"); len(got) != 2 {
			t.Errorf("reports %q: while the update is unfinished there must be none", got)
		}
	})
}

// killed leaves the directory as a power cut would: the gateway goes on in a
// bubble's limbo, and the next one works on a copy.
func (w *world) killed() {
	w.t.Helper()
	dir := w.t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(w.cfg.Dir)); err != nil {
		w.t.Fatal(err)
	}
	w.stop()
	w.cfg.Dir = dir
}

// W4: killed while the installer runs, which came to its end or did not.
func TestW4KilledInTheInstaller(t *testing.T) {
	for name, done := range map[string]bool{"it had done it": true, "it had not": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, lamp)
				w.install = func(ctx context.Context, u Update) error {
					<-ctx.Done()
					return ctx.Err()
				}
				w.start()
				w.settle(time.Second)
				w.wants(lamp, nil)
				w.settle(time.Minute)
				if done {
					w.locked(func() { w.version[lamp] = newVersion })
				}
				w.killed()
				w.locked(func() { w.install = nil })
				w.start()
				w.settle(time.Minute)
				want := 2
				if done {
					want = 1
				}
				if s := w.state(lamp); s != "succeeded" || len(w.installed()) != want || len(w.requests()) != 1 {
					t.Errorf("the task is %q after %d installs and requests %q", s, len(w.installed()), w.requests())
				}
			})
		})
	}
}

// W11: stopped at whatever moment, nothing unfinished is taken for done.
func TestW11StoppedWhileItInstalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, lamp)
		w.install = func(ctx context.Context, _ Update) error { <-ctx.Done(); return ctx.Err() }
		w.start()
		w.settle(time.Second)
		w.wants(lamp, nil)
		for range maxStarts - 1 {
			w.settle(time.Minute)
			w.stop()
			pair, err := durable.OpenPair(w.cfg.Dir, "sub+sub+lamp")
			if err != nil {
				t.Fatal(err)
			}
			b, err := pair.Load()
			if err != nil {
				t.Fatal(err)
			}
			if r, err := decodeRecord(b); err != nil || r.Owed != nil || r.Update == nil || r.Update.Stage != install || r.Installed != "" {
				t.Fatalf("record %s, %v", b, err)
			}
			w.start()
		}
	})
}

// What the cloud has given up while the gateway was off is not gone on with.
func TestRestartAndNotWantedAnyMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, lamp)
		fast := dribble(w)
		w.start()
		w.settle(time.Second)
		w.wants(lamp, nil)
		w.settle(5 * time.Second)
		w.stop()
		fast()
		w.locked(func() { w.tasks[lamp].state = "cancelled" })
		w.start()
		w.settle(time.Minute)
		if n := len(w.installed()); n != 0 {
			t.Errorf("installed %d times", n)
		}
		w.wantClean()
		if got := w.got("lamp inform"); len(got) != 2 {
			t.Errorf("reports %q", got)
		}
	})
}

// N26: another package is announced now; nothing of the old one is used.
func TestN26AnotherPackageAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, lamp)
		fast := dribble(w)
		w.start()
		w.settle(time.Second)
		w.wants(lamp, func(n *ota.Notice) { n.Files[0].Sign = strings.Repeat("cd", 32) })
		w.settle(5 * time.Second)
		w.stop()
		fast()
		w.locked(func() { w.ranges = nil })
		w.locked(func() { w.tasks[lamp] = &task{notice: w.notice} })
		w.start()
		w.settle(time.Minute)
		if s := w.state(lamp); s != "succeeded" || len(w.requests()) != 1 || w.requests()[0] != "" && w.requests()[0] != "bytes=0-299999" {
			t.Errorf("the task is %q, asked for %q", s, w.requests())
		}
	})
}

// W5: a gateway that dies of an update gives it up.
func TestW5RestartLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, lamp)
		w.install = func(ctx context.Context, _ Update) error { <-ctx.Done(); return ctx.Err() }
		w.start()
		w.settle(time.Second)
		w.wants(lamp, nil)
		for range maxStarts + 2 {
			w.settle(time.Minute)
			w.killed()
			w.start()
		}
		w.settle(time.Hour)
		w.wantFailed(lamp, ota.StepUpgradeFailed, "interrupted")
	})
}

// S8: a damaged record costs what it held. One of a newer build is left alone, and
// the other sub-devices do not mind.
func TestS8Records(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, lamp, bell)
		if err := os.MkdirAll(w.cfg.Dir, 0o700); err != nil {
			t.Fatal(err)
		}
		for _, i := range []string{".0", ".1"} {
			if err := os.WriteFile(filepath.Join(w.cfg.Dir, "sub+sub+bell"+i), []byte("garbage"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		pair, err := durable.OpenPair(w.cfg.Dir, "sub+sub+lamp")
		if err != nil {
			t.Fatal(err)
		}
		if err := pair.Save([]byte(`{"format":99}`)); err != nil {
			t.Fatal(err)
		}
		g := w.start()
		w.settle(time.Second)
		w.wants(bell, nil)
		w.settle(time.Minute)
		if s := w.state(bell); s != "succeeded" {
			t.Errorf("the task is %q", s)
		}
		if st := g.Status(); st[0].Online || !strings.Contains(st[0].Problem, "newer") || !st[1].Online {
			t.Errorf("status %+v", st)
		}
		if b, err := pair.Load(); err != nil || string(b) != `{"format":99}` {
			t.Errorf("the newer record became %q, %v", b, err)
		}
	})
}

func TestDirectoryIsForOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, lamp)
		w.start()
		w.settle(time.Second)
		g, err := New(w.cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := g.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "in use") {
			t.Errorf("a second one: %v", err)
		}
	})
}

func FuzzRecord(f *testing.F) {
	f.Add([]byte(`{"format":1,"update":{"notice":{"ID":1,"Module":"default","Version":"2","SignMethod":"Md5","Files":[{"Size":5,"URL":"http://a/b","Sign":"00112233445566778899aabbccddeeff"}]},"stage":"fetch","mark":{"bytes":3}},"owed":{"module":"default","step":-1}}`))
	f.Add([]byte(`{"format":2}`))
	f.Add([]byte(`{"update":{"notice":{"Files":[]}}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeRecord(b)
		if err != nil {
			return
		}
		again, err := decodeRecord(r.encode())
		if err != nil || string(again.encode()) != string(r.encode()) {
			t.Errorf("%+v became %+v, %v", r, again, err)
		}
		if u := r.Update; u != nil && (len(u.Notice.Files) == 0 || u.Mark.Bytes > u.Notice.Files[0].Size) {
			t.Errorf("update %+v", u)
		}
	})
}
