package agent

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leapslot/ota/diff"
)

// nativeWorld has a patch of several frames in the native format.
func nativeWorld(t *testing.T) *world {
	img := image(2, "NEW")
	return newWorld(t, nativeOf(image(1, "OLD"), img), img, true)
}

// Killed in the middle, it goes on at the beginning of a frame, and the spool stays empty.
func TestW9NativeResumesAtAFrame(t *testing.T) {
	w := nativeWorld(t)
	info, err := diff.ParseNativeHeader(w.pkg[:diff.NativeHeader])
	if err != nil || info.Frames < 2 {
		t.Fatalf("%d frames, %v", info.Frames, err)
	}
	var once sync.Once
	var again []string
	w.badServer(func(rw http.ResponseWriter, r *http.Request) (done bool) {
		once.Do(func() {
			rw.Header().Set("ETag", `"1"`)
			rw.Header().Set("Content-Length", fmt.Sprint(len(w.pkg)))
			rw.Write(w.pkg[:len(w.pkg)-100])
			rw.(http.Flusher).Flush()
			time.Sleep(200 * time.Millisecond)
			w.cut.cutNow.Store(true)
			rw.Write(w.pkg[len(w.pkg)-100 : len(w.pkg)-50])
			done = true
		})
		if !done {
			again = append(again, r.Header.Get("Range"))
		}
		return done
	})
	w.ends("[1.0.0 100 2.0.0]", true, "")
	if len(again) != 1 || !strings.HasPrefix(again[0], "bytes=") || again[0] == "bytes=0-" {
		t.Errorf("asked again for %q", again)
	}
	if fi, err := os.Stat(w.path("spool")); err != nil || fi.Size() > 0 {
		t.Errorf("the spool: %v, %v", fi, err)
	}
}

// The patch names its source: one that nobody has recorded is found out, and one that it
// is not for is refused before a byte is written. No room in the state directory is needed.
func TestS9NativeSource(t *testing.T) {
	w := nativeWorld(t)
	os.Remove(w.path("record.0"))
	os.Remove(w.path("record.1"))
	w.change = func(c *Config) { c.Spool = fullSpool{c.Spool} }
	w.ends("[1.0.0 100 2.0.0]", true, "")

	for _, known := range []bool{true, false} {
		img := image(2, "NEW")
		w := newWorld(t, nativeOf(image(3, "OTHER"), img), img, true)
		if !known {
			os.Remove(w.path("record.0"))
			os.Remove(w.path("record.1"))
		}
		before, err := os.ReadFile(w.path("b.img"))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		w.ends("[1.0.0 -4]", false, "send the full package")
		if after, _ := os.ReadFile(w.path("b.img")); string(after) != string(before) {
			t.Errorf("known %v: the spare slot was written", known)
		}
	}
}

// I1: what is no sound patch is refused, and the device lives.
func TestI1NativeHostile(t *testing.T) {
	img := image(2, "NEW")
	good := nativeOf(image(1, "OLD"), img)
	for name, pkg := range map[string][]byte{
		"only the magic":     good[:diff.MagicSize],
		"half a header":      good[:50],
		"a header alone":     good[:diff.NativeHeader],
		"cut":                good[:len(good)/2],
		"longer":             append(append([]byte(nil), good...), 0),
		"another version":    append(append([]byte(nil), good[:8]...), append([]byte{9}, good[9:]...)...),
		"short and no magic": []byte("OTA"),
	} {
		t.Run(name, func(t *testing.T) {
			newWorld(t, pkg, img, true).ends("[1.0.0 -4]", false, "")
		})
	}
}
