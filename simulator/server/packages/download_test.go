package packages

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/leapslot/ota"
)

func (p *shop) sign(t testing.TB, f File) string {
	t.Helper()
	u, err := p.SignURL(lamp, "task-1", f.ID, noon.Add(24*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestDownload(t *testing.T) {
	p := newShop(t)
	content := noise(1 << 20)
	f := p.put(t, content)
	u := p.sign(t, f)
	etag := `"` + f.ID + `"`
	resp, _ := get(t, "HEAD", u)
	<-p.seen
	modified := resp.Header.Get("Last-Modified")
	if _, err := http.ParseTime(modified); err != nil {
		t.Fatalf("Last-Modified: %v", err)
	}
	whole := fmt.Sprint("0-", len(content))
	for name, tt := range map[string]struct {
		headers []string
		status  int
		part    string // "from-to" of the body, to not included
	}{
		"whole":              {nil, 200, whole},
		"compressed offered": {[]string{"Accept-Encoding", "gzip, br"}, 200, whole},
		"first bytes":        {[]string{"Range", "bytes=0-0"}, 206, "0-1"},
		"middle":             {[]string{"Range", "bytes=500000-599999"}, 206, "500000-600000"},
		"resume":             {[]string{"Range", "bytes=499712-"}, 206, fmt.Sprint("499712-", len(content))},
		"past the end":       {[]string{"Range", "bytes=1048575-9999999"}, 206, "1048575-1048576"},
		"last bytes":         {[]string{"Range", "bytes=-10"}, 206, "1048566-1048576"},
		"after the end":      {[]string{"Range", "bytes=1048576-"}, 416, ""},
		"malformed":          {[]string{"Range", "bytes=x-"}, 416, ""},
		"several ranges":     {[]string{"Range", "bytes=0-1,5-6"}, 200, whole},
		"N8 several headers": {[]string{"Range", "bytes=0-1", "Range", "bytes=5-6"}, 200, whole},
		"If-Range fits":      {[]string{"Range", "bytes=5-9", "If-Range", etag}, 206, "5-10"},
		"If-Range date":      {[]string{"Range", "bytes=5-9", "If-Range", modified}, 206, "5-10"},
		"If-Range other":     {[]string{"Range", "bytes=5-9", "If-Range", `"other"`}, 200, whole},
		"If-Range weak":      {[]string{"Range", "bytes=5-9", "If-Range", "W/" + etag}, 200, whole},
		"not modified":       {[]string{"If-None-Match", etag}, 304, ""},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			resp, body := get(t, method, u, tt.headers...)
			if resp.StatusCode != tt.status {
				t.Errorf("%s %s: %d, want %d", method, name, resp.StatusCode, tt.status)
				continue
			}
			var from, to int
			if tt.part != "" {
				a, b, _ := strings.Cut(tt.part, "-")
				from, _ = strconv.Atoi(a)
				to, _ = strconv.Atoi(b)
				h := resp.Header
				if h.Get("Content-Length") != fmt.Sprint(to-from) || h.Get("Etag") != etag || h.Get("Accept-Ranges") != "bytes" || h.Get("Content-Encoding") != "" || len(resp.TransferEncoding) != 0 {
					t.Errorf("%s %s: %v", method, name, h)
				}
				if cr := h.Get("Content-Range"); tt.status == 206 && cr != fmt.Sprintf("bytes %d-%d/%d", from, to-1, len(content)) {
					t.Errorf("%s %s: Content-Range %q", method, name, cr)
				}
				if method == "GET" && !bytes.Equal(body, content[from:to]) {
					t.Errorf("%s: wrong bytes", name)
				}
			}
			if d := <-p.seen; d.TaskID != "task-1" || d.DeviceTag != p.DeviceTag(lamp) || d.FileID != f.ID || d.Method != method || d.Status != tt.status || method == "GET" && tt.part != "" && d.Bytes != int64(to-from) || method == "HEAD" && d.Bytes != 0 && tt.status < 400 {
				t.Errorf("%s %s: told %+v", method, name, d)
			}
		}
	}
	for _, method := range []string{"POST", "PUT", "DELETE"} {
		if resp, _ := get(t, method, u); resp.StatusCode != 405 || resp.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: %d", method, resp.StatusCode)
		}
	}
	if resp, _ := get(t, "GET", p.url+root); resp.StatusCode != 405 || resp.Header.Get("Allow") != "POST" {
		t.Errorf("GET /p/: %d", resp.StatusCode)
	}
}

// What stands on the wire, for clients that look for the bytes.
func TestDownloadHeaderSpelling(t *testing.T) {
	p := newShop(t)
	u := p.sign(t, p.put(t, []byte("0123456789")))
	for version, end := range map[string]string{"1.1": "Connection: close\r\n\r\n", "1.0": "\r\n"} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "GET %s HTTP/%s\r\nHost: x\r\nRange: bytes=2-4\r\n%s", strings.TrimPrefix(u, p.url), version, end)
		b, err := io.ReadAll(bufio.NewReader(conn))
		conn.Close()
		got := string(b)
		if err != nil || !strings.Contains(got, " 206 ") || !strings.Contains(got, "\r\nContent-Length: 3\r\n") || !strings.Contains(got, "\r\nContent-Range: bytes 2-4/10\r\n") || !strings.HasSuffix(got, "\r\n\r\n234") || strings.Contains(got, "chunked") {
			t.Errorf("HTTP/%s: %q, %v", version, got, err)
		}
	}
}

// A device that is cut off again and again gets the whole by absolute offsets.
func TestDownloadResume(t *testing.T) {
	p := newShop(t)
	content := noise(3_000_000)
	u := p.sign(t, p.put(t, content))
	var got []byte
	requests := 0
	for len(got) < len(content) {
		req, _ := http.NewRequest("GET", u, nil)
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", len(got)))
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil || resp.StatusCode != 206 {
			t.Fatal(resp.StatusCode, err)
		}
		part, _ := io.ReadAll(io.LimitReader(resp.Body, 700_001))
		resp.Body.Close() // the connection is cut
		got = append(got, part...)
		requests++
	}
	if !bytes.Equal(got, content) || requests != 5 {
		t.Errorf("%d bytes in %d requests", len(got), requests)
	}
}

// A URL that was guessed, altered, has expired, or is for another device, task or
// file gives nothing but 403.
func TestF9DownloadURL(t *testing.T) {
	p := newShop(t)
	mine, others := p.put(t, []byte("mine")), p.put(t, []byte("others"))
	u := p.sign(t, mine)
	theirs, err := p.SignURL(ota.Device{ProductKey: "a1", Name: "lamp2"}, "task-2", others.ID, noon.Add(48*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	a, b := strings.Split(strings.TrimPrefix(u, p.url+root), "/"), strings.Split(strings.TrimPrefix(theirs, p.url+root), "/")
	refused := func(name, path string) {
		t.Helper()
		resp, body := get(t, "GET", p.url+path, "Range", "bytes=0-3")
		if resp.StatusCode != 403 || !strings.Contains(string(body), "not given out") || strings.Contains(string(body), "mine") {
			t.Errorf("%s: %d %q", name, resp.StatusCode, body)
		}
	}
	for i := range a {
		c := append([]string{}, a...)
		c[i] = b[i]
		refused(fmt.Sprintf("part %d of another URL", i), root+strings.Join(c, "/"))
	}
	path := root + strings.Join(a, "/")
	for i := len(root); i < len(path); i++ {
		if path[i] == '/' {
			continue
		}
		for _, c := range []byte{'A', 'b', '0', '_'} {
			if c != path[i] {
				refused(fmt.Sprintf("byte %d is %c", i, c), path[:i]+string(c)+path[i+1:])
			}
		}
	}
	for name, path := range map[string]string{
		"file URL": root + mine.ID + ".bin", "id": root + mine.ID, "cut": path[:len(path)-1], "longer": path + "A", "slash": path + "/",
		"no signature": root + strings.Join(a[:4], "/") + "/", "long": root + strings.Repeat("x", 5000), "up": root + "../key", "escaped": root + "%2e%2e%2fkey",
	} {
		refused(name, path)
	}
	if s := p.Stats(); s.Downloads != 0 || s.DownloadsForbidden == 0 || len(p.seen) != 0 {
		t.Errorf("%+v", s)
	}

	// 24 hours (N17): good until then, and not at it.
	p.set(noon.Add(24*time.Hour - time.Second))
	if resp, body := get(t, "GET", u); resp.StatusCode != 200 || string(body) != "mine" {
		t.Errorf("in time: %d %q", resp.StatusCode, body)
	}
	p.set(noon.Add(24 * time.Hour))
	if resp, body := get(t, "GET", u); resp.StatusCode != 403 || !strings.Contains(string(body), "expired") {
		t.Errorf("after 24 hours: %d %q", resp.StatusCode, body)
	}
}

// The longest names there can be give a URL that the C SDK can hold.
func TestSignURLLength(t *testing.T) {
	p := newShop(t)
	f := p.put(t, []byte("x"))
	base := "http://" + strings.Repeat("x", MaxBaseURLLen-7)
	if err := p.SetBaseURL(base); err != nil {
		t.Fatal(err)
	}
	d := ota.Device{ProductKey: strings.Repeat("p", 64), Name: strings.Repeat("d", 64)}
	u, err := p.SignURL(d, strings.Repeat("t", MaxTaskIDLen), f.ID, time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC))
	if err != nil || len(u) > ota.MaxEmittedURLLen || strings.ContainsAny(u, "&<>?%") {
		t.Errorf("%d characters: %s, %v", len(u), u, err)
	}
	t.Logf("worst case: %d characters", len(u))
	if g, err := p.open(strings.TrimPrefix(u, base), noon); err != nil || g.file != f.ID {
		t.Errorf("%+v, %v", g, err)
	}
	for name, bad := range map[string]func() (string, error){
		"device":  func() (string, error) { return p.SignURL(ota.Device{}, "t", f.ID, noon) },
		"no task": func() (string, error) { return p.SignURL(lamp, "", f.ID, noon) },
		"task":    func() (string, error) { return p.SignURL(lamp, "a/b", f.ID, noon) },
		"long":    func() (string, error) { return p.SignURL(lamp, strings.Repeat("t", 65), f.ID, noon) },
		"file":    func() (string, error) { return p.SignURL(lamp, "t", "../key", noon) },
		"expires": func() (string, error) { return p.SignURL(lamp, "t", f.ID, time.Time{}) },
	} {
		if u, err := bad(); err == nil {
			t.Errorf("%s: %s", name, u)
		}
	}
}

func TestMaxDownloads(t *testing.T) {
	p := newShop(t, func(c *Config) { c.MaxDownloads = 1 })
	u := p.sign(t, p.put(t, noise(32<<20)))
	resp, err := http.Get(u) // more than the sockets hold
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	busy, _ := get(t, "GET", u)
	after, err := strconv.Atoi(busy.Header.Get("Retry-After"))
	if busy.StatusCode != 503 || err != nil || after < 5 || after > 15 {
		t.Errorf("%d, Retry-After %q", busy.StatusCode, busy.Header.Get("Retry-After"))
	}
	if head, _ := get(t, "HEAD", u); head.StatusCode != 200 {
		t.Errorf("HEAD: %d", head.StatusCode)
	}
	if s := p.Stats(); s.Downloading != 1 || s.DownloadsBusy != 1 {
		t.Errorf("%+v", s)
	}
	if n, err := io.Copy(io.Discard, resp.Body); n != 32<<20 || err != nil {
		t.Errorf("the first: %d bytes, %v", n, err)
	}
	for end := time.Now().Add(5 * time.Second); p.Stats().Downloading > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the place was not given back")
		}
	}
	if resp, _ := get(t, "GET", u); resp.StatusCode != 200 {
		t.Errorf("afterwards: %d", resp.StatusCode)
	}
}

// A package that was deleted while its URL is good.
func TestDownloadDeleted(t *testing.T) {
	p := newShop(t)
	f := p.put(t, []byte("x"))
	u := p.sign(t, f)
	p.set(noon.Add(2 * time.Hour))
	if p.sweep(t, "") != 1 {
		t.Fatal("not swept")
	}
	if resp, body := get(t, "GET", u); resp.StatusCode != 404 || !strings.Contains(string(body), "deleted") {
		t.Errorf("%d %q", resp.StatusCode, body)
	}
}
