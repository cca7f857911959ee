package diff

// readBlock reads one block behind its checksum and undoes everything but the
// runs. It is never empty. Whether the block was there to its end is for the
// caller to ask.
func (z *bunzip) readBlock() error {
	if z.in.take(1) == 1 {
		return badf("the %s uses randomised blocks, which nothing has written since 1997", z.name)
	}
	start := z.in.take(24)
	used, n := z.readUsed()
	if n == 0 {
		return badf("a block of the %s uses no byte at all", z.name)
	}
	tables, groups, err := z.readSelectors()
	if err != nil {
		return err
	}
	for t := range tables {
		if err := z.readTable(&z.tmp.tables[t], n+2); err != nil {
			return err
		}
	}
	if err := z.readSymbols(&used, uint16(n+1), groups); err != nil {
		return err
	}
	if int64(start) >= int64(len(z.block)) {
		return badf("a block of the %s starts outside of itself", z.name)
	}
	z.unsort(start)
	return nil
}

// readUsed gives the bytes that occur in the block, in order, and how many.
func (z *bunzip) readUsed() (used [256]byte, n int) {
	rows := z.in.take(16)
	for r := range 16 {
		if rows>>(15-r)&1 == 0 {
			continue
		}
		row := z.in.take(16)
		for c := range 16 {
			if row>>(15-c)&1 == 1 {
				used[n] = byte(r<<4 | c)
				n++
			}
		}
	}
	return used, n
}

// readSelectors reads which table is used for each group of symbols. Writers
// exist that announce more groups than a block can have; like libbz2, the rest
// is read and left alone.
func (z *bunzip) readSelectors() (tables, groups int, err error) {
	tables, groups = int(z.in.take(3)), int(z.in.take(15))
	if tables < minTables || tables > maxTables || groups == 0 {
		return 0, 0, badf("a block of the %s has %d tables and %d groups", z.name, tables, groups)
	}
	order := [maxTables]uint8{0, 1, 2, 3, 4, 5}
	for g := range groups {
		j := 0
		for z.in.take(1) == 1 {
			if j++; j == tables {
				return 0, 0, badf("a block of the %s names a table it does not have", z.name)
			}
		}
		t := order[j]
		copy(order[1:j+1], order[:j])
		order[0] = t
		if g < maxSelectors {
			z.tmp.selectors[g] = t
		}
	}
	return tables, min(groups, maxSelectors), nil
}

// readTable reads the code lengths of one table.
func (z *bunzip) readTable(t *codeTable, symbols int) error {
	var lens [maxSymbols]uint8
	l := z.in.take(5)
	for s := range symbols {
		for {
			if l < 1 || l > maxCodeLen {
				return badf("a block of the %s has a code of %d bits", z.name, int32(l))
			}
			if z.in.take(1) == 0 {
				break
			}
			l += 1 - 2*z.in.take(1)
		}
		lens[s] = uint8(l)
	}
	return t.build(lens[:symbols])
}

// readSymbols decodes the symbols of the block into z.block: the last column
// of the sorted rotations.
func (z *bunzip) readSymbols(order *[256]byte, end uint16, groups int) error {
	run, digit := 0, 1
	for g := range groups {
		table := &z.tmp.tables[z.tmp.selectors[g]]
		for range groupSymbols {
			s := table.next(&z.in)
			if s <= runB {
				run += digit << s
				digit <<= 1
				if run > z.maxBlock-len(z.block) {
					return z.tooLong()
				}
				continue
			}
			if run > 0 {
				z.appendRun(order[0], run)
				run, digit = 0, 1
			}
			if s == end {
				return nil
			}
			if s == noSymbol {
				return badf("a block of the %s has bits that are no symbol", z.name)
			}
			if len(z.block) == z.maxBlock {
				return z.tooLong()
			}
			b := order[s-1]
			copy(order[1:s], order[:s-1])
			order[0] = b
			z.appendByte(b)
		}
		// Behind the end of the section come zeros without end: look
		// once for each group, not for each bit.
		if err := z.in.short(); err != nil {
			return err
		}
	}
	return badf("a block of the %s has more symbols than groups", z.name)
}

func (z *bunzip) tooLong() error {
	return badf("a block of the %s is longer than its stream allows", z.name)
}

func (z *bunzip) appendByte(b byte) {
	if len(z.block) == cap(z.block) {
		z.block = grown(z.block, 1, z.maxBlock)
	}
	z.block = append(z.block, b)
}

func (z *bunzip) appendRun(b byte, n int) {
	if cap(z.block)-len(z.block) < n {
		z.block = grown(z.block, n, z.maxBlock)
	}
	from := len(z.block)
	z.block = z.block[:from+n]
	for i := range z.block[from:] {
		z.block[from+i] = b
	}
}
