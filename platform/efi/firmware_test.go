package efi

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/leapslot/ota/platform"
	"github.com/leapslot/ota/platform/internal/disk"
	"github.com/leapslot/ota/platform/platformtest"
)

// firmware plays a UEFI firmware: its variables behind Linux' efivarfs, and its
// boot manager. The real ones are OVMF and Linux in TestLabOVMF.
// A change of a variable is one step and happens or not.
type firmware struct {
	vars    map[string][]byte // file name to attributes and value
	running string            // the slot whose loader was started
	forgets bool              // loses BootNext
	deaf    bool              // takes variables and keeps none
	bare    string            // the slot that a removable disk's path starts, if nothing else does

	steps, cutAt int
	dead         bool
}

var errCut = errors.New("the power is cut")

func newFirmware() *firmware { return &firmware{vars: map[string][]byte{}, bare: "a"} }

func (w *firmware) step() error {
	if w.dead {
		return errCut
	}
	w.steps++
	if w.cutAt != 0 && w.steps >= w.cutAt {
		w.dead = true
		return errCut
	}
	return nil
}

// OpenFile implements disk.Disk as efivarfs does.
func (w *firmware) OpenFile(path string, flag int, _ fs.FileMode) (disk.File, error) {
	name := filepath.Base(path)
	_, ok := w.vars[name]
	switch {
	case w.dead:
		return nil, errCut
	case flag&(os.O_TRUNC|os.O_APPEND) != 0:
		return nil, fmt.Errorf("flags %#x would lose a variable", flag)
	case !ok && flag&os.O_CREATE == 0:
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}
	return &variable{w: w, name: name}, nil
}

func (w *firmware) Rename(string, string) error { return syscall.EPERM }

func (w *firmware) Remove(path string) error {
	if err := w.step(); err != nil {
		return err
	}
	delete(w.vars, filepath.Base(path))
	return nil
}

func (w *firmware) List(string) ([]string, error) {
	if w.dead {
		return nil, errCut
	}
	var names []string
	for name := range w.vars {
		names = append(names, name)
	}
	return names, nil
}

type variable struct {
	w    *firmware
	name string
	at   int
}

func (v *variable) Read(p []byte) (int, error) {
	if v.w.dead {
		return 0, errCut
	}
	data := v.w.vars[v.name]
	if v.at >= len(data) {
		return 0, io.EOF
	}
	n := copy(p, data[v.at:])
	v.at += n
	return n, nil
}

func (v *variable) Write(p []byte) (int, error) {
	if len(p) <= attributeSize || v.at != 0 || v.name == currentName+"-"+Global {
		return 0, syscall.EINVAL
	}
	if old := v.w.vars[v.name]; len(old) >= attributeSize && string(old[:4]) != string(p[:4]) {
		return 0, syscall.EINVAL // attributes do not change
	}
	if err := v.w.step(); err != nil {
		return 0, err
	}
	if !v.w.deaf {
		v.w.vars[v.name] = slices.Clone(p)
	}
	v.at = len(p)
	return len(p), nil
}

func (v *variable) Sync() error  { return syscall.EINVAL }
func (v *variable) Close() error { return nil }

func (w *firmware) set(name string, value ...uint16) {
	data := []byte{remembered, 0, 0, 0}
	if name == currentName {
		data[0] = BootService | Runtime
	}
	for _, n := range value {
		data = binary.LittleEndian.AppendUint16(data, n)
	}
	w.vars[name+"-"+Global] = data
}

func (w *firmware) get(name string) []uint16 {
	var list []uint16
	data := w.vars[name+"-"+Global]
	for i := attributeSize; i+1 < len(data); i += 2 {
		list = append(list, binary.LittleEndian.Uint16(data[i:]))
	}
	return list
}

func (w *firmware) setOption(n uint16, o LoadOption) {
	data, err := o.Bytes()
	if err != nil {
		panic(err)
	}
	w.vars[entryVariable(n)+"-"+Global] = append([]byte{remembered, 0, 0, 0}, data...)
}

// boot is the boot manager (UEFI specification, section 3.1.1): BootNext, which
// is deleted before it is obeyed, then the active entries of BootOrder, then
// what a removable disk has.
func (w *firmware) boot() error {
	if next := w.get(nextName); len(next) == 1 {
		if err := w.step(); err != nil {
			return err
		}
		delete(w.vars, nextName+"-"+Global)
		if !w.forgets && w.start(next[0]) {
			return nil
		}
	}
	for _, n := range w.get(orderName) {
		if o, err := w.option(n); err == nil && o.Attributes&Active != 0 && w.start(n) {
			return nil
		}
	}
	delete(w.vars, currentName+"-"+Global)
	w.running = w.bare
	return nil
}

func (w *firmware) option(n uint16) (LoadOption, error) {
	data := w.vars[entryVariable(n)+"-"+Global]
	if len(data) < attributeSize {
		return LoadOption{}, fs.ErrNotExist
	}
	return ParseLoadOption(data[attributeSize:])
}

// start starts what an entry leads to, if it is there.
func (w *firmware) start(n uint16) bool {
	o, err := w.option(n)
	if err != nil {
		return false
	}
	p, file, ok := o.target()
	if !ok || p.UUID != esp.UUID || p.Number != esp.Number {
		return false
	}
	for _, slot := range names {
		if strings.EqualFold(file, `\EFI\otad\`+slot+`\linux.efi`) {
			w.set(currentName, n)
			w.running = slot
			return true
		}
	}
	return false
}

var (
	names = []string{"a", "b"}
	esp   = Partition{UUID: "3b0f6e35-0e0c-4f0f-8c75-9d40d1b0c5e1", Number: 1, Start: 2048, Blocks: 65536}
)

func config(running func() (string, error)) Config {
	return Config{
		Dir: "/efivars", Slots: names, Running: running,
		Targets: map[string]Target{
			"a": {Partition: esp, Loader: `\EFI\otad\a\linux.efi`, Arguments: "otad.slot=a quiet"},
			"b": {Partition: esp, Loader: `/EFI/otad/b/linux.efi`, Arguments: "otad.slot=b quiet"},
		},
	}
}

// machine is a firmware and what was installed on it.
type machine struct {
	*firmware
	byCommandLine bool // the running slot is known from the kernel's command line
}

func (m *machine) open(t testing.TB) *Boot {
	t.Helper()
	cfg := config(nil)
	if m.byCommandLine {
		cfg.Running = func() (string, error) { return m.running, nil }
	}
	b, err := newOn(m.firmware, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (m *machine) PowerOn(t testing.TB) platform.Boot {
	t.Helper()
	if m.dead {
		m.CutAt(0)
	}
	if err := m.boot(); err != nil {
		return nil
	}
	return m.open(t)
}

func (m *machine) CutAt(n int) { m.dead, m.steps, m.cutAt = false, 0, n }
func (m *machine) Off() bool   { return m.dead }

// installed is a machine whose entries were made when it was.
func installed(t testing.TB) *machine {
	t.Helper()
	m := &machine{firmware: newFirmware(), byCommandLine: true}
	m.setOption(0, LoadOption{Attributes: Active, Description: "UEFI Shell", Path: []Node{{Type: typeMedia, Subtype: 6, Data: make([]byte, 16)}}})
	m.set(orderName, 0)
	if b := m.PowerOn(t).(*Boot); b.Mend() != nil || b.Check() != nil {
		t.Fatalf("not installed: %v", b.Check())
	}
	m.byCommandLine = false
	m.PowerOn(t)
	return m
}

func TestBoot(t *testing.T) {
	machines := map[string]func(testing.TB) platformtest.Machine{
		"installed": func(t testing.TB) platformtest.Machine { return installed(t) },
		"bare": func(testing.TB) platformtest.Machine {
			return &machine{firmware: newFirmware(), byCommandLine: true}
		},
		"firmware first": func(t testing.TB) platformtest.Machine {
			m := installed(t)
			m.set(orderName, 0, 1, 2)
			return m
		},
	}
	for name, make := range machines {
		t.Run(name, func(t *testing.T) {
			platformtest.TestBoot(t, platformtest.Harness{Kept: "a", Spare: "b", Attempts: 1, New: make})
		})
	}
}
