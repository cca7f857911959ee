package uboot

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/leapslot/ota/platform/internal/disk"
	"github.com/leapslot/ota/platform/internal/rewrite"
)

// Limits of fw_env.config and of an environment, in bytes.
const (
	MaxConfig = 64 << 10 // the whole file
	MaxEnv    = 1 << 20  // one copy of an environment
	minEnv    = 64
)

// maxOffset keeps sums of an offset and a length far from overflowing: 4 EiB.
const maxOffset = 1 << 62

// Location is one line of fw_env.config: where one copy of the environment lies.
type Location struct {
	Path   string // a file, a block device or an MTD character device
	Offset int64  // bytes from its start, or, when negative, from its end
	Size   int64  // bytes of the environment, its checksum included
	Sector int64  // bytes of a flash sector; Size when the line does not say
	Count  int64  // how many sectors may be used for it; 0 when the line does not say
	Line   int    // of the file, from 1
}

// ParseConfig reads fw_env.config: one line for an environment in one copy, two
// for a redundant one. It is the format of libubootenv and of U-Boot's own
// tools: device, offset, size, sector size, number of sectors, and a lock flag
// that is ignored. The offset is decimal, or hexadecimal with 0x, or octal with
// 0; all the others are hexadecimal, with or without 0x. Empty lines, and what
// follows a # at the start of a word, are comments.
//
// What those tools skip is an error here: a line that they do not understand,
// a third copy, two copies of different sizes.
func ParseConfig(text []byte) ([]Location, error) {
	if len(text) > MaxConfig {
		return nil, fmt.Errorf("%d bytes, the most is %d", len(text), MaxConfig)
	}
	var found []Location
	for i, line := range bytes.Split(text, []byte("\n")) {
		words := words(string(line))
		if len(words) == 0 {
			continue
		}
		if len(found) == 2 {
			return nil, fmt.Errorf("line %d: a third copy of the environment: U-Boot knows one or two", i+1)
		}
		l, err := parseLine(words)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		l.Line = i + 1
		found = append(found, l)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("no line says where the environment is (want: device offset size)")
	}
	if len(found) == 2 {
		if err := fit(found[0], found[1]); err != nil {
			return nil, fmt.Errorf("line %d: %w", found[1].Line, err)
		}
	}
	return found, nil
}

// words are the words of a line up to a comment.
func words(line string) []string {
	words := strings.Fields(line)
	for i, w := range words {
		if strings.HasPrefix(w, "#") {
			return words[:i]
		}
	}
	return words
}

func parseLine(w []string) (l Location, err error) {
	if len(w) < 3 || len(w) > 6 {
		return l, fmt.Errorf("%d words, want 3 to 6: device offset size [sector size [number of sectors [lock]]]", len(w))
	}
	l.Path = w[0]
	if !strings.HasPrefix(l.Path, "/") || strings.ContainsRune(l.Path, 0) {
		return l, fmt.Errorf("device %.80q: want an absolute path", l.Path)
	}
	if l.Offset, err = offset(w[1]); err != nil || l.Offset > maxOffset || l.Offset < -maxOffset {
		return l, fmt.Errorf("offset %.40q: want a number of bytes, 0x for hexadecimal", w[1])
	}
	if l.Size, err = hex(w[2]); err != nil || l.Size < minEnv || l.Size > MaxEnv {
		return l, fmt.Errorf("size %.40q: want a hexadecimal number of bytes from %#x to %#x", w[2], minEnv, MaxEnv)
	}
	l.Sector = l.Size
	if len(w) > 3 {
		if l.Sector, err = hex(w[3]); err != nil || l.Sector > 1<<30 {
			return l, fmt.Errorf("sector size %.40q: want a hexadecimal number of bytes up to %#x", w[3], 1<<30)
		}
		if l.Sector == 0 {
			l.Sector = l.Size
		}
	}
	if len(w) > 4 {
		if l.Count, err = hex(w[4]); err != nil || l.Count > 1<<16 {
			return l, fmt.Errorf("number of sectors %.40q: want a hexadecimal number up to %#x", w[4], 1<<16)
		}
	}
	if len(w) > 5 {
		if _, err = hex(w[5]); err != nil {
			return l, fmt.Errorf("lock flag %.40q: want 0 or 1", w[5])
		}
	}
	if l.Count > 0 && l.Count*l.Sector < l.Size {
		return l, fmt.Errorf("%d sectors of %#x bytes do not hold an environment of %#x", l.Count, l.Sector, l.Size)
	}
	return l, nil
}

// offset reads a number as C's strtol does with base 0, which knows no 0b, 0o
// and underscores.
func offset(s string) (int64, error) {
	if digits := strings.TrimLeft(s, "+-"); strings.ContainsAny(digits, "_oO") || strings.HasPrefix(strings.ToLower(digits), "0b") {
		return 0, strconv.ErrSyntax
	}
	return strconv.ParseInt(s, 0, 64)
}

func hex(s string) (int64, error) {
	s = strings.TrimPrefix(strings.TrimPrefix(s, "0x"), "0X")
	n, err := strconv.ParseUint(s, 16, 62)
	return int64(n), err
}

// fit refuses two copies that cannot be two copies of one environment.
func fit(a, b Location) error {
	if a.Size != b.Size {
		return fmt.Errorf("the second copy has %#x bytes, the first %#x: they must be equal", b.Size, a.Size)
	}
	if a.Path == b.Path && a.Offset < b.Offset+b.Size && b.Offset < a.Offset+a.Size {
		return fmt.Errorf("the second copy lies over the first one")
	}
	return nil
}

// readConfig reads and parses the file at path.
func readConfig(path string) ([]Location, error) {
	real, _, err := kindOf(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	text, err := rewrite.Read(disk.OS{}, real, MaxConfig)
	if os.IsNotExist(err) {
		return nil, fmt.Errorf("%s: there is none: it has to say where U-Boot's environment lies", path)
	}
	if err != nil {
		return nil, err
	}
	l, err := ParseConfig(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return l, nil
}
