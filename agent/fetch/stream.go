package fetch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/leapslot/ota"
)

// Blocks asks the cloud for one block of a file. *link.Link is the real one: it
// waits for a connection for as long as the context lasts, and for the reply for
// so long as patience; then its error wraps context.DeadlineExceeded.
type Blocks interface {
	Block(ctx context.Context, r ota.BlockRequest, patience time.Duration) (ota.Block, error)
}

// blockPatience is how long a block is waited for; Options.IdleTimeout when that
// is shorter. What has not come by then is asked for again, by half the size.
const blockPatience = 20 * time.Second

// StreamRequest names a file that is fetched over MQTT (protocol section 6).
type StreamRequest struct {
	Blocks Blocks
	Stream ota.Stream
	Size   int64 // bytes of the whole file, as announced
	Offset int64 // bytes that the caller has already

	// Fresh asks for another stream of the same file when the cloud refuses this
	// one. nil is none. It is called once, and again only after much progress.
	Fresh func(ctx context.Context) (ota.Stream, error)
}

// OpenStream checks the request and gives its reader. It does not wait for the
// network: the first Read asks. The context ends the reader too.
func (c *Client) OpenStream(ctx context.Context, r StreamRequest) (*StreamBody, error) {
	if r.Blocks == nil {
		return nil, errors.New("there is no connection that blocks of a file could come over")
	}
	if r.Size <= 0 || r.Size > ota.MaxMQTTFileSize {
		return nil, fmt.Errorf("size %d of the file is not within 1 and %d, which is the most over MQTT", r.Size, ota.MaxMQTTFileSize)
	}
	if r.Offset < 0 || r.Offset > r.Size {
		return nil, fmt.Errorf("offset %d is not within the file's %d bytes", r.Offset, r.Size)
	}
	return &StreamBody{ctx: ctx, c: c, req: r, stream: r.Stream, at: r.Offset, size: ota.MaxBlockSize}, nil
}

// StreamBody delivers the bytes of a [StreamRequest] in order, as a [Body] does
// those of a URL: io.EOF after the last byte of Size and never before; any other
// error is the end: [ErrChanged], the cause of the context, or a text that says
// what the cloud did. One goroutine uses it. One request is under way at a time,
// and one block is held.
type StreamBody struct {
	ctx context.Context // a reader has no other place for it, as in http.Request
	c   *Client
	req StreamRequest

	stream   ota.Stream // req.Stream, or the fresh one
	at       int64      // the next byte to deliver
	block    []byte     // what was not delivered yet of the block that came last
	size     int        // of the next block; it shrinks to what works
	failures int        // requests in a row without a block
	renewed  bool       // a fresh stream was asked for, and
	since    int64      // this was the next byte then
	err      error      // the end
}

// Validator is empty: a stream has none. A file that was replaced is found by its
// length, and by its digest.
func (b *StreamBody) Validator() string { return "" }

// Close ends the download. It gives no error.
func (b *StreamBody) Close() error {
	if b.err == nil {
		b.err = errors.New("the download is closed")
	}
	b.block = nil
	return nil
}
