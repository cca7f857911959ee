package agent

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/verify"
)

// bundleHead is the length of what stands before the package in the bundles of
// these tests. The real format is that of verify/bundle.
const bundleHead = 4096

func openBundle(r io.ReaderAt, size int64) (b Bundle, err error) {
	if size < bundleHead {
		return b, errors.New("it is no bundle")
	}
	head := make([]byte, bundleHead)
	if _, err := r.ReadAt(head, 0); err != nil {
		return b, err
	}
	err = json.Unmarshal(bytes.TrimRight(head, "\x00"), &b.Notice)
	b.Payload = io.NewSectionReader(r, bundleHead, size-bundleHead)
	return b, err
}

// asBundle takes the world's package from its server, and puts it into a file
// that somebody installs. The cloud announces nothing.
func (w *world) asBundle() {
	w.cloud.quiet, w.install = true, w.path("usb.otab")
	w.writeBundle(w.pkg)
	w.pkg = nil
}

func (w *world) writeBundle(pkg []byte) {
	n := w.notice
	n.Files = []ota.File{n.Files[0]}
	n.Files[0].URL = ""
	head, err := json.Marshal(n)
	if err != nil {
		w.t.Fatal(err)
	}
	w.write("usb.otab", append(append(head, make([]byte, bundleHead-len(head))...), pkg...))
}

func bundleWorld(t *testing.T) *world {
	w := goodWorld(t)
	w.signed(false, nil)
	w.asBundle()
	return w
}

// A bundle needs a manifest, whatever is wanted of packages from the cloud.
func TestT1BundleWithoutManifest(t *testing.T) {
	w := bundleWorld(t)
	w.policy = anyPolicy{}
	w.ends("[1.0.0 -3]", false, "a bundle is installed only with a manifest")
}

// T6: the file is exchanged between two halves of the installation; it is taken
// away, or was changed before it.
func TestT6BundleExchanged(t *testing.T) {
	half := func() *world {
		return cutAt(t, Fetch, func(t *testing.T) *world {
			w := bundleWorld(t)
			return w
		})
	}
	w := half()
	w.writeBundle(image(5, "EVIL"))
	w.ends("[1.0.0 -3 1.0.0]", false, "announced")
	w = half()
	w.writeBundle(image(5, "EVIL")[:imageSize/2])
	w.ends("[1.0.0 -3 1.0.0]", false, "announced")
	w = half()
	os.Remove(w.install)
	w.ends("[1.0.0 -2 1.0.0]", false, "the bundle is gone")
	w = half()
	w.writeBundle(w.new) // the same again
	w.ends("[1.0.0 100 2.0.0]", true, "")
}

// Files that are no bundles, or that nobody may install now, are refused at once.
func TestInstallRefused(t *testing.T) {
	w := bundleWorld(t)
	a, _ := w.started()
	for path, want := range map[string]string{w.path("none"): "no such file", w.dir: "no regular file", w.path("record.0"): "no bundle"} {
		if err := a.Install(within(t), path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
	w.writeBundle(w.new[:100])
	if err := a.Install(within(t), w.install); err == nil || !strings.Contains(err.Error(), "its manifest names") {
		t.Errorf("short: %v", err)
	}
	w.writeBundle(w.new)
	if err := a.Pause(within(t)); err != nil {
		t.Fatal(err)
	}
	if err := a.Install(within(t), w.install); !errors.Is(err, ErrPaused) {
		t.Errorf("paused: %v", err)
	}
	if err := a.Resume(within(t)); err != nil {
		t.Fatal(err)
	}
	w.notice.Version = oldVersion
	w.writeBundle(w.new)
	if err := a.Install(within(t), w.install); !errors.Is(err, ErrInstalled) {
		t.Errorf("installed: %v", err)
	}
	w.boots++
	w.change = func(c *Config) { c.OpenBundle = nil }
	b, err := New(w.config(w.machine(), "1"))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Install(within(t), w.install); err == nil || !strings.Contains(err.Error(), "no bundles") {
		t.Errorf("not configured: %v", err)
	}
}

// A device without any network is updated from a bundle, and tells what happened
// when it reaches the cloud weeks later (N22).
func TestN22InstalledOffline(t *testing.T) {
	w := bundleWorld(t)
	for range 2 {
		a, stop := w.started()
		if w.boots == 0 {
			if err := a.Install(within(t), w.install); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the restart", func() bool { rec, err := loadRecord(w.store()); return err == nil && rec.Update.Stage == Reboot })
		} else {
			eventually(t, "the end", func() bool { return a.Status().Last != nil })
			if s := a.Status(); s.Last.Step != 100 || s.Online || s.Owed != 2 {
				t.Errorf("%+v", s)
			}
		}
		stop()
		w.boots++
	}
	os.Remove(w.install)
	w.live()
	if got := fmt.Sprint(w.cloud.heard()); got != "[100 2.0.0]" || !w.lives() {
		t.Errorf("the cloud heard %s", got)
	}
}

// A bundle of an older system is refused like one from the cloud (T9).
func TestT9BundleReplayed(t *testing.T) {
	w := bundleWorld(t)
	w.ends("[1.0.0 100 2.0.0]", true, "")
	w.pkg, w.notice.Version = w.new, "1.9.9"
	w.signed(false, func(g *verify.Grant) { g.SecurityVersion = 6 })
	w.writeBundle(w.new)
	a, _ := w.started()
	if err := a.Install(within(t), w.install); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end", func() bool { return a.Status().Last.Step == -3 })
}
