package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/verify"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestUpdate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, lamp)
		g := w.start()
		w.settle(10 * time.Second)
		if got, want := w.got(""), []string{"lamp topo", "lamp login", "lamp inform 1.0.0", "lamp get"}; !slices.Equal(got, want) {
			t.Errorf("at the start the cloud got %q, want %q", got, want)
		}
		w.wants(lamp, func(n *ota.Notice) { n.UDI, n.IsDiff = "custom", true })
		w.settle(time.Minute)
		if s := w.state(lamp); s != "succeeded" {
			t.Errorf("the task is %q", s)
		}
		got := w.got("")[4:]
		if want := []string{"lamp progress 0", "lamp progress 100", "lamp inform 2.0.0", "lamp get"}; !slices.Equal(got, want) {
			t.Errorf("the cloud got %q, want %q", got, want)
		}
		all := w.installed()
		if len(all) != 1 || all[0].Device != lamp || all[0].From != oldVersion || all[0].Version != newVersion || all[0].UDI != "custom" || !all[0].IsDiff || all[0].Size != pkgSize {
			t.Errorf("installed %+v", all)
		}
		w.wantClean()
		st := g.Status()
		if len(st) != 1 || !st[0].Online || st[0].Version != newVersion || st[0].Stage != "" || st[0].Last == nil || st[0].Last.Step != ota.StepDone {
			t.Errorf("status %+v", st)
		}
	})
}

// After a restart and after a reconnect the topology stands; the version is reported
// once for each start.
func TestReportsOncePerStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, lamp)
		w.start()
		w.settle(time.Minute)
		w.connect()
		w.settle(time.Minute)
		w.stop()
		w.start()
		w.settle(time.Minute)
		if n := len(w.got("lamp inform")); n != 2 {
			t.Errorf("%d reports in two starts", n)
		}
		if n, in := len(w.got("lamp topo")), len(w.got("lamp login")); n != 1 || in != 3 {
			t.Errorf("topology asked for %d times, %d logins", n, in)
		}
	})
}

// Without a way to ask, the installer's word counts, and is remembered.
func TestVersionThatCannotBeAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, lamp)
		w.cfg.Devices[0].Version, w.cfg.Devices[0].Current = nil, oldVersion
		w.start()
		w.wants(lamp, nil)
		w.settle(time.Minute)
		w.stop()
		g := w.start()
		w.settle(time.Minute)
		if got := w.got("lamp inform"); !slices.Equal(got[len(got)-2:], []string{"lamp inform 2.0.0", "lamp inform 2.0.0"}) || g.Status()[0].Version != newVersion {
			t.Errorf("reports %q", got)
		}
	})
}

func TestI6AlreadyInstalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, lamp)
		w.version[lamp] = newVersion
		w.start()
		w.settle(time.Minute)
		w.wants(lamp, nil)
		w.settle(time.Minute)
		if s := w.state(lamp); s != "succeeded" || len(w.installed()) != 0 {
			t.Errorf("task %q, %d installs", s, len(w.installed()))
		}
	})
}

// Each failure is reported as the place that it happened in, and nothing goes to the
// sub-device that did not pass.
func TestFailures(t *testing.T) {
	for name, c := range map[string]struct {
		prepare  func(w *world)
		edit     func(n *ota.Notice)
		step     ota.Step
		why      string
		installs int
	}{
		"N9 no package": {
			prepare: func(w *world) {
				w.serve = func(rw http.ResponseWriter, _ *http.Request) bool { rw.WriteHeader(404); return true }
			},
			step: ota.StepDownloadFailed, why: "404",
		},
		"wrong digest": {
			edit: func(n *ota.Notice) { n.Files[0].Sign = strings.Repeat("ab", 32) },
			step: ota.StepVerifyFailed, why: "digest",
		},
		"T1 no signature": {
			prepare: func(w *world) { w.cfg.Trust = &verify.Trust{Require: verify.RequireDigestSign} },
			step:    ota.StepVerifyFailed, why: "digestsign",
		},
		"installer fails": {
			prepare: func(w *world) {
				w.install = func(context.Context, Update) error { return errors.New("flash is worn out") }
			},
			step: ota.StepWriteFailed, why: "worn out", installs: 1,
		},
		"another version afterwards": {
			prepare: func(w *world) { w.install = func(context.Context, Update) error { return nil } },
			step:    ota.StepUpgradeFailed, why: `"1.0.0"`, installs: 1,
		},
		"silent afterwards": {
			prepare: func(w *world) {
				w.install = func(_ context.Context, u Update) error {
					w.mu.Lock()
					defer w.mu.Unlock()
					w.version[u.Device] = ""
					return nil
				}
			},
			step: ota.StepUpgradeFailed, why: "does not say", installs: 1,
		},
		"S1 no room": {
			edit: func(n *ota.Notice) { n.Files[0].Size = 1 << 40 },
			step: ota.StepDownloadFailed, why: "free are",
		},
		"several files": {
			edit: func(n *ota.Notice) {
				n.Files = append(n.Files, n.Files[0])
				n.Files[0].Name, n.Files[1].Name = "a", "b"
			},
			step: ota.StepUpgradeFailed, why: "2 files",
		},
		"over MQTT": {
			edit: func(n *ota.Notice) { n.Files[0].URL, n.Stream = "", &ota.Stream{ID: 1, FileID: 1} },
			step: ota.StepUpgradeFailed, why: "MQTT",
		},
		"I6 unknown module": {
			edit: func(n *ota.Notice) { n.Module = "radio" },
			step: ota.StepUpgradeFailed, why: "no module",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, lamp)
				if c.prepare != nil {
					c.prepare(w)
				}
				w.start()
				w.settle(time.Minute)
				w.wants(lamp, c.edit)
				w.settle(time.Hour)
				w.wantFailed(lamp, c.step, c.why)
				if n := len(w.installed()); n != c.installs {
					t.Errorf("the installer was called %d times", n)
				}
				// The failure is the negative step, then the version.
				got := w.got("lamp")
				if last := got[len(got)-2:]; c.why != "does not say" && c.why != "no module" && last[0] != "lamp inform 1.0.0" {
					t.Errorf("in the end the cloud got %q", last)
				}
			})
		})
	}
}

func TestSlowToBecomeTheNewVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, lamp)
		w.install = func(_ context.Context, u Update) error {
			time.AfterFunc(100*time.Second, func() {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.version[u.Device] = u.Version
			})
			return nil
		}
		w.start()
		w.wants(lamp, nil)
		w.settle(10 * time.Minute)
		if s := w.state(lamp); s != "succeeded" {
			t.Errorf("the task is %q, the cloud got %q", s, w.got(""))
		}
	})
}

// Later is not a failure: the cloud is asked whether it still wants it, and the
// package is not fetched again.
func TestLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, lamp)
		calls := 0
		var at []time.Time
		w.install = func(_ context.Context, u Update) error {
			at = append(at, time.Now())
			if calls++; calls < 3 {
				return fmt.Errorf("it is in use: %w", ErrLater)
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			w.version[u.Device] = u.Version
			return nil
		}
		w.start()
		w.settle(time.Second)
		w.wants(lamp, nil)
		w.settle(time.Minute)
		w.connect() // the notice comes again, and does not cut the pause short
		w.settle(time.Hour)
		if s := w.state(lamp); s != "succeeded" || calls != 3 || len(w.requests()) != 1 {
			t.Errorf("task %q, %d calls, requests %q", s, calls, w.requests())
		}
		if d := at[1].Sub(at[0]); d < DefaultLater || d > DefaultLater+time.Minute {
			t.Errorf("asked again after %v", d)
		}
		if got := w.got("lamp progress -"); len(got) != 0 {
			t.Errorf("the cloud was told %q", got)
		}
	})
}

// What the cloud does not want any more is not installed when its time comes.
func TestLaterAndNotWantedAnyMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, lamp)
		w.install = func(context.Context, Update) error { return ErrLater }
		w.start()
		w.settle(time.Second)
		w.wants(lamp, nil)
		w.settle(time.Minute)
		w.locked(func() { w.tasks[lamp].state = "cancelled" })
		w.settle(time.Hour)
		if n := len(w.installed()); n != 1 {
			t.Errorf("the installer was called %d times", n)
		}
		w.wantClean()
	})
}

func TestW5TheSameBadVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, lamp)
		w.install = func(context.Context, Update) error { return errors.New("no") }
		w.start()
		w.settle(time.Second)
		w.wants(lamp, nil)
		w.locked(func() { w.tasks[lamp].retries = 9 })
		w.settle(time.Hour)
		if n := len(w.installed()); n != DefaultAttempts {
			t.Errorf("the installer was called %d times", n)
		}
		got := w.got("lamp progress -")
		if len(got) != 10 || !strings.Contains(got[9], "make a new version") {
			t.Errorf("the cloud was told %q", got)
		}
	})
}

// The URL has expired: the cloud is asked for another one, once.
func TestN17FreshURL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, lamp)
		w.serve = func(rw http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/old" {
				w.mu.Lock()
				w.tasks[lamp].notice.Files[0].URL = "http://packages.test/pkg"
				w.mu.Unlock()
				rw.WriteHeader(403)
				return true
			}
			return false
		}
		w.start()
		w.settle(time.Second)
		w.wants(lamp, func(n *ota.Notice) { n.Files[0].URL = "http://packages.test/old" })
		w.settle(time.Minute)
		if s := w.state(lamp); s != "succeeded" {
			t.Errorf("the task is %q, the cloud got %q", s, w.got(""))
		}
	})
}
