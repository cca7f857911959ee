package fetch

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// renewing counts how often a fresh URL is asked for.
type renewing struct {
	urls []string
	err  error
	n    int
}

func (f *renewing) fresh(context.Context) (string, error) {
	f.n++
	return f.urls[min(f.n, len(f.urls))-1], f.err
}

func TestN9N17ExpiredURL(t *testing.T) {
	file := content(2000)
	for _, code := range []int{403, 404, 410} {
		for _, offset := range []int64{0, 700} { // at the first request too: the device was off
			t.Run(fmt.Sprintf("%d at %d", code, offset), func(t *testing.T) {
				m, s := serveOn(t, answer(code), cut(file, 100), good(file))
				f := &renewing{urls: []string{s.URL + "/fresh?auth_key=SECRET"}}
				r := request(s, file)
				r.Fresh = f.fresh
				if r.Offset = offset; offset > 0 {
					r.Validator = tag
				}
				whole(t, client(t, Options{}), r, file)
				if f.n != 1 {
					t.Errorf("asked for a fresh URL %d times", f.n)
				}
				if d := cmp.Diff([]string{"/fw.bin?auth_key=SECRET", "/fresh?auth_key=SECRET", "/fresh?auth_key=SECRET"}, m.urls); d != "" {
					t.Error(d)
				}
				if got := m.ranges(t); got[0] != got[1] || offset > 0 && got[0] != rangeFrom(700, 2000) {
					t.Errorf("the fresh URL was asked for %q, the old one for %q", got[1], got[0])
				}
			})
		}
	}
}

func TestN9NoLoop(t *testing.T) {
	file := content(2000)
	m, s := serveOn(t, cut(file, 700), answer(403))
	f := &renewing{urls: []string{s.URL + "/fresh?auth_key=SECRET"}}
	r := request(s, file)
	r.Fresh = f.fresh
	refused(t, client(t, Options{}), r, file[:700], "the server answered 403 Forbidden, also to a fresh URL")
	if f.n != 1 || len(m.requests()) != 3 {
		t.Errorf("%d fresh URLs, %d requests, must be 1 and 3", f.n, len(m.requests()))
	}

	m, s = serveOn(t, answer(404))
	refused(t, client(t, Options{}), request(s, file), nil, "the server answered 404 Not Found (http")
	if len(m.requests()) != 1 {
		t.Errorf("%d requests without a Fresh, must be 1", len(m.requests()))
	}
	r = request(s, file)
	r.Fresh = (&renewing{urls: []string{""}, err: errors.New("the cloud says nothing")}).fresh
	refused(t, client(t, Options{}), r, nil, "the cloud says nothing")
	r.Fresh = (&renewing{urls: []string{"file:///etc/shadow?SECRET"}}).fresh
	refused(t, client(t, Options{}), r, nil, `scheme "file"`)
}

// A long download may outlive several URLs, if it gets ahead with each.
func TestN17SeveralExpiries(t *testing.T) {
	file := content(3*freshProgress + 10)
	m, s := serveOn(t, cut(file, freshProgress+1), answer(403), cut(file, freshProgress), answer(403), good(file))
	f := &renewing{urls: []string{s.URL + "/b", s.URL + "/c"}}
	r := request(s, file)
	r.Fresh = f.fresh
	whole(t, client(t, Options{}), r, file)
	if f.n != 2 || m.urls[4] != "/c" {
		t.Errorf("%d fresh URLs, the last request was for %s", f.n, m.urls[len(m.urls)-1])
	}
}

func TestN10EverySecondRequestFails(t *testing.T) {
	file := content(3000)
	for _, code := range []int{500, 502, 503, 504, 408, 429} {
		m, s := serveOn(t, answer(code), cut(file, 1000), answer(code), cut(file, 1000), answer(code), good(file))
		whole(t, client(t, Options{Retries: 2}), request(s, file), file)
		if n := len(m.requests()); n != 6 {
			t.Errorf("%d: %d requests", code, n)
		}
	}
	m, s := serveOn(t, answer(500))
	refused(t, client(t, Options{Retries: 3}), request(s, file), nil, "gave up at byte 0 of 3000 after 4 attempts without progress: the server answered 500")
	if n := len(m.requests()); n != 4 {
		t.Errorf("%d requests, must be 4", n)
	}
	m, s = serveOn(t, answer(400))
	refused(t, client(t, Options{}), request(s, file), nil, "the server answered 400 Bad Request (http")
	if n := len(m.requests()); n != 1 {
		t.Errorf("%d requests after a final answer", n)
	}
}

func TestN12Redirects(t *testing.T) {
	file := content(100)
	hop := func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, r.URL.Path+"x?auth_key=SECRET", http.StatusFound)
	}
	ten := make([]http.HandlerFunc, 10)
	for i := range ten {
		ten[i] = hop
	}
	_, s := serveOn(t, append(ten, good(file))...)
	whole(t, client(t, Options{}), request(s, file), file)

	m, s := serveOn(t, hop)
	refused(t, client(t, Options{}), request(s, file), nil, "more than 10 redirects")
	if n := len(m.requests()); n != 11 {
		t.Errorf("%d requests, must be 11", n)
	}
	for _, to := range []string{"ftp://x/SECRET", "file:///etc/shadow", "http://user:SECRET@" + s.Listener.Addr().String() + "/"} {
		m, s := serveOn(t, answer(302, "Location", to))
		refused(t, client(t, Options{}), request(s, file), nil, "redirect: ")
		if n := len(m.requests()); n != 1 {
			t.Errorf("%s: %d requests", to, n)
		}
	}
	_, s = serveOn(t, answer(302, "Location", "http://[::1/x?auth_key=SECRET"))
	refused(t, client(t, Options{Retries: -1}), request(s, file), nil, "Location")
	_, s = serveOn(t, answer(304))
	refused(t, client(t, Options{}), request(s, file), nil, "304")
}

func TestN20EncodedTransfer(t *testing.T) {
	file := content(100)
	for _, enc := range []string{"gzip", "br", "identity, gzip"} {
		m, s := serveOn(t, with(good(file), "Content-Encoding", enc))
		refused(t, client(t, Options{}), request(s, file), nil, "identity")
		m.ranges(t) // checks Accept-Encoding
	}
	m, s := serveOn(t, with(good(file), "Content-Encoding", "identity"))
	whole(t, client(t, Options{}), request(s, file), file)
	m.ranges(t)
}

func TestI8RefusedURLs(t *testing.T) {
	c := client(t, Options{})
	for _, raw := range []string{"file:///etc/shadow", "ftp://x/y", "gopher://x", "", "/fw.bin", "http:///fw.bin", "https://u@x/", "http://u:SECRET@x/?SECRET", "http://[::1/?SECRET", "unix:///x"} {
		if _, err := c.Open(t.Context(), Request{URL: raw, Size: 1}); err == nil || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%q: error %v", raw, err)
		}
	}
}

func TestI8Redact(t *testing.T) {
	for raw, want := range map[string]string{
		"https://h:8/a/b?auth_key=SECRET#x": "https://h:8/a/...",
		"https://h:8/a?auth_key=SECRET#x":   "https://h:8/a?...",
		"https://h/p/file/1/SECRET":         "https://h/p/...",
		"http://u:SECRET@h/a":               "http://h/a",
		"http://h/a":                        "http://h/a",
		"http://[::1/?SECRET":               "(unreadable URL)",
	} {
		if got := Redact(raw); got != want {
			t.Errorf("Redact(%q) = %q", raw, got)
		}
	}
	for text, want := range map[string]string{
		`Get "http://u:SECRET@h/a?k=SECRET": EOF`: `Get "http://h/a?...": EOF`,
		`Get "http://h/p/7/SECRET": EOF`:          `Get "http://h/p/...": EOF`,
		`bad /x?k=SECRET here`:                    `bad /x?... here`,
		`what now? nothing`:                       `what now? nothing`,
	} {
		if got := scrub(text); got != want {
			t.Errorf("scrub(%q) = %q", text, got)
		}
	}
}
