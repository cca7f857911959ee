package block

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// kin are the devices through which somebody else could be using n: itself,
// the disk it is a partition of, its own partitions, and whatever is stacked
// on those (device mapper, RAID).
func (t Tables) kin(n Number) ([]Number, error) {
	dir, err := t.dir(n)
	if err != nil {
		return nil, err
	}
	all := []Number{n}
	if isPartition(dir) {
		disk, err := readNumber(filepath.Join(filepath.Dir(dir), "dev"))
		if err != nil {
			return nil, err
		}
		all = append(all, disk)
	}
	parts, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range parts {
		if p := filepath.Join(dir, e.Name()); e.IsDir() && isPartition(p) {
			part, err := readNumber(filepath.Join(p, "dev"))
			if err != nil {
				return nil, err
			}
			all = append(all, part)
		}
	}
	return t.stacked(all, "holders")
}

// stacked adds to all what is connected with it in one direction: "holders"
// are the devices on top, "slaves" the devices beneath.
func (t Tables) stacked(all []Number, direction string) ([]Number, error) {
	for i := 0; i < len(all); i++ {
		dir, err := t.dir(all[i])
		if err != nil {
			return nil, err
		}
		links, err := os.ReadDir(filepath.Join(dir, direction))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, err
		}
		for _, e := range links {
			n, err := readNumber(t.sys("class", "block", e.Name(), "dev"))
			if err != nil {
				return nil, err
			}
			if !slices.Contains(all, n) {
				all = append(all, n)
			}
		}
		if len(all) > maxKin {
			return nil, fmt.Errorf("device %s has more than %d %s", all[0], maxKin, direction)
		}
	}
	return all, nil
}

// dir is the kernel's directory of a device.
func (t Tables) dir(n Number) (string, error) {
	return filepath.EvalSymlinks(t.sys("dev", "block", n.String()))
}

func isPartition(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "partition"))
	return err == nil
}

func readNumber(path string) (Number, error) {
	text, err := readLimited(path, maxUevent)
	if err != nil {
		return Number{}, err
	}
	return parseNumber(text)
}
