package barebox

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// maxProperty bounds what is read of one property of the device tree.
const maxProperty = 4096

// Describe reads from the device tree how a state is made: its magic, its
// stride, and where the variables of each slot's target are. node is the state's
// directory, such as /proc/device-tree/state, and targets says for each slot
// which target of bootchooser it is, as a path below the node: "bootstate/system0".
// Path, Attempts and Running are left for the caller; barebox puts the
// description into the tree that it gives to the kernel.
func Describe(node string, targets map[string]string) (Config, error) {
	c := Config{Targets: map[string]Target{}}
	if err := supported(node); err != nil {
		return c, err
	}
	magic, err := cells(filepath.Join(node, "magic"), 1)
	if err != nil {
		return c, err
	}
	stride, err := cells(filepath.Join(node, "backend-stridesize"), 1)
	if err != nil {
		return c, err
	}
	c.Magic, c.Stride = magic[0], int(min(stride[0], MaxStride+1))
	for slot, target := range targets {
		if !filepath.IsLocal(target) {
			return c, fmt.Errorf("barebox: target %q of slot %s: want a path below the state's node", target, slot)
		}
		var t Target
		if t.Priority, err = variable(filepath.Join(node, target), "priority"); err != nil {
			return c, err
		}
		if t.Attempts, err = variable(filepath.Join(node, target), "remaining_attempts"); err != nil {
			return c, err
		}
		c.Targets[slot] = t
	}
	c.Length, err = extent(node, 0)
	return c, err
}

// supported refuses a state of another kind than ours.
func supported(node string) error {
	for name, want := range map[string]string{"compatible": "barebox,state", "backend-type": "raw"} {
		got, err := text(filepath.Join(node, name))
		if err != nil {
			return err
		}
		if got != want {
			return fmt.Errorf("barebox: %s is %q in %s, only %q is supported", name, got, node, want)
		}
	}
	if _, err := os.Stat(filepath.Join(node, "algo")); err == nil {
		return fmt.Errorf("barebox state %s: %w", node, errSigned)
	}
	storage, err := text(filepath.Join(node, "backend-storage-type"))
	if err == nil && storage != "direct" {
		return fmt.Errorf("barebox: backend-storage-type is %q in %s, only \"direct\" is supported", storage, node)
	}
	return nil
}

// variable finds a number below a target, by its name with or without an
// address.
func variable(target, name string) (at int, err error) {
	found, err := filepath.Glob(escape(filepath.Join(target, name)) + "*")
	if err != nil {
		return 0, err
	}
	for _, dir := range found {
		if base, _, _ := strings.Cut(filepath.Base(dir), "@"); base != name {
			continue
		}
		kind, err := text(filepath.Join(dir, "type"))
		if err != nil {
			return 0, err
		}
		reg, err := cells(filepath.Join(dir, "reg"), 2)
		if err != nil {
			return 0, err
		}
		if kind != "uint32" || reg[1] != 4 || reg[0] > MaxLength-4 {
			return 0, fmt.Errorf("barebox: %s is a %s of %d bytes at %d, want a uint32", dir, kind, reg[1], reg[0])
		}
		return int(reg[0]), nil
	}
	return 0, fmt.Errorf("barebox: there is no %s in %s", name, target)
}

// escape keeps filepath.Glob from seeing a pattern in a name.
func escape(path string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(path)
}

// maxDepth is how deep variables may be nested.
const maxDepth = 8

// extent is where the last variable below a node ends.
func extent(node string, depth int) (end int, err error) {
	list, err := os.ReadDir(node)
	if err != nil {
		return 0, err
	}
	for _, e := range list {
		path := filepath.Join(node, e.Name())
		to := 0
		switch {
		case e.IsDir() && depth < maxDepth:
			to, err = extent(path, depth+1)
		case e.Name() == "reg" && depth > 0:
			var reg []uint32
			if reg, err = cells(path, 2); err == nil {
				to = int(min(uint64(reg[0])+uint64(reg[1]), MaxLength+1))
			}
		}
		if err != nil {
			return 0, err
		}
		end = max(end, to)
	}
	return end, nil
}

// property reads one property.
func property(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("barebox: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxProperty+1))
	if err == nil && len(b) > maxProperty {
		err = errors.New("too long")
	}
	if err != nil {
		return nil, fmt.Errorf("barebox: %s: %w", path, err)
	}
	return b, nil
}

// cells reads n numbers, which are big-endian in every device tree.
func cells(path string, n int) ([]uint32, error) {
	b, err := property(path)
	if err != nil {
		return nil, err
	}
	if len(b) != 4*n {
		return nil, fmt.Errorf("barebox: %s has %d bytes, want %d", path, len(b), 4*n)
	}
	out := make([]uint32, n)
	for i := range out {
		out[i] = binary.BigEndian.Uint32(b[4*i:])
	}
	return out, nil
}

// text reads a string.
func text(path string) (string, error) {
	b, err := property(path)
	return string(bytes.TrimSuffix(b, []byte{0})), err
}
