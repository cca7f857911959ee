package uboot

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/leapslot/ota/platform"
	"github.com/leapslot/ota/platform/platformtest"
)

var errCut = errors.New("the power is cut")

// flash is a flash chip in memory, since this test's machine has none: writing
// clears bits, only erasing a block sets them, and the power can fail within
// both. The real one is for the lab (nandsim).
type flash struct {
	mem   []byte
	block int64
	nor   bool
	bads  map[int64]bool
	stuck bool // it does not take what is written

	steps, cutAt int
	dead         bool
	choose       func(n int) int // how much of the interrupted step happens
}

func newFlash(nor bool, bads ...int64) *flash {
	f := &flash{mem: bytes.Repeat([]byte{0xff}, 0x4000), block: 0x400, nor: nor, bads: map[int64]bool{}, choose: func(int) int { return 0 }}
	for _, b := range bads {
		f.bads[b] = true
	}
	return f
}

func (f *flash) open(string, bool) (chip, error) {
	if f.dead {
		return nil, errCut
	}
	return f, nil
}
func (f *flash) Close() error { return nil }
func (f *flash) geometry() (geometry, error) {
	return geometry{size: int64(len(f.mem)), block: f.block, nor: f.nor}, nil
}
func (f *flash) bad(off int64) (bool, error) { return f.bads[off], nil }

// cut counts a step on n bytes and says how many of them it still takes.
func (f *flash) cut(n int) (int, error) {
	if f.dead {
		return 0, errCut
	}
	f.steps++
	if f.cutAt != 0 && f.steps >= f.cutAt {
		f.dead = true
		return f.choose(n + 1), errCut
	}
	return n, nil
}

func (f *flash) erase(off, n int64) error {
	if f.bads[off] || off%f.block != 0 || n != f.block {
		return fmt.Errorf("erase of %d bytes at %#x", n, off)
	}
	take, err := f.cut(int(n))
	for i := range f.mem[off:][:take] {
		f.mem[off+int64(i)] = 0xff
	}
	return err
}

func (f *flash) ReadAt(p []byte, off int64) (int, error) {
	if f.dead {
		return 0, errCut
	}
	return bytes.NewReader(f.mem).ReadAt(p, off)
}

func (f *flash) WriteAt(p []byte, off int64) (int, error) {
	if f.bads[off-off%f.block] {
		return 0, io.ErrShortWrite
	}
	if f.stuck {
		return len(p), nil
	}
	take, err := f.cut(len(p))
	for i, b := range p[:take] {
		f.mem[off+int64(i)] &= b
	}
	return take, err
}

// flashBoard is a board with U-Boot's own counter and its environment in flash,
// written again as in [machine]. On NOR U-Boot does not count the copies but
// marks the one in use with 1 and the old one with 0.
type flashBoard struct {
	*flash
	lines   []Location
	running string
}

func newFlashBoard(f *flash) *flashBoard {
	b := &flashBoard{flash: f, lines: []Location{
		{Path: "/dev/mtd0", Offset: 0x400, Size: envSize, Sector: 0x400, Count: 4},
		{Path: "/dev/mtd0", Offset: 0x2000, Size: envSize, Sector: 0x400, Count: 4},
	}}
	vars := map[string]string{"otad_slot": "a", "upgrade_available": "0", "bootcount": "0", "bootlimit": "3"}
	b.save(0, vars, 1)
	b.save(1, vars, 0)
	return b
}

// spots are the places of the bytes of copy i.
func (b *flashBoard) spots(i int) (spots []int64) {
	for off := b.lines[i].Offset; len(spots) < envSize; off++ {
		if !b.bads[off-off%b.block] {
			spots = append(spots, off)
		}
	}
	return spots
}

func (b *flashBoard) read(i int) []byte {
	raw := make([]byte, envSize)
	for j, off := range b.spots(i) {
		raw[j] = b.mem[off]
	}
	return raw
}

func (b *flashBoard) save(i int, vars map[string]string, flag byte) bool {
	raw, spots := simEncode(vars, flag, true), b.spots(i)
	for _, off := range spots {
		if off%b.block == 0 && b.erase(off, b.block) != nil {
			return false
		}
	}
	for j := 0; j < len(raw); j += int(b.block) {
		if _, err := b.WriteAt(raw[j:min(j+int(b.block), len(raw))], spots[j]); err != nil {
			return false
		}
	}
	return true
}

func (b *flashBoard) PowerOn(t testing.TB) platform.Boot {
	t.Helper()
	if b.dead {
		b.dead, b.cutAt = false, 0
	}
	one, f1 := simDecode(b.read(0), true)
	two, f2 := simDecode(b.read(1), true)
	now, vars, flag := 0, one, f1
	if one == nil || two != nil && (f2 > f1 && !(f1 == 0 && f2 == 255) || f1 == 255 && f2 == 0) {
		now, vars, flag = 1, two, f2
	}
	if vars == nil {
		t.Fatal("both copies are bad")
	}
	b.running = vars["otad_slot"]
	if vars["upgrade_available"] == "1" {
		count := number(vars["bootcount"]) + 1
		vars["bootcount"] = strconv.Itoa(count)
		if flag++; b.nor {
			flag = 1
		}
		if !b.save(1-now, vars, flag) {
			return nil
		}
		if b.nor {
			if _, err := b.WriteAt([]byte{0}, b.spots(now)[4]); err != nil {
				return nil
			}
		}
		if count <= number(vars["bootlimit"]) {
			b.running = vars["otad_trial"]
		}
	}
	slot := b.running
	boot, err := newOn(b.copies(t), Config{Slots: names, Running: func() (string, error) { return slot, nil }})
	if err != nil {
		t.Fatal(err)
	}
	return boot
}

func (b *flashBoard) copies(t testing.TB) *copies {
	t.Helper()
	c, err := locate(nil, func(path string) (string, kind, error) { return path, flashChip, nil }, b.lines)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range c.places {
		p.(*mtd).open = b.open
	}
	return c
}

func (b *flashBoard) CutAt(n int) { b.dead, b.steps, b.cutAt = false, 0, n }
func (b *flashBoard) Off() bool   { return b.dead }

// TestBootInFlash: NAND with bad blocks (S12), NOR with its marks; the power cut
// within every erase and write.
func TestBootInFlash(t *testing.T) {
	for name, f := range map[string]func() *flash{
		"NAND": func() *flash { return newFlash(false, 0x800, 0x2000) },
		"NOR":  func() *flash { return newFlash(true) },
	} {
		for seed := range uint64(8) {
			t.Run(fmt.Sprint(name, seed), func(t *testing.T) {
				platformtest.TestBoot(t, platformtest.Harness{
					Kept: "a", Spare: "b", Attempts: DefaultAttempts,
					New: func(testing.TB) platformtest.Machine {
						f := f()
						f.choose = rand.New(rand.NewPCG(seed, 3)).IntN
						return newFlashBoard(f)
					},
				})
			})
		}
	}
}

// TestFlashNeighbours: what else lies in the blocks stays.
func TestFlashNeighbours(t *testing.T) {
	b := newFlashBoard(newFlash(true))
	b.lines[0].Offset, b.lines[1].Offset = 0x600, -0x1f00
	b.mem = bytes.Repeat([]byte{0xa5}, len(b.mem))
	for i := range b.lines {
		at := (b.lines[i].Offset + int64(len(b.mem))) % int64(len(b.mem))
		copy(b.mem[at:], simEncode(map[string]string{varSlot: "a", varTrying: "0"}, byte(1-i), true))
	}
	before := bytes.Clone(b.mem)
	c := b.copies(t)
	boot := started(t, c, "a", "")
	if err := errors.Join(boot.Try("b"), boot.Try("a"), boot.Check()); err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(b.mem, before) {
		t.Fatal("nothing was written")
	}
	for i, got := range b.mem {
		inside := i >= 0x600 && i < 0x600+envSize || i >= 0x2100 && i < 0x2100+envSize
		if !inside && got != 0xa5 {
			t.Fatalf("byte %#x was changed", i)
		}
	}
}

func TestFlashRefuses(t *testing.T) {
	for why, change := range map[string]func(*flashBoard){
		"within the device":    func(b *flashBoard) { b.lines[1].Offset = 0x3c00 },
		"good blocks":          func(b *flashBoard) { b.bads[0x400], b.bads[0x800], b.bads[0xc00] = true, true, true },
		"not what was written": func(b *flashBoard) { b.stuck = true },
	} {
		b := newFlashBoard(newFlash(false))
		change(b)
		err := started(t, b.copies(t), "a", "").Try("b")
		if err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%v, want %q", err, why)
		}
	}
}
