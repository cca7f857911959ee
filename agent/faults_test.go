package agent

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/platform"
)

// goodWorld is a device with an undisturbed full update to do.
func goodWorld(t *testing.T) *world {
	img := image(2, "NEW")
	return newWorld(t, img, img, false)
}

func patchWorld(t *testing.T) *world {
	img := edited("NEW")
	return newWorld(t, patchOf(image(1, "OLD"), img), img, true)
}

// ends lives to the end and compares what was heard and how it ended.
func (w *world) ends(heard string, isNew bool, reason string) {
	w.t.Helper()
	w.live()
	if got := fmt.Sprint(w.cloud.heard()); got != heard {
		w.t.Errorf("the cloud heard %s, wanted %s (all: %s)", got, heard, w.cloud.all())
	}
	rec, err := loadRecord(w.store())
	if err != nil || len(rec.History) == 0 {
		w.t.Fatalf("no history: %v", err)
	}
	if last := rec.History[len(rec.History)-1]; !strings.Contains(last.Reason, reason) {
		w.t.Errorf("reason %q, wanted one with %q", last.Reason, reason)
	}
	if w.lives() != isNew {
		w.t.Errorf("new runs: %v", !isNew)
	}
}

func (w *world) badServer(f func(rw http.ResponseWriter, r *http.Request) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bad = f
}

func TestN9ExpiredURLIsAskedForOnce(t *testing.T) {
	w := goodWorld(t)
	w.badServer(func(rw http.ResponseWriter, r *http.Request) bool {
		rw.WriteHeader(http.StatusForbidden)
		return true
	})
	w.ends("[1.0.0 -2]", false, "403")
	if n := strings.Count(w.cloud.all(), "get"); n != 1 {
		t.Errorf("asked %d times: %s", n, w.cloud.all())
	}
}

func TestN17FreshURLGoesOnFromTheSameByte(t *testing.T) {
	w := goodWorld(t)
	w.cloud.fresh = w.server.URL + "/fresh"
	half := len(w.pkg) / 2
	w.badServer(func(rw http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/fresh" {
			return false
		}
		if r.Header.Get("Range") == "" {
			rw.Header().Set("ETag", `"1"`)
			rw.Header().Set("Content-Length", fmt.Sprint(len(w.pkg)))
			rw.Write(w.pkg[:half])
			return true // the connection breaks
		}
		rw.WriteHeader(http.StatusForbidden)
		return true
	})
	w.change = func(c *Config) { c.Downloads = retrying(t, 2) }
	w.ends("[1.0.0 100 2.0.0]", true, "")
	if last := w.ranges[len(w.ranges)-1]; !strings.HasPrefix(last, fmt.Sprintf("bytes=%d-", half)) {
		t.Errorf("ranges %q: the fresh URL was not asked for the rest", w.ranges)
	}
}

func TestN23DuplicateNotices(t *testing.T) {
	w := goodWorld(t)
	push, err := ota.EncodePush(w.notice)
	if err != nil {
		t.Fatal(err)
	}
	w.badServer(func(rw http.ResponseWriter, r *http.Request) bool {
		w.cloud.events <- ota.Event{Kind: ota.TopicUpgrade, Payload: push}
		w.cloud.events <- ota.Event{}
		return false
	})
	w.ends("[1.0.0 100 2.0.0]", true, "")
	if len(w.ranges) != 1 {
		t.Errorf("%d downloads", len(w.ranges))
	}
}

// A notice that was sent while an update failed may be the same task's: it is
// not acted on, the cloud is asked what it wants.
func TestN23DuplicateDuringAFailure(t *testing.T) {
	w := goodWorld(t)
	push, err := ota.EncodePush(w.notice)
	if err != nil {
		t.Fatal(err)
	}
	w.pkg = bytes.Clone(w.pkg)
	w.pkg[7] ^= 1
	w.badServer(func(http.ResponseWriter, *http.Request) bool {
		w.cloud.events <- ota.Event{Kind: ota.TopicUpgrade, Payload: push}
		return false
	})
	w.ends("[1.0.0 -3]", false, "announced")
	if !strings.HasSuffix(w.cloud.all(), "-3 get") {
		t.Errorf("heard %s, wanted the question after the failure", w.cloud.all())
	}
}

// Another version is announced while an update is under way: the update goes on
// undisturbed, and afterwards the cloud is asked what it wants.
func TestN23AnotherVersionDuringAnUpdate(t *testing.T) {
	w := goodWorld(t)
	other := w.notice
	other.Version = "3.0.0"
	push, err := ota.EncodePush(other)
	if err != nil {
		t.Fatal(err)
	}
	w.pkg = bytes.Clone(w.pkg)
	w.pkg[7] ^= 1
	w.badServer(func(http.ResponseWriter, *http.Request) bool {
		w.cloud.events <- ota.Event{Kind: ota.TopicUpgrade, Payload: push}
		return false
	})
	w.ends("[1.0.0 -3]", false, "announced")
	if len(w.ranges) != 1 || !strings.HasSuffix(w.cloud.all(), "-3 get") {
		t.Errorf("%d downloads, heard %s", len(w.ranges), w.cloud.all())
	}
}

func TestN26PartOfAnotherPackageIsDropped(t *testing.T) {
	w := patchWorld(t)
	w.write("spool", bytes.Repeat([]byte("junk"), 1<<16))
	w.ends("[1.0.0 100 2.0.0]", true, "")
}

func TestS2ImageLargerThanTheSlot(t *testing.T) {
	w := newWorld(t, make([]byte, slotSize+1), nil, false)
	w.ends("[1.0.0 -4]", false, "takes 2097152")
	if b, err := os.ReadFile(w.path("b.img")); err != nil || !bytes.Equal(b, make([]byte, slotSize)) {
		t.Error("the slot was written all the same")
	}
	w = newWorld(t, make([]byte, slotSize+slotSize/archiveOverhead+1), nil, false)
	w.ends("[1.0.0 -4]", false, "takes 2097152")
	if len(w.ranges) != 0 {
		t.Error("it was fetched all the same")
	}
	big := bytes.Repeat([]byte{7}, slotSize+1)
	w = newWorld(t, gzipOf(nil, big), nil, false)
	w.ends("[1.0.0 -4]", false, "too large")
}

// brokenMedium fails as a device does; a file cannot be made to.
type brokenMedium struct {
	platform.Medium
	after  int64
	errno  error
	rotten bool // what is read back is not what was written
}

func (m *brokenMedium) WriteAt(p []byte, off int64) (int, error) {
	if m.errno != nil && off+int64(len(p)) > m.after {
		return 0, m.errno
	}
	return m.Medium.WriteAt(p, off)
}

func (m *brokenMedium) ReadAt(p []byte, off int64) (int, error) {
	n, err := m.Medium.ReadAt(p, off)
	if m.rotten && n > 0 {
		p[0] ^= 0x40
	}
	return n, err
}

type brokenSlot struct {
	platform.Slot
	m    brokenMedium
	open error
}

func (s *brokenSlot) Open(write bool) (platform.Medium, error) {
	if s.open != nil && write {
		return nil, s.open
	}
	m, err := s.Slot.Open(write)
	return &brokenMedium{m, s.m.after, s.m.errno, s.m.rotten}, err
}

func (w *world) breakSlot(i int, s brokenSlot) {
	w.change = func(c *Config) {
		broken := s
		broken.Slot = c.Slots[i]
		c.Slots[i] = &broken
	}
}

func TestS1S4WriteErrors(t *testing.T) {
	for _, errno := range []error{syscall.ENOSPC, syscall.EIO} {
		for _, w := range []*world{goodWorld(t), patchWorld(t)} {
			w.breakSlot(1, brokenSlot{m: brokenMedium{after: 300000, errno: errno}})
			w.ends("[1.0.0 -4]", false, errno.Error())
		}
	}
}

func TestS3ReadErrorInTheSourceOfADiff(t *testing.T) {
	w := patchWorld(t)
	w.breakSlot(0, brokenSlot{m: brokenMedium{rotten: true}})
	w.ends("[1.0.0 -4]", false, "modified")
	if len(w.ranges) != 0 {
		t.Error("it was fetched all the same")
	}
}

func TestS5ChangedOnTheMedium(t *testing.T) {
	w := goodWorld(t)
	w.breakSlot(1, brokenSlot{m: brokenMedium{rotten: true}})
	w.ends("[1.0.0 -4]", false, "does not hold what was written")
}

func TestS6SlotBusy(t *testing.T) {
	w := goodWorld(t)
	w.breakSlot(1, brokenSlot{open: fmt.Errorf("slot b is mounted: %w", platform.ErrBusy)})
	w.ends("[1.0.0 -4]", false, "mounted")
}

// sickStore cannot save from its n-th save on, like a file system that was
// remounted read-only.
type sickStore struct {
	Store
	left int
}

func (s *sickStore) Save(b []byte) error {
	if s.left--; s.left < 0 {
		return syscall.EROFS
	}
	return s.Store.Save(b)
}

func TestS7StateReadOnlyDuringAnUpdate(t *testing.T) {
	for n := range 7 {
		w := goodWorld(t)
		w.change = func(c *Config) { c.Store = &sickStore{c.Store, n} }
		w.boot()
		if got := fmt.Sprint(w.cloud.heard()); got != "[1.0.0 -1]" && got != "[-1 1.0.0]" && got != "[1.0.0 -2]" {
			t.Errorf("%d saves: the cloud heard %s (all: %s)", n, got, w.cloud.all())
		}
		if w.lives() {
			t.Error("new runs")
		}
	}
}

func TestS8RecordDamaged(t *testing.T) {
	w := goodWorld(t)
	w.write("record.0", []byte("garbage"))
	w.write("record.1", nil)
	w.ends("[1.0.0 100 2.0.0]", true, "")
}

func TestS8RecordOfANewerAgent(t *testing.T) {
	w := goodWorld(t)
	if err := w.store().Save([]byte(`{"format":99}`)); err != nil {
		t.Fatal(err)
	}
	m := w.machine()
	if _, err := m.PowerOn(); err != nil {
		t.Fatal(err)
	}
	if _, err := New(w.config(m, "1")); err == nil || !strings.Contains(err.Error(), "newer") {
		t.Errorf("error %v", err)
	}
}

func TestS9SourceModified(t *testing.T) {
	w := patchWorld(t)
	w.write("a.img", append(append([]byte("XXX"), w.old[3:]...), make([]byte, slotSize-len(w.old))...))
	w.live()
	if got := fmt.Sprint(w.cloud.heard()); got != "[1.0.0 -4]" {
		t.Errorf("heard %s", got)
	}
	if len(w.ranges) != 0 {
		t.Error("it was fetched all the same")
	}
}

func TestS9SourceUnknown(t *testing.T) {
	w := patchWorld(t)
	os.Remove(w.path("record.0"))
	os.Remove(w.path("record.1"))
	w.ends("[1.0.0 -4]", false, "--record-slot")

	w = patchWorld(t)
	os.Remove(w.path("record.0"))
	os.Remove(w.path("record.1"))
	w.allow = true
	w.ends("[1.0.0 100 2.0.0]", true, "")
}

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

// T1, T11: what the policy refuses is not fetched.
func TestT1RefusedByThePolicy(t *testing.T) {
	w := goodWorld(t)
	w.policy = noPolicy{}
	w.ends("[1.0.0 -3]", false, "no signature")
	if len(w.ranges) != 0 {
		t.Error("it was fetched all the same")
	}
}

type noPolicy struct{}

func (noPolicy) Check(*ota.Notice) error { return errors.New("no signature") }

func TestI1HostilePatch(t *testing.T) {
	img := edited("NEW")
	pkg := patchOf(image(1, "OLD"), img)
	pkg[40] ^= 0xff
	w := newWorld(t, pkg, img, true)
	w.ends("[1.0.0 -4]", false, "patch")
}

// A compressed package that was damaged on its way is a failed verification,
// one that was made so is a failed writing.
func TestDamagedArchive(t *testing.T) {
	img := image(2, "NEW")
	w := newWorld(t, gzipOf(nil, img), img, false)
	w.pkg = bytes.Clone(w.pkg)
	w.pkg[len(w.pkg)/2] ^= 1
	w.ends("[1.0.0 -3]", false, "announced")

	pkg := gzipOf(nil, img)
	pkg[len(pkg)/2] ^= 1
	w = newWorld(t, pkg, img, false)
	w.ends("[1.0.0 -4]", false, "")
}

func TestI6UnknownModule(t *testing.T) {
	w := goodWorld(t)
	w.notice.Module = "MCU"
	w.ends("[1.0.0 -1]", false, "MCU")
}

func TestI6AlreadyInstalled(t *testing.T) {
	w := goodWorld(t)
	w.ends("[1.0.0 100 2.0.0]", true, "")
	w.cloud.ended = false
	w.live()
	if len(w.ranges) != 1 {
		t.Errorf("fetched %d times", len(w.ranges))
	}
	if s := w.cloud.all(); !strings.HasSuffix(s, "100 2.0.0 2.0.0") {
		t.Errorf("heard %s: the version was to be reported again", s)
	}
}

// I5: a notice that cannot be acted on is answered with -1 and a reason.
func TestI5NoticeRefusedIsReported(t *testing.T) {
	w := goodWorld(t)
	w.cloud.quiet = true
	w.cloud.events <- ota.Event{}
	bad := ota.Event{Kind: ota.TopicUpgrade, Payload: []byte(`{"code":"1000","data":{"size":0,"sign":"54d6ff5a205596db57161705764eeb1b","version":"2.0.0","url":"http://h"},"id":1}`)}
	w.change = func(*Config) { w.cloud.events <- bad }
	w.cloud.keepEvents = true
	w.live()
	if got := fmt.Sprint(w.cloud.heard()); got != "[1.0.0 -1]" && got != "[-1 1.0.0]" {
		t.Errorf("heard %s", got)
	}
}

// cutAt cuts the power where the record says that the update is at a stage.
func cutAt(t *testing.T, stage Stage, make func(*testing.T) *world) *world {
	t.Helper()
	for k := 1; k < 100; k++ {
		w := make(t)
		w.cut.k = k
		w.boot()
		if rec, err := loadRecord(w.store()); err == nil && rec.Update != nil && rec.Update.Stage == stage {
			return w
		}
	}
	t.Fatalf("no cut ends at the stage %s", stage)
	return nil
}

// T6: the spooled patch is changed between its verification and its use.
func TestT6SpoolChangedAfterVerification(t *testing.T) {
	w := cutAt(t, Write, patchWorld)
	spool, err := os.ReadFile(w.path("spool"))
	if err != nil {
		t.Fatal(err)
	}
	spool[len(spool)/2] ^= 1
	w.write("spool", spool)
	w.ends("[1.0.0 -4 1.0.0]", false, "changed")
}

// S9, T6: the running image is changed between the check of a patch's source
// and the patching.
func TestS9SourceModifiedAfterTheCheck(t *testing.T) {
	w := cutAt(t, Write, patchWorld)
	running, err := os.ReadFile(w.path("a.img"))
	if err != nil {
		t.Fatal(err)
	}
	for i := 5000; i < 6000; i++ {
		running[i] ^= 0xff
	}
	w.write("a.img", running)
	w.old = running[:imageSize]
	w.ends("[1.0.0 -4 1.0.0]", false, "modified")
}

// S10: the slots were switched by hand in the middle of a download. What was
// the spare slot runs now, and is not written.
func TestS10SlotsSwitchedByHand(t *testing.T) {
	w := goodWorld(t)
	w.cut.k = 12
	if !w.boot() {
		t.Fatal("it was not cut")
	}
	w.write("b.img", append(bytes.Clone(w.new), make([]byte, slotSize-len(w.new))...))
	m := w.machine()
	if err := m.Try("b"); err != nil {
		t.Fatal(err)
	}
	if _, err := m.PowerOn(); err != nil {
		t.Fatal(err)
	}
	if err := m.Keep(); err != nil {
		t.Fatal(err)
	}
	w.ends("[1.0.0 -1 1.0.0]", true, "now slot b runs")
}
