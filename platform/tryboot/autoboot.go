package tryboot

import (
	"fmt"
	"strconv"
	"strings"
)

// Limits of autoboot.txt.
const (
	// MaxFile is how many bytes the firmware reads.
	MaxFile = 512
	// MaxPartition is the largest partition number that is taken.
	MaxPartition = 128
)

// The settings and filters that the firmware knows in autoboot.txt.
const (
	keyPartition = "boot_partition"
	keyAB        = "tryboot_a_b"
	filterAll    = "[all]"
	filterNone   = "[none]"
	filterTry    = "[tryboot]"
)

// value is a partition number and where it stands in the file.
type value struct{ number, from, to int }

// autoboot is a parsed autoboot.txt: which partition is started by a plain
// start, and which by a start with the tryboot flag. Everything else in the
// file is left as it is.
type autoboot struct {
	data      string
	all, try  value
	partition bool // tryboot_a_b=1: the flag switches partitions, not files
}

// parse reads autoboot.txt. It takes what means the same to everybody, and
// refuses what depends on details of the firmware: a setting that is there
// twice, or behind a filter that this file does not have.
func parse(data []byte) (autoboot, error) {
	a := autoboot{data: string(data)}
	if len(data) > MaxFile {
		return a, fmt.Errorf("it has %d bytes, the firmware reads %d", len(data), MaxFile)
	}
	filter, at := filterAll, 0
	for _, raw := range strings.SplitAfter(a.data, "\n") {
		from := at
		at += len(raw)
		text := strings.Trim(raw, " \t\r\n")
		if strings.HasPrefix(text, "[") {
			filter = text
		}
		key, number, ok := strings.Cut(text, "=")
		if !ok || filter == filterNone || key != keyPartition && key != keyAB {
			continue
		}
		from += strings.Index(raw, "=") + 1
		if err := a.set(filter, key, value{from: from, to: from + len(number)}); err != nil {
			return a, err
		}
	}
	switch {
	case !a.partition:
		return a, fmt.Errorf("%s=1 is missing: the firmware would look for tryboot.txt on the same partition", keyAB)
	case a.all.number == 0:
		return a, fmt.Errorf("%s is missing in %s", keyPartition, filterAll)
	case a.try.number == 0:
		return a, fmt.Errorf("%s is missing in %s", keyPartition, filterTry)
	case a.all.from > a.try.from:
		return a, fmt.Errorf("%s of %s stands behind the one of %s and would win", keyPartition, filterAll, filterTry)
	}
	return a, nil
}

// set takes one setting.
func (a *autoboot) set(filter, key string, v value) error {
	text := a.data[v.from:v.to]
	if filter != filterAll && filter != filterTry {
		return fmt.Errorf("%s stands behind the filter %s", key, filter)
	}
	if key == keyAB {
		if text != "1" || filter != filterAll || a.partition {
			return fmt.Errorf("%s=%s in %s: want it once, 1, in %s", key, text, filter, filterAll)
		}
		a.partition = true
		return nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > MaxPartition || strconv.Itoa(n) != text {
		return fmt.Errorf("%s=%s: want a number from 1 to %d", key, text, MaxPartition)
	}
	v.number = n
	which := &a.all
	if filter == filterTry {
		which = &a.try
	}
	if which.number != 0 {
		return fmt.Errorf("%s is there twice in %s", key, filter)
	}
	*which = v
	return nil
}

// with is the file with other partitions in it.
func (a autoboot) with(all, try int) []byte {
	return []byte(a.data[:a.all.from] + strconv.Itoa(all) +
		a.data[a.all.to:a.try.from] + strconv.Itoa(try) + a.data[a.try.to:])
}

// fresh is a file with nothing else in it.
func fresh(all, try int) []byte {
	return fmt.Appendf(nil, "%s\n%s=1\n%s=%d\n%s\n%s=%d\n", filterAll, keyAB, keyPartition, all, filterTry, keyPartition, try)
}
