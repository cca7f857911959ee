package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/leapslot/ota/platform"
	"github.com/leapslot/ota/platform/durable"
)

// cutter cuts the power before the k-th outside effect.
type cutter struct {
	k, n  int
	torn  bool // a write that is cut is half done
	loses bool // a cut forgets writes that were not synced
	rng   *rand.Rand
	lost  []func() // undo what was not synced
	write bool     // what was cut was a write: only those can be torn

	cutNow atomic.Bool // the next effect
}

var errPowerCut = errors.New("power cut")

// effect is called before each outside effect.
func (c *cutter) effect(string) {
	if c.hit() {
		c.off()
	}
}

func (c *cutter) hit() bool {
	c.n++
	return c.cutNow.Swap(false) || c.k > 0 && c.n == c.k
}

func (c *cutter) off() {
	if c.loses {
		for i := len(c.lost) - 1; i >= 0; i-- {
			if c.rng.Intn(2) == 0 {
				c.lost[i]()
			}
		}
	}
	c.lost = nil
	panic(errPowerCut)
}

// namedSlot is a slot by another name.
type namedSlot struct{ platform.Slot }

func (namedSlot) Name() string { return "other" }

type cutSlot struct {
	platform.Slot
	cut *cutter
}

func (s *cutSlot) Open(write bool) (platform.Medium, error) {
	m, err := s.Slot.Open(write)
	if err != nil {
		return nil, err
	}
	return &cutMedium{m, s.cut}, nil
}

type cutMedium struct {
	platform.Medium
	cut *cutter
}

func (m *cutMedium) WriteAt(p []byte, off int64) (int, error) { return m.cut.writeAt(m.Medium, p, off) }

func (m *cutMedium) Sync() error {
	m.cut.effect("sync")
	m.cut.lost = nil
	return m.Medium.Sync()
}

type readWriterAt interface {
	io.ReaderAt
	io.WriterAt
}

// writeAt writes with the faults that a cut brings.
func (c *cutter) writeAt(to readWriterAt, p []byte, off int64) (int, error) {
	if c.loses {
		before := make([]byte, len(p))
		n, _ := to.ReadAt(before, off)
		c.lost = append(c.lost, func() { to.WriteAt(before[:n], off) })
	}
	if c.hit() {
		c.write = true
		if c.torn {
			to.WriteAt(p[:len(p)/2], off)
		}
		c.off()
	}
	return to.WriteAt(p, off)
}

type cutSpool struct {
	*durable.Spool
	cut *cutter
}

func (s *cutSpool) WriteAt(p []byte, off int64) (int, error) { return s.cut.writeAt(s.Spool, p, off) }
func (s *cutSpool) Sync() error {
	s.cut.effect("sync spool")
	s.cut.lost = nil
	return s.Spool.Sync()
}
func (s *cutSpool) Truncate(n int64) error {
	s.cut.effect("truncate")
	return s.Spool.Truncate(n)
}

type cutBoot struct {
	platform.Boot
	cut *cutter
}

func (b *cutBoot) Try(slot string) error {
	b.cut.effect("try")
	return b.Boot.Try(slot)
}

func (b *cutBoot) Keep() error {
	b.cut.effect("keep")
	return b.Boot.Keep()
}

type cutPower struct{ cut *cutter }

func (p cutPower) Reboot(context.Context) error {
	p.cut.effect("reboot")
	return nil
}

type cutStore struct {
	*durable.Pair
	dir string
	cut *cutter
}

// Save tears the copy that it was writing when the power is cut: half of it is
// there.
func (s *cutStore) Save(b []byte) error {
	if !s.cut.hit() {
		return s.Pair.Save(b)
	}
	s.cut.write = true
	if s.cut.torn {
		before := s.copies()
		if err := s.Pair.Save(b); err != nil {
			return err
		}
		for i, now := range s.copies() {
			if !bytes.Equal(now, before[i]) {
				os.WriteFile(s.name(i), now[:len(now)/2], 0o600)
			}
		}
	}
	s.cut.off()
	return nil
}

func (s *cutStore) name(i int) string { return filepath.Join(s.dir, fmt.Sprintf("record.%d", i)) }

func (s *cutStore) copies() (c [2][]byte) {
	for i := range c {
		c[i], _ = os.ReadFile(s.name(i))
	}
	return c
}
