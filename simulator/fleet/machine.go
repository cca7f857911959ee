package fleet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/leapslot/ota/platform"
	"github.com/leapslot/ota/platform/durable"
)

// The machine of a real agent, in memory: a device that lives for as long as the fleet.

const (
	memorySlotSize = 256 << 20 // bytes that a slot takes; what is not written costs nothing
	trialAttempts  = 3
)

// memorySlot is a slot. What was written in it stays.
type memorySlot struct {
	name    string
	refuses func() error // why nothing is written now, nil when it is
	mu      sync.Mutex
	content []byte
	open    bool // for writing
}

func (s *memorySlot) Name() string         { return s.name }
func (s *memorySlot) Size() (int64, error) { return memorySlotSize, nil }

func (s *memorySlot) Open(write bool) (platform.Medium, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if write && s.open {
		return nil, fmt.Errorf("slot %s: %w", s.name, platform.ErrBusy)
	}
	s.open = s.open || write
	return &memoryMedium{s, write}, nil
}

type memoryMedium struct {
	*memorySlot
	write bool
}

// ReadAt reads zeros where nothing was written.
func (m *memoryMedium) ReadAt(p []byte, off int64) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if off < 0 || off > memorySlotSize {
		return 0, errors.New("the place is outside of the slot")
	}
	n := int(min(int64(len(p)), memorySlotSize-off))
	clear(p[:n])
	if off < int64(len(m.content)) {
		copy(p[:n], m.content[off:])
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (m *memoryMedium) WriteAt(p []byte, off int64) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.write || off < 0 || off+int64(len(p)) > memorySlotSize {
		return 0, errors.New("the slot cannot be written there")
	}
	if err := m.refuses(); err != nil {
		return 0, err
	}
	m.content = writeAt(m.content, p, off)
	return len(p), nil
}

func writeAt(content, p []byte, off int64) []byte {
	if need := int(off) + len(p); need > len(content) {
		content = append(content, make([]byte, need-len(content))...)
	}
	copy(content[off:], p)
	return content
}

func (m *memoryMedium) Sync() error { return nil }

func (m *memoryMedium) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.write {
		m.open, m.write = false, false
	}
	return nil
}

// memoryBoot is the boot loader.
type memoryBoot struct {
	running, kept, trial string
	left                 int // starts of the trial
}

// powerOn is what happens before the system starts.
func (b *memoryBoot) powerOn() {
	b.running = b.kept
	if b.trial != "" && b.left > 0 {
		b.left--
		b.running = b.trial
	} else {
		b.trial = ""
	}
}

func (b *memoryBoot) Running() (string, error) { return b.running, nil }

func (b *memoryBoot) Try(slot string) error {
	if slot != "a" && slot != "b" {
		return fmt.Errorf("slot %q: %w", slot, platform.ErrNoSlot)
	}
	if b.trial, b.left = slot, trialAttempts; slot == b.kept {
		b.trial = ""
	}
	return nil
}

func (b *memoryBoot) Keep() error {
	b.kept, b.trial = b.running, ""
	return nil
}

// memoryPower lets the process end.
type memoryPower struct{}

func (memoryPower) Reboot(context.Context) error { return nil }

// memoryStore keeps the record.
type memoryStore struct {
	mu     sync.Mutex
	record []byte
}

func (s *memoryStore) Load() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.record == nil {
		return nil, durable.ErrNone
	}
	return append([]byte(nil), s.record...), nil
}

func (s *memoryStore) Save(b []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.record = append([]byte(nil), b...)
	return nil
}

// memorySpool is where a patch would be kept.
type memorySpool struct{ content []byte }

func (s *memorySpool) ReadAt(p []byte, off int64) (int, error) {
	if off >= int64(len(s.content)) {
		return 0, io.EOF
	}
	n := copy(p, s.content[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (s *memorySpool) WriteAt(p []byte, off int64) (int, error) {
	s.content = writeAt(s.content, p, off)
	return len(p), nil
}

func (s *memorySpool) Size() (int64, error) { return int64(len(s.content)), nil }
func (s *memorySpool) Sync() error          { return nil }
func (s *memorySpool) Free() (int64, error) { return memorySlotSize, nil }

func (s *memorySpool) Truncate(size int64) error {
	if size < int64(len(s.content)) {
		s.content = s.content[:size]
	}
	return nil
}
