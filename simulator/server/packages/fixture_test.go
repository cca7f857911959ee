package packages

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leapslot/ota"
)

var lamp = ota.Device{ProductKey: "a1", Name: "lamp"}

// shop is a Store behind a real HTTP server, with a clock that tests set.
type shop struct {
	*Store
	now  atomic.Pointer[time.Time]
	seen chan Download
	url  string
	dir  string
}

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func newShop(t testing.TB, change ...func(*Config)) *shop {
	t.Helper()
	p := &shop{seen: make(chan Download, 1000), dir: t.TempDir()}
	p.set(noon)
	c := Config{
		Dir: p.dir, BaseURL: "http://127.0.0.1", Clock: func() time.Time { return *p.now.Load() },
		Download: func(d Download) { p.seen <- d },
	}
	for _, f := range change {
		f(&c)
	}
	var err error
	if p.Store, err = Open(c); err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(p.Store)
	t.Cleanup(srv.Close)
	p.url = srv.URL
	if err := p.SetBaseURL(srv.URL); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *shop) set(t time.Time) { p.now.Store(&t) }

// form is the body of an upload, with the fields in the order given.
type form struct {
	bytes.Buffer
	*multipart.Writer
}

func newForm() *form {
	f := &form{}
	f.Writer = multipart.NewWriter(&f.Buffer)
	return f
}

func (f *form) fields(u Upload) *form {
	return f.field(fieldKey, u.Key).field(fieldPolicy, u.Policy).field(fieldAccessKeyID, u.AccessKeyID).field(fieldSignature, u.Signature)
}

func (f *form) field(name, value string) *form {
	f.WriteField(name, value)
	return f
}

func (f *form) file(name string, content []byte) *form {
	w, _ := f.CreateFormFile(fieldFile, name)
	w.Write(content)
	return f
}

func (p *shop) post(t testing.TB, body io.Reader, contentType string) (int, string) {
	t.Helper()
	resp, err := http.Post(p.url+root, contentType, body)
	if err != nil {
		t.Fatalf("post: %v", err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b)
}

func (p *shop) send(t testing.TB, f *form) (int, string) {
	t.Helper()
	f.Writer.Close()
	return p.post(t, &f.Buffer, f.FormDataContentType())
}

func (p *shop) mint(t testing.TB) Upload {
	t.Helper()
	u, err := p.NewUpload(*p.now.Load(), ".bin")
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// put uploads content and gives its file.
func (p *shop) put(t testing.TB, content []byte) File {
	t.Helper()
	u := p.mint(t)
	if status, text := p.send(t, newForm().fields(u).file("fw.bin", content)); status != 204 {
		t.Fatalf("upload: %d %s", status, text)
	}
	f, err := p.Lookup(*p.now.Load(), u.FileURL)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// files lists what is on the disk.
func (p *shop) files(t testing.TB) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(p.Store.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func (p *shop) sweep(t testing.TB, used string) int {
	t.Helper()
	n, err := p.Sweep(context.Background(), *p.now.Load(), func(id string) bool { return id == used })
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// get does a request with headers, in pairs.
func get(t testing.TB, method, url string, headers ...string) (*http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, b
}

// noise is n bytes that differ everywhere.
func noise(n int) []byte {
	b := make([]byte, 0, n+20)
	for i := 0; len(b) < n; i++ {
		b = fmt.Appendf(b, "%x,", uint32(i)*2654435761)
	}
	return b[:n]
}
