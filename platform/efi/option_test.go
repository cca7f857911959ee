package efi

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// known is a boot entry as other tools write it, by hand from the UEFI
// specification: attributes 1, "otad a", HD(1,GPT,..,0x800,0x10000)/\a, "x".
var known = strings.Join([]string{
	"01000000", "3800",
	"6f0074006100640020006100" + "0000",
	"04012a00" + "01000000" + "0008000000000000" + "0000010000000000" + "356e0f3b0c0e0f4f8c759d40d1b0c5e1" + "0202",
	"04040a00" + "5c006100" + "0000",
	"7fff0400",
	"7800" + "0000",
}, "")

func TestKnownLoadOption(t *testing.T) {
	o, err := Target{Partition: esp, Loader: "a", Arguments: "x"}.option("otad a")
	if err != nil {
		t.Fatal(err)
	}
	data, err := o.Bytes()
	if got := hex.EncodeToString(data); err != nil || got != known {
		t.Errorf("made %s, %v\nwant %s", got, err, known)
	}
	got, err := ParseLoadOption(data)
	if diff := cmp.Diff(o, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
	if p, file, ok := got.target(); p != esp || file != `\a` || !ok {
		t.Errorf("leads to %+v, %q, %v", p, file, ok)
	}
}

// TestSplitPath: some firmware gives each directory a node of its own.
func TestSplitPath(t *testing.T) {
	part, err := esp.node()
	if err != nil {
		t.Fatal(err)
	}
	o := LoadOption{Path: []Node{part}}
	for _, s := range []string{`\EFI`, `otad\`, `a.efi`} {
		o.Path = append(o.Path, Node{Type: typeMedia, Subtype: subtypeFile, Data: textBytes(s)})
	}
	if _, file, ok := o.target(); !ok || file != `\EFI\otad\a.efi` {
		t.Errorf("%q, %v", file, ok)
	}
	o.Path[1].Data = []byte("\x5c\x00")
	if _, _, ok := o.target(); ok {
		t.Error("a text without an end is a path")
	}
	part.Data[36] = 1 // MBR
	if _, _, ok := (LoadOption{Path: []Node{part, o.Path[2]}}).target(); ok {
		t.Error("a partition of an MBR is one of a GPT")
	}
}

func TestLoadOptionRefuses(t *testing.T) {
	whole, err := hex.DecodeString(known)
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(whole) - len("x\x00\x00\x00") {
		if _, err := ParseLoadOption(whole[:n]); err == nil {
			t.Errorf("accepted its first %d bytes", n)
		}
	}
	for name, data := range map[string][]byte{
		"too long":              make([]byte, MaxOption+1),
		"endless description":   append(make([]byte, optionHeader), bytes.Repeat([]byte("x"), 2*MaxDescription+2)...),
		"a node of no bytes":    {1, 0, 0, 0, 4, 0, 0, 0, 4, 1, 0, 0},
		"a node beyond its end": {1, 0, 0, 0, 4, 0, 0, 0, 4, 1, 5, 0},
		"many nodes": append([]byte{1, 0, 0, 0, 0, 2, 0, 0},
			bytes.Repeat([]byte{4, 1, 4, 0}, 128)...),
	} {
		if o, err := ParseLoadOption(data); err == nil {
			t.Errorf("%s: %+v", name, o)
		}
	}
	for name, o := range map[string]LoadOption{
		"NUL":              {Description: "a\x00b"},
		"long description": {Description: strings.Repeat("x", MaxDescription+1)},
		"many nodes":       {Path: make([]Node, MaxNodes+1)},
		"a long node":      {Path: []Node{{Data: make([]byte, MaxOption+1)}}},
		"long nodes":       {Path: []Node{{Data: make([]byte, MaxOption-8)}, {Data: make([]byte, 100)}}},
		"much of anything": {Optional: make([]byte, MaxOption)},
	} {
		if _, err := o.Bytes(); err == nil {
			t.Errorf("%s: made", name)
		}
	}
}

func FuzzLoadOption(f *testing.F) {
	whole, err := hex.DecodeString(known)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add([]byte{1, 0, 0, 0, 4, 0, 0, 0, 0x7f, 0xff, 4, 0})
	f.Add([]byte{1, 0, 0, 0, 4, 0, 0, 0xd8, 0, 0, 0x7f, 1, 4, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		o, err := ParseLoadOption(data)
		if err != nil {
			return
		}
		o.target()
		again, err := o.Bytes()
		if err != nil {
			t.Fatalf("read %+v, but: %v", o, err)
		}
		o2, err := ParseLoadOption(again)
		if diff := cmp.Diff(o, o2); err != nil || diff != "" {
			t.Fatal(err, diff)
		}
	})
}

// FuzzVariables: whatever the variables hold, nothing panics, and what Mend
// says it has done Check finds done.
func FuzzVariables(f *testing.F) {
	whole, err := hex.DecodeString("07000000" + known)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte("\x07\x00\x00\x00\x01\x00\x02\x00"), whole, []byte("\x06\x00\x00\x00\x01\x00"), []byte("\x07\x00\x00\x00b"))
	f.Add([]byte("\x07\x00\x00\x00\x01"), whole[:20], []byte("\x06\x00\x00"), []byte(""))
	f.Fuzz(func(t *testing.T, order, entry, current, trial []byte) {
		m := &machine{firmware: newFirmware(), byCommandLine: true}
		m.running = "a"
		m.vars[orderName+"-"+Global] = order
		m.vars["Boot0001-"+Global] = entry
		m.vars["Boot0002-"+Global] = entry
		m.vars[currentName+"-"+Global] = current
		m.vars[trialName+"-"+Own] = trial
		b := m.open(t)
		b.Check()
		if err := b.Mend(); err != nil {
			return // attributes that cannot be changed, a trial of no bytes
		}
		if err := b.Check(); err != nil {
			t.Fatalf("mended, but: %v", err)
		}
		if err := b.Try("b"); err != nil {
			t.Fatalf("mended, but: %v", err)
		}
	})
}

func FuzzUUID(f *testing.F) {
	f.Add(esp.UUID)
	f.Add("3B0F6E35-0E0C-4F0F-8C75-9D40D1B0C5E1")
	f.Add("3b0f6e350e0c4f0f8c759d40d1b0c5e1")
	f.Add("3b0f6e3-50e0c-4f0f-8c75-9d40d1b0c5e1")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := parseUUID(s)
		if err == nil && formatUUID(id) != strings.ToLower(s) {
			t.Fatalf("%q reads as %s", s, formatUUID(id))
		}
	})
}

// TestS11FindPartition: sysfs counts in 512 bytes, the firmware in blocks of the
// disk.
func TestS11FindPartition(t *testing.T) {
	dir := t.TempDir()
	byUUID, sys, disk := filepath.Join(dir, "by"), filepath.Join(dir, "sys"), filepath.Join(dir, "devices", "nvme0n1")
	write := func(path, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	link := func(to, path string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(to, path); err != nil {
			t.Fatal(err)
		}
	}
	write(disk+"/nvme0n1p3/partition", "3")
	write(disk+"/nvme0n1p3/start", "16777216")
	write(disk+"/nvme0n1p3/size", "4096")
	write(disk+"/queue/logical_block_size", "4096")
	link("../../nvme0n1p3", filepath.Join(byUUID, esp.UUID))
	link(disk+"/nvme0n1p3", filepath.Join(sys, "nvme0n1p3"))
	want := Partition{UUID: esp.UUID, Number: 3, Start: 2097152, Blocks: 512}
	if got, err := findPartition(byUUID, sys, strings.ToUpper(esp.UUID)); got != want || err != nil {
		t.Errorf("%+v, %v", got, err)
	}
	for name, err := range map[string]error{
		"none such":  second(findPartition(byUUID, sys, strings.Replace(esp.UUID, "3", "4", 1))),
		"no UUID":    second(findPartition(byUUID, sys, "../"+esp.UUID)),
		"not by now": second(FindPartition(esp.UUID)),
	} {
		if err == nil {
			t.Errorf("%s: found", name)
		}
	}
	write(disk+"/nvme0n1p3/partition", "0")
	if _, err := findPartition(byUUID, sys, esp.UUID); err == nil {
		t.Error("a partition of number 0")
	}
	os.Remove(disk + "/nvme0n1p3/size")
	if _, err := findPartition(byUUID, sys, esp.UUID); err == nil {
		t.Error("a partition without a size")
	}
}

func second(_ Partition, err error) error { return err }
