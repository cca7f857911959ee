package agent

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/verify"
)

// grants is a policy that has found a manifest. What it makes of manifests and
// keys is tested where the real one lives; here the question is what the agent
// does with what it says.
type grants struct {
	g    verify.Grant
	seen *verify.Device
}

func (p grants) Check(_ *ota.Notice, d verify.Device) (verify.Grant, error) {
	if p.seen != nil {
		*p.seen = d
	}
	return p.g, nil
}

func grantOf(pkg, image []byte) verify.Grant {
	return verify.Grant{Manifest: true, PackageSize: int64(len(pkg)), PackageSHA256: fmt.Sprintf("%x", sha256.Sum256(pkg)),
		ImageSize: int64(len(image)), ImageSHA256: fmt.Sprintf("%x", sha256.Sum256(image)), SecurityVersion: 7}
}

// signed gives the world's package a manifest; with weak it is announced with
// its MD5, as old clouds do.
func (w *world) signed(weak bool, change func(*verify.Grant)) *verify.Device {
	g, seen := grantOf(w.pkg, w.new), &verify.Device{}
	if change != nil {
		change(&g)
	}
	if weak {
		w.notice.SignMethod, w.notice.Files[0].Sign = ota.MD5, fmt.Sprintf("%x", md5.Sum(w.pkg))
	}
	w.policy = grants{g, seen}
	return seen
}

const otherSum = "0000000000000000000000000000000000000000000000000000000000000000"

// T5: what the manifest says of package and image is compared, each at its
// place, and what the policy is asked is true.
func TestT5ManifestCompared(t *testing.T) {
	for _, s := range []struct {
		name   string
		weak   bool
		diff   bool
		change func(*verify.Grant)
		heard  string
		reason string
	}{
		{"good", false, false, nil, "[1.0.0 100 2.0.0]", ""},
		{"good, announced with MD5", true, false, nil, "[1.0.0 100 2.0.0]", ""},
		{"good patch, announced with MD5", true, true, nil, "[1.0.0 100 2.0.0]", ""},
		{"package size", true, false, func(g *verify.Grant) { g.PackageSize++ }, "[1.0.0 -3]", "its manifest says"},
		{"announced digest", false, false, func(g *verify.Grant) { g.PackageSHA256 = otherSum }, "[1.0.0 -3]", "another SHA-256"},
		{"package behind the same MD5", true, false, func(g *verify.Grant) { g.PackageSHA256 = otherSum }, "[1.0.0 -3]", "not the signed one"},
		{"patch behind the same MD5", true, true, func(g *verify.Grant) { g.PackageSHA256 = otherSum }, "[1.0.0 -3]", "not the signed one"},
		{"image size", false, false, func(g *verify.Grant) { g.ImageSize-- }, "[1.0.0 -3]", "signed are"},
		{"image", false, false, func(g *verify.Grant) { g.ImageSHA256 = otherSum }, "[1.0.0 -3]", "not the signed one"},
		{"image of a patch", false, true, func(g *verify.Grant) { g.ImageSHA256 = otherSum }, "[1.0.0 -4 1.0.0]", "not the signed one"},
		{"no room for the image", false, false, func(g *verify.Grant) { g.ImageSize = slotSize + 1 }, "[1.0.0 -4]", "takes"},
	} {
		t.Run(s.name, func(t *testing.T) {
			w := goodWorld(t)
			if s.diff {
				w = patchWorld(t)
			}
			seen := w.signed(s.weak, s.change)
			w.change = func(c *Config) { c.Product, c.Clock = "a1", func() time.Time { return time.Unix(1<<32, 0) } }
			w.live()
			heard := strings.Replace(fmt.Sprint(w.cloud.heard()), " 1.0.0]", "]", 1)
			if want := strings.Replace(s.heard, " 1.0.0]", "]", 1); heard != want {
				t.Errorf("the cloud heard %s, wanted %s", heard, want)
			}
			rec, err := loadRecord(w.store())
			if err != nil {
				t.Fatal(err)
			}
			if last := rec.History[0]; !strings.Contains(last.Reason, s.reason) || last.Time.Unix() != 1<<32 {
				t.Errorf("%+v", last)
			}
			if w.lives() != (s.reason == "") {
				t.Errorf("new runs: %v", s.reason != "")
			}
			if *seen != (verify.Device{Product: "a1", Version: oldVersion, Now: time.Unix(1<<32, 0)}) {
				t.Errorf("the policy was asked about %+v", *seen)
			}
		})
	}
}

// T5: a compressed image is compared as what comes out of it.
func TestT5ManifestOfACompressedImage(t *testing.T) {
	img := image(2, "NEW")
	w := newWorld(t, gzipOf(nil, img), img, false)
	w.signed(true, nil)
	w.ends("[1.0.0 100 2.0.0]", true, "")
	w = newWorld(t, gzipOf(nil, img), img, false)
	w.signed(true, func(g *verify.Grant) { g.ImageSHA256 = otherSum })
	w.ends("[1.0.0 -3]", false, "image is not the signed one")
}

// T9: a system that was kept raises the counter, one that failed does not, and
// what is older is refused, also when the record was lost.
func TestT9OlderSystemReplayed(t *testing.T) {
	counter := &verify.MemoryCounter{}
	for _, own := range []bool{true, false} {
		w := goodWorld(t)
		w.change = func(c *Config) {
			if !own {
				c.Counter = counter
			}
		}
		w.signed(false, nil)
		w.ends("[1.0.0 100 2.0.0]", true, "")
		if !own {
			os.Remove(w.path("record.0"))
			os.Remove(w.path("record.1"))
		}
		seen := w.signed(false, func(g *verify.Grant) { g.SecurityVersion = 6 })
		w.notice.Version, w.cloud.ended, w.cloud.log = "1.9.9", false, nil
		w.live()
		if got := fmt.Sprint(w.cloud.heard()); !strings.Contains(got, "-3") || seen.SecurityVersion != 7 {
			t.Errorf("own %v: the cloud heard %s, the counter was at %d", own, got, seen.SecurityVersion)
		}
	}
	if v, _ := counter.Value(); v != 7 {
		t.Errorf("the counter is at %d", v)
	}
	sick := image(2, "SICK")
	w := newWorld(t, sick, sick, false)
	counter = &verify.MemoryCounter{}
	w.change = func(c *Config) { c.Counter = counter }
	w.signed(false, nil)
	w.ends("[1.0.0 -1 1.0.0]", false, "healthy")
	if v, _ := counter.Value(); v != 0 {
		t.Errorf("a failed trial has raised the counter to %d", v)
	}
}

// stuckCounter cannot be raised for a while, like a TPM that is busy.
type stuckCounter struct {
	verify.MemoryCounter
	stuck, dead bool
}

func (c *stuckCounter) Value() (uint64, error) {
	if c.dead {
		return 0, errors.New("no TPM")
	}
	return c.MemoryCounter.Value()
}

func (c *stuckCounter) Raise(to uint64) error {
	if c.stuck {
		return errors.New("the TPM is busy")
	}
	return c.MemoryCounter.Raise(to)
}

// T9: a counter that cannot be raised makes no good system a bad one, and is
// raised at the next start; one that cannot be read lets nothing in.
func TestT9CounterBroken(t *testing.T) {
	c := &stuckCounter{stuck: true}
	w := goodWorld(t)
	w.change = func(cfg *Config) { cfg.Counter = c }
	w.signed(false, nil)
	w.ends("[1.0.0 100 2.0.0]", true, "")
	c.stuck = false
	w.cloud.log = nil
	w.live()
	if v, _ := c.Value(); v != 7 {
		t.Errorf("the counter is at %d", v)
	}
	w = goodWorld(t)
	w.change = func(cfg *Config) { cfg.Counter = &stuckCounter{dead: true} }
	w.signed(false, nil)
	w.ends("[1.0.0 -3]", false, "no TPM")
}

// A patch's source that a manifest names need not have been recorded; and when
// another image runs, nothing is fetched (S9).
func TestS9SourceSigned(t *testing.T) {
	for _, other := range []bool{false, true} {
		w := patchWorld(t)
		os.Remove(w.path("record.0"))
		os.Remove(w.path("record.1"))
		w.signed(false, func(g *verify.Grant) {
			g.SourceSize, g.SourceSHA256 = int64(len(w.old)), fmt.Sprintf("%x", sha256.Sum256(w.old))
			if other {
				g.SourceSHA256 = otherSum
			}
		})
		if !other {
			w.ends("[1.0.0 100 2.0.0]", true, "")
			continue
		}
		w.ends("[1.0.0 -4]", false, "send the full package")
		if len(w.ranges) != 0 {
			t.Error("it was fetched all the same")
		}
	}
}

// K2: the clock of the day jumps back and forth during an update; nothing is
// measured by it.
func TestK2ClockJumps(t *testing.T) {
	w := goodWorld(t)
	at := time.Unix(0, 0)
	w.change = func(c *Config) {
		c.Clock = func() time.Time {
			at = time.Unix(1<<33-at.Unix(), 0)
			return at
		}
	}
	w.ends("[1.0.0 100 2.0.0]", true, "")
}

// T6: a patch whose MD5 was kept while it was exchanged in the spool is found by
// its second digest.
func TestT6SpoolExchangedBehindTheManifest(t *testing.T) {
	w := cutAt(t, Write, func(t *testing.T) *world {
		w := patchWorld(t)
		w.signed(true, nil)
		return w
	})
	rec, err := loadRecord(w.store())
	if err != nil {
		t.Fatal(err)
	}
	if rec.Update.SHA256 == "" || rec.Update.SHA256 != rec.Update.Grant.PackageSHA256 {
		t.Fatalf("the record has the SHA-256 %q", rec.Update.SHA256)
	}
	spool, err := os.ReadFile(w.path("spool"))
	if err != nil {
		t.Fatal(err)
	}
	evil := bytes.Clone(spool)
	evil[len(evil)/2] ^= 1
	w.write("spool", evil)
	rec.Update.Digest = fmt.Sprintf("%x", md5.Sum(evil)) // as if both had one MD5
	if err := w.store().Save(rec.encode()); err != nil {
		t.Fatal(err)
	}
	w.ends("[1.0.0 -4 1.0.0]", false, "changed")
}
