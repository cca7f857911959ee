package diff

import "math/bits"

// symbol is what a text to be sorted consists of: bytes, and the names of
// substrings one level down.
type symbol interface{ byte | int32 }

// sortSuffixes fills sa, which is as long as text, with the starts of all
// suffixes of text in order. A suffix that is the beginning of another comes
// before it. Time is linear; beside sa it takes an eighth of a byte for each
// byte of text. When stop says true, it gives up and returns false.
//
// This is suffix array construction by induced sorting (SA-IS, Nong, Zhang and
// Chan 2009): a suffix is of type S when it is smaller than its right
// neighbour, else of type L; a suffix of type S behind one of type L is an LMS
// suffix. From the LMS suffixes in order, all others follow in two scans. The
// LMS suffixes are at most half as many, and are put in order by naming the
// substrings between them and sorting the text of names.
func sortSuffixes(text []byte, sa []int32, stop func() bool) bool {
	return induced(text, sa, make([]int32, 256), stop)
}

// induced is one level. bucket has room for one number per possible symbol.
func induced[T symbol](text []T, sa, bucket []int32, stop func() bool) bool {
	if len(text) < 2 {
		clear(sa)
		return true
	}
	clear(sa)
	lms := markLMS(text)
	m := seed(text, sa, bucket, lms)
	induceL(text, sa, bucket)
	if stop() {
		return false
	}
	induceS(text, sa, bucket)
	if m < 2 {
		return true // nothing was left to be decided
	}
	names := nameSubstrings(text, sa, lms, m)
	below := sa[len(sa)-m:]
	if names < m {
		if stop() {
			return false
		}
		spare := sa[m : len(sa)-m]
		if len(spare) < names {
			spare = make([]int32, names)
		}
		if !induced(below, sa[:m], spare[:names], stop) {
			return false
		}
	} else {
		for i, name := range below {
			sa[name] = int32(i)
		}
	}
	placeSorted(text, sa, bucket, lms, m)
	induceL(text, sa, bucket)
	if stop() {
		return false
	}
	induceS(text, sa, bucket)
	return true
}

// bitset has a bit for each position of a text.
type bitset []uint64

func (b bitset) set(i int)      { b[i>>6] |= 1 << (i & 63) }
func (b bitset) has(i int) bool { return b[i>>6]>>(i&63)&1 == 1 }

// markLMS finds the LMS positions. The end of the text counts as smaller than
// everything, so that the last position is of type L.
func markLMS[T symbol](text []T) bitset {
	marks := make(bitset, (len(text)+63)/64)
	smaller := false // whether i+1 is of type S
	for i := len(text) - 2; i >= 0; i-- {
		switch {
		case text[i] < text[i+1]:
			smaller = true
		case text[i] > text[i+1]:
			if smaller {
				marks.set(i + 1)
			}
			smaller = false
		}
	}
	return marks
}

// each calls do for each marked position, in order.
func (b bitset) each(do func(int)) {
	for w, word := range b {
		for word != 0 {
			do(w<<6 + bits.TrailingZeros64(word))
			word &= word - 1
		}
	}
}

// bounds sets bucket to the first place of each symbol in the suffix array,
// or to one behind the last.
func bounds[T symbol](text []T, bucket []int32, last bool) {
	clear(bucket)
	for _, c := range text {
		bucket[c]++
	}
	sum := int32(0)
	for c, n := range bucket {
		sum += n
		bucket[c] = sum
		if !last {
			bucket[c] -= n
		}
	}
}

// seed puts the LMS positions at the ends of their buckets, in no order, and
// counts them.
func seed[T symbol](text []T, sa, bucket []int32, lms bitset) int {
	bounds(text, bucket, true)
	m := 0
	lms.each(func(i int) {
		c := text[i]
		bucket[c]--
		sa[bucket[c]] = int32(i)
		m++
	})
	return m
}

// induceL finds the place of every L suffix from the seeds, left to right. An
// entry above zero is a suffix whose left neighbour is of type L and still to
// be placed; a complemented one has a left neighbour of type S. At the end all
// are complemented, which is the way induceS wants them: what waited for it is
// above zero, and the seeds, which it will find again, are not.
func induceL[T symbol](text []T, sa, bucket []int32) {
	bounds(text, bucket, false)
	// The empty suffix behind the end comes first and begins it all.
	last := int32(len(text) - 1)
	sa[bucket[text[last]]] = waitL(text, last)
	bucket[text[last]]++
	for i := range sa {
		j := sa[i]
		sa[i] = ^j
		if j <= 0 {
			continue
		}
		j--
		c := text[j]
		p := bucket[c]
		sa[p] = waitL(text, j)
		bucket[c] = p + 1
	}
}

// waitL is the entry of an L suffix: complemented when its left neighbour is
// of type S and has to wait.
func waitL[T symbol](text []T, j int32) int32 {
	if j > 0 && text[j-1] < text[j] {
		return ^j
	}
	return j
}

// induceS finds the place of every S suffix from the L suffixes, right to left.
func induceS[T symbol](text []T, sa, bucket []int32) {
	bounds(text, bucket, true)
	for i := len(sa) - 1; i >= 0; i-- {
		j := sa[i]
		if j <= 0 {
			sa[i] = ^j
			continue
		}
		j--
		c := text[j]
		entry := j
		if j == 0 || text[j-1] > c {
			entry = ^j
		}
		p := bucket[c] - 1
		sa[p] = entry
		bucket[c] = p
	}
}

// nameSubstrings numbers the LMS substrings (from one LMS position up to and
// with the next) in their order, equal ones alike. The last m entries of sa
// become the text of names, in the order of the text. It gives how many
// different names there are. At the start sa has the LMS positions in the
// order of their substrings, with others in between.
func nameSubstrings[T symbol](text []T, sa []int32, lms bitset, m int) int {
	sorted := sa[:0]
	for _, j := range sa {
		if lms.has(int(j)) {
			sorted = append(sorted, j)
		}
	}
	// LMS positions are at least two apart, so that half of a position is
	// a place of its own. First for the lengths, then for name + 1.
	slot := sa[m:]
	clear(slot)
	prev := -1
	lms.each(func(i int) {
		if prev >= 0 {
			slot[prev>>1] = int32(i - prev + 1)
		}
		prev = i
	})
	last := prev // ends with the end of the text, like no other
	names, before, beforeLen := int32(0), -1, int32(0)
	for _, j := range sorted {
		i := int(j)
		n := slot[i>>1]
		if before < 0 || i == last || before == last || n != beforeLen || !equal(text[i:i+int(n)], text[before:before+int(n)]) {
			names++
		}
		before, beforeLen = i, n
		slot[i>>1] = names
	}
	to := len(sa)
	for i := len(slot) - 1; i >= 0; i-- {
		if name := slot[i]; name > 0 {
			to--
			sa[to] = name - 1
		}
	}
	return int(names)
}

func equal[T symbol](a, b []T) bool {
	for i, c := range a {
		if c != b[i] {
			return false
		}
	}
	return true
}

// placeSorted takes the order of the LMS suffixes from sa[:m] and puts their
// positions at the ends of their buckets in that order.
func placeSorted[T symbol](text []T, sa, bucket []int32, lms bitset, m int) {
	positions := sa[len(sa)-m:]
	k := 0
	lms.each(func(i int) {
		positions[k] = int32(i)
		k++
	})
	for i, nth := range sa[:m] {
		sa[i] = positions[nth]
	}
	clear(sa[m:])
	bounds(text, bucket, true)
	// A place is never left of the entry that goes there, so that going
	// from the right overwrites nothing that is still needed.
	for i := m - 1; i >= 0; i-- {
		j := sa[i]
		sa[i] = 0
		c := text[j]
		bucket[c]--
		sa[bucket[c]] = j
	}
}
