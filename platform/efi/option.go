package efi

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"
)

// Limits of a load option. Firmware has its own, and they are larger.
const (
	// MaxOption is how many bytes a load option may have.
	MaxOption = 16 << 10
	// MaxDescription is how many UTF-16 units a description may have.
	MaxDescription = 256
	// MaxNodes is how many nodes a device path may have.
	MaxNodes = 64
)

// Active is the attribute of a load option that the firmware starts. One
// without it is passed over (LOAD_OPTION_ACTIVE).
const Active = 1

// LoadOption is the value of a variable Boot####: what the firmware starts, and
// what it calls it (UEFI specification, section 3.1.3, EFI_LOAD_OPTION).
type LoadOption struct {
	Attributes  uint32 // see [Active]
	Description string
	Path        []Node // the first device path, without its end
	Optional    []byte // handed over to what is started
}

// Node is one step of a device path: its type, and what belongs to it.
type Node struct {
	Type, Subtype byte
	Data          []byte
}

// The nodes that are read here (UEFI specification, section 10.3).
const (
	typeMedia        = 0x04
	subtypeHardDrive = 0x01
	subtypeFile      = 0x04
	typeEnd          = 0x7f
	subtypeEndPath   = 0xff
	subtypeEndOne    = 0x01 // the end of one path among several

	nodeHeader   = 4
	optionHeader = 6
)

// ParseLoadOption reads the value of a variable Boot####. Of several device
// paths only the first is kept, which is the one that is started.
func ParseLoadOption(data []byte) (LoadOption, error) {
	if len(data) < optionHeader || len(data) > MaxOption {
		return LoadOption{}, fmt.Errorf("load option of %d bytes: want %d to %d", len(data), optionHeader, MaxOption)
	}
	o := LoadOption{Attributes: binary.LittleEndian.Uint32(data)}
	size := int(binary.LittleEndian.Uint16(data[4:]))
	text, rest, err := cutText(data[optionHeader:], MaxDescription)
	if err != nil {
		return LoadOption{}, fmt.Errorf("load option: description: %w", err)
	}
	o.Description = text
	if size > len(rest) {
		return LoadOption{}, fmt.Errorf("load option: a device path of %d bytes in %d", size, len(rest))
	}
	if o.Path, err = parsePath(rest[:size]); err != nil {
		return LoadOption{}, fmt.Errorf("load option: %w", err)
	}
	if len(rest) > size {
		o.Optional = bytes.Clone(rest[size:])
	}
	return o, nil
}

// Bytes is the option as the value of a variable.
func (o LoadOption) Bytes() ([]byte, error) {
	if strings.ContainsRune(o.Description, 0) {
		return nil, errors.New("load option: a NUL in the description")
	}
	text := utf16.Encode([]rune(o.Description))
	if len(text) > MaxDescription {
		return nil, fmt.Errorf("load option: a description of %d units, at most %d", len(text), MaxDescription)
	}
	path, err := pathBytes(o.Path)
	if err != nil {
		return nil, fmt.Errorf("load option: %w", err)
	}
	b := binary.LittleEndian.AppendUint32(nil, o.Attributes)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(path)))
	b = append(b, textBytes(o.Description)...)
	b = append(b, path...)
	b = append(b, o.Optional...)
	if len(b) > MaxOption {
		return nil, fmt.Errorf("load option of %d bytes, at most %d", len(b), MaxOption)
	}
	return b, nil
}

// target is where the option leads: the partition and the file in it. Firmware
// may put nodes before the partition, which say how the disk is attached, and
// may split the file's path.
func (o LoadOption) target() (p Partition, file string, ok bool) {
	for _, n := range o.Path {
		switch {
		case n.Type == typeMedia && n.Subtype == subtypeHardDrive:
			p, ok = n.partition()
		case n.Type == typeMedia && n.Subtype == subtypeFile:
			part, _, err := cutText(n.Data, len(n.Data))
			if err != nil {
				return Partition{}, "", false
			}
			file = strings.TrimSuffix(file, `\`) + `\` + strings.TrimPrefix(part, `\`)
		}
	}
	return p, file, ok && file != ""
}

// parsePath reads the nodes up to the first end.
func parsePath(data []byte) ([]Node, error) {
	var nodes []Node
	for {
		if len(data) < nodeHeader {
			return nil, errors.New("the device path has no end")
		}
		size := int(binary.LittleEndian.Uint16(data[2:]))
		if size < nodeHeader || size > len(data) {
			return nil, fmt.Errorf("device path: a node of %d bytes in %d", size, len(data))
		}
		if data[0] == typeEnd && (data[1] == subtypeEndPath || data[1] == subtypeEndOne) {
			return nodes, nil
		}
		if len(nodes) == MaxNodes {
			return nil, fmt.Errorf("device path: more than %d nodes", MaxNodes)
		}
		nodes = append(nodes, Node{Type: data[0], Subtype: data[1], Data: bytes.Clone(data[nodeHeader:size])})
		data = data[size:]
	}
}

func pathBytes(nodes []Node) ([]byte, error) {
	if len(nodes) > MaxNodes {
		return nil, fmt.Errorf("device path: %d nodes, at most %d", len(nodes), MaxNodes)
	}
	var b []byte
	for _, n := range append(slices.Clone(nodes), Node{Type: typeEnd, Subtype: subtypeEndPath}) {
		if len(n.Data) > MaxOption {
			return nil, fmt.Errorf("device path: a node of %d bytes, at most %d", len(n.Data), MaxOption)
		}
		b = append(b, n.Type, n.Subtype)
		b = binary.LittleEndian.AppendUint16(b, uint16(nodeHeader+len(n.Data)))
		b = append(b, n.Data...)
	}
	if len(b) > MaxOption {
		return nil, fmt.Errorf("device path: %d bytes, at most %d", len(b), MaxOption)
	}
	return b, nil
}

// cutText reads UTF-16 up to its NUL, which must be there within most units.
func cutText(data []byte, most int) (text string, rest []byte, err error) {
	var units []uint16
	for ; len(data) >= 2; data = data[2:] {
		u := binary.LittleEndian.Uint16(data)
		if u == 0 {
			return string(utf16.Decode(units)), data[2:], nil
		}
		if len(units) == most {
			return "", nil, fmt.Errorf("more than %d units", most)
		}
		units = append(units, u)
	}
	return "", nil, errors.New("text without an end")
}

func textBytes(text string) []byte {
	var b []byte
	for _, u := range append(utf16.Encode([]rune(text)), 0) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}
