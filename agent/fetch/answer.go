package fetch

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// How an attempt fails. Whatever is none of these, ErrChanged and the context's
// end included, is final.
type (
	final     struct{ why error }
	expired   struct{ status string } // the URL may be too old
	transient struct {
		why   error
		after time.Duration // what the server asked for
	}
)

func (e final) Error() string     { return e.why.Error() }
func (e expired) Error() string   { return "the server answered " + e.status }
func (e transient) Error() string { return e.why.Error() }

// want is what an answer is held against.
type want struct {
	url   string
	at    int64 // the next byte
	size  int64
	valid string // validator of what was begun, "" for none
}

// check says whether the answer's body is what is wanted: nil, or one of the
// errors above. Nothing of the body was read yet.
func (w want) check(resp *http.Response, opt Options, now time.Time) error {
	switch code := resp.StatusCode; {
	case code == http.StatusOK || code == http.StatusPartialContent:
		return w.checkBody(resp)
	case code == http.StatusRequestedRangeNotSatisfiable && w.at > 0:
		return fmt.Errorf("%w: it has no byte %d any more", ErrChanged, w.at)
	case code == http.StatusForbidden, code == http.StatusNotFound, code == http.StatusGone:
		return expired{status(resp)}
	case code == http.StatusProxyAuthRequired:
		return final{errProxyPassword}
	case code == http.StatusRequestTimeout, code == http.StatusTooEarly, code == http.StatusTooManyRequests, code >= 500:
		return transient{fmt.Errorf("the server answered %s", status(resp)), retryAfter(resp.Header, now, opt.MaxRetryAfter)}
	}
	return final{fmt.Errorf("the server answered %s", status(resp))}
}

func (w want) checkBody(resp *http.Response) error {
	for _, enc := range resp.Header.Values("Content-Encoding") {
		if !strings.EqualFold(enc, "identity") {
			return final{fmt.Errorf("the transfer is encoded as %.40q though identity was asked for (a proxy or the server compresses it)", enc)}
		}
	}
	if resp.StatusCode == http.StatusOK {
		if w.at > 0 {
			return fmt.Errorf("%w: the server sent the whole of it, or another one, when asked for the rest from byte %d", ErrChanged, w.at)
		}
		return checkLength(resp, w.size)
	}
	if w.at == 0 {
		return final{errors.New("the server sent a part of the file (206) when asked for the whole")}
	}
	if err := w.checkRange(resp.Header.Values("Content-Range")); err != nil {
		return err
	}
	if why := differs(w.valid, resp.Header); why != "" {
		return fmt.Errorf("%w: %s", ErrChanged, why)
	}
	return checkLength(resp, w.size-w.at)
}

func (w want) checkRange(values []string) error {
	if len(values) != 1 {
		return final{fmt.Errorf("the server's answer has %d Content-Range fields, must be one", len(values))}
	}
	first, last, total, ok := parseContentRange(values[0])
	if !ok {
		return final{fmt.Errorf("the server's Content-Range %.60q cannot be read", values[0])}
	}
	if total != w.size {
		return fmt.Errorf("%w: it has %d bytes now, and had %d", ErrChanged, total, w.size)
	}
	if first != w.at || last != w.size-1 {
		return final{fmt.Errorf("the server sent bytes %d-%d when asked for %d-%d", first, last, w.at, w.size-1)}
	}
	return nil
}

// checkLength refuses a body whose end could not be told from a cut.
func checkLength(resp *http.Response, want int64) error {
	if resp.ContentLength < 0 {
		return final{errors.New("the server does not say how long its answer is (no Content-Length)")}
	}
	if resp.ContentLength != want {
		return final{fmt.Errorf("the server's answer has %d bytes, announced were %d", resp.ContentLength, want)}
	}
	return nil
}

// parseContentRange reads "bytes first-last/total" and nothing else: a total
// of * is refused, since it says less than is needed to trust the rest.
func parseContentRange(s string) (first, last, total int64, ok bool) {
	unit, rest, ok := strings.Cut(s, " ")
	if !ok || !strings.EqualFold(unit, "bytes") {
		return 0, 0, 0, false
	}
	span, all, ok := strings.Cut(rest, "/")
	if !ok {
		return 0, 0, 0, false
	}
	a, b, ok := strings.Cut(span, "-")
	if !ok {
		return 0, 0, 0, false
	}
	for _, f := range []struct {
		text string
		to   *int64
	}{{a, &first}, {b, &last}, {all, &total}} {
		n, err := strconv.ParseUint(f.text, 10, 63) // takes no sign and no blank
		if err != nil {
			return 0, 0, 0, false
		}
		*f.to = int64(n)
	}
	return first, last, total, first <= last && last < total
}

// status is an answer's code with the words that belong to it, not with those
// that the server chose.
func status(resp *http.Response) string {
	return strings.TrimSpace(strconv.Itoa(resp.StatusCode) + " " + http.StatusText(resp.StatusCode))
}
