package ubi

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/leapslot/ota/platform/block"
)

const (
	maxSpec = 256      // bytes of a volume's description
	maxAttr = 256      // bytes of a file in sysfs
	maxLEB  = 16 << 20 // bytes of an eraseblock
)

// Volume is a UBI volume as sysfs describes it.
type Volume struct {
	Device, ID int    // ubi0_1 has 0 and 1
	Name       string // its name in the volume table
	LEB        int64  // usable bytes of one logical eraseblock
	Count      int64  // of its logical eraseblocks
	// Interrupted says that an update by ubiupdatevol was begun and never
	// ended: the volume holds nothing that can be read.
	Interrupted bool

	tables block.Tables
	number string // of its character device, "250:2"
}

func (v Volume) node() string { return fmt.Sprintf("ubi%d_%d", v.Device, v.ID) }

// Find finds the volume that spec describes: the path of its device,
// /dev/ubi0_1 (or a symbolic link to it), or ubi0:NAME.
func Find(t block.Tables, spec string) (Volume, error) {
	if err := checkSpec(spec); err != nil {
		return Volume{}, err
	}
	device, name, named := strings.Cut(spec, ":")
	if named && !filepath.IsAbs(spec) {
		return findNamed(t, device, name)
	}
	real, err := filepath.EvalSymlinks(spec)
	if err != nil {
		return Volume{}, err
	}
	v, err := load(t, filepath.Base(real))
	if err != nil {
		return v, fmt.Errorf("%s: %w", spec, err)
	}
	return v, nil
}

func checkSpec(spec string) error {
	device, name, named := strings.Cut(spec, ":")
	_, ok := number(device, "ubi")
	if spec == "" || len(spec) > maxSpec || !filepath.IsAbs(spec) && (!named || !ok || name == "") {
		return fmt.Errorf("UBI volume %.40q: want a path such as /dev/ubi0_1, or ubi0:NAME, of at most %d bytes", spec, maxSpec)
	}
	return nil
}

// findNamed looks through the volumes of one UBI device. Their names are unique.
func findNamed(t block.Tables, device, name string) (Volume, error) {
	dirs, err := os.ReadDir(class(t))
	if err != nil {
		return Volume{}, fmt.Errorf("no UBI device is attached (ubiattach): %w", err)
	}
	for _, e := range dirs {
		if !strings.HasPrefix(e.Name(), device+"_") {
			continue
		}
		v, err := load(t, e.Name())
		if err != nil {
			return v, err
		}
		if v.Name == name {
			return v, nil
		}
	}
	return Volume{}, fmt.Errorf("%s has no volume of the name %q (ubinfo -a shows what there is)", device, name)
}

func class(t block.Tables) string {
	if t.Sys == "" {
		t.Sys = "/sys"
	}
	return filepath.Join(t.Sys, "class", "ubi")
}

// load reads what sysfs knows of the volume with the name "ubi0_1".
func load(t block.Tables, node string) (Volume, error) {
	v := Volume{tables: t}
	device, id, ok := strings.Cut(node, "_")
	var ok1, ok2 bool
	v.Device, ok1 = number(device, "ubi")
	v.ID, ok2 = number(id, "")
	if !ok || !ok1 || !ok2 {
		return v, fmt.Errorf("%q is not the name of a UBI volume (want ubi0_1)", node)
	}
	attr := func(name string) (text string) {
		b, err := readAttr(filepath.Join(class(t), node, name))
		if ok = ok && err == nil; err == nil {
			text = strings.TrimSuffix(b, "\n")
		}
		return text
	}
	kind, marker := attr("type"), attr("upd_marker")
	leb, err1 := strconv.ParseInt(attr("usable_eb_size"), 10, 64)
	count, err2 := strconv.ParseInt(attr("reserved_ebs"), 10, 32)
	v.Name, v.number = attr("name"), attr("dev")
	switch {
	case !ok:
		return v, fmt.Errorf("%s does not describe a UBI volume (is it attached? ubiattach)", filepath.Join(class(t), node))
	case kind != "dynamic":
		return v, fmt.Errorf("%s is a %s volume: only dynamic ones can be slots (ubimkvol --type=dynamic)", node, kind)
	case err1 != nil || err2 != nil || leb < 512 || leb > maxLEB || count < 1:
		return v, fmt.Errorf("%s has %d eraseblocks of %d bytes, which cannot be", node, count, leb)
	}
	v.LEB, v.Count, v.Interrupted = leb, count, marker != "0"
	return v, nil
}

// number reads prefix and a small number.
func number(s, prefix string) (int, bool) {
	digits, ok := strings.CutPrefix(s, prefix)
	n, err := strconv.ParseUint(digits, 10, 16)
	return int(n), ok && err == nil
}

func readAttr(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxAttr))
	return string(b), err
}

// heldBy reports whether the root is on this volume.
func (v Volume) heldBy(root block.Root) bool {
	return v.mounted("", root.Devices) || slices.ContainsFunc(root.Sources, func(source string) bool { return v.mounted(source, nil) })
}

// mounted reports whether a mount of that source, or of those block devices, is
// of this volume: a UBIFS on it, or a file system on its ubiblock device.
func (v Volume) mounted(source string, devices []block.Number) bool {
	device := "ubi" + strconv.Itoa(v.Device)
	names := []string{v.node(), "/dev/" + v.node(), device + ":" + v.Name, device + "!" + v.Name, "/dev/ubiblock" + strings.TrimPrefix(v.node(), "ubi")}
	if v.Device == 0 {
		names = append(names, "ubi:"+v.Name, "ubi!"+v.Name)
	}
	if slices.Contains(names, source) {
		return true
	}
	dir := filepath.Join(filepath.Dir(class(v.tables)), "block", "ubiblock"+strings.TrimPrefix(v.node(), "ubi"))
	text, err := readAttr(filepath.Join(dir, "dev"))
	for _, d := range devices {
		if err == nil && strings.TrimSpace(text) == d.String() {
			return true
		}
	}
	return false
}
