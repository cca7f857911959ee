package fleet

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/fleet/report"
	"github.com/leapslot/ota/simulator/server"
	"github.com/leapslot/ota/simulator/server/packages"
)

// pipes is a listener whose connections are net.Pipe's: nothing is buffered, so a download
// lasts for as long as its device reads.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	c, ok := <-p
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (p pipes) Close() error   { return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }

func (p pipes) dial() (net.Conn, error) {
	near, far := net.Pipe()
	p <- far
	return near, nil
}

// answers notes how downloads were answered, and finds those that came again too soon.
type answers struct {
	http.Handler
	mu      sync.Mutex
	busy    int
	tooSoon []string
	notYet  map[string]time.Time // by path, which is a device's own
}

type answer struct {
	http.ResponseWriter
	status int
}

func (a *answer) WriteHeader(status int)      { a.status = status; a.ResponseWriter.WriteHeader(status) }
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (s *answers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	if now := time.Now(); now.Before(s.notYet[r.URL.Path]) {
		s.tooSoon = append(s.tooSoon, fmt.Sprintf("%v too soon", s.notYet[r.URL.Path].Sub(now)))
	}
	s.mu.Unlock()
	a := &answer{ResponseWriter: w}
	s.Handler.ServeHTTP(a, r)
	s.mu.Lock()
	defer s.mu.Unlock()
	if a.status != http.StatusServiceUnavailable {
		return
	}
	s.busy++
	after, err := strconv.Atoi(w.Header().Get("Retry-After"))
	if err != nil || after < 1 {
		s.tooSoon = append(s.tooSoon, "a 503 with Retry-After "+w.Header().Get("Retry-After"))
	}
	s.notYet[r.URL.Path] = time.Now().Add(time.Duration(after) * time.Second)
}

// TestMaxDownloads: a cloud that serves two downloads at once sends others away for a
// while; they come again when they were told to, not before, and all are updated. The
// report counts each 503. In virtual time.
func TestMaxDownloads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, size = 20, 64 << 10
		dir := t.TempDir()
		files, err := packages.Open(packages.Config{Dir: filepath.Join(dir, "packages"), BaseURL: "http://127.0.0.1"})
		if err != nil {
			t.Fatal(err)
		}
		file, err := files.Put(bytes.NewReader(make([]byte, size)))
		if err != nil {
			t.Fatal(err)
		}
		s, err := server.New(t.Context(), server.Config{Dir: dir, PublicURL: "http://127.0.0.1", AccessKey: testKey, MaxPushRate: simulator.Unlimited, MaxDownloads: 2})
		if err != nil {
			t.Fatal(err)
		}
		seen := &answers{Handler: s.Handler(), notYet: map[string]time.Time{}}
		web := http.Server{Handler: seen}
		doors := make(pipes)
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = s.Run(ctx, nil, nil) })
		running.Go(func() { _ = web.Serve(doors) })
		defer func() {
			close(doors)
			cancel()
			_ = web.Close()
			running.Wait()
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}()
		w := &world{t: t, server: s, mqtt: "mqtt://127.0.0.1:1883"}
		product := w.newProduct(0)
		members := w.register(product, n)
		pkg := w.do(simulator.CreatePackage{Product: product, Name: "fw", Version: "2.0.0", SignMethod: ota.MD5,
			Files: []simulator.File{{Name: "fw.bin", Key: file.ID, Size: file.Size, MD5: file.MD5}}}).(simulator.Package)
		job := w.do(simulator.CreateStaticJob{Package: pkg.ID, Target: simulator.TargetAll, MaximumPerMinute: 100_000}).(simulator.Job)
		f := w.fleet(members, func(c *Config) {
			c.Dial = func(_ context.Context, _, addr string) (net.Conn, error) {
				if strings.HasSuffix(addr, ":80") {
					return doors.dial()
				}
				near, far := memoryPair()
				go s.Broker().ServeConn(far)
				return near, nil
			}
		}, Behaviour{Bandwidth: size}) // a second each
		if err := f.Run(ctx); err != nil {
			t.Fatal(err)
		}
		r := f.rec.Result(time.Now())
		if got := w.do(simulator.FindJob{Job: job.ID}).(simulator.Job).Counts; got != (simulator.Counts{Succeeded: n}) {
			t.Errorf("the cloud has %+v", got)
		}
		if got := r.Behaviours[0].Seen[report.Succeeded]; got != n {
			t.Errorf("%d of %d were updated: %v", got, n, r.Behaviours[0].Seen)
		}
		if got := r.Counters[report.Busy]; got < n-2 || got != int64(seen.busy) {
			t.Errorf("the report has %d times told to wait, and the cloud said it %d times", got, seen.busy)
		}
		if len(seen.tooSoon) > 0 {
			t.Error(seen.tooSoon)
		}
		wantCount(t, r, report.BytesWasted, 0)
		wantCount(t, r, report.DownloadErrors, 0)
	})
}
