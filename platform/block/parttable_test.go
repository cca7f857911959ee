package block

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// TestPartUUIDFromTheTable finds real partitions by the UUID that sgdisk gave
// them, on a kernel that has not read it and without udev.
func TestPartUUIDFromTheTable(t *testing.T) {
	if _, err := exec.LookPath("sgdisk"); err != nil {
		t.Skip("no sgdisk here (package gdisk)")
	}
	const one, two = "6B1A5A3E-1234-4ABC-8DEF-0123456789AB", "6b1a5a3e-1234-4abc-8def-0123456789ac"
	for _, sector := range []int{512, 4096} {
		t.Run(itoa(sector), func(t *testing.T) {
			l := newLoop(t, t.TempDir(), 32<<20, sector, "-P")
			at := func(bytes int) string { return itoa(bytes / sector) }
			mustRun(t, "sgdisk", "-n", "1:"+at(4<<20)+":+"+at(4<<20), "-u", "1:"+one, "-n", "3:"+at(16<<20)+":+"+at(4<<20), "-u", "3:"+two, l.path)
			p1 := l.addPartition(t, 1, 4<<20, 4<<20)
			if d, err := (Tables{}).Find("PARTUUID=" + one); err != nil || d.Path != p1 {
				t.Errorf("%+v, %v, want %s", d, err, p1)
			}
			// A table that is not the one that the kernel has read is not believed.
			l.addPartition(t, 3, 20<<20, 4<<20)
			if d, err := (Tables{}).Find("PARTUUID=" + two); err == nil {
				t.Errorf("found %+v in another table", d)
			}
			// The same disk twice.
			twin := newLoop(t, t.TempDir(), 32<<20, sector, "-P")
			copyFile(t, l.backing, twin.backing)
			twin.addPartition(t, 1, 4<<20, 4<<20)
			if d, err := (Tables{}).Find("PARTUUID=" + one); err == nil || !strings.Contains(err.Error(), "ambiguous") {
				t.Errorf("of two disks with the same UUIDs: %+v, %v", d, err)
			}
		})
	}
}

// TestPartUUIDDenied: who may not look does not say that there is no such
// device. It is a part of a test that runs as root, and again as nobody.
func TestPartUUIDDenied(t *testing.T) {
	const uuid = "PARTUUID=00000000-0000-4000-8000-000000000001"
	if os.Getuid() != 0 {
		if _, err := (Tables{}).Find(uuid); err == nil || !strings.Contains(err.Error(), os.Getenv("BLOCK_TEST_WANT")) {
			t.Errorf("as nobody: %v", err)
		}
		return
	}
	l := newLoop(t, t.TempDir(), 16<<20, 512, "-P")
	l.addPartition(t, 1, 4<<20, 4<<20)
	if _, err := (Tables{}).Find(uuid); err == nil || !strings.Contains(err.Error(), "no device has") {
		t.Errorf("as root: %v", err)
	}
	self, err := os.Open("/proc/self/exe") // its directory is not for everybody
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close()
	cmd := exec.Command("/proc/self/fd/3", "-test.run", "^TestPartUUIDDenied$")
	cmd.Dir, cmd.ExtraFiles, cmd.Env = "/", []*os.File{self}, append(os.Environ(), "BLOCK_TEST_WANT=may be looked at")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.ENOEXEC) {
		t.Skip("an emulator runs this program, and it cannot start itself")
	}
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// oldTable is the first sector of a disk with an MBR.
func oldTable(kind byte) []byte {
	b := make([]byte, 512)
	copy(b[440:], "\xfe\xca\xad\x0b")
	b[446+4], b[510], b[511] = kind, 0x55, 0xaa
	return b
}

func TestPartUUID(t *testing.T) {
	if got, err := partUUID(bytes.NewReader(oldTable(0x83)), 512, 2, 2048); got != "0badcafe-02" || err != nil {
		t.Errorf("MBR: %q, %v", got, err)
	}
	for name, disk := range map[string][]byte{"Empty": nil, "Zeros": make([]byte, 4096), "NoGPT": append(oldTable(0xee), make([]byte, 4096)...)} {
		if got, err := partUUID(bytes.NewReader(disk), 512, 1, 2048); err == nil {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func FuzzPartUUID(f *testing.F) {
	gpt := append(oldTable(0xee), make([]byte, 1536)...)
	copy(gpt[512:], "EFI PART")
	gpt[512+72], gpt[512+80], gpt[512+84] = 2, 4, 128
	copy(gpt[1024+16:], "0123456789abcdef\x08")
	f.Add(gpt, int64(1), int64(8))
	f.Add(oldTable(0x83), int64(5), int64(1))
	f.Fuzz(func(t *testing.T, disk []byte, number, start int64) {
		got, err := partUUID(bytes.NewReader(disk), 512, number, start)
		if err == nil && len(got) != 36 && (len(got) < 11 || len(got) > 12) {
			t.Errorf("UUID %q", got)
		}
	})
}
