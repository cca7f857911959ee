package store

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// sameState wants two stores that were given the same to load the same.
func sameState(t *testing.T, one, other Store) {
	t.Helper()
	a, err := one.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b, err := other.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(a, b, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("(-%T +%T):\n%s", one, other, diff)
	}
}

// TestMemory: it loads what SQLite loads. That it refuses what SQLite refuses, and
// deletes what SQLite deletes, is in TestConflict and TestDeletedIsGone.
func TestMemory(t *testing.T) {
	w := newTown(t, filepath.Join(t.TempDir(), "ota.db"))
	memory := NewMemory()
	w.also = []Store{memory}
	w.fill(30)
	sameState(t, w.store, memory)
	st, err := memory.Load(t.Context())
	if err != nil || len(st.Devices) != 30 || len(st.Tasks) != 29 || st.Sequence == 0 {
		t.Errorf("%d devices, %d tasks, sequence %d, %v", len(st.Devices), len(st.Tasks), st.Sequence, err)
	}
}
