package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

var errIdle = errors.New("the server was silent")

// attempt is one request and the body of its answer. Only the time spent
// waiting for the network counts: a slot that is slow to write, or the rate
// limit, is not the server's fault.
type attempt struct {
	ctx    context.Context // of the request: its cause says whether the watch ended it
	cancel context.CancelCauseFunc
	watch  *time.Timer // ends the request after IdleTimeout of silence
	opt    *Options
	body   io.ReadCloser

	got    int64         // bytes
	waited time.Duration // for them

	windowGot    int64 // the same since the low-speed window began
	windowWaited time.Duration
	slow         bool // cut by the low-speed limit
}

// start asks for the bytes that are wanted and checks the answer. It gives the
// answer's validator too.
func (c *Client) start(ctx context.Context, w want) (*attempt, string, error) {
	a := &attempt{opt: &c.opt}
	a.ctx, a.cancel = context.WithCancelCause(ctx)
	a.watch = time.AfterFunc(c.opt.IdleTimeout, func() { a.cancel(errIdle) })
	defer a.watch.Stop()
	req, err := http.NewRequestWithContext(a.ctx, http.MethodGet, w.url, nil)
	if err != nil {
		a.close()
		return nil, "", final{errors.New("the download URL cannot be read")}
	}
	w.head(req.Header, c.opt.UserAgent)
	resp, err := c.http.Do(req)
	if err != nil {
		err = a.explain(err)
		a.close()
		return nil, "", err
	}
	a.body = resp.Body
	if err := w.check(resp, c.opt, time.Now()); err != nil {
		a.close()
		return nil, "", err
	}
	return a, validatorOf(resp.Header), nil
}

// head sets the request's fields: one Range at most, by an absolute offset.
func (w want) head(h http.Header, agent string) {
	h.Set("User-Agent", agent)
	h.Set("Accept-Encoding", "identity")
	if w.at == 0 {
		return
	}
	h.Set("Range", "bytes="+strconv.FormatInt(w.at, 10)+"-"+strconv.FormatInt(w.size-1, 10))
	if w.valid != "" && !isWeak(w.valid) {
		h.Set("If-Range", w.valid)
	}
}

func (a *attempt) explain(err error) error {
	if context.Cause(a.ctx) == errIdle {
		return transient{why: fmt.Errorf("%w for %v", errIdle, a.opt.IdleTimeout)}
	}
	return explain(err, time.Now())
}

// read reads from the network. It may give bytes and an error at once.
func (a *attempt) read(p []byte) (int, error) {
	a.watch.Reset(a.opt.IdleTimeout)
	began := time.Now()
	n, err := a.body.Read(p)
	a.watch.Stop()
	spent := time.Since(began)
	a.got += int64(n)
	a.waited += spent
	switch {
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		return n, transient{why: errors.New("the connection ended within the file")}
	case err != nil:
		return n, a.explain(err)
	}
	return n, a.measure(n, spent)
}

// measure cuts an attempt that was too slow for a whole window.
func (a *attempt) measure(n int, spent time.Duration) error {
	a.windowGot += int64(n)
	a.windowWaited += spent
	if a.opt.LowSpeed < 0 || a.windowWaited < a.opt.LowSpeedTime {
		return nil
	}
	if float64(a.windowGot) < float64(a.opt.LowSpeed)*a.windowWaited.Seconds() {
		a.slow = true
		return transient{why: fmt.Errorf("slower than %d bytes a second for %v", a.opt.LowSpeed, a.opt.LowSpeedTime)}
	}
	a.windowGot, a.windowWaited = 0, 0
	return nil
}

// progressed tells an attempt that got ahead from one that only dripped: the
// former starts the count of retries anew, the latter must not, or a server
// that gives a byte a minute would be asked for ever.
func (a *attempt) progressed() bool {
	return a.got > 0 && !a.slow && a.got >= a.opt.LowSpeed*int64(a.waited/time.Second)
}

func (a *attempt) close() {
	a.watch.Stop()
	a.cancel(nil)
	if a.body != nil {
		a.body.Close()
	}
}
