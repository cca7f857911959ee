package uboot

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"strings"
)

// maxName is how long the name of a variable may be, in bytes.
const maxName = 255

// crcSize is the length of the checksum; in a redundant environment one byte,
// the flag, stands between it and the variables.
const crcSize = 4

// variables are the entries of an environment as they stand in it, "name=value",
// in their order. What we do not understand stays as it is.
type variables []string

// get gives the value that U-Boot would have: of two entries the last counts,
// and an empty value is none.
func (v variables) get(name string) (value string, ok bool) {
	for _, e := range v {
		if n, val, _ := strings.Cut(e, "="); n == name {
			value, ok = val, val != ""
		}
	}
	return value, ok
}

// set changes the variables of change and no others. A changed one keeps its
// place, a new one comes last, one with an empty value goes.
func (v variables) set(change map[string]string) variables {
	var next variables
	done := map[string]bool{}
	for _, e := range v {
		name, _, _ := strings.Cut(e, "=")
		value, ours := change[name]
		switch {
		case !ours:
			next = append(next, e)
		case value != "" && !done[name]:
			next = append(next, name+"="+value)
		}
		done[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(change)) {
		if change[name] != "" && !done[name] {
			next = append(next, name+"="+change[name])
		}
	}
	return next
}

// checkVariable refuses what would read as something else in the environment.
func checkVariable(name, value string) error {
	switch {
	case name == "" || len(name) > maxName || strings.ContainsAny(name, "=\x00"):
		return fmt.Errorf("variable %.80q: want a name of 1 to %d bytes without '=' and NUL", name, maxName)
	case strings.ContainsRune(value, 0):
		return fmt.Errorf("variable %s: a value cannot hold a NUL", name)
	}
	return nil
}

// image is one copy of an environment as it lies on the medium.
type image struct {
	vars variables
	flag byte   // of a redundant environment
	big  bool   // the checksum is big-endian, as U-Boot writes it on such a machine
	raw  []byte // as it was read
	err  error  // why it is not whole
}

func (i image) whole() bool { return i.err == nil }

var (
	errNever = errors.New("it was never initialised")
	errCRC   = errors.New("its checksum is wrong")
)

func order(big bool) binary.ByteOrder {
	if big {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

// decode reads a copy.
func decode(raw []byte, redundant bool) image {
	img := image{raw: raw}
	head := header(redundant)
	if len(raw) < head+2 {
		img.err = fmt.Errorf("%d bytes are no environment", len(raw))
		return img
	}
	data, sum := raw[head:], crc32.ChecksumIEEE(raw[head:])
	switch sum {
	case binary.LittleEndian.Uint32(raw):
	case binary.BigEndian.Uint32(raw):
		img.big = true
	default:
		img.err = errCRC
		if blank(raw) {
			img.err = errNever
		}
		return img
	}
	if redundant {
		img.flag = raw[crcSize]
	}
	for len(data) > 0 && data[0] != 0 {
		entry, rest, ended := bytes.Cut(data, []byte{0})
		if !ended {
			img.err = errors.New("its last variable has no end")
			return img
		}
		img.vars, data = append(img.vars, string(entry)), rest
	}
	return img
}

// encode makes a copy of size bytes.
func encode(v variables, flag byte, redundant, big bool, size int64) ([]byte, error) {
	raw := make([]byte, size)
	head := header(redundant)
	at := head
	for _, e := range v {
		// One NUL ends the entry, one more the environment.
		if at+len(e)+2 > len(raw) {
			return nil, fmt.Errorf("the variables do not fit: the environment has %d bytes", size)
		}
		at += copy(raw[at:], e) + 1
	}
	order(big).PutUint32(raw, crc32.ChecksumIEEE(raw[head:]))
	if redundant {
		raw[crcSize] = flag
	}
	return raw, nil
}

func header(redundant bool) int {
	if redundant {
		return crcSize + 1
	}
	return crcSize
}

// blank tells whether a medium was erased and never written.
func blank(raw []byte) bool {
	for _, b := range raw {
		if b != raw[0] {
			return false
		}
	}
	return raw[0] == 0 || raw[0] == 0xff
}

// parseText reads an environment as text, as mkenvimage does: a variable a
// line, # for a comment line.
func parseText(text string) (variables, error) {
	var v variables
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSuffix(line, "\r")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok {
			return nil, fmt.Errorf("line %d: %.80q: want name=value", i+1, line)
		}
		if err := checkVariable(name, value); err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		v = v.set(map[string]string{name: value})
	}
	return v, nil
}
