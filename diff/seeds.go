package diff

import (
	"encoding/binary"
	"math/bits"
)

// Seeds are pieces of the old image at every position that seedStep divides,
// found by a hash of their seedSize bytes. A match of seedSize + step - 1 bytes always
// contains one.
const (
	seedSize = 12
	// seedTries is how many places of the same seed are compared.
	seedTries = 20
	// manyPlaces are those of an image of 200 MB and more.
	manyPlaces = 25 << 20
)

// seeds is the index of an old image by seeds. Sizes above 2 GiB are no
// problem: what it holds are positions divided by the step.
type seeds struct {
	old  []byte
	step int
	skip uint     // 64 - bits of the hash
	head []uint32 // by hash: the first place, plus one
	next []uint32 // by place: the next one with the same hash
}

// seedStep is the smaller the better; what it costs is memory and time.
func seedStep(oldSize int64) int {
	for _, s := range []struct {
		upTo int64
		step int
	}{{12 << 20, 1}, {32 << 20, 2}, {96 << 20, 4}} {
		if oldSize <= s.upTo {
			return s.step
		}
	}
	step := 8
	for oldSize/int64(step) >= 1<<31 {
		step *= 2
	}
	return step
}

// seedBits is the size of the table for so many places: large ones share it more, so
// that index and images together stay below three times the image.
func seedBits(places int64) int {
	n := bits.Len64(uint64(places)) - 1
	if places > manyPlaces {
		n--
	}
	return max(10, n)
}

// seedsMemory is what an index takes, in bytes.
func seedsMemory(oldSize int64) int64 {
	places := oldSize / int64(seedStep(oldSize))
	return 4*places + 4<<seedBits(places)
}

// newSeeds indexes old; nil when stop said so.
func newSeeds(old []byte, stop func() bool) *seeds {
	step := seedStep(int64(len(old)))
	places := 0
	if len(old) >= seedSize {
		places = (len(old)-seedSize)/step + 1
	}
	width := seedBits(int64(places))
	x := &seeds{old: old, step: step, skip: uint(64 - width), head: make([]uint32, 1<<width), next: make([]uint32, places)}
	last := uint64(0)
	// From the end, so that the first place of a seed is the lowest.
	for i := places - 1; i >= 0; i-- {
		if i%(1<<20) == 0 && stop() {
			return nil
		}
		at := old[i*step:]
		a := binary.LittleEndian.Uint64(at)
		if h := x.hash(a, binary.LittleEndian.Uint32(at[8:])); a != last || a != a<<8|a>>56 {
			x.next[i] = x.head[h]
			x.head[h] = uint32(i + 1)
		} else {
			// The same byte over and over: one place stands for all.
			x.head[h] = uint32(i + 1)
		}
		last = a
	}
	return x
}

func (x *seeds) hash(a uint64, b uint32) uint64 {
	return ((a * 0x9e3779b97f4a7c15) ^ bits.RotateLeft64(uint64(b)*0xc2b2ae3d27d4eb4f, 29)) * 0xd6e8feb86659fd93 >> x.skip
}

// longest gives the longest match for the beginning of s among the places of
// its first seed.
func (x *seeds) longest(s []byte) (pos, length int) {
	if len(s) < seedSize {
		return 0, 0
	}
	a, b := binary.LittleEndian.Uint64(s), binary.LittleEndian.Uint32(s[8:])
	i := x.head[x.hash(a, b)]
	for tries := seedTries; i > 0 && tries > 0; tries-- {
		at := int(i-1) * x.step
		if binary.LittleEndian.Uint64(x.old[at:]) == a {
			if length < len(s) && (at+length >= len(x.old) || x.old[at+length] != s[length]) {
				i = x.next[i-1]
				continue
			}
			if n := common(x.old[at:], s); n > length && n >= seedSize {
				pos, length = at, n
			}
		}
		i = x.next[i-1]
	}
	return pos, length
}
