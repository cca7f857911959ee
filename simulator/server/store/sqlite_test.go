package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
)

var start = time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC)

// town is a cloud whose changes are stored.
type town struct {
	t     testing.TB
	cloud *simulator.Cloud
	store *SQLite
	also  []Store // that are given the same
	now   time.Time
}

func newTown(t testing.TB, path string) *town {
	s, err := OpenSQLite(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	st, err := s.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	opt := simulator.Options{Random: rand.NewChaCha8([32]byte{2}), MaxPushRate: simulator.Unlimited}
	c, err := simulator.Load(opt, st)
	if err != nil {
		t.Fatal(err)
	}
	return &town{t, c, s, nil, start}
}

func (w *town) save() {
	w.t.Helper()
	ch := w.cloud.Changes()
	for _, s := range append([]Store{w.store}, w.also...) {
		if err := s.Commit(context.Background(), ch); err != nil {
			w.t.Fatal(err)
		}
	}
	w.cloud.Commit()
	w.cloud.TakePushes()
}

func (w *town) do(cmd simulator.Command) any {
	w.t.Helper()
	v, err := w.cloud.Apply(cmd, w.now)
	if err != nil {
		w.t.Fatal(err)
	}
	w.save()
	return v
}

func (w *town) happen(e simulator.Event) {
	w.t.Helper()
	w.cloud.Happen(e, w.now)
	w.save()
}

// fill makes a product with n devices, a module, a package and a batch, in which the
// first device has succeeded, the second is upgrading and the others are pending.
func (w *town) fill(n int) (simulator.Product, simulator.Job) {
	w.t.Helper()
	p := w.do(simulator.CreateProduct{Account: "me", Name: "lamp", Desc: "灯 <&>"}).(simulator.Product)
	w.do(simulator.SetSecureUpgrade{Product: p.Key, On: true, SigningKey: []byte("key"), PublicKey: []byte("pub")})
	w.do(simulator.CreateModule{Product: p.Key, Name: "MCU", Alias: "chip"})
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprint("d", i)
	}
	w.do(simulator.RegisterDevices{Product: p.Key, Names: names})
	pkg := w.do(simulator.CreatePackage{
		Product: p.Key, Name: "fw", Version: "2.0", SignMethod: ota.MD5, UDI: "{}",
		Files: []simulator.File{{Name: "fw.bin", Key: "k", Size: 10, MD5: strings.Repeat("ab", 16)}},
	}).(simulator.Package)
	j := w.do(simulator.CreateStaticJob{
		Package: pkg.ID, Target: simulator.TargetAll, RetryCount: 2, RetryMinutes: 10, TimeoutMinutes: 60,
		Tags: []simulator.Tag{{Key: "k", Value: "v"}},
	}).(simulator.Job)
	for _, name := range names[:2] {
		w.now = w.now.Add(time.Second) // a place for each in the batch's rate
		d := ota.Device{ProductKey: p.Key, Name: name}
		w.happen(simulator.Online{Device: d})
		w.happen(simulator.Informed{Device: d, Version: "1.0"})
		w.happen(simulator.Progressed{Device: d, Step: 10})
	}
	w.happen(simulator.Informed{Device: ota.Device{ProductKey: p.Key, Name: names[0]}, Version: "2.0"})
	return p, j
}

func TestReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a b?#%.db") // a path is no URI
	w := newTown(t, path)
	p, j := w.fill(4)
	before, err := w.store.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n := len(before.Tasks); n != 3 {
		t.Errorf("%d unfinished tasks, want 3", n)
	}
	if err := w.store.Close(); err != nil {
		t.Fatal(err)
	}
	again := newTown(t, path)
	after, err := again.store.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("the state after reopening differs (-before +after):\n%s", diff)
	}
	got := again.do(simulator.FindJob{Job: j.ID}).(simulator.Job)
	if want := (simulator.Counts{Queued: 2, InProgress: 1, Succeeded: 1}); got.Counts != want {
		t.Errorf("counts %+v, want %+v", got.Counts, want)
	}
	d := ota.Device{ProductKey: p.Key, Name: "d1"}
	again.happen(simulator.Informed{Device: d, Version: "2.0"}) // goes on where it was
	if got := again.do(simulator.FindJob{Job: j.ID}).(simulator.Job); got.Counts.Succeeded != 2 {
		t.Errorf("counts %+v, want 2 succeeded", got.Counts)
	}
}

// TestF4NoClose: what was committed is there for another process while the first one
// has neither closed nor checkpointed anything. The files are copied as a kill -9
// leaves them.
func TestF4NoClose(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ota.db")
	w := newTown(t, path)
	w.fill(3)
	copied := filepath.Join(t.TempDir(), "ota.db")
	for _, name := range []string{"ota.db", "ota.db-wal", KeyFile} {
		b, err := os.ReadFile(filepath.Join(filepath.Dir(path), name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(filepath.Dir(copied), name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := w.store.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got, err := newTown(t, copied).store.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-running +recovered):\n%s", diff)
	}
}

func TestConflict(t *testing.T) {
	w := newTown(t, filepath.Join(t.TempDir(), "ota.db"))
	w.also = []Store{NewMemory()}
	w.fill(3)
	conflict(t, w.store)
	conflict(t, w.also[0])
	w.do(simulator.CreateProduct{Account: "me", Name: "next"}) // and the store works on
}

func conflict(t *testing.T, s Store) {
	t.Helper()
	st, err := s.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	stale, fresh := st.Tasks[0], st.Tasks[1]
	fresh.Revision++ // a good change beside a stale one: neither is stored
	err = s.Commit(t.Context(), &simulator.Changes{Tasks: []simulator.Task{fresh, stale}})
	if !errors.Is(err, ErrConflict) {
		t.Errorf("a stale revision: %v", err)
	}
	twice := st.Products[0]
	twice.Revision = 1
	if err := s.Commit(t.Context(), &simulator.Changes{Products: []simulator.Product{twice}}); !errors.Is(err, ErrConflict) {
		t.Errorf("an insert of what is there: %v", err)
	}
	after, err := s.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(st, after); diff != "" {
		t.Errorf("a refused batch left something (-before +after):\n%s", diff)
	}
}

// TestF8LockedByAnotherProcess locks the database from a process of its own.
func TestF8LockedByAnotherProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ota.db")
	w := newTown(t, path)
	w.fill(2)
	cmd := exec.Command(os.Args[0], "-test.run=^TestHelperLock$")
	cmd.Env = append(os.Environ(), "STORE_LOCK="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.cloud.Apply(simulator.CreateProduct{Account: "me", Name: "next"}, w.now); err != nil {
		t.Fatal(err)
	}
	if err := w.store.Commit(t.Context(), w.cloud.Changes()); !errors.Is(err, ErrBusy) {
		t.Errorf("while locked: %v", err)
	}
	stdin.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	w.save() // the same batch, now that the lock is gone
}

// TestHelperLock is the other process of TestF8LockedByAnotherProcess; on its own it
// checks that it is not called for.
func TestHelperLock(t *testing.T) {
	path := os.Getenv("STORE_LOCK")
	if path == "" {
		return
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if _, err := db.Exec("BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	fmt.Println("locked")
	_, _ = os.Stdin.Read(make([]byte, 1)) // until the parent lets go
}

func TestF8Full(t *testing.T) {
	w := newTown(t, filepath.Join(t.TempDir(), "ota.db"))
	p, _ := w.fill(2)
	if _, err := w.store.conn.ExecContext(t.Context(), "PRAGMA max_page_count = 1"); err != nil {
		t.Fatal(err)
	}
	before, err := w.store.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.cloud.Apply(simulator.RegisterDevices{Product: p.Key, Count: 5000}, w.now); err != nil {
		t.Fatal(err)
	}
	if err := w.store.Commit(t.Context(), w.cloud.Changes()); !errors.Is(err, ErrFull) {
		t.Errorf("a full database: %v", err)
	}
	w.cloud.Undo()
	after, err := w.store.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("half a batch is there (-before +after):\n%s", diff)
	}
	if _, err := w.store.conn.ExecContext(t.Context(), "PRAGMA max_page_count = 1000000"); err != nil {
		t.Fatal(err)
	}
	w.do(simulator.RegisterDevices{Product: p.Key, Count: 5})
}

func TestF8CannotBeWritten(t *testing.T) {
	if _, err := OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "nowhere", "ota.db")); !errors.Is(err, ErrReadOnly) {
		t.Errorf("a directory that is not there: %v", err)
	}
	w := newTown(t, filepath.Join(t.TempDir(), "ota.db"))
	if _, err := w.store.conn.ExecContext(t.Context(), "PRAGMA query_only = 1"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.cloud.Apply(simulator.CreateProduct{Account: "me", Name: "x"}, w.now); err != nil {
		t.Fatal(err)
	}
	if err := w.store.Commit(t.Context(), w.cloud.Changes()); !errors.Is(err, ErrReadOnly) {
		t.Errorf("a database that cannot be written: %v", err)
	}
}

func TestNewerAndForeignDatabases(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ota.db")
	w := newTown(t, path)
	if _, err := w.store.conn.ExecContext(t.Context(), "PRAGMA user_version = 99"); err != nil {
		t.Fatal(err)
	}
	w.store.Close()
	if _, err := OpenSQLite(t.Context(), path); !errors.Is(err, ErrVersion) {
		t.Errorf("a newer database: %v", err)
	}
	foreign := filepath.Join(t.TempDir(), "text.db")
	if err := os.WriteFile(foreign, []byte(strings.Repeat("this is no database ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenSQLite(t.Context(), foreign); err == nil || !strings.Contains(err.Error(), "not a database") {
		t.Errorf("a foreign file: %v", err)
	}
}

func TestLists(t *testing.T) {
	w := newTown(t, filepath.Join(t.TempDir(), "ota.db"))
	p, j := w.fill(25)
	ctx := t.Context()
	tasks, n, err := w.store.Tasks(ctx, TaskFilter{Job: j.ID}, Page{Number: 3})
	if err != nil || n != 25 || len(tasks) != 5 {
		t.Fatalf("page 3: %d of %d tasks, %v", len(tasks), n, err)
	}
	if last := tasks[4]; last.Device.Name != "d0" || last.Status != simulator.Succeeded {
		t.Errorf("the oldest task is %+v", last)
	}
	for f, want := range map[*TaskFilter]int{
		{Job: j.ID, Status: simulator.Queued}:                         23,
		{Job: "j0"}:                                                   0,
		{Product: p.Key, Devices: []string{"d0", "d1"}}:               2,
		{Product: p.Key, Devices: []string{"d0", "d1"}, Active: true}: 1,
		{Module: "MCU"}:                                               0,
	} {
		if _, n, err := w.store.Tasks(ctx, *f, Page{}); err != nil || n != want {
			t.Errorf("%+v: %d tasks, want %d; %v", *f, n, want, err)
		}
	}
	if _, n, err := w.store.Jobs(ctx, JobFilter{Product: p.Key, Device: "d0"}, Page{}); err != nil || n != 1 {
		t.Errorf("jobs of d0: %d, %v", n, err)
	}
	jobs, n, err := w.store.Jobs(ctx, JobFilter{Package: j.Package, Account: "me"}, Page{})
	if err != nil || n != 1 || jobs[0].Tags[0].Key != "k" || jobs[0].Counts.Queued != 23 {
		t.Errorf("jobs of the package: %+v, %d, %v", jobs, n, err)
	}
	if _, n, err := w.store.Packages(ctx, PackageFilter{Account: "you"}, Page{}); err != nil || n != 0 {
		t.Errorf("packages of another account: %d, %v", n, err)
	}
	devices, n, err := w.store.Devices(ctx, DeviceFilter{Product: p.Key}, Page{Number: 2, Size: 20})
	if err != nil || n != 25 || len(devices) != 5 || devices[0].Name != "d20" {
		t.Errorf("devices: %d of %d, %v", len(devices), n, err)
	}
	one, n, err := w.store.Devices(ctx, DeviceFilter{IotID: devices[0].IotID()}, Page{})
	if err != nil || n != 1 || one[0].Name != "d20" {
		t.Errorf("by id: %+v, %v", one, err)
	}
	products, n, err := w.store.Products(ctx, "me", Page{})
	if err != nil || n != 1 || string(products[0].SigningKey) != "key" {
		t.Errorf("products: %+v, %v", products, err)
	}
}

// BenchmarkCommit stores batches of 1,000 conditional updates of tasks: ns/op is one
// update. BenchmarkRaw is the same without this package, for the ratio.
func BenchmarkCommit(b *testing.B) {
	w := newTown(b, filepath.Join(b.TempDir(), "ota.db"))
	w.fill(1000)
	st, err := w.store.Load(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	for n := 0; n < b.N; n += len(st.Tasks) {
		for i := range st.Tasks {
			st.Tasks[i].Revision++
			st.Tasks[i].Step = n % 100
			st.Tasks[i].Modified++
		}
		if err := w.store.Commit(b.Context(), &simulator.Changes{Tasks: st.Tasks}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "updates/s")
}

func BenchmarkRaw(b *testing.B) {
	db, err := sql.Open("sqlite", dsn(filepath.Join(b.TempDir(), "raw.db"), ""))
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	exec := func(q string, args ...any) {
		if _, err := db.Exec(q, args...); err != nil {
			b.Fatal(err)
		}
	}
	exec("CREATE TABLE t (id TEXT PRIMARY KEY, status TEXT, step INTEGER, rev INTEGER) WITHOUT ROWID")
	ids := make([]string, 1000)
	for i := range ids {
		ids[i] = fmt.Sprintf("t%012d", i)
		exec("INSERT INTO t VALUES (?, 'QUEUED', 0, 0)", ids[i])
	}
	st, err := db.Prepare("UPDATE t SET status = ?, step = ?, rev = rev + 1 WHERE id = ? AND rev = ?")
	if err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	for n, rev := 0, 0; n < b.N; n, rev = n+len(ids), rev+1 {
		exec("BEGIN IMMEDIATE")
		for _, id := range ids {
			if _, err := st.Exec("NOTIFIED", n%100, id, rev); err != nil {
				b.Fatal(err)
			}
		}
		exec("COMMIT")
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "updates/s")
}

// BenchmarkMillion stores a million devices and a job of 100,000 tasks, lists a page of
// it from the middle, and loads it all again.
func BenchmarkMillion(b *testing.B) {
	for b.Loop() {
		w := newTown(b, filepath.Join(b.TempDir(), "ota.db"))
		p := w.do(simulator.CreateProduct{Account: "me", Name: "lamp"}).(simulator.Product)
		begin := time.Now()
		for range 10 {
			w.do(simulator.RegisterDevices{Product: p.Key, Count: simulator.MaxRegistration})
		}
		b.ReportMetric(time.Since(begin).Seconds(), "s-register")
		list, _, err := w.store.Devices(b.Context(), DeviceFilter{Product: p.Key}, Page{Size: 100_000})
		if err != nil {
			b.Fatal(err)
		}
		for _, d := range list { // only these match the batch
			w.cloud.Happen(simulator.Informed{Device: d.Device, Version: "1.0"}, w.now)
		}
		w.save()
		pkg := w.do(simulator.CreatePackage{
			Product: p.Key, Name: "fw", Version: "2.0", SignMethod: ota.MD5,
			Files: []simulator.File{{Name: "fw.bin", Key: "k", Size: 10, MD5: strings.Repeat("ab", 16)}},
		}).(simulator.Package)
		begin = time.Now()
		j := w.do(simulator.CreateStaticJob{Package: pkg.ID, Target: simulator.TargetAll, Sources: []string{"1.0"}}).(simulator.Job)
		b.ReportMetric(time.Since(begin).Seconds(), "s-job")
		begin = time.Now()
		tasks, n, err := w.store.Tasks(b.Context(), TaskFilter{Job: j.ID, Status: simulator.Queued}, Page{Number: 500, Size: 100})
		if err != nil || n != 100_000 || len(tasks) != 100 {
			b.Fatalf("%d tasks of %d: %v", len(tasks), n, err)
		}
		b.ReportMetric(float64(time.Since(begin).Microseconds())/1000, "ms-page")
		begin = time.Now()
		st, err := w.store.Load(b.Context())
		if err != nil || len(st.Devices) != 1_000_000 {
			b.Fatal(err)
		}
		b.ReportMetric(time.Since(begin).Seconds(), "s-load")
		w.store.Close()
	}
}

// A database that was closed is one file, which nobody else may read.
func TestClosedIsOneFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "ota.db")
	s, err := OpenSQLite(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat(path + "-wal"); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("the log of an open database: %v, %v", fi, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o600 || fi.Size() == 0 {
		t.Errorf("the database: %v, %v", fi, err)
	}
	if fi, err := os.Stat(path + "-wal"); err == nil && fi.Size() > 0 {
		t.Errorf("%d bytes are left in the log", fi.Size())
	}
}
