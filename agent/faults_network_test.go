package agent

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/leapslot/ota"
)

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

// A notice that cannot be acted on comes during an update of its module: its
// refusal would be taken for the end of that update, so nothing is said.
func TestN23BadNoticeDuringAnUpdate(t *testing.T) {
	w := goodWorld(t)
	bad := []byte(`{"code":"1000","data":{"size":0,"sign":"54d6ff5a205596db57161705764eeb1b","version":"3.0.0","url":"http://h"},"id":1}`)
	w.pkg = bytes.Clone(w.pkg)
	w.pkg[7] ^= 1
	w.badServer(func(http.ResponseWriter, *http.Request) bool {
		w.cloud.events <- ota.Event{Kind: ota.TopicUpgrade, Payload: bad}
		return false
	})
	w.ends("[1.0.0 -3]", false, "announced")
}

func TestN26PartOfAnotherPackageIsDropped(t *testing.T) {
	w := patchWorld(t)
	w.write("spool", bytes.Repeat([]byte("junk"), 1<<16))
	w.ends("[1.0.0 100 2.0.0]", true, "")
}
