package uboot

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseConfig(t *testing.T) {
	for text, want := range map[string][]Location{
		"/boot/uboot.env 0x0000 0x4000": {{Path: "/boot/uboot.env", Size: 0x4000, Sector: 0x4000, Line: 1}},
		// Sizes are hexadecimal without 0x, too; offsets are not.
		"# c\n\n\t/dev/mmcblk0 -0x20000 20000\r\n": {{Path: "/dev/mmcblk0", Offset: -0x20000, Size: 0x20000, Sector: 0x20000, Line: 3}},
		"/dev/mmcblk0 16384 4000 # why":            {{Path: "/dev/mmcblk0", Offset: 16384, Size: 0x4000, Sector: 0x4000, Line: 1}},
		"/dev/mmcblk0 010 4000":                    {{Path: "/dev/mmcblk0", Offset: 8, Size: 0x4000, Sector: 0x4000, Line: 1}},
		"/dev/mtd1 0 4000 10000 2 1\n#\n/dev/mtd1 0x20000 0x4000 0x10000 0x2": {
			{Path: "/dev/mtd1", Size: 0x4000, Sector: 0x10000, Count: 2, Line: 1},
			{Path: "/dev/mtd1", Offset: 0x20000, Size: 0x4000, Sector: 0x10000, Count: 2, Line: 3}},
	} {
		got, err := ParseConfig([]byte(text))
		if d := cmp.Diff(want, got); err != nil || d != "" {
			t.Errorf("%q: %v\n%s", text, err, d)
		}
	}
}

func TestParseConfigRefuses(t *testing.T) {
	const good = "/a 0 4000\n"
	for text, why := range map[string]string{
		"":                               "no line says",
		"# only a comment\n":             "no line says",
		"/a 0":                           "line 1: 2 words",
		"\n\n/a 0 1 2 3 4 5":             "line 3: 7 words",
		"uboot.env 0 4000":               "line 1: device",
		"/a x 4000":                      "line 1: offset",
		"/a 0b1 4000":                    "line 1: offset",
		"/a 0o7 4000":                    "line 1: offset",
		"/a 1_0 4000":                    "line 1: offset",
		"/a 0x7fffffffffffffff 4000":     "line 1: offset",
		"/a 99999999999999999999 4000":   "line 1: offset",
		"/a 0 -4000":                     "line 1: size",
		"/a 0 0":                         "line 1: size",
		"/a 0 100001":                    "line 1: size",
		"/a 0 4000 zz":                   "line 1: sector size",
		"/a 0 4000 4000 x":               "line 1: number of sectors",
		"/a 0 4000 1000 2":               "line 1: 2 sectors of 0x1000 bytes do not hold",
		"/a 0 4000 1000 4 y":             "line 1: lock",
		good + "/b 0 4000\n/c 0 4000":    "line 3: a third copy",
		good + "/b 0 2000":               "line 2: the second copy has 0x2000 bytes",
		good + good:                      "line 2: the second copy lies over",
		good + "/a 0x3fff 4000":          "line 2: the second copy lies over",
		strings.Repeat("#", MaxConfig+1): "the most is",
	} {
		if l, err := ParseConfig([]byte(text)); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%.60q: %v, %v, want %q", text, l, err, why)
		}
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Add([]byte("/boot/uboot.env 0x0000 0x4000\n"))
	f.Add([]byte("# c\n/dev/mtd1 -0x20000 4000 10000 2 1 # d\n/dev/mtd2 0 4000\n"))
	f.Add([]byte("/a 0 4000\n/a 0x4000 4000"))
	f.Fuzz(func(t *testing.T, text []byte) {
		l, err := ParseConfig(text)
		if err != nil {
			return
		}
		if len(l) < 1 || len(l) > 2 {
			t.Fatalf("%d copies", len(l))
		}
		for _, l := range l {
			if l.Size < minEnv || l.Size > MaxEnv || l.Sector <= 0 || l.Count < 0 || l.Offset > maxOffset || l.Offset < -maxOffset || l.Path == "" {
				t.Fatalf("accepted %+v", l)
			}
		}
	})
}
