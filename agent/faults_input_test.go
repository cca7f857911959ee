package agent

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/verify"
)

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

func (noPolicy) Check(*ota.Notice, verify.Device) (verify.Grant, error) {
	return verify.Grant{}, errors.New("no signature")
}

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
