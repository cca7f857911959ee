package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// letGo unmaps the pages of this program that its start has touched. They stay in the
// kernel's cache of the file, and come back when they are needed, which of most of them is
// never: the service waits. Only what cannot have been written to is let go of.
func letGo() error {
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return err
	}
	f, err := os.Open("/proc/self/maps")
	if err != nil {
		return err
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		from, to, ok := ownPages(s.Text(), self)
		if !ok {
			continue
		}
		if _, _, e := unix.RawSyscall(unix.SYS_MADVISE, from, to-from, unix.MADV_DONTNEED); e != 0 {
			return os.NewSyscallError("madvise", e)
		}
	}
	return nil
}

// ownPages reads a line of /proc/self/maps: the addresses of a part of the file path that
// is mapped for reading alone.
func ownPages(line, path string) (from, to uintptr, ok bool) {
	fields := strings.Fields(line)
	if len(fields) != 6 || fields[5] != path || fields[1] != "r--p" && fields[1] != "r-xp" {
		return 0, 0, false
	}
	if n, err := fmt.Sscanf(fields[0], "%x-%x", &from, &to); n != 2 || err != nil || from >= to {
		return 0, 0, false
	}
	return from, to, true
}
