package barebox

import (
	"bytes"
	"errors"
	"fmt"
)

// Check implements [platform.Checkable]. It finds copies that are damaged or
// differ (B2), though barebox and this package repair them on their own. Its
// canary is the last byte of the last copy's stride, where nothing lies; in a
// stride without such room it writes that copy as it is.
func (b *Boot) Check() error {
	unlock, err := b.lock()
	if err != nil {
		return err
	}
	defer unlock()
	medium, v, err := b.load()
	if err != nil {
		return err
	}
	c, err := b.understand(v)
	if err != nil {
		return fmt.Errorf("barebox state %s: %w", b.c.Path, err)
	}
	if c.left > MaxAttempts {
		return fmt.Errorf("barebox state %s: slot %s on trial has %d attempts, want at most %d (mending ends the trial)", b.c.Path, c.trial, c.left, MaxAttempts)
	}
	for i := range Copies {
		got, err := decode(medium[i*b.c.Stride:(i+1)*b.c.Stride], b.c.Magic)
		if err != nil {
			return fmt.Errorf("barebox state %s: copy %d: %w (mending repairs it)", b.c.Path, i, err)
		}
		if !bytes.Equal(got, v) {
			return fmt.Errorf("barebox state %s: copy %d is another one than the first (mending makes them the same)", b.c.Path, i)
		}
	}
	return b.canary(medium, len(v))
}

func (b *Boot) canary(medium []byte, length int) error {
	if metaSize+headSize+length == b.c.Stride {
		b.doubt = true // which writes everything
		return b.put(medium, medium)
	}
	canary := bytes.Clone(medium)
	canary[len(canary)-1] ^= 0xff
	if err := b.put(medium, canary); err != nil {
		return err
	}
	return b.put(canary, medium)
}

// Mend implements [platform.Checkable]. When no copy is whole the variables of
// others are zero afterwards.
func (b *Boot) Mend() error {
	slot, err := b.Running()
	if err != nil {
		return err
	}
	unlock, err := b.lock()
	if err != nil {
		return err
	}
	defer unlock()
	medium, err := b.read()
	if err != nil {
		return err
	}
	used, v, wrong := first(medium, b.c.Stride, b.c.Magic)
	switch {
	case errors.Is(wrong, errSigned):
		return fmt.Errorf("barebox state %s: %w", b.c.Path, wrong)
	case used < 0:
		v = make([]byte, b.c.Length)
	case len(v) < b.c.Length:
		v = append(v, make([]byte, b.c.Length-len(v))...)
		if metaSize+headSize+len(v) > b.c.Stride {
			return fmt.Errorf("barebox state %s: %d bytes of variables do not fit a stride of %d", b.c.Path, len(v), b.c.Stride)
		}
	default:
		// What is left is made the same everywhere first.
		if medium, err = b.write(medium, v); err != nil {
			return err
		}
	}
	b.tell(v, choice{kept: slot})
	_, err = b.write(medium, v)
	return err
}
