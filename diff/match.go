package diff

import (
	"encoding/binary"
	"math/bits"
)

// index finds the longest piece of the old image that a sequence begins with.
type index struct {
	old []byte
	sa  []int32
	// Where the suffixes that begin with two given bytes are in sa.
	first [1 << 16]int32
	count [1 << 16]int32
}

// newIndex sorts the suffixes of old; nil when stop said so.
func newIndex(old []byte, stop func() bool) *index {
	x := &index{old: old, sa: make([]int32, len(old))}
	if !sortSuffixes(old, x.sa, stop) {
		return nil
	}
	for i := 1; i < len(old); i++ {
		x.count[int(old[i-1])<<8|int(old[i])]++
	}
	sum := int32(0)
	for pair, n := range x.count {
		// The last byte alone is a suffix too, before all longer ones
		// that begin with it.
		if len(old) > 0 && pair == int(old[len(old)-1])<<8 {
			sum++
		}
		x.first[pair] = sum
		sum += n
	}
	return x
}

// longest gives the place and the length of the longest match for the
// beginning of s. Matches of one byte are not looked for.
func (x *index) longest(s []byte) (pos, length int) {
	if len(s) < 2 {
		return 0, 0
	}
	pair := int(s[0])<<8 | int(s[1])
	if x.count[pair] == 0 {
		return 0, 0
	}
	// s belongs behind rank low and before rank high. What it has in common
	// with those two is known, and all in between share the shorter of both.
	low, high := int(x.first[pair])-1, int(x.first[pair]+x.count[pair])
	lowLen, highLen := 2, 2
	for high-low > 1 {
		mid := int(uint(low+high) >> 1)
		at := int(x.sa[mid])
		n := min(lowLen, highLen)
		n += common(x.old[at+n:], s[n:])
		if n > length {
			pos, length = at, n
		}
		if n == len(s) {
			return pos, length
		}
		if at+n == len(x.old) || x.old[at+n] < s[n] {
			low, lowLen = mid, n
		} else {
			high, highLen = mid, n
		}
	}
	return pos, length
}

// common is how many bytes a and b have in common at their beginning.
func common(a, b []byte) int {
	n := min(len(a), len(b))
	a, b = a[:n], b[:n]
	i := 0
	for ; i+8 <= n; i += 8 {
		x := binary.LittleEndian.Uint64(a[i:]) ^ binary.LittleEndian.Uint64(b[i:])
		if x != 0 {
			return i + bits.TrailingZeros64(x)/8
		}
	}
	for i < n && a[i] == b[i] {
		i++
	}
	return i
}
