package running

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leapslot/ota/platform/block"
	"github.com/leapslot/ota/platform/ubi"
)

var names = []string{"a", "b"}

func TestFromCmdline(t *testing.T) {
	for line, want := range map[string]string{
		"":                                       "",
		"console=ttyS0 quiet\n":                  "",
		"quiet otad.slot=b root=/dev/mmcblk0p3":  "b",
		"otad.slot=a":                            "a",
		"otad.slot=a\x00":                        "a",
		"x=\"two words\"\totad.slot=\"b\"\n":     "b",
		"\"otad.slot=b\" y":                      "b",
		"otad.slot=b otad.slot=b":                "b",
		"xotad.slot=a otad.slotx=a otad.slots=a": "",
		"x=\" otad.slot=a \" y":                  "",
		"x -- otad.slot=a":                       "",
		"x --y otad.slot=rootfs_1":               "rootfs_1",
	} {
		if got, err := FromCmdline([]byte(line)); err != nil || got != want {
			t.Errorf("%q: %q, %v, want %q", line, got, err, want)
		}
	}
	for _, line := range []string{
		"otad.slot", "otad.slot=", "otad.slot=\"\"", "otad.slot=a otad.slot=b", "otad.slot=\"a b\"", "otad.slot=a\"b", "otad.slot=../a",
		"otad.slot=\xff", "otad.slot=" + strings.Repeat("a", maxName+1), strings.Repeat(" ", maxCmdline) + "otad.slot=a",
	} {
		if got, err := FromCmdline([]byte(line)); err == nil {
			t.Errorf("%.80q: %q", line, got)
		}
	}
}

// machine is a made-up sysfs with two partitions of a disk and two UBI volumes,
// and / mounted as the line says. The nodes are those of loop devices.
func machine(t *testing.T, mounts string) (block.Tables, []Place) {
	t.Helper()
	tables := block.Tables{Sys: t.TempDir(), Proc: t.TempDir()}
	put(t, mounts, tables.Proc, "self/mountinfo")
	const disk = "devices/mmcblk0"
	device := func(number, dir string) {
		put(t, number+"\n", tables.Sys, dir, "dev")
		put(t, "", tables.Sys, "dev/block/here")
		if err := os.Symlink(filepath.Join(tables.Sys, dir), filepath.Join(tables.Sys, "dev/block", number)); err != nil {
			t.Fatal(err)
		}
	}
	device("179:0", disk)
	var places []Place
	for i, name := range names {
		node := fmt.Sprintf("/dev/loop%d", i)
		if _, err := os.Stat(node); err != nil {
			t.Skipf("no node to test with: %v", err)
		}
		part := filepath.Join(disk, fmt.Sprintf("mmcblk0p%d", i+1))
		device(fmt.Sprintf("7:%d", i), part)
		put(t, "1\n", tables.Sys, part, "partition")
		s, err := block.New(block.Config{Name: name, Device: node, Tables: tables})
		if err != nil {
			t.Fatal(err)
		}
		places = append(places, s)
	}
	return tables, places
}

func volumes(t *testing.T, tables block.Tables) (places []Place) {
	for i, name := range names {
		for attr, text := range map[string]string{"type": "dynamic", "upd_marker": "0", "name": "root_" + name,
			"dev": fmt.Sprintf("250:%d", i), "usable_eb_size": "126976", "reserved_ebs": "10"} {
			put(t, text+"\n", tables.Sys, "class/ubi", fmt.Sprintf("ubi0_%d", i), attr)
		}
		s, err := ubi.New(ubi.Config{Name: name, Volume: "ubi0:root_" + name, Tables: tables})
		if err != nil {
			t.Fatal(err)
		}
		places = append(places, s)
	}
	return places
}

func put(t testing.TB, text string, elem ...string) {
	t.Helper()
	path := filepath.Join(elem...)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestSlot(t *testing.T) {
	const onA, onB = "1 0 7:0 / / rw - ext4 /dev/root rw\n", "1 0 7:1 / / rw - ext4 /dev/root rw\n"
	for _, c := range []struct{ cmdline, mounts, want, why string }{
		{"", onA, "a", ""},
		{"", onB, "b", ""},
		{"", "1 0 0:30 / / rw - btrfs /dev/loop1 rw\n", "b", ""},
		{"", "1 0 0:30 / / rw - overlay overlayroot rw,lowerdir=/ro,upperdir=/rw\n2 1 7:1 / /ro ro - squashfs /dev/loop1 ro\n", "b", ""},
		{"otad.slot=b", onB, "b", ""},
		{"otad.slot=b", "1 0 0:1 / / rw - rootfs none rw\n", "b", ""},
		{"otad.slot=b", onA, "", "/ is on slot a"},
		{"otad.slot=c", onA, "", "the slots are a, b"},
		{"otad.slot=", onA, "", "no slot's name"},
		{"", "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n", "", "let the boot script add"},
		{"", "1 0 0:1 / / rw - tmpfs none rw\n", "", "is on no slot"},
		{"", "", "", "is on no slot"},
	} {
		tables, places := machine(t, c.mounts)
		got, err := Slot([]byte(c.cmdline), tables, names, places...)
		if got != c.want || (err == nil) != (c.why == "") || err != nil && !strings.Contains(err.Error(), c.why) {
			t.Errorf("%q on %q: %q, %v, want %q %q", c.cmdline, c.mounts, got, err, c.want, c.why)
		}
	}
}

func TestSlotOnUBI(t *testing.T) {
	for mounts, want := range map[string]string{
		"1 0 0:20 / / rw - ubifs ubi0:root_b rw\n": "b",
		"1 0 0:20 / / rw - ubifs /dev/ubi0_0 rw\n": "a",
		"1 0 0:20 / / rw - ubifs ubi0:data rw\n":   "",
	} {
		tables := block.Tables{Sys: t.TempDir(), Proc: t.TempDir()}
		put(t, mounts, tables.Proc, "self/mountinfo")
		if got, err := Slot(nil, tables, names, volumes(t, tables)...); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v, want %q", mounts, got, err, want)
		}
	}
}

// TestSlotInDoubt: when the devices cannot be told apart or looked at, only the
// kernel's parameter helps.
func TestSlotInDoubt(t *testing.T) {
	tables, places := machine(t, "1 0 179:0 / / rw - ext4 /dev/root rw\n")
	missing, err := block.New(block.Config{Name: "b", Device: "/nonexistent", Tables: tables})
	if err != nil {
		t.Fatal(err)
	}
	for why, in := range map[string][]Place{"at once": places, "no such file": {missing}, "no devices": nil} {
		if got, err := Slot(nil, tables, names, in...); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%q, %v, want %q", got, err, why)
		}
		if got, err := Slot([]byte("otad.slot=b"), tables, names, in...); got != "b" || err != nil {
			t.Errorf("with the parameter: %q, %v", got, err)
		}
	}
	tables.Proc = t.TempDir()
	if got, err := Slot(nil, tables, names, places...); err == nil {
		t.Errorf("without the table of mounts: %q", got)
	}
}

// TestHere asks this very machine, which was not started by our boot script.
func TestHere(t *testing.T) {
	cmdline, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		t.Skipf("no command line to read here: %v", err)
	}
	want, wantErr := Slot(cmdline, block.Tables{}, names)
	got, err := Here(names)
	if got != want || (err == nil) != (wantErr == nil) {
		t.Errorf("%q, %v, want %q, %v", got, err, want, wantErr)
	}
}

func FuzzFromCmdline(f *testing.F) {
	for _, s := range []string{"otad.slot=a", "\"otad.slot=b\"", "x=\" otad.slot=a", "otad.slot=\"a\" -- otad.slot=b", "\x00\n\"\"="} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		name, err := FromCmdline(line)
		if err != nil && name != "" || name != "" && (!isName(name) || !strings.Contains(string(line), name)) {
			t.Errorf("%q is slot %q, %v", line, name, err)
		}
		if name == "" {
			return
		}
		// A word before it changes nothing.
		if again, err := FromCmdline(append([]byte("quiet "), line...)); err == nil && again != name {
			t.Errorf("%q is slot %q after another word", line, again)
		}
	})
}
