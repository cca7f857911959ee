package barebox

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// source describes the layout of the other tests for barebox and its tools.
const source = `/dts-v1/;
/ {
	aliases { state = &state; };
	state: state {
		#address-cells = <1>;
		#size-cells = <1>;
		compatible = "barebox,state";
		magic = <0xab67421f>;
		backend-type = "raw";
		backend = <&part>;
		backend-storage-type = "direct";
		backend-stridesize = <0x200>;
		bootstate {
			#address-cells = <1>;
			#size-cells = <1>;
			system0 {
				#address-cells = <1>;
				#size-cells = <1>;
				remaining_attempts@0 { reg = <0x0 0x4>; type = "uint32"; default = <1073741824>; };
				priority@4 { reg = <0x4 0x4>; type = "uint32"; default = <20>; };
			};
			system1 {
				#address-cells = <1>;
				#size-cells = <1>;
				remaining_attempts@8 { reg = <0x8 0x4>; type = "uint32"; default = <0>; };
				priority@c { reg = <0xc 0x4>; type = "uint32"; default = <0>; };
			};
			last_chosen@10 { reg = <0x10 0x4>; type = "uint32"; };
		};
		serial@14 { reg = <0x14 0x4>; type = "uint32"; default = <7>; };
	};
	disk {
		partitions {
			compatible = "fixed-partitions";
			#address-cells = <1>;
			#size-cells = <1>;
			part: partition@0 { label = "state"; partuuid = "UUID"; reg = <0x0 0x600>; };
		};
	};
};
`

// tool is Debian's barebox-state on a file: it finds its partition by the UUID
// in /dev, where the test puts a link.
func tool(t *testing.T) (path string, run func(args ...string) string) {
	t.Helper()
	if order.Uint16([]byte{1, 0}) != 1 {
		t.Skip("this test was built for a big-endian machine, and the host's barebox-state reads little-endian")
	}
	for program, pkg := range map[string]string{"barebox-state": "dt-utils", "dtc": "device-tree-compiler"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not installed (Debian package %s)", program, pkg)
		}
	}
	dir := t.TempDir()
	path, dtb := filepath.Join(dir, "state"), filepath.Join(dir, "tree.dtb")
	uuid := fmt.Sprintf("0badcafe-0000-4000-8000-%012x", os.Getpid())
	link := "/dev/disk/by-partuuid/" + uuid
	if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
		t.Skipf("barebox-state finds its partition below /dev/disk only: %v (run as root)", err)
	}
	if err := os.Symlink(path, link); err != nil {
		t.Skipf("barebox-state finds its partition below /dev/disk only: %v (run as root)", err)
	}
	t.Cleanup(func() { os.Remove(link) })
	dts := filepath.Join(dir, "tree.dts")
	for name, text := range map[string]string{dts: strings.Replace(source, "UUID", uuid, 1), path: string(make([]byte, Copies*stride))} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("dtc", "-q", "-O", "dtb", "-o", dtb, dts).CombinedOutput(); err != nil {
		t.Fatalf("dtc: %v: %s", err, out)
	}
	return path, func(args ...string) string {
		t.Helper()
		cmd := exec.Command("barebox-state", append([]string{"-q", "-i", dtb}, args...)...)
		var errs strings.Builder
		cmd.Stderr = &errs
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("barebox-state %q: %v: %s", args, err, errs.String())
		}
		return strings.ReplaceAll(string(out), "bootstate.", "")
	}
}

// dump is how barebox-state lists our variables.
func dump(attemptsA, priorityA, attemptsB, priorityB, serial uint32) string {
	return fmt.Sprintf("system0.remaining_attempts=%d\nsystem0.priority=%d\nsystem1.remaining_attempts=%d\nsystem1.priority=%d\nlast_chosen=0\nserial=%d\n",
		attemptsA, priorityA, attemptsB, priorityB, serial)
}

// TestBareboxState: Debian's tool reads what we write and we read what it
// writes, and it uses the copies that we use when one is bad.
func TestBareboxState(t *testing.T) {
	path, run := tool(t)
	running := "a"
	b, err := New(Config{
		Path: path, Magic: magic, Stride: stride, Length: length, Slots: []string{"a", "b"}, Targets: layout,
		Running: func() (string, error) { return running, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Check(); err == nil || !strings.Contains(err.Error(), "mending") {
		t.Errorf("B1: Check of an empty partition: %v", err)
	}
	run("-s", "serial=99") // which stores the defaults of the others, too
	if err := b.Check(); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		do   func() error
		want string
	}{
		{func() error { return b.Try("b") }, dump(Forever, 20, 3, 30, 99)},
		{func() error { run("-s", "bootstate.system1.remaining_attempts=1"); return b.Check() }, dump(Forever, 20, 1, 30, 99)},
		{func() error { damage(t, path, 0); return b.Try("b") }, dump(Forever, 20, 3, 30, 99)},
		{func() error { running = "b"; return b.Keep() }, dump(0, 0, Forever, 20, 99)},
		{func() error { return b.Try("a") }, dump(3, 30, Forever, 20, 99)},
		{func() error { damage(t, path, 0); damage(t, path, 2); return nil }, dump(3, 30, Forever, 20, 99)},
		{b.Check, dump(3, 30, Forever, 20, 99)}, // the tool has repaired them
		{func() error { damage(t, path, 1); return b.Mend() }, dump(0, 0, Forever, 20, 99)},
		{b.Check, dump(0, 0, Forever, 20, 99)},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		if got := run("-d"); got != step.want {
			t.Fatalf("barebox-state shows %q, want %q", got, step.want)
		}
	}
	run("-s", "bootstate.system0.priority=40", "-s", "bootstate.system0.remaining_attempts=2")
	_, v, err := b.load()
	if err != nil {
		t.Fatal(err)
	}
	if c, err := b.understand(v); c != (choice{kept: "b", trial: "a", left: 2}) || err != nil {
		t.Errorf("%+v, %v", c, err)
	}
}

// damage changes a byte of the variables of copy i.
func damage(t *testing.T, path string, i int) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[i*stride+metaSize+headSize+5] ^= 0x10
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// tree writes a device tree as the kernel shows it.
func tree(t *testing.T, dir string, files map[string]any) {
	t.Helper()
	for name, v := range files {
		p := filepath.Join(dir, name)
		var b []byte
		switch v := v.(type) {
		case string:
			b = append([]byte(v), 0)
		case []uint32:
			for _, n := range v {
				b = binary.BigEndian.AppendUint32(b, n)
			}
		case nil:
			if err := os.RemoveAll(p); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func described() map[string]any {
	return map[string]any{
		"compatible": "barebox,state", "backend-type": "raw", "backend-storage-type": "direct",
		"magic": []uint32{magic}, "backend-stridesize": []uint32{stride}, "name": "state",
		"bootstate/system0/remaining_attempts@0/reg":  []uint32{0, 4},
		"bootstate/system0/remaining_attempts@0/type": "uint32",
		"bootstate/system0/priority@4/reg":            []uint32{4, 4},
		"bootstate/system0/priority@4/type":           "uint32",
		"bootstate/system1/remaining_attempts/reg":    []uint32{8, 4},
		"bootstate/system1/remaining_attempts/type":   "uint32",
		"bootstate/system1/priority@c/reg":            []uint32{12, 4},
		"bootstate/system1/priority@c/type":           "uint32",
		"bootstate/last_chosen@10/reg":                []uint32{16, 4},
		"serial@14/reg":                               []uint32{20, 4},
	}
}

var targets = map[string]string{"a": "bootstate/system0", "b": "bootstate/system1"}

func TestDescribe(t *testing.T) {
	dir := t.TempDir()
	tree(t, dir, described())
	c, err := Describe(dir, targets)
	if err != nil || c.Magic != magic || c.Stride != stride || c.Length != length || len(c.Targets) != 2 ||
		c.Targets["a"] != layout["a"] || c.Targets["b"] != layout["b"] {
		t.Errorf("%+v, %v", c, err)
	}
	tree(t, dir, map[string]any{"backend-storage-type": nil})
	if _, err := Describe(dir, targets); err != nil {
		t.Errorf("the storage type need not be there: %v", err)
	}
}

func TestDescribeRefuses(t *testing.T) {
	for name, change := range map[string]map[string]any{
		"no state":      {"compatible": "barebox,environment"},
		"dtb":           {"backend-type": "dtb"},
		"signed":        {"algo": "hmac(sha256)"},
		"flash":         {"backend-storage-type": "circular"},
		"no stride":     {"backend-stridesize": nil},
		"short magic":   {"magic": "ab"},
		"two magics":    {"magic": []uint32{1, 2}},
		"no priority":   {"bootstate/system1/priority@c": nil},
		"no target":     {"bootstate/system0": nil},
		"a byte":        {"bootstate/system1/priority@c/type": "uint8"},
		"half a number": {"bootstate/system1/priority@c/reg": []uint32{12, 2}},
		"far away":      {"bootstate/system1/priority@c/reg": []uint32{0xfffffffc, 4}},
		"endless":       {"magic": strings.Repeat("x", maxProperty)},
	} {
		dir := t.TempDir()
		tree(t, dir, described())
		tree(t, dir, change)
		if _, err := Describe(dir, targets); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	dir := t.TempDir()
	tree(t, dir, described())
	if _, err := Describe(dir, map[string]string{"a": "../x"}); err == nil {
		t.Error("I3: a target outside of the node was accepted")
	}
}
