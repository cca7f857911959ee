package block

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/leapslot/ota/platform"
)

// Mount is one line of mountinfo.
type Mount struct {
	Number          Number // of the file system; Major is 0 when it is on no block device of its own
	Point           string // where it is mounted
	Kind            string // "ext4"
	Source, Options string // as they were given
}

// parseMounts reads the kernel's /proc/self/mountinfo, of which it skips the
// lines it cannot make sense of.
func parseMounts(text string) []Mount {
	var all []Mount
	for line := range strings.Lines(text) {
		head, tail, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " - ")
		f, g := strings.Split(head, " "), strings.SplitN(tail, " ", 3)
		if !ok || len(f) < 6 || len(g) < 3 {
			continue
		}
		n, err := parseNumber(f[2])
		if err != nil {
			continue
		}
		all = append(all, Mount{n, unescape(f[4]), g[0], unescape(g[1]), unescape(g[2])})
	}
	return all
}

// unescape takes back the octal escapes of mountinfo, such as \040 for a blank.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && len(s)-i > 3 && octal(s[i+1]) && s[i+1] < '4' && octal(s[i+2]) && octal(s[i+3]) {
			b = append(b, (s[i+1]-'0')<<6|(s[i+2]-'0')<<3|(s[i+3]-'0'))
			i += 3
			continue
		}
		b = append(b, s[i])
	}
	return string(b)
}

func octal(c byte) bool { return c >= '0' && c <= '7' }

// Mounts are the mounts of this process, in their order.
func (t Tables) Mounts() ([]Mount, error) {
	text, err := readLimited(t.proc("self", "mountinfo"), maxMountinfo)
	if err != nil {
		return nil, fmt.Errorf("what is mounted is not known: %w", err)
	}
	return parseMounts(text), nil
}

// numbers are the block devices that a mount is made from. A file system that
// spans devices has a number of its own, and names one of them as its source.
func (t Tables) numbers(m Mount) []Number {
	var all []Number
	if m.Number.Major != 0 {
		all = append(all, m.Number)
	}
	if strings.HasPrefix(m.Source, "/") {
		if st, err := os.Stat(m.Source); err == nil {
			if n, ok := numberOf(st); ok && !slices.Contains(all, n) {
				all = append(all, n)
			}
		}
	}
	return all
}

// Root is what the running system's / is made from.
type Root struct {
	// Devices are its block devices, with those beneath them (device mapper).
	Devices []Number
	// Sources are the mounts' sources as they were given: "/dev/root", "ubi0:rootfs".
	Sources []string
}

// Root finds what / is mounted from, through an overlay if need be: there it
// is what the lower directories are mounted from. A root that is on no block
// device, such as a file system in memory, has no Devices.
func (t Tables) Root() (Root, error) {
	all, err := t.Mounts()
	if err != nil {
		return Root{}, err
	}
	var r Root
	for _, m := range rootMounts(all) {
		r.Sources = append(r.Sources, m.Source)
		for _, n := range t.numbers(m) {
			if !slices.Contains(r.Devices, n) {
				r.Devices = append(r.Devices, n)
			}
		}
	}
	// A root device whose beneath is not known must not make every slot
	// unwritable: the kernel still refuses a second exclusive user.
	if deep, err := t.stacked(slices.Clone(r.Devices), "slaves"); err == nil {
		r.Devices = deep
	}
	return r, nil
}

// rootMounts is the last mount on /, which covers those before, or the mounts
// that an overlay there is made from.
func rootMounts(all []Mount) []Mount {
	i := -1
	for j, m := range all {
		if m.Point == "/" {
			i = j
		}
	}
	switch {
	case i < 0:
		return nil
	case all[i].Kind != "overlay":
		return all[i : i+1]
	}
	var beneath []Mount
	for _, dir := range lowerDirs(all[i].Options) {
		best := -1
		for j, m := range all {
			if j != i && m.Point != "/" && (dir == m.Point || strings.HasPrefix(dir, m.Point+"/")) &&
				(best < 0 || len(m.Point) >= len(all[best].Point)) {
				best = j
			}
		}
		if best >= 0 {
			beneath = append(beneath, all[best])
		}
	}
	return beneath
}

// lowerDirs are the lower directories of an overlay's options.
func lowerDirs(options string) (dirs []string) {
	for o := range strings.SplitSeq(options, ",") {
		if key, value, _ := strings.Cut(o, "="); key == "lowerdir" || key == "lowerdir+" {
			dirs = append(dirs, strings.Split(value, ":")...)
		}
	}
	return dirs
}

// guard refuses a device that the running system lives on (S10) or that is
// mounted, itself or in part (S6).
func (t Tables) guard(d Device) error {
	kin, err := t.kin(d.Number)
	if err != nil {
		return fmt.Errorf("%s: who uses it is not known: %w", d.Path, err)
	}
	root, err := t.Root()
	if err != nil {
		return err
	}
	for _, n := range root.Devices {
		if slices.Contains(kin, n) {
			return fmt.Errorf("%s: %w", d.Path, platform.ErrRunning)
		}
	}
	all, err := t.Mounts()
	if err != nil {
		return err
	}
	for _, m := range all {
		for _, n := range t.numbers(m) {
			if slices.Contains(kin, n) {
				return fmt.Errorf("%s is mounted at %s (unmount it): %w", d.Path, m.Point, platform.ErrBusy)
			}
		}
	}
	return nil
}
