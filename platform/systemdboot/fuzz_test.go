package systemdboot

import (
	"bytes"
	"strings"
	"testing"

	"github.com/leapslot/ota/platform/internal/forgetful"
)

// FuzzName: a name that is read is written the same, but for leading zeros,
// capital letters and a count of 0.
func FuzzName(f *testing.F) {
	for _, s := range []string{
		"otad-a.conf", "otad-a+3.conf", "otad-b+2-1.conf", "otad-b+0-3.conf", "OTAD-B+02-01.CONF", "otad-a+3-.conf", "otad-a+.conf",
		"otad-.conf", "otad-a-1.conf", "otad-a+1+2.conf", "otad-a+-1.conf", "otad-a+9999999999.conf", "otad-a.conf.tmp", ".otad.tmp", "debian.conf",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, file string) {
		n, ok := parseName(file)
		if !ok {
			return
		}
		if n.left < 0 || n.done < 0 || !slotPattern.MatchString(n.slot) || !n.counted && n.left+n.done != 0 {
			t.Fatalf("%q reads as %+v", file, n)
		}
		again, ok := parseName(n.String())
		if !ok || again != n {
			t.Fatalf("%q reads as %+v, and %s as %+v", file, n, n, again)
		}
		if !strings.HasSuffix(strings.ToLower(file), suffix) {
			t.Fatalf("%q is no entry for systemd-boot", file)
		}
	})
}

func FuzzEntry(f *testing.F) {
	f.Add(config(nil).Entry["a"].file("a", 3))
	f.Add([]byte("version 007\nsort-key otad\nlinux /x\r\n# x\nlinux\n"))
	f.Add([]byte("linux /x\nmachine-id x\nversion 1\nsort-key otad"))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, ok := parseVersion(data)
		again := stamp(data, 9)
		v, ok2 := parseVersion(again)
		if ok && (!ok2 || v != 9) {
			t.Fatalf("%q was an entry, and %q is none", data, again)
		}
		if !bytes.Equal(stamp(again, 9), again) {
			t.Fatalf("%q changes once more", again)
		}
	})
}

// FuzzDirectory: whatever lies in the directory, after Mend the running slot is
// kept and an update can be tried and falls back.
func FuzzDirectory(f *testing.F) {
	f.Add("otad-a.conf", "linux /otad/a/linux\nversion 3\nsort-key otad\n", "otad-b+3.conf", "linux /otad/b/linux\nversion 4\nsort-key otad\n")
	f.Add("otad-a+2-1.conf", "linux /otad/a/linux\nversion 3\nsort-key otad\n", "otad-a.conf", "")
	f.Add("otad-b.conf", "linux /otad/b/linux\nversion 999999999998\nsort-key otad\n", "otad-x.conf", "linux /otad/b/linux\nversion 5\nsort-key otad")
	f.Fuzz(func(t *testing.T, file1, text1, file2, text2 string) {
		m := newMachine(forgetful.Everything)
		for file, text := range map[string]string{file1: text1, file2: text2} {
			n, ok := parseName(file)
			if !ok || n.String() != file || len(text) > MaxFile {
				return
			}
			if v, ok := parseVersion([]byte(text)); ok && v > maxVersion/2 {
				return // after so many updates that nobody makes them
			}
			m.put(t, file, text)
		}
		b := m.open(t)
		must(t, b.Mend(), b.Check())
		good := m.list(t)
		if len(good) == 0 || good[0].file != "otad-a.conf" || good[0].linux != "/otad/a/linux" {
			return // an entry for a that starts something else, which Mend leaves alone
		}
		must(t, m.boots(t, "a", "a").Try("b"))
		m.boots(t, "b", "b", "b", "a", "a")
	})
}
