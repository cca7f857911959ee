package fetch

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestN1ResetInTheBody(t *testing.T) {
	file := content(300_000)
	for _, tt := range []struct {
		name   string
		script []http.HandlerFunc
		ranges []string
	}{
		{"once", []http.HandlerFunc{cut(file, 100_000), good(file)}, []string{"", rangeFrom(100_000, 300_000)}},
		{"twice", []http.HandlerFunc{cut(file, 100_000), cut(file, 1), good(file)},
			[]string{"", rangeFrom(100_000, 300_000), rangeFrom(100_001, 300_000)}},
		{"every", []http.HandlerFunc{cut(file, 100_000)},
			[]string{"", rangeFrom(100_000, 300_000), rangeFrom(200_000, 300_000)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, s := serveOn(t, tt.script...)
			whole(t, client(t, Options{}), request(s, file), file)
			if d := cmp.Diff(tt.ranges, m.ranges(t)); d != "" {
				t.Error(d)
			}
			for _, h := range m.requests()[1:] {
				if h.Get("If-Range") != tag {
					t.Errorf("If-Range is %q", h.Get("If-Range"))
				}
			}
		})
	}
}

// More resets than retries do not matter as long as each attempt gets ahead.
func TestN1ManyResetsWithProgress(t *testing.T) {
	file := content(40_000)
	m, s := serveOn(t, cut(file, 1000))
	whole(t, client(t, Options{Retries: 2}), request(s, file), file)
	if n := len(m.requests()); n != 40 {
		t.Errorf("%d requests, must be 40", n)
	}
}

// A restarted process goes on with the saved offset and validator.
func TestN1ResumeAfterARestart(t *testing.T) {
	file := content(50_000)
	m, s := serveOn(t, good(file))
	b, err := client(t, Options{}).Open(t.Context(), request(s, file))
	if err != nil {
		t.Fatal(err)
	}
	if b.Validator() != "" {
		t.Errorf("validator %q before the first byte", b.Validator())
	}
	head := make([]byte, 10_000)
	n, err := b.Read(head)
	if err != nil {
		t.Fatal(err)
	}
	b.Close()
	r := request(s, file)
	r.Offset, r.Validator = int64(n), b.Validator()
	whole(t, client(t, Options{}), r, file)
	if got := m.requests()[1]; got.Get("If-Range") != tag || got.Get("Range") != rangeFrom(n, len(file)) {
		t.Errorf("the second process asked with %v", got)
	}
}

func TestOffsetAtTheEndAsksNothing(t *testing.T) {
	file := content(100)
	m, s := serveOn(t, good(file))
	r := request(s, file)
	r.Offset = 100
	whole(t, client(t, Options{}), r, file)
	if len(m.requests()) != 0 {
		t.Error("a request was sent")
	}
}

func part(file []byte, from, to int, contentRange ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for _, v := range contentRange {
			w.Header().Add("Content-Range", v)
		}
		w.Header().Set("ETag", tag)
		w.Header().Set("Content-Length", fmt.Sprint(to-from))
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write(file[from:to])
	}
}

func TestN3PartStartsElsewhere(t *testing.T) {
	file := content(2000)
	for _, from := range []int{0, 999, 1001} {
		_, s := serveOn(t, cut(file, 1000), part(file, from, 2000, fmt.Sprintf("bytes %d-1999/2000", from)))
		refused(t, client(t, Options{}), request(s, file), file[:1000], "when asked for 1000-1999")
	}
	_, s := serveOn(t, part(file, 0, 2000, "bytes 0-1999/2000"))
	refused(t, client(t, Options{}), request(s, file), nil, "206")
}

func TestN4ContentRange(t *testing.T) {
	file := content(2000)
	for _, tt := range []struct {
		name   string
		values []string
	}{
		{"missing", nil},
		{"empty", []string{""}},
		{"garbled", []string{"bytes a-b/c"}},
		{"another unit", []string{"lines 1000-1999/2000"}},
		{"negative", []string{"bytes -1000-1999/2000"}},
		{"signed", []string{"bytes +1000-1999/2000"}},
		{"huge", []string{"bytes 1000-1999/99999999999999999999"}},
		{"no total", []string{"bytes 1000-1999/*"}},
		{"backwards", []string{"bytes 1999-1000/2000"}},
		{"two", []string{"bytes 1000-1999/2000", "bytes 1000-1999/2000"}},
		{"end too early", []string{"bytes 1000-1998/2000"}},
		{"end past the file", []string{"bytes 1000-2000/2000"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, s := serveOn(t, cut(file, 1000), part(file, 1000, 2000, tt.values...))
			err := refused(t, client(t, Options{}), request(s, file), file[:1000], "server")
			if errors.Is(err, ErrChanged) {
				t.Errorf("%v: the file did not change", err)
			}
		})
	}
}

func TestN5ContentLength(t *testing.T) {
	file := content(2000)
	chunked := func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write(file[:10])
		_ = http.NewResponseController(w).Flush()
		_, _ = w.Write(file[10:])
	}
	for _, tt := range []struct {
		name  string
		step  http.HandlerFunc
		words string
	}{
		{"chunked", chunked, "no Content-Length"},
		{"until closed", raw("HTTP/1.1 200 OK\nConnection: close", file), "no Content-Length"},
		{"too long", good(append([]byte{1}, file...)), "has 2001 bytes, announced were 2000"},
		{"too short", good(file[1:]), "has 1999 bytes, announced were 2000"},
		{"negative", raw("HTTP/1.1 200 OK\nContent-Length: -5", file), "Content-Length"},
		{"two", raw("HTTP/1.1 200 OK\nContent-Length: 2000\nContent-Length: 3000", file), "Content-Length"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, s := serveOn(t, tt.step)
			refused(t, client(t, Options{Retries: 2}), request(s, file), nil, tt.words)
		})
	}
}

func TestN5AnotherLengthOnResume(t *testing.T) {
	file, longer := content(2000), content(2001)
	_, s := serveOn(t, cut(file, 1000), good(longer)) // the same ETag, even
	if err := refused(t, client(t, Options{}), request(s, file), file[:1000], "2001"); !errors.Is(err, ErrChanged) {
		t.Errorf("%v is not ErrChanged", err)
	}
	_, s = serveOn(t, cut(file, 1000), raw("HTTP/1.1 206 Partial Content\nContent-Range: bytes 1000-1999/2000\nContent-Length: 900", file[1000:]))
	refused(t, client(t, Options{}), request(s, file), file[:1000], "has 900 bytes, announced were 1000")
	_, s = serveOn(t, cut(file, 1000), raw("HTTP/1.1 206 Partial Content\nContent-Range: bytes 1000-1999/2000", file[1000:]))
	refused(t, client(t, Options{}), request(s, file), file[:1000], "no Content-Length")
	_, s = serveOn(t, cut(file, 1000), good(file[:500]))
	if err := refused(t, client(t, Options{}), request(s, file), file[:1000], "no byte 1000"); !errors.Is(err, ErrChanged) {
		t.Errorf("%v is not ErrChanged", err)
	}
}

func TestN6RangeIgnored(t *testing.T) {
	file := content(2000)
	ignore := func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("Range")
		good(file)(w, r)
	}
	_, s := serveOn(t, cut(file, 1000), ignore)
	if err := refused(t, client(t, Options{}), request(s, file), file[:1000], "whole"); !errors.Is(err, ErrChanged) {
		t.Errorf("%v is not ErrChanged", err)
	}
	// What the caller does then: it starts over.
	whole(t, client(t, Options{}), request(s, file), file)
}

func TestN7FileReplaced(t *testing.T) {
	file := content(2000)
	monday := time.Date(2026, 11, 16, 8, 0, 0, 0, time.UTC).Format(http.TimeFormat)
	tuesday := time.Date(2026, 11, 17, 8, 0, 0, 0, time.UTC).Format(http.TimeFormat)
	first := func(fields ...string) http.HandlerFunc { // good would set an ETag
		return func(w http.ResponseWriter, r *http.Request) {
			with(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", "2000")
				_, _ = w.Write(file[:1000])
				reset(w)
			}, fields...)(w, r)
		}
	}
	rest := func(fields ...string) http.HandlerFunc { // ignores If-Range
		return func(w http.ResponseWriter, r *http.Request) {
			with(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Range", "bytes 1000-1999/2000")
				w.Header().Set("Content-Length", "1000")
				w.WriteHeader(http.StatusPartialContent)
				_, _ = w.Write(file[1000:])
			}, fields...)(w, r)
		}
	}
	for _, tt := range []struct {
		name    string
		a, b    http.HandlerFunc
		ifRange string
		changed bool
	}{
		{"ETag, If-Range obeyed", cut(file, 1000), with(good(file), "ETag", `"v2"`), tag, true},
		{"ETag, If-Range ignored", first("ETag", tag), rest("ETag", `"v2"`), tag, true},
		{"ETag the same", first("ETag", tag, "Last-Modified", monday), rest("ETag", tag, "Last-Modified", tuesday), tag, false},
		{"ETag left out", first("ETag", tag), rest(), tag, false},
		{"date", first("Last-Modified", monday), rest("Last-Modified", tuesday), monday, true},
		{"date the same", first("Last-Modified", monday), rest("Last-Modified", monday), monday, false},
		{"weak ETag", first("ETag", `W/"v1"`), rest("ETag", `W/"v2"`), "", true},
		{"weak ETag the same", first("ETag", `W/"v1"`), rest("ETag", `W/"v1"`), "", false},
		{"weak ETag and a date", first("ETag", `W/"v1"`, "Last-Modified", monday), rest("ETag", `W/"v1"`, "Last-Modified", tuesday), monday, true},
		{"nothing to compare", first(), rest(), "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, s := serveOn(t, tt.a, tt.b)
			if tt.changed {
				if err := refused(t, client(t, Options{}), request(s, file), file[:1000], ""); !errors.Is(err, ErrChanged) {
					t.Errorf("%v is not ErrChanged", err)
				}
			} else {
				whole(t, client(t, Options{}), request(s, file), file)
			}
			if got := m.requests()[1].Get("If-Range"); got != tt.ifRange {
				t.Errorf("If-Range is %q, must be %q", got, tt.ifRange)
			}
		})
	}
}

func TestN8OneRangeAlsoAfterRedirects(t *testing.T) {
	file := content(2000)
	hop := func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }
	m, s := serveOn(t, hop, cut(file, 1000), hop, cut(file, 500), hop, good(file))
	whole(t, client(t, Options{}), request(s, file), file)
	want := []string{"", "", rangeFrom(1000, 2000), rangeFrom(1000, 2000), rangeFrom(1500, 2000), rangeFrom(1500, 2000)}
	if d := cmp.Diff(want, m.ranges(t)); d != "" {
		t.Error(d)
	}
	for i, h := range m.requests() {
		if h.Get("Referer") != "" {
			t.Errorf("request %d tells the next server the first URL: %q", i, h.Get("Referer"))
		}
	}
}

func TestN19ShorterOrLongerThanPromised(t *testing.T) {
	file := content(2000)
	short := raw("HTTP/1.1 200 OK\nETag: "+tag+"\nContent-Length: 2000", file[:700])
	m, s := serveOn(t, short, good(file))
	whole(t, client(t, Options{}), request(s, file), file)
	if d := cmp.Diff([]string{"", rangeFrom(700, 2000)}, m.ranges(t)); d != "" {
		t.Error(d)
	}
	_, s = serveOn(t, raw("HTTP/1.1 200 OK\nContent-Length: 2000", append(content(2000), "surplus"...)))
	got, err := get(t, client(t, Options{}), request(s, file))
	if err != nil || sha256.Sum256(got) != sha256.Sum256(file) {
		t.Errorf("%d bytes, error %v", len(got), err)
	}
	_, s = serveOn(t, raw("HTTP/1.1 200 OK\nContent-Length: 2000", nil))
	refused(t, client(t, Options{Retries: 1}), request(s, file), nil, "gave up at byte 0 of 2000 after 2 attempts")
}
