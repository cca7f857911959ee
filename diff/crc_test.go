package diff

import (
	"bytes"
	"testing"
)

// TestRunsHaveTheChecksumOfTheirBytes compares the short ways with the long one.
func TestRunsHaveTheChecksumOfTheirBytes(t *testing.T) {
	for _, n := range []int{0, 1, 4, fullRun - 1, fullRun, fullRun + 1, bzipMaxRun} {
		for b := range 256 {
			for _, from := range []uint32{0, ^uint32(0), 0xdeadbeef, 1} {
				want := from
				for _, x := range bytes.Repeat([]byte{byte(b)}, n) {
					want = want<<8 ^ crcTable[0][byte(want>>24)^x]
				}
				if got := crcRun(from, byte(b), n); got != want {
					t.Fatalf("%d times %d from %#x: %#x, want %#x", n, b, from, got, want)
				}
			}
		}
	}
}
