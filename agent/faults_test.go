package agent

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// goodWorld is a device with an undisturbed full update to do.
func goodWorld(t *testing.T) *world {
	img := image(2, "NEW")
	return newWorld(t, img, img, false)
}

func patchWorld(t *testing.T) *world {
	return newWorld(t, bytes.Clone(goodPatch()), edited("NEW"), true)
}

// goodPatch is made once: that takes longer than most tests that use it.
var goodPatch = sync.OnceValue(func() []byte { return patchOf(image(1, "OLD"), edited("NEW")) })

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
