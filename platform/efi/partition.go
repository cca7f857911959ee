package efi

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Partition is a partition of a GPT as the firmware knows it. Firmware looks
// for the UUID, and most of it for the number too; start and length are there
// for the rest.
type Partition struct {
	UUID   string // the partition's own, PARTUUID
	Number uint32 // from 1
	Start  uint64 // in the disk's logical blocks
	Blocks uint64 // length in logical blocks
}

const (
	hardDriveSize = 38 // without the node's header
	formatGPT     = 2
	signatureUUID = 2
	sysfsSector   = 512 // the unit of start and size in sysfs, whatever the disk has
)

// FindPartition looks up the partition with this PARTUUID on the machine.
func FindPartition(uuid string) (Partition, error) {
	return findPartition("/dev/disk/by-partuuid", "/sys/class/block", uuid)
}

func findPartition(byUUID, sys, uuid string) (Partition, error) {
	if _, err := parseUUID(uuid); err != nil {
		return Partition{}, err
	}
	uuid = strings.ToLower(uuid)
	device, err := os.Readlink(filepath.Join(byUUID, uuid))
	if err != nil {
		return Partition{}, fmt.Errorf("no partition has the PARTUUID %s: %w", uuid, err)
	}
	dir, err := filepath.EvalSymlinks(filepath.Join(sys, filepath.Base(device)))
	if err != nil {
		return Partition{}, fmt.Errorf("partition %s: %w", uuid, err)
	}
	var n [4]uint64
	for i, name := range []string{"partition", "start", "size", "../queue/logical_block_size"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return Partition{}, fmt.Errorf("partition %s: %w", uuid, err)
		}
		if n[i], err = strconv.ParseUint(strings.TrimSpace(string(data)), 10, 48); err != nil {
			return Partition{}, fmt.Errorf("partition %s: %s: %w", uuid, name, err)
		}
	}
	if n[0] == 0 || n[0] > 1<<16 || n[3] < sysfsSector {
		return Partition{}, fmt.Errorf("partition %s: number %d, blocks of %d bytes", uuid, n[0], n[3])
	}
	return Partition{UUID: uuid, Number: uint32(n[0]), Start: n[1] * sysfsSector / n[3], Blocks: n[2] * sysfsSector / n[3]}, nil
}

// node is the partition as a step of a device path.
func (p Partition) node() (Node, error) {
	id, err := parseUUID(p.UUID)
	if err != nil {
		return Node{}, err
	}
	b := binary.LittleEndian.AppendUint32(nil, p.Number)
	b = binary.LittleEndian.AppendUint64(b, p.Start)
	b = binary.LittleEndian.AppendUint64(b, p.Blocks)
	b = append(b, id[:]...)
	b = append(b, formatGPT, signatureUUID)
	return Node{Type: typeMedia, Subtype: subtypeHardDrive, Data: b}, nil
}

// partition reads a node that is a partition of a GPT.
func (n Node) partition() (Partition, bool) {
	b := n.Data
	if len(b) != hardDriveSize || b[36] != formatGPT || b[37] != signatureUUID {
		return Partition{}, false
	}
	return Partition{
		Number: binary.LittleEndian.Uint32(b),
		Start:  binary.LittleEndian.Uint64(b[4:]),
		Blocks: binary.LittleEndian.Uint64(b[12:]),
		UUID:   formatUUID([16]byte(b[20:36])),
	}, true
}

// parseUUID reads a UUID in its usual form into the order of bytes that EFI and
// the GPT keep it in: its first three fields are little-endian.
func parseUUID(s string) (id [16]byte, err error) {
	fields := strings.Split(s, "-")
	if len(s) != 36 || len(fields) != 5 || len(fields[0]) != 8 || len(fields[4]) != 12 {
		return id, fmt.Errorf("UUID %.40q: want 8-4-4-4-12 hexadecimal digits", s)
	}
	b, err := hex.DecodeString(strings.Join(fields, ""))
	if err != nil || len(fields[1]) != 4 || len(fields[2]) != 4 {
		return id, fmt.Errorf("UUID %.40q: want 8-4-4-4-12 hexadecimal digits", s)
	}
	copy(id[:], b)
	swap(&id)
	return id, nil
}

func formatUUID(id [16]byte) string {
	swap(&id)
	s := hex.EncodeToString(id[:])
	return strings.Join([]string{s[:8], s[8:12], s[12:16], s[16:20], s[20:]}, "-")
}

func swap(id *[16]byte) {
	slices.Reverse(id[:4])
	slices.Reverse(id[4:6])
	slices.Reverse(id[6:8])
}
