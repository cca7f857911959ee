package simulator

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
)

// wholeGray is 100 percent in the thousandths that parseGray gives.
const wholeGray = 100_000

// parseGray reads a percentage above 0 and up to 100, in thousandths of a percent.
func parseGray(s string) (int, error) {
	if s == "" {
		return 0, fail(Missing, "Gray", "which percentage of the devices?")
	}
	whole, part, dot := strings.Cut(s, ".")
	digits := func(s string) bool { return len(s) > 0 && len(s) <= 3 && strings.Trim(s, "0123456789") == "" }
	n, err := strconv.Atoi(whole + (part + "000")[:3])
	if !digits(whole) || dot && !digits(part) || err != nil || n < 1 || n > wholeGray {
		return 0, fail(Invalid, "Gray", "%q, allowed are 0.001 to 100 percent with at most 3 decimals", s)
	}
	return n, nil
}

// chooseGray takes thousandths of a percent of the devices, rounded down, at least one
// (P30). The choice hangs on the package and the devices' names alone: asked again it
// is the same, and a greater percentage adds devices to those of a smaller one.
func chooseGray(pack string, devices []*device, thousandths int) []*device {
	if len(devices) == 0 {
		return nil
	}
	n := max(int(int64(len(devices))*int64(thousandths)/wholeGray), 1)
	tickets := make([]uint64, len(devices))
	buf := append([]byte(pack), 0)
	for i, d := range devices {
		h := sha256.Sum256(append(buf, d.Name...))
		tickets[i] = binary.BigEndian.Uint64(h[:])
	}
	sorted := slices.Clone(tickets)
	slices.Sort(sorted)
	last := sorted[n-1]
	out := make([]*device, 0, n)
	for i, d := range devices {
		// Of two equal tickets, which is next to impossible, the one in front wins.
		if tickets[i] <= last && len(out) < n {
			out = append(out, d)
		}
	}
	return out
}
