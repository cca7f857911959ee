package uboot

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/leapslot/ota/platform"
	"github.com/leapslot/ota/platform/internal/forgetful"
	"github.com/leapslot/ota/platform/internal/rewrite"
	"github.com/leapslot/ota/platform/platformtest"
)

// envSize is three sectors, and the variables that change lie in the last one,
// so that a write can be torn between them and the checksum.
const envSize = 0x600

var filler = strings.Repeat("f", 1100)

var names = []string{"a", "b"}

// setup is how an environment lies on a made-up disk.
type setup struct {
	name      string
	lines     []Location
	kind      kind
	redundant bool
}

func setups() []setup {
	return []setup{
		{"PlainFile", []Location{{Path: "/boot/uboot.env", Size: envSize}}, regular, false},
		{"RedundantFile", []Location{{Path: "/boot/uboot.env", Size: envSize}, {Path: "/boot/uboot-redund.env", Size: envSize}}, regular, true},
		{"RedundantBlock", []Location{{Path: "/dev/mmcblk0", Offset: 0x400, Size: envSize}, {Path: "/dev/mmcblk0", Offset: 0x1200, Size: envSize}}, block, true},
	}
}

func (s setup) kindOf(path string) (string, kind, error) { return path, s.kind, nil }

// machine is a board with U-Boot on a made-up disk that forgets, tears and
// reorders what was not synced. Its U-Boot is written again here, in Go and on
// purpose without the code under test: of a plain file the logic of
// packaging/uboot/boot.cmd, of a redundant environment that of U-Boot's own
// counter with packaging/uboot/environment.txt. The real ones run in the lab.
type machine struct {
	setup
	disk    *forgetful.Disk
	choose  forgetful.Choice
	on      bool
	running string
}

func newMachine(t testing.TB, s setup, choose forgetful.Choice) *machine {
	t.Helper()
	m := &machine{setup: s, disk: forgetful.New(), choose: choose}
	vars := map[string]string{"otad_slot": "a", "upgrade_available": "0", "bootcount": "0", "bootlimit": "3", "mine": "yes", "otad_setup": filler}
	image := make([]byte, 0x2000)
	for _, l := range s.lines {
		raw := simEncode(vars, 1, s.redundant)
		if s.kind == regular {
			m.put(t, l.Path, raw)
		}
		copy(image[l.Offset:], raw)
	}
	if s.kind == block {
		m.put(t, s.lines[0].Path, image)
	}
	return m
}

func (m *machine) put(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := rewrite.Replace(m.disk, path, path+".new", b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (m *machine) PowerOn(t testing.TB) platform.Boot {
	t.Helper()
	if m.on && m.disk.Dead() {
		m.disk.PowerOn(m.choose)
	}
	m.on = true
	boot := m.bootcmd
	if m.redundant {
		boot = m.bootcount
	}
	if !boot(t) {
		return nil
	}
	c, err := locate(m.disk, m.kindOf, m.lines)
	if err != nil {
		t.Fatal(err)
	}
	slot := m.running
	b, err := newOn(c, Config{Slots: names, Running: func() (string, error) { return slot, nil }})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (m *machine) CutAt(n int) {
	if m.disk.Dead() {
		m.disk.PowerOn(m.choose)
		m.on = false
	}
	m.disk.CutAt(n)
}

func (m *machine) Off() bool { return m.disk.Dead() }

// bootcmd is boot.cmd.
func (m *machine) bootcmd(t testing.TB) bool {
	t.Helper()
	order := []string{"/boot/uboot.env", "/boot/uboot.bak"}
	vars, _ := simDecode(m.get(order[0], 0), false)
	if vars == nil {
		slices.Reverse(order)
		vars, _ = simDecode(m.get(order[0], 0), false)
	}
	if vars == nil {
		t.Fatal("uboot.env and uboot.bak cannot be read")
	}
	m.running = vars["otad_slot"]
	count, limit := number(vars["bootcount"]), number(vars["bootlimit"])
	if vars["upgrade_available"] != "1" || count >= limit {
		return true
	}
	vars["bootcount"] = strconv.Itoa(count + 1)
	delete(vars, "mine") // it keeps only what it knows
	raw := simEncode(vars, 0, false)
	m.running = vars["otad_trial"]
	return m.set(order[1], 0, raw) && m.set(order[0], 0, raw)
}

// bootcount is U-Boot with its own counter.
func (m *machine) bootcount(t testing.TB) bool {
	t.Helper()
	var both [2]map[string]string
	var flags [2]byte
	for i, l := range m.lines {
		both[i], flags[i] = simDecode(m.get(l.Path, l.Offset), true)
	}
	now := 0
	switch {
	case both[0] == nil && both[1] == nil:
		t.Fatal("both copies are bad: the default environment is used")
	case both[0] == nil:
		now = 1
	case both[1] == nil:
	case flags[0] == 255 && flags[1] == 0:
		now = 1
	case flags[1] == 255 && flags[0] == 0:
	case flags[1] > flags[0]:
		now = 1
	}
	vars := both[now]
	m.running = vars["otad_slot"]
	if vars["upgrade_available"] != "1" {
		return true
	}
	count := number(vars["bootcount"]) + 1
	vars["bootcount"] = strconv.Itoa(count)
	l := m.lines[1-now]
	if !m.set(l.Path, l.Offset, simEncode(vars, flags[now]+1, true)) {
		return false
	}
	if count <= number(vars["bootlimit"]) { // bootcmd, else altbootcmd
		m.running = vars["otad_trial"]
	}
	return true
}

func number(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

func (m *machine) get(path string, at int64) []byte {
	f, err := m.disk.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		return nil
	}
	all, _ := io.ReadAll(f)
	if int64(len(all)) < at+envSize {
		return nil
	}
	return all[at : at+envSize]
}

// set writes as U-Boot does, whose every write goes to the medium.
func (m *machine) set(path string, at int64, raw []byte) bool {
	f, err := m.disk.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return false
	}
	if _, err := io.CopyN(io.Discard, f, at); err != nil {
		return false
	}
	if _, err := f.Write(raw); err != nil || f.Sync() != nil {
		return false
	}
	dir, err := m.disk.OpenFile("/boot", os.O_RDONLY, 0)
	return m.kind == block || err == nil && dir.Sync() == nil
}

// simEncode makes a copy; U-Boot writes the checksum in the machine's order.
func simEncode(vars map[string]string, flag byte, redundant bool) []byte {
	var text strings.Builder
	if v, ok := vars["otad_setup"]; ok {
		fmt.Fprintf(&text, "otad_setup=%s\x00", v)
	}
	for k, v := range vars {
		if k != "otad_setup" {
			fmt.Fprintf(&text, "%s=%s\x00", k, v)
		}
	}
	head := 4
	if redundant {
		head = 5
	}
	raw := make([]byte, envSize)
	copy(raw[head:], text.String())
	binary.NativeEndian.PutUint32(raw, crc32.ChecksumIEEE(raw[head:]))
	if redundant {
		raw[4] = flag
	}
	return raw
}

func simDecode(raw []byte, redundant bool) (map[string]string, byte) {
	if raw == nil {
		return nil, 0
	}
	data, flag := raw[4:], byte(0)
	if redundant {
		data, flag = raw[5:], raw[4]
	}
	if binary.NativeEndian.Uint32(raw) != crc32.ChecksumIEEE(data) {
		return nil, 0
	}
	vars := map[string]string{}
	for e := range strings.SplitSeq(string(data), "\x00") {
		if e == "" {
			break
		}
		k, v, _ := strings.Cut(e, "=")
		vars[k] = v
	}
	return vars, flag
}

// TestBootOnAForgetfulDisk cuts the power at every step of an update, and tears
// what was being written (W1, W3, W14).
func TestBootOnAForgetfulDisk(t *testing.T) {
	choices := map[string]func() forgetful.Choice{
		"nothing":    func() forgetful.Choice { return forgetful.Nothing },
		"everything": func() forgetful.Choice { return forgetful.Everything },
	}
	for seed := range uint64(10) {
		choices[fmt.Sprintf("random%d", seed)] = func() forgetful.Choice { return rand.New(rand.NewPCG(seed, 7)).IntN }
	}
	for _, s := range setups() {
		for name, choose := range choices {
			t.Run(s.name+"/"+name, func(t *testing.T) {
				platformtest.TestBoot(t, platformtest.Harness{
					Kept: "a", Spare: "b", Attempts: DefaultAttempts,
					New: func(t testing.TB) platformtest.Machine { return newMachine(t, s, choose()) },
				})
			})
		}
	}
}
