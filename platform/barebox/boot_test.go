package barebox

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/leapslot/ota/platform"
	"github.com/leapslot/ota/platform/internal/forgetful"
	"github.com/leapslot/ota/platform/internal/rewrite"
	"github.com/leapslot/ota/platform/platformtest"
)

var _ platform.Checkable = (*Boot)(nil)

const (
	path   = "/dev/mmcblk0p4"
	magic  = 0xab67421f
	stride = 512
)

// The layout of the example in barebox's documentation, with a word of
// somebody else's behind it.
var layout = map[string]Target{"a": {Attempts: 0, Priority: 4}, "b": {Attempts: 8, Priority: 12}}

const (
	lastChosen = 16
	serial     = 20
	length     = 24
)

// wide has its variables far apart: half a sector may hold the checksums and
// the other half what they are of.
var wide = map[string]Target{"a": {Attempts: 24, Priority: 400}, "b": {Attempts: 404, Priority: 28}}

// spread moves variables to their places in wide.
func spread(v []byte) []byte {
	w := append(bytes.Clone(v), make([]byte, 408-len(v))...)
	for s, t := range layout {
		copy(w[wide[s].Attempts:], v[t.Attempts:t.Attempts+4])
		copy(w[wide[s].Priority:], v[t.Priority:t.Priority+4])
	}
	return w
}

// variables is a state as the arguments have it.
func variables(attemptsA, priorityA, attemptsB, priorityB uint32) []byte {
	v := make([]byte, length)
	for i, n := range []uint32{attemptsA, priorityA, attemptsB, priorityB, 0, 0xcafe} {
		order.PutUint32(v[4*i:], n)
	}
	return v
}

// image is three copies with them.
func image(stride int, v []byte) []byte {
	m := make([]byte, Copies*stride)
	for i := range Copies {
		encode(m[i*stride:], v, magic)
	}
	return m
}

// machine is barebox on a made-up disk that forgets, tears and reorders what
// was not synced. Bootchooser is played in Go after its documentation; no
// barebox runs in the lab. The format is checked against barebox-state.
type machine struct {
	disk    *forgetful.Disk
	choose  forgetful.Choice
	stride  int
	layout  map[string]Target
	running string
}

func newMachine(t testing.TB, choose forgetful.Choice, medium []byte) *machine {
	t.Helper()
	m := &machine{disk: forgetful.New(), choose: choose, stride: len(medium) / Copies, layout: layout}
	if err := rewrite.Replace(m.disk, path, path+".x", medium, 0o600); err != nil {
		t.Fatal(err)
	}
	m.disk.CutAt(0)
	return m
}

func (m *machine) open(t testing.TB) *Boot {
	t.Helper()
	b, err := newOn(m.disk, Config{
		Path: path, Magic: magic, Stride: m.stride, Length: length, Slots: []string{"a", "b"}, Targets: m.layout,
		Running: func() (string, error) { return m.running, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (m *machine) PowerOn(t testing.TB) platform.Boot {
	t.Helper()
	if m.disk.Dead() {
		m.disk.PowerOn(m.choose)
	}
	if m.running = m.bootchooser(t); m.running == "" {
		return nil
	}
	return m.open(t)
}

// bootchooser loads the state, which repairs the copies from the first whole
// one, takes the target of the highest priority that has attempts, takes one
// off, and saves all copies in their order.
func (m *machine) bootchooser(t testing.TB) string {
	t.Helper()
	medium, err := rewrite.Head(m.disk, path, Copies*m.stride)
	if err != nil {
		t.Fatal(err)
	}
	used, v, wrong := first(medium, m.stride, magic)
	if used < 0 {
		t.Fatal(wrong)
	}
	if medium = m.save(t, medium, v); medium == nil {
		return ""
	}
	best, priority := "", uint32(0)
	for i, s := range []string{"a", "b"} {
		p, left := order.Uint32(v[m.layout[s].Priority:]), order.Uint32(v[m.layout[s].Attempts:])
		if p > priority && left > 0 {
			best, priority = s, p
			order.PutUint32(v[lastChosen:], uint32(i))
		}
	}
	if best == "" {
		t.Fatalf("no target is left: %x", v)
	}
	at := v[m.layout[best].Attempts:]
	order.PutUint32(at, order.Uint32(at)-1)
	if m.save(t, medium, v) == nil {
		return ""
	}
	return best
}

func (m *machine) save(t testing.TB, medium, v []byte) []byte {
	t.Helper()
	next := bytes.Clone(medium)
	for i := range Copies {
		encode(next[i*m.stride:], v, magic)
		if err := rewrite.InPlace(m.disk, path, medium, next); err != nil {
			if !m.disk.Dead() {
				t.Fatal(err)
			}
			return nil
		}
		copy(medium, next)
	}
	return next
}

func (m *machine) CutAt(n int) {
	if m.disk.Dead() {
		m.disk.PowerOn(m.choose)
	}
	m.disk.CutAt(n)
}

func (m *machine) Off() bool { return m.disk.Dead() }

func choices() map[string]func() forgetful.Choice {
	c := map[string]func() forgetful.Choice{
		"nothing":    func() forgetful.Choice { return forgetful.Nothing },
		"everything": func() forgetful.Choice { return forgetful.Everything },
	}
	for seed := range uint64(4) {
		c[fmt.Sprintf("random%d", seed)] = func() forgetful.Choice { return rand.New(rand.NewPCG(seed, 7)).IntN }
	}
	return c
}

func TestBoot(t *testing.T) {
	for name, choose := range choices() {
		for _, stride := range []int{stride, 64} {
			t.Run(fmt.Sprintf("%s/stride%d", name, stride), func(t *testing.T) {
				platformtest.TestBoot(t, platformtest.Harness{
					Kept: "a", Spare: "b", Attempts: DefaultAttempts,
					New: func(t testing.TB) platformtest.Machine {
						return newMachine(t, choose(), image(stride, variables(Forever, 20, 0, 0)))
					},
				})
			})
		}
	}
}

func TestBootWide(t *testing.T) {
	for name, choose := range choices() {
		t.Run(name, func(t *testing.T) {
			platformtest.TestBoot(t, platformtest.Harness{
				Kept: "a", Spare: "b", Attempts: DefaultAttempts,
				New: func(t testing.TB) platformtest.Machine {
					m := newMachine(t, choose(), image(stride, spread(variables(Forever, 20, 0, 0))))
					m.layout = wide
					return m
				},
			})
		})
	}
}

// TestB2AnyCopyBad: whichever copies are bad, a cut at any step of Try leaves
// the old choice or the new one, the bad ones are repaired, and what belongs to
// others is there.
func TestB2AnyCopyBad(t *testing.T) {
	for name, choose := range choices() {
		for bad := range 1<<Copies - 1 { // never all of them
			for n := 1; ; n++ {
				medium := image(stride, spread(variables(Forever, 20, 0, 0)))
				for i := range Copies {
					if bad>>i&1 == 1 {
						medium[i*stride+30] ^= 4
					}
				}
				m := newMachine(t, choose(), medium)
				m.running, m.layout = "a", wide
				m.CutAt(n)
				err := m.open(t).Try("b")
				cut := m.Off()
				m.CutAt(0)
				m.disk.PowerOn(m.choose)
				_, v, lerr := m.open(t).load()
				if lerr != nil {
					t.Fatalf("%s, bad %03b, cut at step %d: %v", name, bad, n, lerr)
				}
				c, uerr := m.open(t).understand(v)
				old, next := choice{kept: "a"}, choice{kept: "a", trial: "b", left: DefaultAttempts}
				if uerr != nil || c != next && (c != old || !cut) || order.Uint32(v[serial:]) != 0xcafe {
					t.Fatalf("%s, bad %03b, cut at step %d: %+v, %v, %x", name, bad, n, c, uerr, v)
				}
				if cut {
					continue
				}
				if cerr := m.open(t).Check(); err != nil || cerr != nil || n < 6 {
					t.Fatalf("%s, bad %03b: %d steps, %v, then %v", name, bad, n-1, err, cerr)
				}
				break
			}
		}
	}
}

func TestB1NeverPrepared(t *testing.T) {
	signed := image(stride, variables(Forever, 20, 0, 0))
	for i := range Copies {
		order.PutUint32(signed[i*stride+4:], headSize+length+32)
	}
	for name, c := range map[string]struct {
		medium []byte
		mends  bool
	}{
		"erased":                       {bytes.Repeat([]byte{0xff}, Copies*stride), true},
		"zeros":                        {make([]byte, Copies*stride), true},
		"barebox's defaults":           {image(stride, variables(3, 20, 3, 21)), true},
		"everything used up":           {image(stride, variables(0, 20, 0, 21)), true},
		"two kept":                     {image(stride, variables(Forever, 20, Forever, 21)), true},
		"the kept one is switched off": {image(stride, variables(Forever, 0, 3, 21)), true},
		"fewer variables":              {image(stride, variables(Forever, 20, 0, 0)[:8]), true},
		"signed":                       {signed, false},
		"too short":                    {make([]byte, Copies*stride-1), false},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, forgetful.Nothing, c.medium)
			m.stride, m.running = stride, "b"
			b := m.open(t)
			for verb, err := range map[string]error{"Try": b.Try("b"), "Keep": b.Keep(), "Check": b.Check()} {
				if err == nil {
					t.Errorf("%s finds nothing", verb)
				}
			}
			err := b.Mend()
			if (err == nil) != c.mends {
				t.Fatalf("Mend: %v", err)
			}
			if !c.mends {
				return
			}
			if err := b.Check(); err != nil {
				t.Error(err)
			}
			m.disk.PowerOn(m.choose)
			if m.PowerOn(t); m.running != "b" {
				t.Errorf("starts %s, mended in b", m.running)
			}
		})
	}
}

func TestCheckFinds(t *testing.T) {
	stale := image(stride, variables(Forever, 20, 0, 0))
	encode(stale[2*stride:], variables(Forever, 20, 3, 30), magic)
	torn := image(stride, variables(Forever, 20, 0, 0))
	torn[stride+12] ^= 1
	for name, medium := range map[string][]byte{
		"B2 a stale copy":     stale,
		"B2 a damaged copy":   torn,
		"an attempt too many": image(stride, variables(Forever, 20, MaxAttempts+1, 30)),
	} {
		m := newMachine(t, forgetful.Nothing, medium)
		m.running = "a"
		b := m.open(t)
		if b.Check() == nil {
			t.Errorf("%s: not found", name)
		}
		if got, _ := rewrite.Head(m.disk, path, Copies*stride); !bytes.Equal(got, medium) {
			t.Errorf("%s: Check changed it", name)
		}
		if err := errors.Join(b.Mend(), b.Check()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCheckChangesNothing: nor does a cut in it.
func TestCheckChangesNothing(t *testing.T) {
	for _, stride := range []int{stride, metaSize + headSize + length} {
		medium := image(stride, variables(Forever-7, 20, 2, 30))
		for n := 1; ; n++ {
			m := newMachine(t, forgetful.Nothing, medium)
			m.running = "a"
			m.CutAt(n)
			err := m.open(t).Check()
			cut := m.Off()
			m.CutAt(0)
			m.disk.PowerOn(m.choose)
			if err := m.open(t).Check(); err != nil {
				t.Fatalf("cut at step %d: %v", n, err)
			}
			if cut {
				continue
			}
			if got, _ := rewrite.Head(m.disk, path, Copies*stride); !bytes.Equal(got, medium) || err != nil || n < 3 {
				t.Errorf("%d steps, %v", n-1, err)
			}
			break
		}
	}
}

func TestNewRefuses(t *testing.T) {
	good := Config{
		Path: path, Magic: magic, Stride: stride, Slots: []string{"a", "b"}, Targets: layout,
		Running: func() (string, error) { return "a", nil },
	}
	if _, err := New(good); err != nil {
		t.Fatal(err)
	}
	with := func(slot string, x Target) map[string]Target {
		m := maps.Clone(layout)
		m[slot] = x
		return m
	}
	for name, change := range map[string]func(*Config){
		"no path":            func(c *Config) { c.Path = "" },
		"attempts":           func(c *Config) { c.Attempts = MaxAttempts + 1 },
		"no Running":         func(c *Config) { c.Running = nil },
		"one slot":           func(c *Config) { c.Slots = c.Slots[:1] },
		"twice the slot":     func(c *Config) { c.Slots = []string{"a", "a"} },
		"no target":          func(c *Config) { c.Slots = []string{"a", "c"} },
		"overlapping":        func(c *Config) { c.Targets = with("b", Target{Attempts: 0, Priority: 12}) },
		"not aligned":        func(c *Config) { c.Targets = with("b", Target{Attempts: 9, Priority: 12}) },
		"far away":           func(c *Config) { c.Targets = with("b", Target{Attempts: 1 << 16, Priority: 12}) },
		"negative":           func(c *Config) { c.Targets = with("b", Target{Attempts: -4, Priority: 12}) },
		"a stride too small": func(c *Config) { c.Stride = metaSize + headSize + 15 },
		"a stride too large": func(c *Config) { c.Stride = MaxStride + 1 },
		"too long":           func(c *Config) { c.Length, c.Stride = MaxLength+1, MaxStride },
	} {
		c := good
		change(&c)
		if _, err := New(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestRunningUnknown(t *testing.T) {
	m := newMachine(t, forgetful.Nothing, image(stride, variables(Forever, 20, 0, 0)))
	m.running = "zz"
	b := m.open(t)
	if _, err := b.Running(); !errors.Is(err, platform.ErrNoSlot) {
		t.Errorf("Running: %v", err)
	}
	if err := b.Keep(); !errors.Is(err, platform.ErrNoSlot) {
		t.Errorf("Keep: %v", err)
	}
}

// FuzzState: whatever lies on the medium is refused or understood, and what is
// understood can be written and read again.
func FuzzState(f *testing.F) {
	f.Add(image(64, variables(Forever, 20, 3, 30))[:64])
	f.Add(make([]byte, 64))
	f.Add([]byte{0xf3, 0xfd, 0x54, 0x23})
	signed := image(128, variables(Forever, 20, 0, 0))[:128]
	order.PutUint32(signed[4:], headSize+length+32)
	f.Add(signed)
	f.Fuzz(func(t *testing.T, c []byte) {
		v, err := decode(c, magic)
		if err != nil {
			return
		}
		again := make([]byte, len(c))
		encode(again, v, magic)
		if got, err := decode(again, magic); err != nil || !bytes.Equal(got, v) {
			t.Fatalf("%x came back as %x, %v", v, got, err)
		}
	})
}
