package fleet

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator/fleet/report"
)

// judge looks at an answer before a byte of its body is taken.
func (d *device) judge(u *update, resp *http.Response) error {
	from, size := u.done+u.skipped, u.notice.Files[0].Size
	switch resp.StatusCode {
	case http.StatusOK:
		if from > 0 { // begins anew
			d.f.rec.Add(report.BytesWasted, u.done)
			u.digest.Reset()
			u.done, u.skipped = 0, 0
		}
		from = 0
	case http.StatusPartialContent:
		if want := fmt.Sprintf("bytes %d-%d/%d", from, size-1, size); resp.Header.Get("Content-Range") != want {
			return fmt.Errorf("the server sent %.60q, not %s", resp.Header.Get("Content-Range"), want)
		}
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		return &busy{d.retryAfter(resp.Header.Get("Retry-After"))}
	case http.StatusForbidden, http.StatusNotFound, http.StatusGone, http.StatusRequestedRangeNotSatisfiable:
		return &gone{resp.StatusCode}
	default:
		return fmt.Errorf("the server answered %d", resp.StatusCode)
	}
	if resp.ContentLength >= 0 && resp.ContentLength != size-from {
		return fmt.Errorf("the server sends %d bytes where %d are left", resp.ContentLength, size-from)
	}
	u.etag = resp.Header.Get("ETag")
	return nil
}

// retryAfter reads the header: seconds. Half of it is added by lot, so that those who were
// sent away together do not come back together.
func (d *device) retryAfter(text string) time.Duration {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		n = 5
	}
	after := min(time.Duration(n)*time.Second, retryMost)
	return after + time.Duration(rand.New(&d.luck).Int64N(int64(after)/2+1))
}

// pour takes the body.
func (d *device) pour(u *update, conn net.Conn, body io.Reader) error {
	buf := chunks.Get().(*[chunk]byte)
	defer chunks.Put(buf)
	part, rate := chunk, int64(d.b.Bandwidth)
	if rate > 0 {
		part = int(min(max(rate/10, 256), chunk))
	}
	leave := d.nextLeave()
	size := u.notice.Files[0].Size
	for {
		_ = conn.SetReadDeadline(time.Now().Add(fetchIdle))
		n, err := body.Read(buf[:part])
		if n > 0 {
			if err := d.took(u, buf[:n]); err != nil || u.hung {
				return err
			}
			if rate > 0 {
				time.Sleep(time.Duration(n) * time.Second / time.Duration(rate))
			}
		}
		switch {
		case u.done+u.skipped == size:
			return nil
		case u.done+u.skipped > size:
			return &failure{ota.StepDownloadFailed, "the server sent more than was announced"}
		case err == io.EOF:
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		case leave > 0 && time.Since(d.f.began) > leave:
			return errLeave
		}
	}
}

// took notes bytes that have arrived, and says how far it is.
func (d *device) took(u *update, b []byte) error {
	if u.began.IsZero() {
		u.began = time.Now()
		d.f.rec.Observe(report.NoticeToByte, u.began.Sub(u.noticed))
	}
	d.move(report.Downloading)
	d.f.rec.Add(report.Bytes, int64(len(b)))
	_, _ = u.digest.Write(b) // a hash never fails
	u.done += int64(len(b))
	percent := int(u.done * 100 / u.notice.Files[0].Size)
	if h := d.b.HangAt; h > 0 && percent >= h {
		u.hung = true
		return d.progress(u.dev, d.module(u.module), ota.Step(h))
	}
	if err := d.report(u, percent); err != nil {
		return fmt.Errorf("%w: %v", errLost, err)
	}
	return nil
}
