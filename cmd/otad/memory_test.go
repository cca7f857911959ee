package main

import (
	"os"
	"strings"
	"testing"
)

func TestOwnPages(t *testing.T) {
	for line, want := range map[string]bool{
		"00400000-00a00000 r-xp 00000000 fe:00 123   /usr/bin/otad":           true,
		"00a00000-00b00000 r--p 00600000 fe:00 123   /usr/bin/otad":           true,
		"00b00000-00c00000 rw-p 00700000 fe:00 123   /usr/bin/otad":           false,
		"00b00000-00c00000 r--s 00700000 fe:00 123   /usr/bin/otad":           false,
		"00b00000-00c00000 r--p 00700000 fe:00 123   /usr/bin/otad (deleted)": false,
		"7fff0000-7fff1000 r--p 00000000 00:00 0":                             false,
		"x-y r--p 00000000 fe:00 123 /usr/bin/otad":                           false,
		"00c00000-00b00000 r--p 00700000 fe:00 123   /usr/bin/otad":           false,
		"": false,
	} {
		if from, to, ok := ownPages(line, "/usr/bin/otad"); ok != want || ok && (from >= to) {
			t.Errorf("%s: %#x to %#x, %v", line, from, to, ok)
		}
	}
}

// What was let go of comes back by itself: this test goes on.
func TestLetGo(t *testing.T) {
	resident := func() string {
		b, err := os.ReadFile("/proc/self/status")
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			if strings.HasPrefix(line, "RssFile:") {
				return line
			}
		}
		return ""
	}
	before := resident()
	if err := letGo(); err != nil {
		t.Fatal(err)
	}
	if after := resident(); after == before {
		t.Errorf("before and after: %s", after)
	}
}
