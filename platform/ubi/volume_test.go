package ubi

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leapslot/ota/platform"
	"github.com/leapslot/ota/platform/block"
)

func TestS10S6Guard(t *testing.T) {
	for mounts, want := range map[string]error{
		"1 0 0:20 / / rw - ubifs ubi0:slot\\040b rw\n":                                          platform.ErrRunning,
		"1 0 0:20 / / rw - ubifs ubi0_1 rw\n":                                                   platform.ErrRunning,
		"1 0 0:20 / / rw - ubifs /dev/ubi0_1 rw\n":                                              platform.ErrRunning,
		"1 0 0:20 / / rw - overlay o rw,lowerdir=/ro\n2 1 0:21 / /ro ro - ubifs ubi0_1 ro\n":    platform.ErrRunning,
		"1 0 252:8 / / ro - squashfs /dev/root ro\n":                                            platform.ErrRunning,
		"1 0 0:20 / / rw - ubifs ubi0:other rw\n2 1 0:21 / /mnt rw - ubifs ubi!slot\\040b rw\n": platform.ErrBusy,
		"1 0 0:20 / / rw - ubifs ubi0_2 rw\n2 1 252:8 / /mnt ro - squashfs /dev/x ro\n":         platform.ErrBusy,
		"1 0 0:20 / / rw - ubifs ubi0_2 rw\n2 1 0:22 / /mnt ro - ubifs ubi1:slot\\040b ro\n":    nil,
	} {
		s, _ := newSlot(t, 1<<20, nil)
		put(t, mounts, s.cfg.Tables.Proc, "self/mountinfo")
		put(t, "252:8\n", s.cfg.Tables.Sys, "class/block/ubiblock0_1/dev")
		m, err := s.Open(true)
		if err == nil {
			m.Close()
		}
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", mounts, err, want)
		}
	}
	s, _ := newSlot(t, 1<<20, nil)
	os.Remove(filepath.Join(s.cfg.Tables.Proc, "self/mountinfo"))
	if _, err := s.Open(true); err == nil {
		t.Error("opened for writing without the table of mounts")
	}
}

// TestW4InterruptedUpdate: a killed ubiupdatevol leaves a volume without content.
func TestW4InterruptedUpdate(t *testing.T) {
	s, c := newSlot(t, 1<<20, func(dir string) { put(t, "1\n", dir, "upd_marker") })
	c.lebs[3] = make([]byte, testLEB)
	if _, err := s.Open(false); err == nil || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("read of an interrupted volume: %v", err)
	}
	open(t, s, true)
	if len(c.lebs) != 0 {
		t.Error("the interrupted update was not ended")
	}
}

func TestFind(t *testing.T) {
	tables := block.Tables{Sys: t.TempDir(), Dev: t.TempDir()}
	volume(t, tables, "ubi0_0", "a", 4)
	volume(t, tables, "ubi0_1", "b", 5)
	volume(t, tables, "ubi1_0", "b", 6)
	volume(t, tables, "ubi0_7", "fixed", 7)
	put(t, "static\n", class(tables), "ubi0_7/type")
	volume(t, tables, "ubi0_8", "huge", 7)
	put(t, "99999999999\n", class(tables), "ubi0_8/usable_eb_size")
	for _, node := range []string{"ubi0_1", "ubi0_9", "ubi0", "ubi_1", "ubi0_7"} {
		put(t, "", tables.Dev, node)
	}
	for spec, want := range map[string]int64{"ubi0:a": 4, "ubi0:b": 5, "ubi1:b": 6, tables.Dev + "/ubi0_1": 5} {
		if v, err := Find(tables, spec); err != nil || v.Count != want || v.LEB != testLEB {
			t.Errorf("%s: %+v, %v", spec, v, err)
		}
	}
	for _, spec := range []string{"", "ubi0:c", "ubi2:a", "ubi0_1", "ubi0:", "ubi0:fixed", "ubi0:huge", "b", "PARTLABEL=b", "/" + strings.Repeat("x", maxSpec),
		tables.Dev + "/ubi0_9", tables.Dev + "/ubi0", tables.Dev + "/ubi_1", tables.Dev + "/ubi0_7", tables.Dev + "/none", "/dev/null"} {
		if v, err := Find(tables, spec); err == nil {
			t.Errorf("%q: %+v", spec, v)
		}
	}
	for _, c := range []Config{{Volume: "ubi0:a"}, {Name: "a"}, {Name: "a", Volume: "ubi0:a", MinSize: -1}, {Name: "a", Volume: "ubi99999999:a"}} {
		if _, err := New(c); err == nil {
			t.Errorf("accepted: %+v", c)
		}
	}
}

func TestS2TooSmall(t *testing.T) {
	s, _ := newSlot(t, testLEB, nil)
	s.cfg.MinSize = testLEB + 1
	if _, err := s.Size(); err == nil {
		t.Error("an undersized volume has a size")
	}
	if _, err := s.Open(true); err == nil {
		t.Error("an undersized volume was opened")
	}
}

// TestRequests compares what the kernel is told with mtd/ubi-user.h.
func TestRequests(t *testing.T) {
	r, u := changeRequest(7, testLEB), updateRequest(1<<33)
	want := []byte{7, 0, 0, 0, 0, 0xf0, 1, 0, 3, 0, 0, 0, 0, 0, 0, 0}
	if binary.NativeEndian.Uint16([]byte{0, 1}) == 1 {
		want = []byte{0, 0, 0, 7, 0, 1, 0xf0, 0, 3, 0, 0, 0, 0, 0, 0, 0}
	}
	if !bytes.Equal(r[:], want) || binary.NativeEndian.Uint64(u[:]) != 1<<33 {
		t.Errorf("% x, % x", r, u)
	}
}

// TestT6AnotherDevice: the node is not the volume's, or is no UBI at all. The
// null device stands for it: it takes writes and no ioctl.
func TestT6AnotherDevice(t *testing.T) {
	s, _ := newSlot(t, 1<<20, nil)
	s.open = openDevice
	if err := os.Symlink(os.DevNull, filepath.Join(s.cfg.Tables.Dev, "ubi0_1")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Open(true); err == nil || !strings.Contains(err.Error(), "1:3") {
		t.Fatalf("open of the null device: %v", err)
	}
	put(t, "1:3\n", class(s.cfg.Tables), "ubi0_1/dev")
	m := open(t, s, true)
	if _, err := m.WriteAt(make([]byte, testLEB), 0); err == nil || !strings.Contains(err.Error(), "eraseblock 0") {
		t.Errorf("write to the null device: %v", err)
	}
	put(t, "1\n", class(s.cfg.Tables), "ubi0_1/upd_marker")
	if _, err := s.Open(true); err == nil {
		t.Error("the null device was emptied")
	}
}

func FuzzSpec(f *testing.F) {
	for _, s := range []string{"/dev/ubi0_1", "ubi0:rootfs", "ubi:", "ubi0_1", "ubi0_-1", "../ubi0_1", "ubi65536_0"} {
		f.Add(s)
	}
	tables := block.Tables{Sys: "/nonexistent"}
	f.Fuzz(func(t *testing.T, spec string) {
		if checkSpec(spec) == nil && len(spec) > maxSpec {
			t.Error("too long")
		}
		if v, err := load(tables, spec); err == nil {
			t.Errorf("%q is %+v", spec, v)
		}
	})
}
