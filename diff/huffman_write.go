package diff

import "slices"

const (
	// writeCodeLen is the longest code that is written; libbz2 keeps to it.
	writeCodeLen = 17
	// rounds is how often the tables are refined: groups choose the table
	// that is shortest for them, tables follow the groups that chose them.
	rounds = 8
)

// putSymbols writes the symbols of the block and the tables they need.
func (z *bzip) putSymbols() {
	syms := z.tmp.symbols
	n := int(syms[len(syms)-1]) + 1 // the end is the last symbol
	tables := tablesFor(len(syms))
	lens := z.tmp.lens[:tables]
	choice := chooseTables(syms, n, lens)
	z.out.put(uint32(tables), 3)
	z.out.put(uint32(len(choice)), 15)
	order := [maxTables]uint8{0, 1, 2, 3, 4, 5}
	for _, t := range choice {
		j := slices.Index(order[:], t)
		copy(order[1:j+1], order[:j])
		order[0] = t
		z.out.put(1<<(j+1)-2, uint(j+1)) // j ones and a zero
	}
	var codes [maxTables][maxSymbols]uint32
	for t := range lens {
		z.putTable(lens[t][:n])
		assignCodes(lens[t][:n], &codes[t])
	}
	for g, t := range choice {
		l, c := &lens[t], &codes[t]
		for _, s := range group(syms, g) {
			z.out.put(c[s], uint(l[s]))
		}
	}
}

// putTable writes code lengths, each as steps from the one before.
func (z *bzip) putTable(lens []uint8) {
	at := lens[0]
	z.out.put(uint32(at), 5)
	for _, l := range lens {
		for ; at < l; at++ {
			z.out.put(0b10, 2)
		}
		for ; at > l; at-- {
			z.out.put(0b11, 2)
		}
		z.out.put(0, 1)
	}
}

// assignCodes gives each symbol its canonical code.
func assignCodes(lens []uint8, codes *[maxSymbols]uint32) {
	code := uint32(0)
	for l := uint8(1); l <= writeCodeLen; l++ {
		for s, sl := range lens {
			if sl == l {
				codes[s] = code
				code++
			}
		}
		code <<= 1
	}
}

// tablesFor says how many tables are worth their place for so many symbols.
func tablesFor(symbols int) int {
	for i, most := range []int{200, 600, 1200, 2400} {
		if symbols < most {
			return minTables + i
		}
	}
	return maxTables
}

// group is the g-th run of symbols that share a table.
func group(syms []uint16, g int) []uint16 {
	return syms[g*groupSymbols : min(len(syms), (g+1)*groupSymbols)]
}

// chooseTables finds good code lengths for len(lens) tables over n symbols,
// and which table each group takes.
func chooseTables(syms []uint16, n int, lens [][maxSymbols]uint8) []uint8 {
	var total [maxSymbols]int32
	for _, s := range syms {
		total[s]++
	}
	firstTables(&total, n, len(syms), lens)
	choice := make([]uint8, (len(syms)+groupSymbols-1)/groupSymbols)
	before := 0
	for round := range rounds {
		var freq [maxTables][maxSymbols]int32
		bits := 0
		for g := range choice {
			members := group(syms, g)
			t, cost := cheapest(members, lens)
			choice[g] = uint8(t)
			bits += cost
			for _, s := range members {
				freq[t][s]++
			}
		}
		if round > 0 && bits >= before {
			break // lens already belong to this choice, or to one as good
		}
		before = bits
		for t := range lens {
			codeLengths(freq[t][:n], lens[t][:n])
		}
	}
	return choice
}

// cheapest gives the table that needs the fewest bits for a group.
func cheapest(members []uint16, lens [][maxSymbols]uint8) (best, bits int) {
	var cost [maxTables]int
	if len(lens) == maxTables {
		a, b, c, d, e, f := &lens[0], &lens[1], &lens[2], &lens[3], &lens[4], &lens[5]
		for _, s := range members {
			cost[0] += int(a[s])
			cost[1] += int(b[s])
			cost[2] += int(c[s])
			cost[3] += int(d[s])
			cost[4] += int(e[s])
			cost[5] += int(f[s])
		}
	} else {
		for t := range lens {
			for _, s := range members {
				cost[t] += int(lens[t][s])
			}
		}
	}
	for t := range lens {
		if cost[t] < cost[best] {
			best = t
		}
	}
	return best, cost[best]
}

// firstTables begins the refinement: each table favours one stretch of the
// symbols, about as frequent as the others.
func firstTables(total *[maxSymbols]int32, n, symbols int, lens [][maxSymbols]uint8) {
	const cheap, dear = 1, 15
	left, from := symbols, 0
	for t := range lens {
		want := left / (len(lens) - t)
		to, sum := from, 0
		for to < n && (sum < want || to == from) {
			sum += int(total[to])
			to++
		}
		// A frequent last symbol goes to this table and to the next by turns.
		if to-1 > from && t > 0 && t < len(lens)-1 && t%2 == 1 {
			to--
			sum -= int(total[to])
		}
		for s := range n {
			lens[t][s] = dear
			if s >= from && s < to {
				lens[t][s] = cheap
			}
		}
		left -= sum
		from = to
	}
}

// codeLengths gives each symbol the length of its Huffman code, between 1 and
// writeCodeLen. Symbols that do not occur get one too, since the format has no
// way to leave one out. When a code is too long, the frequencies are flattened
// until none is.
func codeLengths(freq []int32, lens []uint8) {
	type leaf struct{ weight, symbol int32 }
	leaves := make([]leaf, len(freq))
	for s, f := range freq {
		leaves[s] = leaf{max(f, 1), int32(s)}
	}
	slices.SortFunc(leaves, func(a, b leaf) int {
		if a.weight != b.weight {
			return int(a.weight - b.weight)
		}
		return int(a.symbol - b.symbol)
	})
	weights := make([]int32, len(leaves))
	for {
		for i, l := range leaves {
			weights[i] = l.weight
		}
		depth := depths(weights)
		if depth[0] <= writeCodeLen {
			for i, l := range leaves {
				lens[l.symbol] = uint8(depth[i])
			}
			return
		}
		for i := range leaves {
			leaves[i].weight = leaves[i].weight/2 + 1
		}
	}
}

// depths gives the depth of each leaf of a Huffman tree over weights that go
// upwards, with two queues: the leaves, and the nodes in the order they arise.
func depths(weights []int32) []int32 {
	n := len(weights)
	all := append(make([]int32, 0, 2*n-1), weights...)
	parent := make([]int32, 2*n-1)
	leaf, node := 0, n
	smallest := func() int {
		if node == len(all) || leaf < n && all[leaf] <= all[node] {
			leaf++
			return leaf - 1
		}
		node++
		return node - 1
	}
	for len(all) < 2*n-1 {
		a := smallest()
		b := smallest()
		parent[a], parent[b] = int32(len(all)), int32(len(all))
		all = append(all, all[a]+all[b])
	}
	depth := all // the weights are not needed any more
	depth[2*n-2] = 0
	for i := 2*n - 3; i >= 0; i-- {
		depth[i] = depth[parent[i]] + 1
	}
	return depth[:n]
}
