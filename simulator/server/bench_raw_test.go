package server

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server/broker"
	"github.com/leapslot/ota/simulator/server/store"
)

// BenchmarkEngineBesideRaw is the update of 20,000 devices through the engine and
// SQLite, 1,000 devices at a time, and then the same rows, in the same batches, by a
// bare loop over prepared statements: what the rules, the queue and the package
// store cost on top of SQLite, with the history recorded beside them. The loop starts from a copy of the same file, with the
// same tables, indexes and settings, and has no JSON to make; in the end both files
// hold the same. A row is one conditional UPDATE.
func BenchmarkEngineBesideRaw(b *testing.B) {
	const devices = 20_000
	for range b.N {
		dir := b.TempDir()
		ours, raw := filepath.Join(dir, "ours.db"), filepath.Join(dir, "raw.db")
		product := prepareRollout(b, ours, devices)
		if err := copyFile(raw, ours); err != nil { // closed: all of it is in the one file
			b.Fatal(err)
		}
		batches, engine := rollOut(b, ours, product, devices)
		rows, tasks := 0, 0
		for _, ch := range batches {
			rows += ch.Rows()
			tasks += len(ch.Tasks)
		}
		loop := replay(b, raw, rawBatches(b, batches))
		sameRows(b, ours, raw)
		b.ReportMetric(float64(tasks)/engine.wall.Seconds(), "engine-tasks/s")
		b.ReportMetric(float64(tasks)/loop.wall.Seconds(), "raw-tasks/s")
		b.ReportMetric(float64(rows)/engine.wall.Seconds(), "engine-rows/s")
		b.ReportMetric(float64(rows)/loop.wall.Seconds(), "raw-rows/s")
		b.ReportMetric(engine.cpu.Seconds()*1e6/float64(rows), "engine-cpu-us/row")
		b.ReportMetric(loop.cpu.Seconds()*1e6/float64(rows), "raw-cpu-us/row")
		b.ReportMetric(float64(rows)/float64(len(batches)), "rows/batch")
	}
}

// spent is what something took of the clock, and of this process's CPU.
type spent struct{ wall, cpu time.Duration }

func (s spent) until(t spent) spent { return spent{t.wall - s.wall, t.cpu - s.cpu} }

func spentNow() spent {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u)
	return spent{time.Duration(time.Now().UnixNano()), time.Duration(u.Utime.Nano() + u.Stime.Nano())}
}

// recorder is a store that remembers what it was given.
type recorder struct {
	store.Store
	batches []simulator.Changes
}

func (r *recorder) Commit(ctx context.Context, ch *simulator.Changes) error {
	c := *ch
	c.Devices, c.Jobs, c.Tasks = slices.Clone(ch.Devices), slices.Clone(ch.Jobs), slices.Clone(ch.Tasks)
	r.batches = append(r.batches, c)
	return r.Store.Commit(ctx, ch)
}

func runEngine(b *testing.B, st store.Store, send func([]simulator.Push, []simulator.Task), before, during func(*Engine)) {
	opt := simulator.Options{Random: rand.Reader, MaxPushRate: simulator.Unlimited}
	e, err := newEngine(b.Context(), st, opt, send, slog.New(slog.DiscardHandler), newMetrics())
	if err != nil {
		b.Fatal(err)
	}
	before(e)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	during(e)
	cancel()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
}

// keepHistory has what becomes of tasks recorded, and what scribe is told, as otasim
// serve does unless it is told not to.
func keepHistory(b *testing.B, e *Engine, s *store.SQLite) (r *scribe, stop func()) {
	h, _, err := store.OpenHistory(b.Context(), filepath.Join(b.TempDir(), HistoryFile), store.HistoryLimits{Entries: DefaultHistory})
	if err != nil {
		b.Fatal(err)
	}
	r = newScribe(h, s, e.clock, e.log, newMetrics())
	e.changed = r.stored
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); r.run(ctx) }()
	return r, func() { cancel(); <-done; h.Close() }
}

func openStore(b *testing.B, path string) *store.SQLite {
	s, err := store.OpenSQLite(b.Context(), path)
	if err != nil {
		b.Fatal(err)
	}
	return s
}

// prepareRollout makes a database of a product with so many devices and a batch for
// all of them.
func prepareRollout(b *testing.B, path string, devices int) (product string) {
	s := openStore(b, path)
	runEngine(b, s, func([]simulator.Push, []simulator.Task) {}, func(*Engine) {}, func(e *Engine) {
		do := func(cmd simulator.Command) any {
			v, err := e.Do(b.Context(), cmd)
			if err != nil {
				b.Fatal(err)
			}
			return v
		}
		product = do(simulator.CreateProduct{Account: "me", Name: "lamp"}).(simulator.Product).Key
		for i := 0; i < devices; i += simulator.MaxRegistration {
			names := make([]string, min(simulator.MaxRegistration, devices-i))
			for k := range names {
				names[k] = fmt.Sprintf("d%d", i+k)
			}
			do(simulator.RegisterDevices{Product: product, Names: names})
		}
		pkg := do(simulator.CreatePackage{
			Product: product, Name: "fw", Version: "2.0", SignMethod: ota.MD5,
			Files: []simulator.File{{Name: "a.bin", Key: "k", Size: 1, MD5: strings.Repeat("ab", 16)}},
		}).(simulator.Package)
		do(simulator.CreateStaticJob{Package: pkg.ID, Target: simulator.TargetAll, MaximumPerMinute: simulator.Unlimited})
	})
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	return product
}

// rollOut updates all of them; each device waits until what it has said is stored.
func rollOut(b *testing.B, path, product string, devices int) ([]simulator.Changes, spent) {
	s := openStore(b, path)
	defer s.Close()
	notices := make([]chan struct{}, devices)
	for i := range notices {
		notices[i] = make(chan struct{})
	}
	send := func(pushes []simulator.Push, _ []simulator.Task) {
		for i := range pushes {
			var n int
			if _, err := fmt.Sscanf(pushes[i].Device.Name, "d%d", &n); err == nil {
				close(notices[n])
			}
		}
	}
	r, said := &recorder{Store: s}, []byte(`{"id":"123","params":{"step":"35","desc":"","module":"default"}}`)
	var took spent
	var past *scribe
	stop := func() {}
	defer func() { stop() }()
	runEngine(b, r, send, func(e *Engine) { past, stop = keepHistory(b, e, s) }, func(e *Engine) {
		happen := func(kind ota.TopicKind, d ota.Device, ev simulator.Event) {
			if kind != 0 {
				past.Passed(broker.Passed{Device: d, Kind: kind, QoS: 1, Payload: said})
			}
			_ = e.happen(ev)
		}
		runtime.GC()
		began := spentNow()
		var wg sync.WaitGroup
		next := make(chan int)
		for range 1000 {
			wg.Go(func() {
				for i := range next {
					d := ota.Device{ProductKey: product, Name: fmt.Sprintf("d%d", i)}
					happen(0, d, simulator.Online{Device: d})
					<-notices[i]
					happen(ota.TopicInform, d, simulator.Informed{Device: d, Version: "1.0"})
					for _, step := range []ota.Step{0, 25, 50, 75, 100} {
						happen(ota.TopicProgress, d, simulator.Progressed{Device: d, Step: step})
					}
					happen(ota.TopicInform, d, simulator.Informed{Device: d, Version: "2.0"})
				}
			})
		}
		for i := range devices {
			next <- i
		}
		close(next)
		wg.Wait()
		took = began.until(spentNow())
	})
	return r.batches, took
}

// The statements of package store. If they come to do other work than it does, the
// two databases differ in the end.
const (
	rawSequence = "UPDATE sequence SET value = ? WHERE id = 1"
	rawDevice   = `UPDATE devices SET nickname = ?1, disabled = ?2, versions = ?3, registered = ?4, activated = ?5, last_online = ?6, rev = ?7, more = ?10
		WHERE product = ?8 AND name = ?9 AND rev = ?7 - 1`
	rawJob  = "UPDATE jobs SET account = ?1, product = ?2, package = ?3, status = ?4, body = ?5, rev = ?6 WHERE id = ?7 AND rev = ?6 - 1"
	rawTask = `UPDATE tasks SET source = ?1, status = ?2, phase = ?3, attempt = ?4, step = ?5, reason = ?6, modified = ?7,
		notified_at = ?8, begun_at = ?9, retry_at = ?10, rev = ?11, first_begun = ?13 WHERE id = ?12 AND rev = ?11 - 1`
)

// rawBatch is one transaction of the bare loop; its texts are ready.
type rawBatch struct {
	sequence int64
	devices  []rawDeviceRow
	jobs     []rawJobRow
	tasks    []simulator.Task
}

type rawDeviceRow struct {
	simulator.Device
	versions, more string
}

type rawJobRow struct {
	simulator.Job
	body string
}

func rawBatches(b *testing.B, all []simulator.Changes) []rawBatch {
	text := func(v any) string {
		j, err := json.Marshal(v)
		if err != nil {
			b.Fatal(err)
		}
		return string(j)
	}
	out := make([]rawBatch, len(all))
	for i := range all {
		r := rawBatch{sequence: all[i].Sequence, tasks: all[i].Tasks}
		for _, d := range all[i].Devices {
			row := rawDeviceRow{Device: d, versions: "[]"}
			if len(d.Versions) > 0 {
				row.versions = text(d.Versions)
			}
			if d.More != nil {
				row.more = text(d.More)
			}
			r.devices = append(r.devices, row)
		}
		for _, j := range all[i].Jobs {
			r.jobs = append(r.jobs, rawJobRow{j, text(j)})
		}
		out[i] = r
	}
	return out
}

// bare is the loop's connection and its prepared statements.
type bare struct {
	conn                        *sql.Conn
	sequence, device, job, task *sql.Stmt
}

func (r *bare) prepare(ctx context.Context) (err error) {
	for q, to := range map[string]**sql.Stmt{rawSequence: &r.sequence, rawDevice: &r.device, rawJob: &r.job, rawTask: &r.task} {
		if *to, err = r.conn.PrepareContext(ctx, q); err != nil {
			return err
		}
	}
	return nil
}

// update wants exactly one row to change.
func update(ctx context.Context, st *sql.Stmt, args ...any) error {
	res, err := st.ExecContext(ctx, args...)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); n != 1 || err != nil {
		return fmt.Errorf("%d rows changed, %w", n, err)
	}
	return nil
}

func (r *bare) put(ctx context.Context, t *rawBatch) error {
	if _, err := r.conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	if t.sequence != 0 {
		if err := update(ctx, r.sequence, t.sequence); err != nil {
			return err
		}
	}
	for i := range t.devices {
		d := &t.devices[i]
		if err := update(ctx, r.device, d.Nickname, d.Disabled, d.versions, d.Registered, d.Activated, d.LastOnline,
			d.Revision, d.ProductKey, d.Name, d.more); err != nil {
			return err
		}
	}
	for i := range t.jobs {
		j := &t.jobs[i]
		if err := update(ctx, r.job, j.Account, j.Product, j.Package, string(j.Status), j.body, j.Revision, j.ID); err != nil {
			return err
		}
	}
	for i := range t.tasks {
		t := &t.tasks[i]
		if err := update(ctx, r.task, t.Source, string(t.Status), int(t.Phase), t.Attempt, t.Step, t.Reason, t.Modified,
			t.NotifiedAt, t.BegunAt, t.RetryAt, t.Revision, t.ID, t.FirstBegun); err != nil {
			return err
		}
	}
	_, err := r.conn.ExecContext(ctx, "COMMIT")
	return err
}

// replay is the bare loop.
func replay(b *testing.B, path string, batches []rawBatch) spent {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=cache_size(-16384)")
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	ctx := context.Background()
	r := &bare{}
	if r.conn, err = db.Conn(ctx); err != nil {
		b.Fatal(err)
	}
	defer r.conn.Close()
	if err := r.prepare(ctx); err != nil {
		b.Fatal(err)
	}
	runtime.GC() // what is there by now is not the loop's
	began := spentNow()
	for i := range batches {
		if err := r.put(ctx, &batches[i]); err != nil {
			b.Fatal(err)
		}
	}
	return began.until(spentNow())
}

// sameRows compares what the two have come to.
func sameRows(b *testing.B, ours, raw string) {
	db, err := sql.Open("sqlite", "file:"+ours)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if _, err := db.Exec("ATTACH ? AS raw", raw); err != nil {
		b.Fatal(err)
	}
	var tables string
	if err := db.QueryRow("SELECT group_concat(name) FROM main.sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'").Scan(&tables); err != nil {
		b.Fatal(err)
	}
	for _, table := range strings.Split(tables, ",") {
		var rows, different int
		if err := db.QueryRow(fmt.Sprintf(`SELECT (SELECT count(*) FROM main.%[1]s),
			(SELECT count(*) FROM (SELECT * FROM main.%[1]s EXCEPT SELECT * FROM raw.%[1]s))`, table)).Scan(&rows, &different); err != nil {
			b.Fatal(err)
		}
		if different != 0 {
			b.Fatalf("%d of %d rows of %s are not what the store has made of them: the two did other work", different, rows, table)
		}
	}
	var done, tasks int
	if err := db.QueryRow("SELECT count(*), sum(status = 'SUCCEEDED') FROM tasks").Scan(&tasks, &done); err != nil || done != tasks || tasks == 0 {
		b.Fatalf("%d of %d tasks succeeded, %v", done, tasks, err)
	}
}

func copyFile(to, from string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, content, 0o600)
}
