package systemdboot

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Limits of an entry file.
const (
	// MaxFile is how many bytes an entry file may have.
	MaxFile = 16 << 10
	// MaxValue is how many bytes a value in it may have.
	MaxValue = 4 << 10
	// MaxInitrds is how many initial file systems a slot may have.
	MaxInitrds = 16
	// maxDigits bounds the numbers in a file's name.
	maxDigits = 9
	// maxVersion bounds the number that entries are sorted by. It grows by one
	// or two with each update.
	maxVersion = 1_000_000_000_000
)

// prefix and suffix are around the slot and the counter in a file's name.
const (
	prefix = "otad-"
	suffix = ".conf"
)

// sortKey is the key that all our entries share: among them the version counts.
const sortKey = "otad"

// slotParameter tells the running system which slot it was started from.
const slotParameter = "otad.slot="

// slotPattern is a slot's name that a FAT file system keeps as it is, and that
// cannot be mistaken for a counter.
var slotPattern = regexp.MustCompile(`^[a-z0-9_]{1,32}$`)

// Entry is what systemd-boot starts for a slot. Paths are those of the partition
// that the entries are in, /otad/a/linux.
type Entry struct {
	Title      string   // in the menu; "" is otad NAME
	Linux      string   // a kernel, or
	EFI        string   // another EFI program, as a unified kernel image
	Initrd     []string // initial file systems
	DeviceTree string
	// Options are the kernel's command line. otad.slot=NAME is added.
	Options string
}

// check refuses an entry that would not be read as it was meant.
func (e Entry) check() error {
	if (e.Linux == "") == (e.EFI == "") {
		return fmt.Errorf("linux %q and efi %q: want one of them", e.Linux, e.EFI)
	}
	if len(e.Initrd) > MaxInitrds {
		return fmt.Errorf("%d initial file systems, at most %d", len(e.Initrd), MaxInitrds)
	}
	for _, path := range append(slices.Clone(e.Initrd), e.Linux+e.EFI, e.DeviceTree) {
		if path != "" && !strings.HasPrefix(path, "/") {
			return fmt.Errorf("path %q: want one from the root of the partition, with /", path)
		}
	}
	if slices.Contains(e.Initrd, "") {
		return fmt.Errorf("initrd %q: want no empty path", e.Initrd)
	}
	for _, value := range append(slices.Clone(e.Initrd), e.Title, e.Linux, e.EFI, e.DeviceTree, e.Options) {
		if len(value) > MaxValue || value != strings.TrimSpace(value) || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return fmt.Errorf("%.80q: want at most %d bytes of one line, without spaces around it", value, MaxValue)
		}
	}
	return nil
}

// file is the content of the slot's entry file.
func (e Entry) file(slot string, version uint64) []byte {
	var b strings.Builder
	line := func(key, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%s %s\n", key, value)
		}
	}
	title := e.Title
	if title == "" {
		title = "otad " + slot
	}
	b.WriteString("# Written by otad, which also counts with this file's name.\n")
	line("title", title)
	line("linux", e.Linux)
	line("efi", e.EFI)
	for _, path := range e.Initrd {
		line("initrd", path)
	}
	line("devicetree", e.DeviceTree)
	options := e.Options
	if !slices.ContainsFunc(strings.Fields(options), func(s string) bool { return strings.HasPrefix(s, slotParameter) }) {
		options = strings.TrimSpace(options + " " + slotParameter + slot)
	}
	line("options", options)
	return stamp([]byte(b.String()), version)
}

// stamp gives the content of an entry file another version, and our sort key.
func stamp(data []byte, version uint64) []byte {
	var lines []string
	for line := range strings.Lines(string(data)) {
		if key, _ := cut(line); key != "sort-key" && key != "version" {
			lines = append(lines, strings.TrimSuffix(line, "\n")+"\n")
		}
	}
	lines = append(lines, "sort-key "+sortKey+"\n", "version "+strconv.FormatUint(version, 10)+"\n")
	return []byte(strings.Join(lines, ""))
}

// cut reads one line of an entry file: a key, space, a value.
func cut(line string) (key, value string) {
	line = strings.TrimSpace(line)
	if strings.HasPrefix(line, "#") {
		return "", ""
	}
	at := strings.IndexAny(line, " \t")
	if at < 0 {
		return line, ""
	}
	return line[:at], strings.TrimSpace(line[at:])
}

// parseVersion reads from an entry file what our entries are sorted by. ok is
// false for a file that systemd-boot would sort elsewhere, or not start.
func parseVersion(data []byte) (version uint64, ok bool) {
	var text, key, starts string
	for line := range strings.Lines(string(data)) {
		switch k, v := cut(line); k {
		case "version":
			text = v
		case "sort-key":
			key = v
		case "linux", "efi", "uki":
			starts = v
		case "machine-id":
			return 0, false // it would be sorted by that before the version
		}
	}
	version, err := strconv.ParseUint(text, 10, 64)
	ok = err == nil && version > 0 && version < maxVersion && key == sortKey && starts != ""
	if !ok {
		return 0, false
	}
	return version, true
}

// name is a file's name, taken apart: otad-SLOT.conf is started for good,
// otad-SLOT+LEFT-DONE.conf as long as LEFT is not 0 (Boot Loader Specification,
// "Boot counting").
type name struct {
	slot       string
	counted    bool
	left, done int
}

func (n name) String() string {
	switch {
	case !n.counted:
		return prefix + n.slot + suffix
	case n.done == 0:
		return prefix + n.slot + "+" + strconv.Itoa(n.left) + suffix
	}
	return prefix + n.slot + "+" + strconv.Itoa(n.left) + "-" + strconv.Itoa(n.done) + suffix
}

// onTrial tells whether systemd-boot would start and count it.
func (n name) onTrial() bool { return n.counted && n.left > 0 }

// parseName reads the name of a file. FAT does not tell capital letters from
// small ones, and so it does not either.
func parseName(file string) (n name, ok bool) {
	rest, ok := strings.CutSuffix(strings.ToLower(file), suffix)
	if rest, ok2 := strings.CutPrefix(rest, prefix); ok && ok2 {
		var counter string
		n.slot, counter, n.counted = strings.Cut(rest, "+")
		if !slotPattern.MatchString(n.slot) {
			return name{}, false
		}
		if !n.counted {
			return n, true
		}
		left, done, two := strings.Cut(counter, "-")
		if n.left, ok = digits(left); !ok {
			return name{}, false
		}
		if two {
			if n.done, ok = digits(done); !ok {
				return name{}, false
			}
		}
		return n, true
	}
	return name{}, false
}

func digits(s string) (int, bool) {
	if s == "" || len(s) > maxDigits || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.Atoi(s)
	return n, err == nil
}
