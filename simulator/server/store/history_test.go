package store

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
)

func openHistory(t testing.TB, path string, l HistoryLimits) *History {
	t.Helper()
	h, lost, err := OpenHistory(context.Background(), path, l)
	if err != nil || lost {
		t.Fatalf("lost %v, %v", lost, err)
	}
	return h
}

func (h *History) must(t testing.TB, entries ...Entry) {
	t.Helper()
	if err := h.Append(context.Background(), entries); err != nil {
		t.Fatal(err)
	}
}

func (h *History) list(t testing.TB, f EntryFilter, p Page) ([]Entry, int) {
	t.Helper()
	list, n, err := h.Entries(context.Background(), f, p)
	if err != nil {
		t.Fatal(err)
	}
	return list, n
}

// TestHistory: what is recorded of a device is read back, the newest first, by kind, time
// and task, in pages, also after it was closed; another device's is not.
func TestHistory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	h := openHistory(t, path, HistoryLimits{Entries: 1000})
	d, other := ota.Device{ProductKey: "p", Name: "d"}, ota.Device{ProductKey: "p", Name: "e"}
	all := []Entry{
		{At: 10, Device: d, Kind: EntryConnect, Payload: []byte("from here")},
		{At: 20, Device: d, Kind: EntryNotice, Topic: ota.TopicUpgrade, QoS: 1, Size: 9000, Task: "t1", Payload: []byte(`{"a":1}`)},
		{At: 30, Device: d, Kind: EntryProgress, Topic: ota.TopicProgress, Size: 2, Payload: []byte("{}")},
		{At: 40, Device: d, Kind: EntryTask, Task: "t2"},
		{At: 50, Device: d, Kind: EntryDisconnect, Payload: []byte("silent")},
	}
	h.must(t, all...)
	h.must(t, Entry{At: 35, Device: other, Kind: EntryConnect}, Entry{At: 36, Kind: EntryLost, Size: 7}, Entry{At: 46, Kind: EntryLost, Size: 5})
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	h = openHistory(t, path, HistoryLimits{Entries: 1000})
	defer h.Close()
	list, n := h.list(t, EntryFilter{Device: d}, Page{Number: 1, Size: 10})
	if n != 5 || len(list) != 5 {
		t.Fatalf("%d of %d", len(list), n)
	}
	for i := range all {
		want := all[len(all)-1-i]
		want.ID = list[i].ID
		if diff := cmp.Diff(want, list[i]); diff != "" {
			t.Errorf("entry %d (-want +got):\n%s", i, diff)
		}
	}
	for name, tc := range map[string]struct {
		f    EntryFilter
		want string
	}{
		"kind":  {EntryFilter{Device: d, Kind: EntryNotice}, "20 "},
		"time":  {EntryFilter{Device: d, From: 20, Until: 40}, "40 30 20 "},
		"task":  {EntryFilter{Device: d, Task: "t1"}, "50 30 20 10 "},
		"other": {EntryFilter{Device: other}, "35 "},
		"none":  {EntryFilter{Device: ota.Device{ProductKey: "p", Name: "x"}}, ""},
	} {
		got := ""
		list, _ := h.list(t, tc.f, Page{Size: 10})
		for _, e := range list {
			got += fmt.Sprint(int64(e.At), " ")
		}
		if got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
	if list, n := h.list(t, EntryFilter{Device: d}, Page{Number: 2, Size: 2}); n != 5 || len(list) != 2 || list[0].At != 30 {
		t.Errorf("the second page: %d, %+v", n, list)
	}
	for since, want := range map[simulator.Stamp]int64{0: 12, 37: 5, 50: 0} {
		if got, err := h.Lost(t.Context(), since); got != want || err != nil {
			t.Errorf("lost since %d: %d, %v", since, got, err)
		}
	}
	if id, err := h.Latest(t.Context(), d); err != nil || id != list[0].ID {
		t.Errorf("the latest is %d, %v, want %d", id, err, list[0].ID)
	}
}

// TestHistoryBounds: the oldest go by number and by age, and one device that never stops
// does not push the others out.
func TestHistoryBounds(t *testing.T) {
	h := openHistory(t, filepath.Join(t.TempDir(), "history.db"), HistoryLimits{Entries: 30_000, MaxAge: 1000, PerDevice: 500})
	defer h.Close()
	quiet, loud := ota.Device{ProductKey: "p", Name: "quiet"}, ota.Device{ProductKey: "p", Name: "loud"}
	count := func(d ota.Device) int { _, n := h.list(t, EntryFilter{Device: d}, Page{}); return n }
	fill := func(d ota.Device, n int, at simulator.Stamp) {
		entries := make([]Entry, n)
		for i := range entries {
			entries[i] = Entry{At: at, Device: d, Kind: EntryInform}
		}
		h.must(t, entries...)
	}
	fill(quiet, 20, 100)
	for range 2 {
		fill(loud, trimEvery, 200)
	}
	if n := count(loud); n != 500 {
		t.Errorf("the loud one has %d entries, want 500", n)
	}
	if n := count(quiet); n != 20 {
		t.Errorf("the quiet one has %d entries, want 20", n)
	}
	fill(loud, 10, 1150)
	if err := h.Trim(t.Context(), 1150); err != nil { // what is from before 150 is too old
		t.Fatal(err)
	}
	if n := count(quiet); n != 0 {
		t.Errorf("%d entries are too old", n)
	}
	for i := range 5 {
		fill(ota.Device{ProductKey: "p", Name: fmt.Sprint(i)}, trimEvery-1, 1160)
	}
	if err := h.Trim(t.Context(), 1160); err != nil {
		t.Fatal(err)
	}
	var n int
	if err := h.read.QueryRowContext(t.Context(), "SELECT count(*) FROM entries").Scan(&n); err != nil || n > 30_000 {
		t.Errorf("%d entries, %v; 30,000 are allowed", n, err)
	}
}

// TestHistoryDamaged: a file that is damaged, or is none of SQLite's, does not keep the
// cloud from starting: it begins anew, and says so.
func TestHistoryDamaged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	h := openHistory(t, path, HistoryLimits{Entries: 10_000})
	d := ota.Device{ProductKey: "p", Name: "d"}
	for range 50 {
		h.must(t, make([]Entry, 100)...)
	}
	if _, err := h.conn.ExecContext(t.Context(), "UPDATE life SET boot = 'before the power cut'"); err != nil {
		t.Fatal(err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	torn := append([]byte{}, whole...)
	for i := 8 * 4096; i < len(torn)-4096; i += 3 * 4096 { // every third page was not written
		clear(torn[i : i+4096])
	}
	for name, content := range map[string][]byte{"garbage": []byte("no database at all, and long enough for one"), "torn": torn} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path+"-wal", nil, 0o600); err != nil { // its process did not close it
			t.Fatal(err)
		}
		h, lost, err := OpenHistory(t.Context(), path, HistoryLimits{Entries: 10_000})
		if err != nil || !lost {
			t.Fatalf("%s: lost %v, %v", name, lost, err)
		}
		h.must(t, Entry{At: 1, Device: d, Kind: EntryConnect})
		if _, n := h.list(t, EntryFilter{Device: d}, Page{}); n != 1 {
			t.Errorf("%s: %d entries", name, n)
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, _, err := OpenHistory(t.Context(), filepath.Join(t.TempDir(), "no", "such", "folder.db"), HistoryLimits{}); err == nil {
		t.Error("a folder that is not there is none")
	}
}

// TestEntryKinds: the words are read back, and are those of a device.
func TestEntryKinds(t *testing.T) {
	for _, k := range EntryKinds() {
		if got := ParseEntryKind(k.String()); got != k || k.String() == "" {
			t.Errorf("%d is %q, which is read as %d", k, k, got)
		}
	}
	for _, s := range []string{"", "lost", "x"} {
		if k := ParseEntryKind(s); k != 0 {
			t.Errorf("%q is read as %d", s, k)
		}
	}
	if EntryKind(99).String() != "" || EntryKind(-1).String() != "" {
		t.Error("kinds that there are not have a word")
	}
}

// BenchmarkHistory is what an entry costs, 4,000 at a time, of 1,000 devices.
func BenchmarkHistory(b *testing.B) {
	h := openHistory(b, filepath.Join(b.TempDir(), "history.db"), HistoryLimits{Entries: 200_000})
	defer h.Close()
	payload := []byte(`{"id":"123","params":{"step":"35","desc":"downloading","module":"default"}}`)
	entries := make([]Entry, 0, 4000)
	flush := func() { h.must(b, entries...); entries = entries[:0] }
	for i := range b.N {
		d := ota.Device{ProductKey: "a1product", Name: fmt.Sprint("device-", i%1000)}
		entries = append(entries, Entry{At: simulator.Stamp(i), Device: d, Kind: EntryProgress, Topic: ota.TopicProgress, QoS: 1, Size: int64(len(payload)), Payload: payload})
		if len(entries) == cap(entries) {
			flush()
		}
	}
	flush()
}
