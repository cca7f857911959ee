package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/leapslot/ota"
)

// Read implements io.Reader. It blocks as long as retries and limits last, and
// while there is no connection.
func (b *StreamBody) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for b.err == nil && len(b.block) == 0 {
		switch err := b.fill(); {
		case b.at == b.req.Size:
			b.err = io.EOF
		case err != nil:
			b.err = b.recover(err)
		}
	}
	if b.err != nil {
		return 0, b.err
	}
	n := copy(p, b.block)
	b.block = b.block[n:]
	b.at += int64(n)
	return n, nil
}

// fill asks for the next block and keeps it when it is what was asked for.
func (b *StreamBody) fill() error {
	if b.at == b.req.Size {
		return nil
	}
	r := ota.BlockRequest{Stream: b.stream, Offset: b.at, Size: b.size}
	got, err := b.req.Blocks.Block(b.ctx, r, min(blockPatience, b.c.opt.IdleTimeout))
	switch {
	case errors.Is(err, context.DeadlineExceeded) && b.ctx.Err() == nil:
		b.shrink(b.size / 2)
		return transient{why: err}
	case err != nil:
		return transient{why: err}
	}
	if err := b.check(r, got); err != nil {
		return err
	}
	if n := len(got.Data); b.at+int64(n) < b.req.Size {
		b.shrink(n) // the cloud has a limit of its own
	}
	b.block, b.failures = got.Data, 0
	return b.limit(len(got.Data))
}

// check holds a reply against what was asked for, before one byte of it is used.
func (b *StreamBody) check(r ota.BlockRequest, got ota.Block) error {
	switch {
	case got.Code == 403 || got.Code == 404 || got.Code == 410:
		return expired{status: fmt.Sprintf("%d %.200q", got.Code, got.Message)}
	case got.Code == 429 || got.Code == 503:
		return transient{why: fmt.Errorf("the cloud answered %d %.200q", got.Code, got.Message)}
	case got.Code != 200: // which codes there are is not known; the size may be too large for it
		b.shrink(b.size / 2)
		return transient{why: fmt.Errorf("the cloud answered %d %.200q", got.Code, got.Message)}
	case got.FileSize != b.req.Size:
		return fmt.Errorf("%w: it has %d bytes, announced were %d", ErrChanged, got.FileSize, b.req.Size)
	case got.Offset != r.Offset || len(got.Data) > r.Size || int64(len(got.Data)) < min(ota.MinBlockSize, b.req.Size-b.at):
		return transient{why: fmt.Errorf("the cloud sent %d bytes at %d when asked for %d at %d", len(got.Data), got.Offset, r.Size, r.Offset)}
	}
	return nil
}

func (b *StreamBody) shrink(to int) { b.size = max(min(b.size, to), ota.MinBlockSize) }

// limit waits until the rate limit allows what has come.
func (b *StreamBody) limit(n int) error {
	l := b.c.limiter
	if l == nil {
		return nil
	}
	var wait time.Duration
	for ; n > 0; n -= l.Burst() {
		wait = l.ReserveN(time.Now(), min(n, l.Burst())).Delay() // the last one's holds those before
	}
	return sleep(b.ctx, wait)
}

// recover waits when a request may be repeated, and gives the error that ends the
// body when it may not.
func (b *StreamBody) recover(err error) error {
	if b.ctx.Err() != nil {
		return fmt.Errorf("the download was stopped at byte %d: %w", b.at, context.Cause(b.ctx))
	}
	var again transient
	var old expired
	switch {
	case errors.As(err, &again):
		b.failures++
		if b.failures > b.c.opt.Retries {
			return fmt.Errorf("gave up at byte %d of %d after %d requests without a block: %w (over MQTT)", b.at, b.req.Size, b.failures, err)
		}
		if sleep(b.ctx, b.c.pause.next(b.failures)) != nil {
			return b.recover(err)
		}
		return nil
	case errors.As(err, &old):
		return b.renew(old)
	}
	return fmt.Errorf("%w (over MQTT)", err)
}

// renew asks for a fresh stream once, and once more after freshProgress bytes.
func (b *StreamBody) renew(old expired) error {
	refused := fmt.Errorf("the cloud refuses stream %d: %s", b.stream.ID, old.status)
	if b.req.Fresh == nil {
		return refused
	}
	if b.renewed && b.at-b.since < freshProgress {
		return fmt.Errorf("%w, also after it was asked for a fresh one", refused)
	}
	b.renewed, b.since = true, b.at
	s, err := b.req.Fresh(b.ctx)
	if err != nil {
		return fmt.Errorf("%w, and there is no fresh one: %w", refused, err)
	}
	b.stream = s
	return nil
}
