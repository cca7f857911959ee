package block

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// Limits of what is read from the kernel's tables and from the configuration.
const (
	maxSpec      = 256     // bytes of a device's description
	maxUevent    = 4 << 10 // bytes of one uevent file
	maxMountinfo = 1 << 20 // bytes of mountinfo
	maxKin       = 256     // devices that one device is made of or carries
)

// Number is a block device as the kernel counts it.
type Number struct{ Major, Minor uint32 }

// String is the number as the kernel writes it, "179:2".
func (n Number) String() string { return fmt.Sprintf("%d:%d", n.Major, n.Minor) }

func parseNumber(s string) (Number, error) {
	major, minor, ok := strings.Cut(strings.TrimSpace(s), ":")
	a, err1 := strconv.ParseUint(major, 10, 32)
	b, err2 := strconv.ParseUint(minor, 10, 32)
	if !ok || err1 != nil || err2 != nil {
		return Number{}, fmt.Errorf("%.32q is no device number", s)
	}
	return Number{uint32(a), uint32(b)}, nil
}

// Device is a block device that was found.
type Device struct {
	Path   string // of its node
	Number Number
}

// Tables says where the kernel's tables and the device nodes are. The zero
// value is the real system: /sys, /proc and /dev.
type Tables struct{ Sys, Proc, Dev string }

func (t Tables) sys(elem ...string) string  { return below(t.Sys, "/sys", elem) }
func (t Tables) proc(elem ...string) string { return below(t.Proc, "/proc", elem) }
func (t Tables) dev(elem ...string) string  { return below(t.Dev, "/dev", elem) }

func below(dir, real string, elem []string) string {
	if dir == "" {
		dir = real
	}
	return filepath.Join(append([]string{dir}, elem...)...)
}

// Find finds the device that spec describes: the path of its node (or of a
// symbolic link to it), PARTUUID=..., or PARTLABEL=... A description that fits
// two devices is refused: after a disk was copied, nobody knows which is meant.
func (t Tables) Find(spec string) (Device, error) {
	if err := checkSpec(spec); err != nil {
		return Device{}, err
	}
	key, value, named := strings.Cut(spec, "=")
	if filepath.IsAbs(spec) || !named {
		return t.node(spec)
	}
	found, err := t.named(key, value)
	if err != nil {
		return Device{}, fmt.Errorf("%s: %w", spec, err)
	}
	switch len(found) {
	case 0:
		return Device{}, fmt.Errorf("no device has %s (lsblk -o NAME,PARTLABEL,PARTUUID shows what there is)", spec)
	case 1:
		return found[0], nil
	}
	return Device{}, fmt.Errorf("%s is ambiguous: both %s and %s have it (name the slot by a path, or rename one)", spec, found[0].Path, found[1].Path)
}

func checkSpec(spec string) error {
	key, value, named := strings.Cut(spec, "=")
	switch {
	case spec == "" || len(spec) > maxSpec || strings.ContainsRune(spec, 0):
		return fmt.Errorf("device %.40q: want a path, PARTUUID=... or PARTLABEL=... of at most %d bytes", spec, maxSpec)
	case filepath.IsAbs(spec):
		return nil
	case key == "UUID" || key == "LABEL":
		return fmt.Errorf("device %s: the file system's name comes with the image and changes with every update (use PARTUUID=... or PARTLABEL=...)", spec)
	case !named || key != "PARTUUID" && key != "PARTLABEL" || value == "":
		return fmt.Errorf("device %q: want an absolute path, PARTUUID=... or PARTLABEL=...", spec)
	}
	return nil
}

// node looks at a device node.
func (t Tables) node(path string) (Device, error) {
	st, err := os.Stat(path)
	if err != nil {
		return Device{}, err
	}
	n, ok := numberOf(st)
	if !ok {
		return Device{}, fmt.Errorf("%s is not a block device (a file is a slot of kind files)", path)
	}
	return Device{path, n}, nil
}

// named asks the kernel, which knows the names at once, then udev's links, then
// the partition tables, since older kernels do not tell a partition's UUID. What
// two of them know counts once.
func (t Tables) named(key, value string) ([]Device, error) {
	names, err := os.ReadDir(t.sys("class", "block"))
	if err != nil {
		return nil, err
	}
	var found []Device
	for _, e := range names {
		text, err := readLimited(t.sys("class", "block", e.Name(), "uevent"), maxUevent)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) {
			continue // unplugged while we looked
		} else if err != nil {
			return nil, err
		}
		u := parseUevent(text)
		if !u.is(key, value) {
			continue
		}
		d, err := t.confirmed(u)
		if err != nil {
			return nil, err
		}
		found = append(found, d)
	}
	link, err := t.node(t.dev("disk", "by-"+strings.ToLower(key), udevName(key, value)))
	if err == nil && !slices.ContainsFunc(found, func(d Device) bool { return d.Number == link.Number }) {
		found = append(found, link)
	}
	if len(found) == 0 && key == "PARTUUID" {
		return t.fromTables(value)
	}
	return found, nil
}

// confirmed makes sure that the node is the device that the kernel means.
func (t Tables) confirmed(u uevent) (Device, error) {
	d := Device{t.dev(u.node), u.number}
	node, err := t.node(d.Path)
	if err == nil && node.Number != d.Number {
		err = fmt.Errorf("%s is device %s, the kernel says %s (is %s a devtmpfs?)", d.Path, node.Number, d.Number, t.dev())
	}
	return d, err
}

// uevent is what the kernel says of a device.
type uevent struct {
	node, uuid, label string
	number            Number
}

func (u uevent) is(key, value string) bool {
	if u.node == "" {
		return false
	}
	return key == "PARTUUID" && strings.EqualFold(u.uuid, value) || key == "PARTLABEL" && u.label == value
}

func parseUevent(text string) (u uevent) {
	var major, minor string
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		switch key {
		case "MAJOR":
			major = value
		case "MINOR":
			minor = value
		case "DEVNAME":
			u.node = value
		case "PARTUUID":
			u.uuid = value
		case "PARTNAME":
			u.label = value
		}
	}
	n, err := parseNumber(major + ":" + minor)
	if err != nil || !filepath.IsLocal(u.node) {
		return uevent{}
	}
	u.number = n
	return u
}

// udevName is how udev writes a name as the name of a link.
func udevName(key, value string) string {
	if key == "PARTUUID" {
		return strings.ToLower(filepath.Base(value))
	}
	var b strings.Builder
	for i := 0; i < len(value); {
		r, n := utf8.DecodeRuneInString(value[i:])
		c := value[i]
		plain := c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || strings.IndexByte("#+-.:=@_", c) >= 0
		if plain || n > 1 && r != utf8.RuneError {
			b.WriteString(value[i : i+n])
		} else {
			fmt.Fprintf(&b, `\x%02x`, c)
		}
		i += n
	}
	if b.String() == "." || b.String() == ".." {
		return "" // names the directory, which is no device
	}
	return b.String()
}

func numberOf(st fs.FileInfo) (Number, bool) {
	sys, ok := unixStat(st)
	if !ok || st.Mode()&fs.ModeDevice == 0 || st.Mode()&fs.ModeCharDevice != 0 {
		return Number{}, false
	}
	return Number{unix.Major(sys), unix.Minor(sys)}, true
}

func readLimited(path string, limit int64) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("%s has more than %d bytes", path, limit)
	}
	return string(b), err
}
