package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// Body delivers the bytes of a [Request] in order. One goroutine uses it; the
// context that it was opened with may end it from elsewhere.
//
// Its Read gives io.EOF after the last byte of Size and never before. Any other
// error is the end: [ErrChanged], the cause of the context, or a text for a
// progress report that says what the server did, with the URL redacted.
type Body struct {
	ctx context.Context // a reader has no other place for it, as in http.Request
	c   *Client
	req Request

	url   string // req.URL, or the fresh one
	at    int64  // the next byte
	valid string

	in       *attempt // nil between attempts
	pending  error    // what in ended with, to be handled by the next Read
	owed     int      // bytes that the rate limit was not asked for yet
	failures int      // attempts in a row without progress
	renewed  bool     // a fresh URL was asked for, and
	since    int64    // this was the next byte then
	err      error    // the end
}

// Validator is what makes a later resume safe: the strong ETag of the file that
// the bytes so far belong to, else its Last-Modified, else a weak ETag, or ""
// when nothing was read yet or the server has none. It is saved together with
// the number of bytes, and given back as Request.Validator.
func (b *Body) Validator() string { return b.valid }

// Read implements io.Reader. It blocks as long as retries and limits last.
func (b *Body) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for b.err == nil {
		n, err := b.step(p)
		if n > 0 {
			b.at += int64(n)
			b.owed, b.pending = n, err
			return n, nil
		}
		if err != nil {
			b.err = b.recover(err)
		}
	}
	return 0, b.err
}

// step connects, or reads once.
func (b *Body) step(p []byte) (int, error) {
	if b.at == b.req.Size {
		return 0, io.EOF
	}
	if err := b.pending; err != nil {
		b.pending = nil
		return 0, err
	}
	if b.in == nil {
		w := want{url: b.url, at: b.at, size: b.req.Size, valid: b.valid}
		in, valid, err := b.c.start(b.ctx, w)
		if err != nil {
			return 0, err
		}
		b.in = in
		if b.at == 0 || b.valid == "" {
			b.valid = valid
		}
	}
	p = p[:min(int64(len(p)), b.req.Size-b.at, maxBuffered)]
	if l := b.c.limiter; l != nil {
		p = p[:min(len(p), l.Burst())]
		if b.owed > 0 {
			owed := b.owed
			b.owed = 0
			if err := sleep(b.ctx, l.ReserveN(time.Now(), owed).Delay()); err != nil {
				return 0, err
			}
		}
	}
	return b.in.read(p)
}

// recover waits when the attempt may be repeated, and gives the error that ends
// the body when it may not.
func (b *Body) recover(err error) error {
	b.drop()
	if err == io.EOF {
		return err
	}
	if b.ctx.Err() != nil {
		return fmt.Errorf("the download was stopped at byte %d: %w", b.at, context.Cause(b.ctx))
	}
	var again transient
	var old expired
	switch {
	case errors.As(err, &again):
		b.failures++
		if b.failures > b.c.opt.Retries {
			return fmt.Errorf("gave up at byte %d of %d after %d attempts without progress: %w (%s)",
				b.at, b.req.Size, b.failures, err, Redact(b.url))
		}
		// The jitter comes on top: a server that was overloaded sends the same
		// Retry-After to everyone.
		if sleep(b.ctx, again.after+b.c.pause.next(b.failures)) != nil {
			return b.recover(err)
		}
		return nil
	case errors.As(err, &old):
		return b.renew(old)
	}
	return fmt.Errorf("%w (%s)", err, Redact(b.url))
}

// drop ends the attempt and notes whether it got ahead.
func (b *Body) drop() {
	if b.in == nil {
		return
	}
	b.in.close()
	if b.in.progressed() {
		b.failures = 0
	}
	b.in = nil
}

// renew asks for a fresh URL once, and once more after freshProgress bytes: a
// slow download may outlive several URLs, a file that is gone must not loop.
func (b *Body) renew(old expired) error {
	if b.req.Fresh == nil {
		return fmt.Errorf("%w (%s)", old, Redact(b.url))
	}
	if b.renewed && b.at-b.since < freshProgress {
		return fmt.Errorf("%w, also to a fresh URL (%s)", old, Redact(b.url))
	}
	b.renewed, b.since = true, b.at
	url, err := b.req.Fresh(b.ctx)
	if err != nil {
		return fmt.Errorf("%w, and there is no fresh URL: %w", old, err)
	}
	if err := checkURL(url); err != nil {
		return fmt.Errorf("the fresh URL: %w", err)
	}
	b.url = url
	return nil
}

// Close ends the download and its connection. It gives no error.
func (b *Body) Close() error {
	b.drop()
	if b.err == nil {
		b.err = errors.New("the download is closed")
	}
	return nil
}
