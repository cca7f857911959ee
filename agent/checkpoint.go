package agent

import (
	"encoding"
	"errors"
	"fmt"
	"hash"
	"time"
)

// A checkpoint is made every checkpointBytes or checkpointTime, whichever comes
// first: that much, at most, is fetched again after a power cut (W9).
const (
	checkpointBytes = 4 << 20
	checkpointTime  = time.Second
	bundleFactor    = 16 // of checkpointBytes, for a bundle
)

// checkpoint makes what has come so far survive a power cut, when one is due.
// First the bytes are synced, then the record says that they are there.
func (p *pull) checkpoint() error {
	if p.source.at-p.last < p.every() && time.Now().Before(p.due) {
		return nil
	}
	in, here := p.reader.Boundary()
	if !here && !p.source.keep {
		return nil // due at the next boundary
	}
	m := p.u.Mark
	if here {
		if err := p.sink.Sync(); err != nil {
			p.u.Broken = fmt.Sprintf("syncing: %v", err)
			return nil
		}
		var err error
		if m, err = p.mark(in); err != nil {
			return err
		}
	}
	if p.source.keep {
		if err := p.a.cfg.Spool.Sync(); err != nil {
			return fmt.Errorf("syncing the spool: %w", err)
		}
		m.Spooled = p.source.at
	}
	p.u.Mark, p.u.Validator, p.u.Stalls = m, p.body.Validator(), 0
	p.last, p.due = p.source.at, time.Now().Add(checkpointTime)
	if err := p.a.cfg.Store.Save(p.a.rec.encode()); err != nil {
		return fmt.Errorf("the state of the download cannot be saved: %w", err)
	}
	return nil
}

func (p *pull) mark(in int64) (m mark, err error) {
	m.In, m.Out = in, p.out
	if err = p.pkg.save(&m); err != nil {
		return m, err
	}
	if n, ok := p.reader.(*nativePatch); ok {
		c := n.Checkpoint()
		m.Delta = &c
	}
	if p.u.Notice.IsDiff {
		return m, nil
	}
	h := p.image
	if h == nil {
		h = p.pkg.Hash
	}
	m.Image, err = stateOf(h)
	return m, err
}

func stateOf(h hash.Hash) ([]byte, error) {
	m, ok := h.(encoding.BinaryMarshaler)
	if !ok {
		return nil, errors.New("this digest has no state to save")
	}
	return m.MarshalBinary()
}

func restore(h hash.Hash, state []byte) error {
	u, ok := h.(encoding.BinaryUnmarshaler)
	if !ok {
		return errors.New("this digest has no state to restore")
	}
	return u.UnmarshalBinary(state)
}

// every is how many bytes may have to be read again. What a file of this device holds is
// read again at no cost, so that time alone decides, and a sync for each piece is saved.
func (p *pull) every() int64 {
	if p.u.Bundle != nil {
		return bundleFactor * p.a.checkpointBytes
	}
	return p.a.checkpointBytes
}
