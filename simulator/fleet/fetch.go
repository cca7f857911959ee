package fleet

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator/fleet/report"
)

const (
	chunk         = 32 << 10
	fetchTries    = 12 // without a byte in between
	fetchPause    = time.Second
	fetchMost     = time.Minute
	retryMost     = 15 * time.Minute // the most that a Retry-After is obeyed
	fetchIdle     = time.Minute      // silence after which a download is tried again
	blockSize     = 10 << 10         // as the C SDK asks for
	blockPatience = 10 * time.Second
)

var (
	chunks  = sync.Pool{New: func() any { return new([chunk]byte) }}
	readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 4<<10) }}
)

// busy is an answer 503 or 429.
type busy struct{ after time.Duration }

func (b *busy) Error() string { return "the server is busy" }

// gone is an answer that no second try changes.
type gone struct{ status int }

func (g *gone) Error() string { return "the server answered " + strconv.Itoa(g.status) }

// fetch brings the package, from where it stopped; hang_at may end it before.
func (d *device) fetch(ctx context.Context, u *update) error {
	select {
	case d.f.fetching <- struct{}{}:
		defer func() { <-d.f.fetching }()
	case <-ctx.Done():
		return ctx.Err()
	}
	rec, size := d.f.rec, u.notice.Files[0].Size
	rec.Add(report.Downloads, 1)
	if u.done > 0 {
		rec.Add(report.Resumes, 1)
	}
	fresh := false
	for u.done+u.skipped < size && !u.hung {
		before := u.done
		err := d.once(ctx, u)
		if u.done > before {
			u.tries = 0
		}
		var bad *failure
		var wait *busy
		var no *gone
		switch {
		case err == nil:
			continue
		case ctx.Err() != nil, errors.Is(err, errLeave), errors.Is(err, errLost), errors.As(err, &bad):
			return err
		case errors.As(err, &wait):
			rec.Add(report.Busy, 1)
			if !sleep(ctx, wait.after) {
				return ctx.Err()
			}
			continue
		case errors.As(err, &no) && !fresh:
			fresh = true
			rec.Add(report.DownloadErrors, 1)
			if err := d.refresh(u); err != nil {
				return err
			}
			continue
		}
		rec.Add(report.DownloadErrors, 1)
		if u.tries++; u.tries > fetchTries || errors.As(err, &no) {
			return &failure{ota.StepDownloadFailed, err.Error()}
		}
		pause := min(fetchPause<<min(u.tries-1, 10), fetchMost)
		if !sleep(ctx, time.Duration(rand.New(&d.luck).Int64N(int64(pause)))) {
			return ctx.Err()
		}
		rec.Add(report.Resumes, 1)
	}
	if u.hung {
		return nil
	}
	rec.Add(report.Downloaded, 1)
	rec.Transferred(size, time.Since(u.began))
	return nil
}

// errLost wraps what breaks the connection to the cloud while a package is fetched.
var errLost = errors.New("the connection to the cloud broke")

// once is one attempt to bring the rest.
func (d *device) once(ctx context.Context, u *update) error {
	if u.notice.Stream != nil {
		return d.block(u)
	}
	where, err := url.Parse(u.notice.Files[0].URL)
	if err != nil || where.Host == "" || where.Scheme != "http" && where.Scheme != "https" {
		return &failure{ota.StepDownloadFailed, "the URL is not of http or https"}
	}
	if d.f.target.Local() && !loopback(where.Hostname()) {
		return &failure{ota.StepDownloadFailed, "the package is on another machine than the broker, and this fleet stays on this one"}
	}
	conn, err := d.openPackage(ctx, where)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if d.b.Latency > 0 {
		time.Sleep(2 * time.Duration(d.b.Latency))
	}
	_ = conn.SetDeadline(time.Now().Add(fetchIdle))
	if _, err := io.WriteString(conn, d.getRequest(u, where)); err != nil {
		return err
	}
	r := readers.Get().(*bufio.Reader)
	r.Reset(conn)
	defer func() { r.Reset(nil); readers.Put(r) }()
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := d.judge(u, resp); err != nil {
		return err
	}
	return d.pour(u, conn, resp.Body)
}

func (d *device) openPackage(ctx context.Context, where *url.URL) (net.Conn, error) {
	host, port := where.Hostname(), where.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[where.Scheme]
	}
	ctx, cancel := context.WithTimeout(ctx, wireTimeout)
	defer cancel()
	conn, err := d.f.dial(d, host)(ctx, "tcp", net.JoinHostPort(host, port))
	if err != nil || where.Scheme == "http" {
		return conn, err
	}
	conf := &tls.Config{}
	if d.f.target.tls != nil {
		conf = d.f.target.tls.Clone()
	}
	conf.ServerName = host
	secure := tls.Client(conn, conf)
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return secure, nil
}

// getRequest is the GET, with a range when something is here already.
func (d *device) getRequest(u *update, where *url.URL) string {
	var b strings.Builder
	fmt.Fprintf(&b, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: leapslot-fleet\r\nAccept-Encoding: identity\r\nConnection: close\r\n", where.RequestURI(), where.Host)
	if from := d.from(u); from > 0 {
		fmt.Fprintf(&b, "Range: bytes=%d-\r\n", from)
		if u.etag != "" && strings.HasPrefix(u.etag, `"`) {
			fmt.Fprintf(&b, "If-Range: %s\r\n", u.etag)
		}
	}
	b.WriteString("\r\n")
	return b.String()
}

// from is where the download goes on; a device that gets it wrong leaves a byte out.
func (d *device) from(u *update) int64 {
	if d.b.WrongRange && u.done == 0 {
		u.skipped = 1
	}
	return u.done + u.skipped
}

// refresh asks for the notice again: a URL may have expired.
func (d *device) refresh(u *update) error {
	if err := d.ask(u.dev, d.module(u.module)); err != nil {
		return fmt.Errorf("%w: %v", errLost, err)
	}
	err := d.await(askTimeout, func(m mail) bool {
		if m.kind != ota.TopicGetReply || m.device != u.dev {
			return false
		}
		if n, _, err := ota.DecodeNotice(m.payload); err == nil && n.Same(u.notice) {
			u.notice = n
		}
		return true
	})
	if err != nil {
		d.f.rec.Add(report.Unanswered, 1)
		return fmt.Errorf("%w: no answer to a question: %v", errLost, err)
	}
	return nil
}
