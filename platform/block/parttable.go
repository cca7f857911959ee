package block

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Kernels before 6.12 do not tell the UUID of a partition, and small systems
// have no udev that would look for it: so the partition tables are read here.

const (
	maxEntries = 1024 // of a GPT; the usual number is 128
	maxEntry   = 4096 // bytes; the usual size is 128
)

// fromTables looks for a partition by its UUID in the tables of all disks.
func (t Tables) fromTables(uuid string) ([]Device, error) {
	names, err := os.ReadDir(t.sys("class", "block"))
	if err != nil {
		return nil, err
	}
	var found []Device
	var denied error
	for _, e := range names {
		dir, err := filepath.EvalSymlinks(t.sys("class", "block", e.Name()))
		if err != nil || !isPartition(dir) {
			continue
		}
		// A disk without a table, or one that cannot be read, is not the one.
		got, err := t.uuidOf(dir)
		if errors.Is(err, fs.ErrPermission) {
			denied = err
		}
		if err != nil || !strings.EqualFold(got, uuid) {
			continue
		}
		d, err := t.described(dir)
		if err != nil {
			return nil, err
		}
		found = append(found, d)
	}
	if len(found) == 0 && denied != nil {
		return nil, fmt.Errorf("not every disk may be looked at: %w", denied)
	}
	return found, nil
}

// described is the device of a directory of the kernel's.
func (t Tables) described(dir string) (Device, error) {
	text, err := readLimited(filepath.Join(dir, "uevent"), maxUevent)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) {
		return Device{}, fmt.Errorf("%s went away", filepath.Base(dir))
	} else if err != nil {
		return Device{}, err
	}
	return t.confirmed(parseUevent(text))
}

// uuidOf reads the UUID of one partition from its disk.
func (t Tables) uuidOf(dir string) (string, error) {
	number, err := readInt(filepath.Join(dir, "partition"))
	if err != nil {
		return "", err
	}
	start, err := readInt(filepath.Join(dir, "start"))
	if err != nil {
		return "", err
	}
	disk, err := t.described(filepath.Dir(dir))
	if err != nil {
		return "", err
	}
	f, err := os.Open(disk.Path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sector, err := sectorSize(f)
	if err != nil {
		return "", err
	}
	return partUUID(f, sector, number, start)
}

func readInt(path string) (int64, error) {
	text, err := readLimited(path, maxUevent)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(text), 10, 64)
}

// partUUID is the UUID of the partition with that number, as the kernel writes
// it, from the table of a disk with such sectors. start is where the kernel has
// the partition, in units of 512 bytes: a table that says something else has
// been changed and is not believed.
func partUUID(disk io.ReaderAt, sector, number, start int64) (string, error) {
	mbr := make([]byte, 512)
	if _, err := disk.ReadAt(mbr, 0); err != nil {
		return "", err
	}
	if mbr[510] != 0x55 || mbr[511] != 0xaa || number < 1 || number > maxEntries {
		return "", errors.New("no partition table")
	}
	if mbr[446+4] != 0xee { // not the one that only says "there is a GPT"
		return fmt.Sprintf("%08x-%02x", binary.LittleEndian.Uint32(mbr[440:]), number), nil
	}
	header := make([]byte, 92)
	if _, err := disk.ReadAt(header, sector); err != nil {
		return "", err
	}
	at, entries, size := binary.LittleEndian.Uint64(header[72:]), binary.LittleEndian.Uint32(header[80:]), binary.LittleEndian.Uint32(header[84:])
	if string(header[:8]) != "EFI PART" || at > 1<<32 || entries > maxEntries || number > int64(entries) || size < 128 || size > maxEntry {
		return "", errors.New("no GUID partition table, or an unusual one")
	}
	entry := make([]byte, 128)
	if _, err := disk.ReadAt(entry, int64(at)*sector+(number-1)*int64(size)); err != nil {
		return "", err
	}
	if first := binary.LittleEndian.Uint64(entry[32:]); first > 1<<40 || int64(first)*(sector/512) != start {
		return "", errors.New("the partition table is not the one that the kernel has read")
	}
	u := entry[16:32]
	return fmt.Sprintf("%08x-%04x-%04x-%04x-%012x", binary.LittleEndian.Uint32(u), binary.LittleEndian.Uint16(u[4:]),
		binary.LittleEndian.Uint16(u[6:]), u[8:10], u[10:]), nil
}
