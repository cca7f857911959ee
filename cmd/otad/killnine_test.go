package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/leapslot/ota/diff"
)

// What one kill may cost, in bytes that the agent had read: what came since the
// last checkpoint, which is made every 4 MiB or every second, whichever comes
// first, and what is read at once before the agent looks whether one is due. What
// the kernel held when the kill came is measured, and the agent has never seen it.
const (
	lostCheckpoint = 4 << 20
	lostRead       = 256 << 10
	lostPile       = 1 << 20 // on a slow road: what comes at once after the agent had to wait for the processor
)

// noise is what nothing can compress.
func noise(seed string, size int) []byte {
	b := make([]byte, size)
	rand.NewChaCha8(sha256.Sum256([]byte(seed))).Read(b)
	return b
}

// hunt kills a device at places of a download, one in each of so many equal parts
// of it, and watches where the download goes on.
type hunt struct {
	t      *testing.T
	g      *gateway
	mu     sync.Mutex
	places []int64 // that are still to come
	next   int64   // where the record says that the download goes on; 0 before the first kill
	at     int64   // how far the road had come when the device was killed
	read   int64   // and what the device had read at least
	most   int64   // that was fetched again after one kill
	again  int64   // all of it
	bound  int64   // of most
	held   int64   // the most that the kernel held at a kill
}

func newHunt(t *testing.T, g *gateway, rnd *rand.Rand, kills int, size, bound int64) *hunt {
	h := &hunt{t: t, g: g, bound: bound}
	part := size / int64(kills)
	for i := range int64(kills) {
		h.places = append(h.places, i*part+rnd.Int64N(part))
	}
	return h
}

// begins hears of a request, before a byte of its answer has passed.
func (h *hunt) begins(start int64) (until int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if start != h.next {
		h.t.Errorf("W9: byte %d is asked for, the last checkpoint is %d", start, h.next)
	}
	lost := h.read - start
	h.most, h.again = max(h.most, lost), h.again+max(lost, 0)
	if lost > h.bound {
		h.t.Errorf("W9: %d had been read and byte %d is asked for: %d bytes again, at most %d may be", h.read, start, lost, h.bound)
	}
	if len(h.places) == 0 {
		return -1
	}
	until, h.places = h.places[0], h.places[1:]
	return max(until, start)
}

func (h *hunt) reached(at, held int64) {
	h.mu.Lock()
	h.at, h.read = at, at-held
	h.held = max(h.held, held)
	h.mu.Unlock()
	h.g.kill()
}

// died looks where the record is, after the death and before the next start.
func (h *hunt) died() {
	r := h.g.record()
	if r.Update.Stage != "fetch" {
		h.t.Errorf("the kill came at the stage %q, not in the download", r.Update.Stage)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	next := max(r.Update.Mark.In, r.Update.Mark.Spooled)
	if next < h.next || next > h.at {
		h.t.Errorf("the checkpoint is %d, before it was %d, and %d had come", next, h.next, h.at)
	}
	h.next = next
}

// download is one that is killed.
type download struct {
	name  string
	size  int64 // of the new image
	kills int
	short int   // kills with -short
	rate  int64 // bytes a second; 0 is as fast as can be
	pack  func(t *testing.T, old, image []byte) []byte
	more  []string // parameters of the package
}

// bound is what may be fetched again after one kill.
func (d download) bound() int64 {
	if d.rate > 0 {
		return min(lostCheckpoint, d.rate+lostPile) + lostRead // that of one second
	}
	return lostCheckpoint + lostRead
}

// W4, W9: a device that is killed with -9 at random moments of one download goes
// on from its last checkpoint, every time, and ends with the new image.
func TestW4W9KillNine(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	raw := func(_ *testing.T, _, image []byte) []byte { return image }
	for _, d := range []download{
		{"raw", 32 << 20, 20, 12, 0, raw, nil},
		{"slow", 6 << 20, 4, 2, 3 << 19, raw, nil},
		{"patch", 5 << 20, 8, 4, 0, patchOf, []string{"Type", "1", "SrcVersion", "1.0.0"}},
		{"gzip", 8 << 20, 8, 4, 0, gzipOf, nil},
	} {
		t.Run(d.name, func(t *testing.T) {
			t.Logf("seed %d", seed)
			if testing.Short() {
				t.Logf("-short: %d kills in place of %d", d.short, d.kills)
				d.kills = d.short
			}
			d.kill(t, rand.New(rand.NewPCG(seed, 0)))
		})
	}
}

func (d download) kill(t *testing.T, rnd *rand.Rand) {
	image, slot := noise("new "+d.name, int(d.size)), d.size+64<<10
	old := noise("old", int(slot)) // as long as the slot is, which is what doctor records
	pkg := d.pack(t, old, image)
	c := newTown(t, nil)
	g := c.newGateway("gw", old, slot, "mqtt://"+c.mqtt, "")
	if len(d.more) > 0 { // a patch needs to know its source
		g.recordSlot(c)
	}
	h := newHunt(t, g, rnd, d.kills, int64(len(pkg)), d.bound())
	c.road.begins, c.road.reached, g.died = h.begins, h.reached, h.died
	c.road.slow(d.rate)
	job := c.batch(g, "2.0.0", pkg, d.more...)
	before, began := g.counts().boots, time.Now()
	g.on()
	c.wantEnd(job, "SUCCEEDED")
	took := time.Since(began)
	g.wantRuns(c, "2.0.0", "b", image)

	var sent int64
	requests := c.road.seen()
	for _, p := range requests {
		sent += p.sent
	}
	n := g.counts()
	if n.kills != d.kills || len(requests) != d.kills+1 {
		t.Errorf("%d kills and %d requests, wanted are %d and one more", n.kills, len(requests), d.kills)
	}
	if most := int64(len(pkg)) + int64(d.kills)*(h.bound+h.held); sent > most {
		t.Errorf("%d bytes were sent for a package of %d, at most %d may be", sent, len(pkg), most)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	t.Logf("%d kills within %d bytes, %v: no byte before a checkpoint again; at most %d bytes read again after one kill (allowed %d), %d in all, and %d more held by the kernel; %d starts of otad",
		d.kills, len(pkg), took.Round(time.Millisecond), h.most, h.bound, h.again, h.held, n.boots-before)
}

// recordSlot lets the device run for a moment and then take the digest of what
// the factory installed.
func (g *gateway) recordSlot(c *town) {
	g.t.Helper()
	g.on()
	within(g.t, slowest, "the first version", func() bool { return c.version(g.name) == "1.0.0" })
	if code, _ := g.end(syscall.SIGTERM); code != exitOK {
		g.t.Fatalf("SIGTERM: exit code %d", code)
	}
	if out, err := exec.Command("otad", "doctor", "--record-slot", "-c", g.file).CombinedOutput(); err != nil {
		g.t.Fatalf("doctor: %v\n%s", err, out)
	}
}

func patchOf(t *testing.T, old, image []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := diff.Make(context.Background(), &b, old, image, diff.Options{}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gzipOf(t *testing.T, _, image []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write(image)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// W4: killed in each stage, the device goes on from there or leaves, and what
// the cloud shows is what runs.
func TestW4KillInEveryStage(t *testing.T) {
	t.Parallel()
	stages := []string{"accept", "trust", "room", "fetch", "verify", "write", "switch", "reboot", "prove", "keep", "report"}
	patched := []string{"fetch", "verify", "write", "switch", "reboot", "prove", "keep"}
	if testing.Short() {
		stages, patched = []string{"verify", "write", "switch", "prove"}, []string{"write"}
		t.Logf("-short: killed in %v with full images and %v with patches only", stages, patched)
	}
	c := newTown(t, nil)
	w := &walker{town: c, t: t, slot: "a", version: 1, image: noise("1", walkSize)}
	// With the health check the trial lasts long enough for a kill to come in time.
	w.g = c.newGateway("gw", w.image, walkSize, "mqtt://"+c.mqtt, "[health]\ncommands = [[\"sleep\", \"0.1\"]]\n")
	w.where = make(chan string, 10)
	w.g.died = func() { w.where <- w.g.record().Update.Stage }
	w.g.on()
	within(t, slowest, "the first version", func() bool { return c.version("gw") == "1.0.0" })
	for _, stage := range stages {
		w.killedAt(stage, false)
	}
	for _, stage := range patched {
		w.killedAt(stage, true)
	}
	t.Logf("%d updates; %d of %d stages were hit exactly; missed: %v", w.version-1, w.hit, len(stages)+len(patched), w.missed)
	if w.hit == 0 {
		t.Error("no kill came in the stage that it was meant for")
	}

	// Three kills are all the attempts of a trial: the boot loader leads back.
	w.g.killAt("msg=stage stage=prove\n", 3)
	task := c.wantEnd(c.batch(w.g, fmt.Sprintf("%d.0.0", w.version+1), noise("bad", walkSize)), "FAILED")
	if !strings.HasPrefix(task.TaskDesc, "-1") {
		t.Errorf("the cloud shows %+v, wanted is -1", task)
	}
	w.g.wantRuns(c, fmt.Sprintf("%d.0.0", w.version), w.slot, w.image)
	t.Logf("killed 3 times while on trial: %s", task.TaskDesc)
}

const walkSize = 256 << 10

// walker takes a device from version to version.
type walker struct {
	town    *town
	t       *testing.T
	g       *gateway
	where   chan string // stage of the record after a kill
	hit     int         // stages in which a kill came
	missed  []string    // those in which it did not
	slot    string
	version int
	image   []byte
}

// walkTries is how often a stage is aimed at: most of them last no longer than
// it takes to read of them in the log.
const walkTries = 3

// killedAt installs versions, with one kill at each, until one came in the stage.
func (w *walker) killedAt(stage string, patch bool) {
	w.t.Helper()
	var at []string
	for range walkTries {
		w.update(stage, patch)
		select {
		case s := <-w.where:
			if s == stage {
				w.hit++
				return
			}
			at = append(at, s)
		default:
			at = append(at, "not killed")
		}
	}
	w.missed = append(w.missed, fmt.Sprintf("%s: %s", stage, strings.Join(at, ", ")))
}

// update installs one more version with a kill on the way, at that stage or
// shortly after.
func (w *walker) update(stage string, patch bool) {
	w.t.Helper()
	image := bytes.Clone(w.image)
	copy(image[walkSize/2:], noise(fmt.Sprint(w.version), walkSize/4))
	pkg, more := image, []string(nil)
	if patch {
		pkg, more = patchOf(w.t, w.image, image), []string{"Type", "1", "SrcVersion", fmt.Sprintf("%d.0.0", w.version)}
	}
	w.slot, w.version, w.image = map[string]string{"a": "b", "b": "a"}[w.slot], w.version+1, image
	version := fmt.Sprintf("%d.0.0", w.version)
	w.g.killAt("msg=stage stage="+stage+"\n", 1)
	w.town.wantEnd(w.town.batch(w.g, version, pkg, more...), "SUCCEEDED")
	w.g.wantRuns(w.town, version, w.slot, image)
}
