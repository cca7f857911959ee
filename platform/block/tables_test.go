package block

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// tree is a made-up sysfs whose devices are the loop devices that every kernel
// with a loop driver has nodes of.
func tree(t *testing.T, devices map[string]string) Tables {
	t.Helper()
	tables := Tables{Sys: t.TempDir(), Dev: t.TempDir()}
	for name, more := range devices {
		st, err := os.Stat("/dev/" + name)
		if err != nil {
			t.Skipf("no node to test with: %v", err)
		}
		n, _ := numberOf(st)
		put(t, "MAJOR="+strconv.Itoa(int(n.Major))+"\nMINOR="+strconv.Itoa(int(n.Minor))+"\nDEVNAME="+name+"\n"+more,
			tables.Sys, "class/block", name, "uevent")
		link(t, "/dev/"+name, tables.Dev, name)
	}
	return tables
}

func link(t *testing.T, to string, elem ...string) {
	t.Helper()
	path := filepath.Join(elem...)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(to, path); err != nil {
		t.Fatal(err)
	}
}

const uuid0, uuid1 = "6b1a5a3e-0000-4000-8000-00000000000A", "6b1a5a3e-0000-4000-8000-00000000000b"

func TestFind(t *testing.T) {
	tables := tree(t, map[string]string{
		"loop0": "PARTN=1\nPARTUUID=" + strings.ToLower(uuid0) + "\nPARTNAME=system a\n",
		"loop1": "PARTN=2\nPARTUUID=" + uuid1 + "\nPARTNAME=system\n",
		"loop2": "PARTN=3\nPARTNAME=system\n",
		"loop3": "PARTN=4\n",
		"loop4": "PARTN=5\nPARTNAME=both\n",
	})
	// What udev knows beyond the kernel, the same again, and something else.
	link(t, "/dev/loop3", tables.Dev, "disk/by-partuuid/0badcafe-04")
	link(t, "/dev/loop3", tables.Dev, `disk/by-partlabel/data\x20\x2f1`)
	link(t, "/dev/loop1", tables.Dev, "disk/by-partuuid", strings.ToLower(uuid1))
	link(t, "/dev/loop3", tables.Dev, "disk/by-partlabel/both")
	for spec, want := range map[string]string{
		"PARTUUID=" + uuid0:                  "loop0",
		"PARTUUID=" + strings.ToUpper(uuid1): "loop1",
		"PARTLABEL=system a":                 "loop0",
		"PARTUUID=0BADCAFE-04":               "loop3",
		"PARTLABEL=data /1":                  "loop3",
		filepath.Join(tables.Dev, "loop2"):   "loop2",
	} {
		d, err := tables.Find(spec)
		if st, _ := os.Stat("/dev/" + want); err != nil {
			t.Errorf("%s: %v", spec, err)
		} else if n, _ := numberOf(st); n != d.Number {
			t.Errorf("%s: %+v, want %s", spec, d, want)
		}
	}
	for spec, why := range map[string]string{
		"PARTLABEL=system":         "ambiguous",
		"PARTLABEL=both":           "ambiguous",
		"PARTLABEL=System a":       "no device",
		"PARTLABEL=..":             "no device",
		"PARTUUID=":                "want",
		"PARTUUID=../by-partlabel": "no device",
		"PARTUUID=00000000-01":     "no device",
		"UUID=" + uuid0:            "changes with every update",
		tables.Dev:                 "not a block device",
	} {
		if d, err := tables.Find(spec); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %+v, %v, want %q", spec, d, err, why)
		}
	}
}

// TestT6NodeOfAnotherDevice: the node that the name leads to is not the device
// that the kernel means.
func TestT6NodeOfAnotherDevice(t *testing.T) {
	tables := tree(t, map[string]string{"loop0": "PARTNAME=a\n"})
	os.Remove(filepath.Join(tables.Dev, "loop0"))
	link(t, "/dev/loop1", tables.Dev, "loop0")
	if d, err := tables.Find("PARTLABEL=a"); err == nil {
		t.Errorf("found %+v", d)
	}
}

// TestSlotByLabel writes to a real partition that a made-up sysfs gives a name,
// since this kernel may not read partition tables.
func TestSlotByLabel(t *testing.T) {
	l := newLoop(t, t.TempDir(), 16<<20, 512, "-P")
	p2 := filepath.Base(l.addPartition(t, 2, 8<<20, 4<<20))
	tables := tree(t, map[string]string{p2: "PARTN=2\nPARTNAME=slot b\n"})
	link(t, "/sys/dev/block", tables.Sys, "dev/block")
	s := newSlot(t, Config{Device: "PARTLABEL=slot b", Tables: tables})
	if n, err := s.Size(); n != 4<<20 || err != nil {
		t.Fatalf("size %d, %v", n, err)
	}
	m := openMedium(t, s, true)
	write(t, m, []byte("here"), 0)
	sync(t, m)
	if got, err := os.ReadFile(l.backing); err != nil || string(got[8<<20:8<<20+4]) != "here" {
		t.Errorf("the partition begins with %q, %v", got[8<<20:8<<20+4], err)
	}
}

// TestKin is a disk of two partitions, with a mapped device on the second.
func TestKin(t *testing.T) {
	sys := t.TempDir()
	const disk = "devices/mmc/block/mmcblk0"
	for dir, n := range map[string]string{disk: "179:0", disk + "/mmcblk0p1": "179:1", disk + "/mmcblk0p2": "179:2", "devices/dm-0": "253:0"} {
		put(t, n+"\n", sys, dir, "dev")
		link(t, filepath.Join(sys, dir), sys, "dev/block", n)
		link(t, filepath.Join(sys, dir), sys, "class/block", filepath.Base(dir))
		if strings.Contains(dir, "p") && dir != disk {
			put(t, "1\n", sys, dir, "partition")
		}
	}
	link(t, filepath.Join(sys, "devices/dm-0"), sys, disk, "mmcblk0p2/holders/dm-0")
	link(t, filepath.Join(sys, disk, "mmcblk0p2"), sys, "devices/dm-0/slaves/mmcblk0p2")
	tables := Tables{Sys: sys, Proc: t.TempDir()}
	for n, want := range map[Number]string{
		{179, 0}: "179:0 179:1 179:2 253:0",
		{179, 1}: "179:1 179:0",
		{179, 2}: "179:2 179:0 253:0",
	} {
		kin, err := tables.kin(n)
		var got []string
		for _, k := range kin {
			got = append(got, k.String())
		}
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("kin of %s: %v, %v, want %s", n, got, err, want)
		}
	}
	// A root on the mapped device is a root on the partition beneath.
	put(t, "1 0 253:0 / / ro - ext4 /dev/mapper/root ro\n", tables.Proc, "self/mountinfo")
	root, err := tables.Root()
	if err != nil || !slices.Contains(root.Devices, Number{179, 2}) || slices.Contains(root.Devices, Number{179, 1}) {
		t.Errorf("root %+v, %v", root, err)
	}
	if err := tables.guard(Device{"x", Number{179, 1}}); err != nil {
		t.Errorf("the other partition: %v", err)
	}
}

func FuzzMountinfo(f *testing.F) {
	if text, err := os.ReadFile("/proc/self/mountinfo"); err == nil {
		f.Add(string(text))
	}
	f.Add("1 0 0:30 / / rw - overlay x rw,lowerdir=/a\\040b:/b,lowerdir+=/c\n2 1 8:1 / /a\\040b ro shared:1 master:2 - ext4 /dev/sda1 ro\n")
	f.Add("1 0 8:1 / / rw -\n - x y z\n1 0 99999999999:1 / / rw - a b c\n\\777\\18\\")
	f.Fuzz(func(t *testing.T, text string) {
		all := parseMounts(text)
		for _, m := range all {
			if len(m.Point)+len(m.Source)+len(m.Options) > len(text) {
				t.Errorf("%+v is longer than the text", m)
			}
		}
		for _, m := range rootMounts(all) {
			if !slices.Contains(all, m) {
				t.Errorf("%+v is made up", m)
			}
		}
	})
}

func FuzzUevent(f *testing.F) {
	f.Add("MAJOR=179\nMINOR=2\nDEVNAME=mmcblk0p2\nPARTUUID=0badcafe-02\nPARTNAME=b\n", "PARTLABEL=b")
	f.Add("MAJOR=1\nMINOR=-1\nDEVNAME=../../etc\n", "PARTLABEL=/\xff\u00e4 .")
	f.Fuzz(func(t *testing.T, text, spec string) {
		u := parseUevent(text)
		if strings.HasPrefix(filepath.Join("/dev", u.node), "/dev") == false {
			t.Errorf("%q leads out of /dev", u.node)
		}
		if checkSpec(spec) != nil || filepath.IsAbs(spec) {
			return
		}
		key, value, _ := strings.Cut(spec, "=")
		if name := udevName(key, value); name == ".." || strings.Contains(name, "/") && name != "/" || len(name) > 4*maxSpec {
			t.Errorf("%q is the link %q", spec, name)
		}
		if u.is(key, value) && u.node == "" {
			t.Error("a device without a node was found")
		}
	})
}
