package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/leapslot/ota"
)

// counter is a cloud that gives out the blocks of one file, and can be bad at it.
type counter struct {
	t      *testing.T
	file   []byte
	stream ota.Stream
	bad    func(r ota.BlockRequest) (ota.Block, bool, error) // true: this is the answer

	asked []ota.BlockRequest
	at    []time.Time
	busy  bool
}

func (c *counter) Block(ctx context.Context, r ota.BlockRequest, patience time.Duration) (ota.Block, error) {
	if c.busy {
		c.t.Error("two requests at once")
	}
	c.busy = true
	defer func() { c.busy = false }()
	c.asked, c.at = append(c.asked, r), append(c.at, time.Now())
	if r.Size < ota.MinBlockSize || r.Size > ota.MaxBlockSize || r.Offset < 0 || r.Offset >= int64(len(c.file)) {
		c.t.Errorf("asked for %+v", r)
	}
	if c.bad != nil {
		if b, ok, err := c.bad(r); ok {
			if errors.Is(err, context.DeadlineExceeded) {
				if serr := sleep(ctx, patience); serr != nil {
					return b, serr
				}
			}
			return b, err
		}
	}
	return c.good(r), nil
}

func (c *counter) good(r ota.BlockRequest) ota.Block {
	if r.Stream != c.stream {
		return ota.Block{Code: 403, Message: "not yours"}
	}
	end := min(r.Offset+int64(r.Size), int64(len(c.file)))
	return ota.Block{Code: 200, FileSize: int64(len(c.file)), Offset: r.Offset, Data: c.file[r.Offset:end]}
}

func newCounter(t *testing.T, file []byte) *counter {
	return &counter{t: t, file: file, stream: ota.Stream{ID: 7, FileID: 1}}
}

func (c *counter) request() StreamRequest {
	return StreamRequest{Blocks: c, Stream: c.stream, Size: int64(len(c.file))}
}

func openStream(t *testing.T, opt Options, r StreamRequest) *StreamBody {
	t.Helper()
	client, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	b, err := client.OpenStream(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// fetches reads all there is, and wants the file from the offset on.
func (c *counter) fetches(r StreamRequest, opt Options) *StreamBody {
	c.t.Helper()
	b := openStream(c.t, opt, r)
	got, err := io.ReadAll(b)
	if err != nil || !bytes.Equal(got, c.file[r.Offset:]) {
		c.t.Fatalf("%d bytes of %d, %v", len(got), len(c.file), err)
	}
	return b
}

func (c *counter) fails(r StreamRequest, opt Options, want error, text string) {
	c.t.Helper()
	_, err := io.ReadAll(openStream(c.t, opt, r))
	if err == nil || want != nil && !errors.Is(err, want) || !strings.Contains(err.Error(), text) {
		c.t.Errorf("error %v, wanted %v with %q", err, want, text)
	}
}

// The whole file comes in blocks of 128 KiB, the last one shorter, from any offset.
func TestStream(t *testing.T) {
	file := content(3*ota.MaxBlockSize + 77)
	for _, at := range []int64{0, 1, ota.MaxBlockSize, 200_000, int64(len(file)) - 1, int64(len(file))} {
		c := newCounter(t, file)
		r := c.request()
		r.Offset = at
		b := c.fetches(r, Options{})
		if want := (len(file) - int(at) + ota.MaxBlockSize - 1) / ota.MaxBlockSize; len(c.asked) != want {
			t.Errorf("from %d: %d requests, wanted %d", at, len(c.asked), want)
		}
		if n, err := b.Read(make([]byte, 1)); n != 0 || err != io.EOF || b.Validator() != "" {
			t.Errorf("after the end: %d, %v", n, err)
		}
	}
	c := newCounter(t, file)
	if err := iotest.TestReader(openStream(t, Options{}, c.request()), file); err != nil {
		t.Error(err)
	}
}

func TestOpenStreamRefuses(t *testing.T) {
	client, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	c := newCounter(t, content(10))
	for _, r := range []StreamRequest{
		{Size: 10}, {Blocks: c}, {Blocks: c, Size: -1}, {Blocks: c, Size: ota.MaxMQTTFileSize + 1},
		{Blocks: c, Size: 10, Offset: 11}, {Blocks: c, Size: 10, Offset: -1},
	} {
		if _, err := client.OpenStream(t.Context(), r); err == nil {
			t.Errorf("%+v was accepted", r)
		}
	}
}

// Silence, a broken connection, a damaged block, an answer to another question and
// a cloud that is overloaded: the same bytes are asked for again, after a pause
// with jitter, and come once.
func TestN22Stream(t *testing.T) {
	file := content(4*ota.MaxBlockSize + 5)
	good := newCounter(t, file)
	for name, bad := range map[string]func(r ota.BlockRequest) (ota.Block, error){
		"silence": func(ota.BlockRequest) (ota.Block, error) {
			return ota.Block{}, fmt.Errorf("x: %w", context.DeadlineExceeded)
		},
		"broken":   func(ota.BlockRequest) (ota.Block, error) { return ota.Block{}, errors.New("the connection broke") },
		"damaged":  func(ota.BlockRequest) (ota.Block, error) { return ota.Block{}, ota.ErrMessage },
		"busy":     func(ota.BlockRequest) (ota.Block, error) { return ota.Block{Code: 503, Message: "come again"}, nil },
		"unknown":  func(ota.BlockRequest) (ota.Block, error) { return ota.Block{Code: 520}, nil },
		"nothing":  func(r ota.BlockRequest) (ota.Block, error) { b := good.good(r); b.Data = nil; return b, nil },
		"dripping": func(r ota.BlockRequest) (ota.Block, error) { b := good.good(r); b.Data = b.Data[:1]; return b, nil },
		"too much": func(r ota.BlockRequest) (ota.Block, error) { r.Size *= 2; return good.good(r), nil },
		"elsewhere": func(r ota.BlockRequest) (ota.Block, error) {
			b := good.good(r)
			b.Offset++
			return b, nil
		},
	} {
		virtually(t, func(t *testing.T) {
			c := newCounter(t, file)
			n := 0
			c.bad = func(r ota.BlockRequest) (ota.Block, bool, error) {
				n++
				if n%3 > 0 {
					return ota.Block{}, false, nil
				}
				b, err := bad(r)
				return b, true, err
			}
			c.fetches(c.request(), Options{})
			shrinks := name == "silence" || name == "unknown"
			if last := c.asked[len(c.asked)-1].Size; shrinks != (last < ota.MaxBlockSize) {
				t.Errorf("%s: the last block was asked for with %d bytes", name, last)
			}
		})
	}
}

// For good, it is over after a bounded number of requests, with the reason.
func TestN2StreamGivesUp(t *testing.T) {
	file := content(1000)
	for name, text := range map[string]string{"silence": "no reply", "refused": "520"} {
		virtually(t, func(t *testing.T) {
			c := newCounter(t, file)
			c.bad = func(ota.BlockRequest) (ota.Block, bool, error) {
				if name == "silence" {
					return ota.Block{}, true, fmt.Errorf("no reply: %w", context.DeadlineExceeded)
				}
				return ota.Block{Code: 520, Message: "no"}, true, nil
			}
			c.fails(c.request(), Options{}, nil, "gave up at byte 0 of 1000 after 13 requests without a block")
			if len(c.asked) != DefaultRetries+1 || c.asked[12].Size != ota.MinBlockSize {
				t.Errorf("%d requests, the last for %d bytes", len(c.asked), c.asked[len(c.asked)-1].Size)
			}
			c.fails(c.request(), Options{Retries: -1}, nil, text)
		})
	}
}

// A cloud with a limit of its own: the size goes down to what works, by halves or
// by what it gives.
func TestStreamBlockSize(t *testing.T) {
	file := content(300_000)
	for _, most := range []int{256, 5 << 10, 10_000, 100_000} {
		virtually(t, func(t *testing.T) {
			c := newCounter(t, file)
			c.bad = func(r ota.BlockRequest) (ota.Block, bool, error) {
				return ota.Block{Code: 400, Message: "block too large"}, r.Size > most, nil
			}
			c.fetches(c.request(), Options{})
			if last := c.asked[len(c.asked)-1].Size; last > most || 2*last <= most {
				t.Errorf("of at most %d: asked for %d", most, last)
			}
		})
		c := newCounter(t, file)
		c.bad = func(r ota.BlockRequest) (ota.Block, bool, error) {
			r.Size = min(r.Size, most)
			return c.good(r), true, nil
		}
		c.fetches(c.request(), Options{})
		if last := c.asked[len(c.asked)-1].Size; last != most || len(c.asked) != (len(file)+most-1)/most {
			t.Errorf("cut to %d: %d requests, the last for %d", most, len(c.asked), last)
		}
	}
}

// Another length is another file (N5, N7).
func TestN7StreamChanged(t *testing.T) {
	c := newCounter(t, content(2*ota.MaxBlockSize))
	for _, at := range []int64{0, ota.MaxBlockSize} {
		r := c.request()
		r.Size++
		r.Offset = at
		c.fails(r, Options{}, ErrChanged, "it has 262144 bytes, announced were 262145")
	}
}

// A stream that is refused is asked for again once, as a URL that has expired is;
// then it is over (N9, N17).
func TestN17StreamRenewed(t *testing.T) {
	file := content(5 << 20)
	for _, code := range []int{403, 404, 410} {
		c := newCounter(t, file)
		fresh := 0
		r := c.request()
		r.Stream = ota.Stream{ID: 1, FileID: 1}
		c.bad = func(q ota.BlockRequest) (ota.Block, bool, error) {
			return ota.Block{Code: code, Message: "over"}, q.Stream != c.stream, nil
		}
		r.Fresh = func(context.Context) (ota.Stream, error) { fresh++; return c.stream, nil }
		c.fetches(r, Options{})
		if fresh != 1 {
			t.Errorf("code %d: asked %d times", code, fresh)
		}
		r.Fresh = func(context.Context) (ota.Stream, error) { return ota.Stream{ID: 2}, nil }
		c.fails(r, Options{}, nil, "also after it was asked for a fresh one")
		r.Fresh = func(context.Context) (ota.Stream, error) { return ota.Stream{}, errors.New("nothing to do") }
		c.fails(r, Options{}, nil, "nothing to do")
		r.Fresh = nil
		c.fails(r, Options{}, nil, fmt.Sprintf("refuses stream 1: %d", code))
	}
	// After much progress once more: a slow download may outlive several.
	c := newCounter(t, file)
	renewed := 0
	r := c.request()
	c.bad = func(q ota.BlockRequest) (ota.Block, bool, error) {
		return ota.Block{Code: 403}, q.Offset >= int64(renewed+1)*(2<<20), nil
	}
	r.Fresh = func(context.Context) (ota.Stream, error) { renewed++; return c.stream, nil }
	c.fetches(r, Options{})
	if renewed != 2 {
		t.Errorf("renewed %d times", renewed)
	}
}

// The end of the context ends a wait at once, with its cause.
func TestStreamCancelled(t *testing.T) {
	virtually(t, func(t *testing.T) {
		cause := errors.New("cancelled by a person")
		for _, after := range []time.Duration{0, time.Second, 25 * time.Second} {
			c := newCounter(t, content(1000))
			c.bad = func(ota.BlockRequest) (ota.Block, bool, error) {
				return ota.Block{}, true, context.DeadlineExceeded
			}
			ctx, cancel := context.WithCancelCause(t.Context())
			client, _ := New(Options{})
			b, err := client.OpenStream(ctx, c.request())
			if err != nil {
				t.Fatal(err)
			}
			begun := time.Now()
			time.AfterFunc(after, func() { cancel(cause) })
			if _, err := b.Read(make([]byte, 10)); !errors.Is(err, cause) || time.Since(begun) != after {
				t.Errorf("%v after %v", err, time.Since(begun))
			}
			if _, err := b.Read(make([]byte, 10)); !errors.Is(err, cause) {
				t.Errorf("again: %v", err)
			}
		}
	})
}

// The rate limit counts blocks, too, and the memory held is one block.
func TestStreamRateLimit(t *testing.T) {
	virtually(t, func(t *testing.T) {
		file := content(10 * ota.MaxBlockSize)
		c := newCounter(t, file)
		begun := time.Now()
		c.fetches(c.request(), Options{RateLimit: ota.MaxBlockSize})
		if took := time.Since(begun).Round(time.Second); took < 9*time.Second || took > 10*time.Second {
			t.Errorf("10 blocks at one a second in %v", took)
		}
		for i := 1; i < len(c.at); i++ {
			if d := c.at[i].Sub(c.at[i-1]); d > 1100*time.Millisecond {
				t.Errorf("block %d came %v after the one before", i, d)
			}
		}
	})
}

func TestStreamClosed(t *testing.T) {
	c := newCounter(t, content(1000))
	b := openStream(t, Options{}, c.request())
	b.Close()
	if _, err := b.Read(make([]byte, 10)); err == nil || len(c.asked) != 0 {
		t.Errorf("%v after %d requests", err, len(c.asked))
	}
	if !slices.Equal(b.block, nil) {
		t.Error("a block is still held")
	}
}
