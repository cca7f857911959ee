package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/agent/fetch"
	"github.com/leapslot/ota/platform"
	"github.com/leapslot/ota/platform/durable"
	"github.com/leapslot/ota/platform/files"
	"github.com/leapslot/ota/verify"
)

// world is a device of real files and a real boot loader's logic, a real
// package server, and a cloud. The cloud is a stand-in, because the tests here
// want the power cut between any two messages; the real one is in the tests of
// cmd/otad and in the demo.
type world struct {
	end      func() // closes its server and removes its directory before the test has ended
	t        *testing.T
	dir      string
	old, new []byte
	notice   ota.Notice
	pkg      []byte // what the server has
	server   *httptest.Server
	cloud    *cloud
	cut      *cutter
	boots    int
	policy   Policy
	allow    bool   // patches onto unknown sources
	install  string // a bundle that somebody installs at the first chance
	change   func(*Config)

	mu     sync.Mutex
	ranges []string // of the requests to the server
	bad    func(w http.ResponseWriter, r *http.Request) bool
}

const (
	oldVersion = "1.0.0"
	newVersion = "2.0.0"
	slotSize   = 2 << 20
	imageSize  = 1<<20 + 4321
)

func image(seed int64, mark string) []byte {
	made, ok := images.Load(seed)
	if !ok {
		b := make([]byte, imageSize)
		rand.New(rand.NewSource(seed)).Read(b)
		made, _ = images.LoadOrStore(seed, b)
	}
	b := bytes.Clone(made.([]byte))
	copy(b, mark)
	return b
}

var images sync.Map // by seed: making them takes longer than using them

// newWorld makes a device that runs the old image from slot a, and a task that
// updates it with pkg to the new one.
func newWorld(t *testing.T, pkg, newImage []byte, isDiff bool) *world {
	t.Helper()
	w := &world{t: t, dir: fastDir(t), old: image(1, "OLD"), new: newImage, pkg: pkg, cut: &cutter{}, policy: anyPolicy{}}
	w.write("a.img", w.old)
	w.write("b.img", nil)
	if err := errors.Join(os.Truncate(w.path("a.img"), slotSize), os.Truncate(w.path("b.img"), slotSize)); err != nil {
		t.Fatal(err)
	}
	w.server = httptest.NewServer(http.HandlerFunc(w.serve))
	// The test keeps what is to be cleaned up until its end: the server alone, and not
	// even that of a world that has ended.
	held := w.server
	w.end = func() {
		if held != nil {
			held.Close()
			held = nil
		}
		w.server.Config.Handler = nil
		os.RemoveAll(w.dir)
	}
	t.Cleanup(func() {
		if held != nil {
			held.Close()
		}
	})
	w.announce(pkg, isDiff)
	w.cloud = &cloud{w: w, events: make(chan ota.Event, 64)}
	store := w.store()
	slot, err := files.NewSlot("a", w.path("a.img"), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := RecordSlot(t.Context(), store, slot, int64(len(w.old))); err != nil {
		t.Fatal(err)
	}
	return w
}

// fastDir is in memory where there is such a file system: what a cut loses is
// decided by cutter, and thousands of real fsyncs would say nothing more.
func fastDir(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "agent")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func (w *world) announce(pkg []byte, isDiff bool) {
	h, _ := verify.NewDigest(ota.SHA256)
	h.Write(pkg)
	w.notice = ota.Notice{ID: 1, Module: ota.DefaultModule, Version: newVersion, IsDiff: isDiff, SignMethod: ota.SHA256,
		Files: []ota.File{{Size: int64(len(pkg)), URL: w.server.URL + "/pkg", Sign: fmt.Sprintf("%x", h.Sum(nil))}}}
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

func (w *world) write(name string, b []byte) {
	if err := os.WriteFile(w.path(name), b, 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) serve(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	w.ranges = append(w.ranges, r.Header.Get("Range"))
	bad := w.bad
	w.mu.Unlock()
	if bad != nil && bad(rw, r) {
		return
	}
	rw.Header().Set("ETag", `"1"`)
	http.ServeContent(rw, r, "", time.Time{}, bytes.NewReader(w.pkg))
}

func (w *world) store() *durable.Pair {
	pair, err := durable.OpenPair(w.dir, "record")
	if err != nil {
		w.t.Fatal(err)
	}
	return pair
}

func (w *world) machine() *files.Boot {
	m, err := files.Open(w.dir, []string{"a", "b"}, "a", 3)
	if err != nil {
		w.t.Fatal(err)
	}
	return m
}

// boot starts the machine once and lets the agent run until it restarts, the
// power is cut, or there is nothing left to do. It reports whether the machine
// is to be started again.
func (w *world) boot() (again bool) {
	w.t.Helper()
	w.boots++
	m := w.machine()
	if _, err := m.PowerOn(); err != nil {
		w.t.Fatal(err)
	}
	if w.mark(m) == "DEAD" {
		return true // a watchdog, or an impatient user
	}
	id, err := m.BootID()
	if err != nil {
		w.t.Fatal(err)
	}
	a, err := New(w.config(m, id))
	if err != nil {
		w.t.Fatal(err)
	}
	a.checkpointBytes, a.laterPause = 256<<10, time.Millisecond
	w.cloud.connect()
	ctx, cancel := context.WithCancel(w.t.Context())
	defer cancel()
	go func() { // stops the agent when all is said
		for ctx.Err() == nil {
			if s := a.Status(); s.Stage == Idle && s.Owed == 0 && w.cloud.settled() {
				cancel()
			}
			time.Sleep(time.Millisecond)
		}
	}()
	defer func() {
		if r := recover(); r != nil {
			if r != errPowerCut {
				panic(r)
			}
			again = true
		}
	}()
	if w.install != "" {
		go func() { // a user who has not seen a result yet, and waits until it is online
			for ctx.Err() == nil && a.Status().Stage == Idle && len(a.History()) == 0 {
				if s := a.Status(); s.Online && s.Owed == 0 && a.Install(ctx, w.install) == nil {
					return
				}
				time.Sleep(time.Millisecond)
			}
		}()
	}
	err = a.Run(ctx)
	if err != nil && !errors.Is(err, ErrReboot) {
		w.t.Fatalf("boot %d: %v", w.boots, err)
	}
	return errors.Is(err, ErrReboot)
}

func (w *world) config(m platform.Boot, bootID string) Config {
	slot := func(name string) platform.Slot {
		s, err := files.NewSlot(name, w.path(name+".img"), 0)
		if err != nil {
			w.t.Fatal(err)
		}
		return &cutSlot{s, w.cut}
	}
	spool, err := durable.OpenSpool(w.path("spool"))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { spool.Close() })
	client, err := fetch.New(fetch.Options{Retries: -1})
	if err != nil {
		w.t.Fatal(err)
	}
	c := Config{
		Modules: []Module{{Name: ota.DefaultModule, Version: oldVersion}},
		Cloud:   w.cloud, Downloads: client,
		Slots: [2]platform.Slot{slot("a"), slot("b")},
		Boot:  &cutBoot{m, w.cut}, Power: cutPower{w.cut},
		Store: &cutStore{w.store(), w.dir, w.cut}, Spool: &cutSpool{spool, w.cut},
		Trust: w.policy, BootID: bootID, HealthTimeout: 5 * time.Second, HealthCloud: true,
		PatchUnknownSource: w.allow,
		Health:             func(context.Context) error { return w.health(m) },
	}
	c.OpenBundle = openBundle
	if w.change != nil {
		w.change(&c)
	}
	return c
}

// health looks at the system that runs: the image says whether it is sick.
func (w *world) health(m platform.Boot) error {
	switch w.mark(m) {
	case "SICK":
		return errors.New("the application does not start")
	case "DIES":
		panic(errPowerCut)
	}
	return nil
}

// mark is how the image in the running slot begins.
func (w *world) mark(m platform.Boot) string {
	name, err := m.Running()
	if err != nil {
		w.t.Fatal(err)
	}
	f, err := os.Open(w.path(name + ".img"))
	if err != nil {
		w.t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 4)
	if _, err := f.ReadAt(b, 0); err != nil {
		w.t.Fatal(err)
	}
	return string(b)
}

// runs is the image in the running slot.
func (w *world) runs(m platform.Boot) []byte {
	name, err := m.Running()
	if err != nil {
		w.t.Fatal(err)
	}
	b, err := os.ReadFile(w.path(name + ".img"))
	if err != nil {
		w.t.Fatal(err)
	}
	return b[:imageSize]
}

// live starts the machine again and again until there is nothing left to do.
func (w *world) live() {
	w.t.Helper()
	for w.boot() {
		if w.boots > 40 {
			w.t.Fatalf("after %d boots it is still not over; the cloud heard %v", w.boots, w.cloud.heard())
		}
	}
}

// lives boots once more, as a device does some day, and says what runs then.
func (w *world) lives() (isNew bool) {
	w.t.Helper()
	m := w.machine()
	if _, err := m.PowerOn(); err != nil {
		w.t.Fatal(err)
	}
	switch b := w.runs(m); {
	case bytes.Equal(b, w.old):
		return false
	case bytes.Equal(b, w.new):
		return true
	}
	w.t.Fatalf("neither the old nor the new image runs; the cloud heard %v", w.cloud.heard())
	return false
}

type anyPolicy struct{}

func (anyPolicy) Check(*ota.Notice, verify.Device) (verify.Grant, error) {
	return verify.Grant{}, nil
}

// cloud is the stand-in for the other end: it announces its one task at each
// connection until it has heard the end of it.
type cloud struct {
	w      *world
	events chan ota.Event

	mu    sync.Mutex
	log   []string // steps and versions, as they arrived
	ended bool
	quiet bool // it announces nothing at connections

	keepEvents bool // what is queued stays at a connection
	fresh      string

	asked    []ota.BlockRequest // over MQTT
	badBlock func(r ota.BlockRequest) (b ota.Block, done bool, err error)
}

func (c *cloud) connect() {
	for len(c.events) > 0 && !c.keepEvents {
		<-c.events
	}
	c.events <- ota.Event{}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended && !c.quiet {
		push, err := ota.EncodePush(c.w.notice)
		if err != nil {
			panic(err)
		}
		c.events <- ota.Event{Kind: ota.TopicUpgrade, Payload: push}
	}
}

func (c *cloud) Events() <-chan ota.Event { return c.events }

func (c *cloud) Post(kind ota.TopicKind, payload []byte) {
	c.w.cut.effect("post")
	c.hear(kind, payload)
}

func (c *cloud) Send(_ context.Context, kind ota.TopicKind, payload []byte) error {
	c.w.cut.effect("send")
	c.hear(kind, payload)
	c.w.cut.effect("acknowledge")
	return nil
}

func (c *cloud) hear(kind ota.TopicKind, payload []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch kind {
	case ota.TopicProgress:
		p, err := ota.DecodeProgress(payload)
		if err != nil {
			panic(err)
		}
		c.log = append(c.log, p.Step.String())
		c.ended = c.ended || p.Step.Failed()
	case ota.TopicInform:
		m, err := ota.DecodeInform(payload)
		if err != nil {
			panic(err)
		}
		c.log = append(c.log, m.Version)
		c.ended = c.ended || m.Version == c.w.notice.Version
	case ota.TopicGet:
		get, err := ota.DecodeGet(payload)
		if err != nil {
			panic(err)
		}
		c.log = append(c.log, "get")
		c.answer(get.ID)
	}
}

func (c *cloud) answer(id string) {
	var n *ota.Notice
	if !c.ended {
		fresh := c.w.notice
		fresh.Files = append([]ota.File(nil), fresh.Files...)
		if c.fresh != "" {
			fresh.Files[0].URL = c.fresh
		}
		n = &fresh
	}
	reply, err := ota.EncodeGetReply(id, n)
	if err != nil {
		panic(err)
	}
	c.events <- ota.Event{Kind: ota.TopicGetReply, Payload: reply}
}

func (c *cloud) settled() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended && len(c.events) == 0
}

// heard is what arrived, without the percentages in between and without what
// was sent again.
func (c *cloud) heard() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []string
	for _, s := range c.log {
		step, err := ota.ParseStep(s)
		if s == "get" || err == nil && step >= 0 && step < 100 || len(out) > 0 && out[len(out)-1] == s {
			continue
		}
		out = append(out, s)
	}
	return out
}

func (c *cloud) all() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.log, " ")
}
