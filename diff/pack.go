package diff

import (
	"context"
	"sync"
)

// packClassic makes a BSDIFF40 patch of covers. Each section is one stream and
// so the work of one goroutine; with one worker they take turns.
func packClassic(ctx context.Context, old, new []byte, covers []cover, workers int) ([][]byte, error) {
	sections := [3][]byte{}
	turns := make(chan struct{}, max(1, workers))
	var wg sync.WaitGroup
	for i := range sections {
		wg.Add(1)
		go func() {
			defer wg.Done()
			turns <- struct{}{}
			defer func() { <-turns }()
			p := packer{old: old, new: new, section: i, out: newBzip(&sorter{}), buf: make([]byte, 32<<10)}
			for n, c := range covers {
				if n%256 == 0 && ctx.Err() != nil {
					return
				}
				p.add(c)
			}
			sections[i] = p.finish()
		}()
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	head := append(make([]byte, 0, bsdiffHeader), bsdiffMagic...)
	for _, n := range []int{len(sections[0]), len(sections[1]), len(new)} {
		head = appendNumber(head, int64(n))
	}
	return [][]byte{head, sections[0], sections[1], sections[2]}, nil
}

// packer turns covers into one section of a patch: control, diff or extra.
type packer struct {
	old, new []byte
	section  int
	out      *bzip
	last     cover // not written yet: its seek depends on the next
	begun    bool
	buf      []byte
}

// add takes the next cover. One without any bytes is left out: moving the old
// position is done by the seek of the record before. At the very beginning
// there is none, and one byte of the cover, sent as it is, makes it.
func (p *packer) add(c cover) {
	if c.diff+c.extra == 0 {
		return
	}
	if !p.begun && c.diff > 0 && c.oldPos > 0 {
		p.last, p.begun = cover{extra: 1}, true
		c = cover{newPos: 1, oldPos: c.oldPos + 1, diff: c.diff - 1, extra: c.extra}
		if c.diff+c.extra == 0 {
			return
		}
	}
	if p.begun {
		p.put(c.oldPos)
	}
	p.last, p.begun = c, true
}

// put writes the last cover, behind which the old position is to be nextOld.
func (p *packer) put(nextOld int) {
	c := p.last
	switch p.section {
	case 0:
		raw := appendNumber(p.buf[:0], int64(c.diff))
		raw = appendNumber(raw, int64(c.extra))
		p.out.write(appendNumber(raw, int64(nextOld-(c.oldPos+c.diff))))
	case 1:
		is, was := p.new[c.newPos:c.newPos+c.diff], p.old[c.oldPos:c.oldPos+c.diff]
		for len(is) > 0 {
			part := p.buf[:min(len(p.buf), len(is))]
			subtract(part, is, was)
			p.out.write(part)
			is, was = is[len(part):], was[len(part):]
		}
	case 2:
		end := c.newPos + c.diff
		p.out.write(p.new[end : end+c.extra])
	}
}

// subtract fills dst with the differences of a and b.
func subtract(dst, a, b []byte) {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		dst[i] = a[i] - b[i]
	}
}

// finish gives the section.
func (p *packer) finish() []byte {
	if p.begun {
		p.put(p.last.oldPos + p.last.diff)
	}
	return p.out.finish()
}
