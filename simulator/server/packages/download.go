package packages

import (
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Bounds of a download. A device that takes less than sliceLen in sliceTime is
// let go: it resumes where it stopped.
const (
	sliceLen  = 256 << 10 // bytes
	sliceTime = 5 * time.Minute
)

// ServeHTTP answers POST /p/ (uploads), and GET and HEAD of signed URLs.
func (s *Store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	upload := r.URL.Path == root
	switch {
	case upload && r.Method == http.MethodPost:
		s.upload(w, r)
	case !upload && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		s.download(w, r)
	default:
		allow := "GET, HEAD"
		if upload {
			allow = "POST"
		}
		w.Header().Set("Allow", allow)
		http.Error(w, "allowed here: "+allow, http.StatusMethodNotAllowed)
	}
}

func (s *Store) download(w http.ResponseWriter, r *http.Request) {
	g, err := s.open(r.URL.Path, s.config.Clock())
	if err != nil {
		s.count.forbidden.Add(1)
		if errors.Is(err, errExpired) && s.config.Download != nil {
			s.config.Download(Download{TaskID: g.task, DeviceTag: g.tag, FileID: g.file, Method: r.Method, Status: http.StatusForbidden})
		}
		http.Error(w, err.Error(), http.StatusForbidden)
		return
	}
	c := &counted{ResponseWriter: w, rc: http.NewResponseController(w), status: http.StatusOK}
	s.count.downloads.Add(1)
	asked := r.Header.Get("Range") // serve may leave it out
	s.serve(c, r, g.file)
	s.count.out.Add(c.bytes)
	if s.config.Download != nil {
		s.config.Download(Download{TaskID: g.task, DeviceTag: g.tag, FileID: g.file, Method: r.Method, Range: asked, Status: c.status, Bytes: c.bytes})
	}
}

// serve answers a request with a good URL. http.ServeContent does the work: exact
// Content-Length, never chunked; If-Range and the other conditions by the ETag;
// one range, or 416 for one past the end. Several ranges would be answered in a
// format that no device reads: they get the whole file, as the standard allows.
func (s *Store) serve(w *counted, r *http.Request, id string) {
	if s.slots != nil && r.Method == http.MethodGet {
		select {
		case s.slots <- struct{}{}:
			defer func() { <-s.slots }()
		default:
			s.count.busy.Add(1)
			w.Header().Set("Retry-After", strconv.Itoa(5+rand.IntN(10))) // spread out
			http.Error(w, "too many downloads go on: come again", http.StatusServiceUnavailable)
			return
		}
	}
	f, err := s.OpenFile(id)
	if errors.Is(err, ErrNotFound) {
		http.Error(w, "this package was deleted", http.StatusNotFound)
		return
	}
	if err == nil {
		defer f.Close()
		st, serr := f.Stat()
		if err = serr; err == nil {
			s.count.downloading.Add(1)
			defer s.count.downloading.Add(-1)
			if v := r.Header.Values("Range"); len(v) > 1 || len(v) == 1 && strings.Contains(v[0], ",") {
				r.Header.Del("Range")
			}
			h := w.Header()
			h.Set("ETag", `"`+id+`"`)
			h.Set("Content-Type", "application/octet-stream")
			h.Set("X-Content-Type-Options", "nosniff")
			h.Set("Cache-Control", "private, no-transform")
			http.ServeContent(w, r, "", st.ModTime(), f)
			return
		}
	}
	s.log.Error("download failed", "file", id, "why", err.Error())
	http.Error(w, "the file cannot be read", http.StatusInternalServerError)
}

// counted counts an answer, and bounds the time of each slice of it.
type counted struct {
	http.ResponseWriter
	rc     *http.ResponseController
	status int
	bytes  int64
}

// WriteHeader implements http.ResponseWriter.
func (c *counted) WriteHeader(status int) {
	c.status = status
	c.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (c *counted) Write(p []byte) (int, error) {
	c.rc.SetWriteDeadline(time.Now().Add(sliceTime))
	n, err := c.ResponseWriter.Write(p)
	c.bytes += int64(n)
	return n, err
}

// ReadFrom implements io.ReaderFrom, so that the kernel still copies the file
// (sendfile): a slice is one io.LimitedReader right on the file, which is the
// form that net/http looks for.
func (c *counted) ReadFrom(r io.Reader) (n int64, err error) {
	left := int64(-1)
	limited, ok := r.(*io.LimitedReader)
	if ok {
		r, left = limited.R, limited.N
	}
	for left != 0 && err == nil {
		slice := &io.LimitedReader{R: r, N: sliceLen}
		if ok {
			slice.N = min(sliceLen, left)
		}
		want := slice.N
		c.rc.SetWriteDeadline(time.Now().Add(sliceTime))
		var m int64
		m, err = io.Copy(c.ResponseWriter, slice)
		n += m
		left -= m
		if m < want {
			break
		}
	}
	if ok {
		limited.N -= n
	}
	c.bytes += n
	return n, err
}
