package gateway

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/agent/fetch"
	"github.com/leapslot/ota/verify"
)

var (
	hub  = ota.Device{ProductKey: "gw", Name: "hub"}
	lamp = ota.Device{ProductKey: "sub", Name: "lamp"}
	bell = ota.Device{ProductKey: "sub", Name: "bell"}
)

const (
	oldVersion = "1.0.0"
	newVersion = "2.0.0"
	pkgSize    = 300_000
)

// world is a cloud that plays its part of the protocol by heart, a package server
// over pipes, and sub-devices that are what was installed last. It is for a bubble.
type world struct {
	t      *testing.T
	cfg    Config
	pkg    []byte
	notice ota.Notice

	mu       sync.Mutex
	events   chan message
	in, topo map[ota.Device]bool
	code     map[ota.Device]ota.GatewayCode // refuses logins
	tasks    map[ota.Device]*task
	log      []string // what the cloud got, "lamp progress 0"
	logins   []time.Time

	lost int // so many answers to logins are lost from here
	deaf int // so many messages of the gateway are

	version  map[ota.Device]string
	installs []Update
	install  func(ctx context.Context, u Update) error // nil installs

	ranges []string
	serve  func(rw http.ResponseWriter, r *http.Request) bool // true: it was answered

	stop func()
}

// task is what the cloud wants of a sub-device.
type task struct {
	notice  ota.Notice
	retries int
	state   string // "" while it runs, "succeeded", "failed"
}

func newWorld(t *testing.T, devices ...ota.Device) *world {
	t.Helper()
	w := &world{
		t: t, pkg: make([]byte, pkgSize), events: make(chan message, 1000),
		in: map[ota.Device]bool{}, topo: map[ota.Device]bool{}, code: map[ota.Device]ota.GatewayCode{},
		tasks: map[ota.Device]*task{}, version: map[ota.Device]string{},
	}
	rand.New(rand.NewSource(1)).Read(w.pkg)
	h := verify.NewSHA256()
	h.Write(w.pkg)
	w.notice = ota.Notice{ID: 1, Module: ota.DefaultModule, Version: newVersion, SignMethod: ota.SHA256,
		Files: []ota.File{{Size: pkgSize, URL: "http://packages.test/pkg", Sign: fmt.Sprintf("%x", h.Sum(nil))}}}
	w.cfg = Config{Gateway: hub, Cloud: w, Trust: &verify.Trust{Require: verify.RequireDigest}, Dir: t.TempDir() + "/subs", Log: slog.New(slog.NewTextHandler(logTo{t}, nil))}
	for _, d := range devices {
		w.version[d] = oldVersion
		w.cfg.Devices = append(w.cfg.Devices, Device{Device: d, Secret: "secret of " + d.Name, Install: w.doInstall,
			Version: func(context.Context) (string, error) {
				w.mu.Lock()
				defer w.mu.Unlock()
				if w.version[d] == "" {
					return "", io.ErrUnexpectedEOF
				}
				return w.version[d], nil
			}})
	}
	w.packages()
	return w
}

type logTo struct{ t *testing.T }

func (l logTo) Write(b []byte) (int, error) {
	l.t.Logf("%s", bytes.TrimSpace(b))
	return len(b), nil
}

// pipes is a listener that is dialled in memory.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}
func (p pipes) Close() error   { return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (w *world) packages() {
	p := pipes{make(chan net.Conn), make(chan struct{})}
	s := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		w.ranges = append(w.ranges, r.Header.Get("Range"))
		serve := w.serve
		w.mu.Unlock()
		if serve != nil && serve(rw, r) {
			return
		}
		rw.Header().Set("ETag", `"1"`)
		http.ServeContent(rw, r, "", time.Time{}, bytes.NewReader(w.pkg))
	})}
	served := make(chan struct{})
	go func() { defer close(served); s.Serve(p) }()
	w.t.Cleanup(func() { close(p.closed); s.Close(); <-served })
	c, err := fetch.New(fetch.Options{Proxy: "direct", Retries: 2, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		near, far := net.Pipe()
		select {
		case p.conns <- far:
			return near, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}})
	if err != nil {
		w.t.Fatal(err)
	}
	w.cfg.Downloads = c
}

// doInstall is the way to every sub-device.
func (w *world) doInstall(ctx context.Context, u Update) error {
	b, err := os.ReadFile(u.Path)
	if err != nil || !bytes.Equal(b, w.pkg) {
		w.t.Errorf("the installer was given %d bytes (%v), not the package", len(b), err)
	}
	w.mu.Lock()
	w.installs = append(w.installs, u)
	do := w.install
	w.mu.Unlock()
	if do != nil {
		return do(ctx, u)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.version[u.Device] = u.Version
	return nil
}

// start runs a gateway until stop, or the end of the test.
func (w *world) start() *Gateway {
	w.t.Helper()
	g, err := New(w.cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	w.mu.Lock()
	w.events = make(chan message, 1000)
	w.mu.Unlock()
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	stopped := false
	w.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			w.t.Errorf("Run: %v", err)
		}
	}
	w.t.Cleanup(w.stop)
	w.connect()
	return g
}

// settle lets so much time pass.
func (w *world) settle(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (w *world) state(d ota.Device) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.tasks[d].state
}

// got gives what the cloud got since the last call, of what starts so.
func (w *world) got(prefix string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for _, l := range w.log {
		if strings.HasPrefix(l, prefix) {
			out = append(out, l)
		}
	}
	return out
}

func (w *world) installed() []Update {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.installs)
}

// wantFailed checks the end of an update that failed: its code, why, that it was
// told once, and that nothing is left behind.
func (w *world) wantFailed(d ota.Device, step ota.Step, why string) {
	w.t.Helper()
	if s := w.state(d); s != "failed" {
		w.t.Errorf("the task is %q", s)
	}
	told := w.got(d.Name + " progress -")
	if len(told) != 1 || !strings.HasPrefix(told[0], d.Name+" progress "+step.String()+" ") || !strings.Contains(told[0], why) {
		w.t.Errorf("the cloud was told %q, want %s once, and %q", told, step, why)
	}
	w.wantClean()
}

func (w *world) wantClean() {
	w.t.Helper()
	names, err := os.ReadDir(w.cfg.Dir)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, n := range names {
		if strings.HasSuffix(n.Name(), ".spool") {
			w.t.Errorf("%s is left", n.Name())
		}
	}
}

// locked does something with the world while nobody else does.
func (w *world) locked(do func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	do()
}

func (w *world) online(d ota.Device) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.in[d]
}

// requests are the ranges that were asked for since forget.
func (w *world) requests() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.ranges)
}
