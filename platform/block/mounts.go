package block

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/leapslot/ota/platform"
)

// mount is one line of mountinfo.
type mount struct {
	number                      Number
	point, kind, source, option string
}

// parseMounts reads the kernel's /proc/self/mountinfo, of which it skips the
// lines it cannot make sense of.
func parseMounts(text string) []mount {
	var all []mount
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
		all = append(all, mount{n, unescape(f[4]), g[0], unescape(g[1]), unescape(g[2])})
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

func (t Tables) mounts() ([]mount, error) {
	text, err := readLimited(t.proc("self", "mountinfo"), maxMountinfo)
	if err != nil {
		return nil, fmt.Errorf("what is mounted is not known: %w", err)
	}
	return parseMounts(text), nil
}

// numbers are the block devices that a mount is made from. A file system that
// spans devices has a number of its own, and names one of them as its source.
func (t Tables) numbers(m mount) []Number {
	var all []Number
	if m.number.Major != 0 {
		all = append(all, m.number)
	}
	if strings.HasPrefix(m.source, "/") {
		if st, err := os.Stat(m.source); err == nil {
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
	all, err := t.mounts()
	if err != nil {
		return Root{}, err
	}
	var r Root
	for _, m := range rootMounts(all) {
		r.Sources = append(r.Sources, m.source)
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
func rootMounts(all []mount) []mount {
	i := -1
	for j, m := range all {
		if m.point == "/" {
			i = j
		}
	}
	switch {
	case i < 0:
		return nil
	case all[i].kind != "overlay":
		return all[i : i+1]
	}
	var beneath []mount
	for _, dir := range lowerDirs(all[i].option) {
		best := -1
		for j, m := range all {
			if j != i && m.point != "/" && (dir == m.point || strings.HasPrefix(dir, m.point+"/")) &&
				(best < 0 || len(m.point) >= len(all[best].point)) {
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
	all, err := t.mounts()
	if err != nil {
		return err
	}
	for _, m := range all {
		for _, n := range t.numbers(m) {
			if slices.Contains(kin, n) {
				return fmt.Errorf("%s is mounted at %s (unmount it): %w", d.Path, m.point, platform.ErrBusy)
			}
		}
	}
	return nil
}
