package packages

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestUpload(t *testing.T) {
	p := newShop(t)
	content := noise(1_000_003)
	for status, want := range map[string]int{"": 204, "200": 200, "201": 201, "204": 204, "302": 204} {
		u := p.mint(t)
		if u.Host != p.url+"/p/" || !strings.HasSuffix(u.FileURL, ".bin") || !u.Expires.Equal(noon.Add(UploadValid)) {
			t.Errorf("form %+v", u)
		}
		f := newForm().field("x-unknown", "passed over").field(fieldSignature, u.Signature).field(fieldAccessKeyID, u.AccessKeyID)
		if status != "" {
			f.field(fieldStatus, status)
		}
		f.field(fieldPolicy, u.Policy).field(fieldKey, u.Key).file("固件 1.bin", content)
		if got, text := p.send(t, f); got != want || want != 201 && text != "" || want == 201 && !strings.Contains(text, u.Key) {
			t.Errorf("success_action_status %q: %d %s", status, got, text)
		}
		file, err := p.Lookup(noon, u.FileURL)
		if err != nil {
			t.Fatal(err)
		}
		if file.Size != int64(len(content)) || file.MD5 != fmt.Sprintf("%x", md5.Sum(content)) || file.SHA256 != fmt.Sprintf("%x", sha256.Sum256(content)) || !file.Uploaded.Equal(noon) {
			t.Errorf("file %+v", file)
		}
		got, err := os.ReadFile(p.path(file.ID))
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("stored %d bytes, %v", len(got), err)
		}
	}
	if s := p.Stats(); s.Uploads != 5 || s.UploadsRefused != 0 || s.BytesIn != 5_000_015 {
		t.Errorf("%+v", s)
	}
	if _, err := p.Lookup(noon, p.mint(t).FileURL); !errors.Is(err, ErrNotFound) {
		t.Errorf("a file that was not uploaded: %v", err)
	}
}

// Every form that is refused says why, and leaves nothing.
func TestI9UploadRefused(t *testing.T) {
	const limit = 100_000
	p := newShop(t, func(c *Config) { c.MaxSize = limit })
	elsewhere := newShop(t) // with another key
	small := []byte("small")
	for name, tt := range map[string]struct {
		form   func(Upload) *form
		status int
		text   string
	}{
		"one byte more": {func(u Upload) *form { return newForm().fields(u).file("f", make([]byte, limit+1)) }, 413, "larger than 100000 bytes"},
		"far more":      {func(u Upload) *form { return newForm().fields(u).file("f", make([]byte, 20*limit)) }, 413, "larger than 100000 bytes"},
		"empty file":    {func(u Upload) *form { return newForm().fields(u).file("f", nil) }, 400, "empty"},
		"no file":       {func(u Upload) *form { return newForm().fields(u) }, 400, "no file"},
		"no key":        {func(u Upload) *form { u.Key = ""; return newForm().fields(u).file("f", small) }, 400, "no field key"},
		"no signature":  {func(u Upload) *form { u.Signature = ""; return newForm().fields(u).file("f", small) }, 400, "no field Signature"},
		"file first":    {func(u Upload) *form { return newForm().file("f", small).fields(u) }, 400, "before the file"},
		"field after":   {func(u Upload) *form { return newForm().fields(u).file("f", small).field("x", "y") }, 400, "has to be the last"},
		"two files":     {func(u Upload) *form { return newForm().fields(u).file("f", small).file("g", small) }, 400, "has to be the last"},
		"field twice":   {func(u Upload) *form { return newForm().fields(u).field("key", u.Key).file("f", small) }, 400, "stands twice"},
		"long field": {func(u Upload) *form {
			return newForm().field("x", strings.Repeat("x", maxFieldLen+1)).fields(u).file("f", small)
		}, 400, "longer than 8192"},
		"many fields": {func(u Upload) *form {
			f := newForm()
			for i := range 20 {
				f.field(fmt.Sprint("x", i), "y")
			}
			return f.fields(u).file("f", small)
		}, 400, "more than 16 fields"},
		"path":             {func(u Upload) *form { return newForm().fields(u).file("../../etc/passwd", small) }, 400, "path"},
		"absolute path":    {func(u Upload) *form { return newForm().fields(u).file("/etc/passwd", small) }, 400, "path"},
		"path of Windows":  {func(u Upload) *form { return newForm().fields(u).file(`C:\fw.bin`, small) }, 400, "path"},
		"long name":        {func(u Upload) *form { return newForm().fields(u).file(strings.Repeat("x", 256), small) }, 400, "allowed are 255"},
		"other's key":      {func(u Upload) *form { u.Key = p.mint(t).Key; return newForm().fields(u).file("f", small) }, 403, "not those of one form"},
		"another server's": {func(u Upload) *form { return newForm().fields(elsewhere.mint(t)).file("f", small) }, 403, "not those of one form"},
		"policy altered":   {func(u Upload) *form { u.Policy += "="; return newForm().fields(u).file("f", small) }, 403, "not those of one form"},
		"access key":       {func(u Upload) *form { u.AccessKeyID = "x"; return newForm().fields(u).file("f", small) }, 403, "not those of one form"},
	} {
		status, text := p.send(t, tt.form(p.mint(t)))
		if status != tt.status || !strings.Contains(text, tt.text) || !strings.Contains(text, "<Error><Code>") {
			t.Errorf("%s: %d %s, want %d %q", name, status, text, tt.status, tt.text)
		}
		if left := p.files(t); len(left) != 0 {
			t.Fatalf("%s: left %q", name, left)
		}
	}
	for name, kind := range map[string]string{"no type": "", "another type": "text/plain; boundary=x", "no boundary": "multipart/form-data"} {
		if status, text := p.post(t, strings.NewReader("x"), kind); status != 400 || !strings.Contains(text, "boundary") {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
	// Exactly the limit is a file.
	if f := p.put(t, make([]byte, limit)); f.Size != limit {
		t.Errorf("%+v", f)
	}
	if DefaultMaxSize != 1000<<20 || newShop(t).config.MaxSize != DefaultMaxSize {
		t.Error("the limit is not 1,000 MB by default (P3)")
	}
}

// With a declared length the limit of 1,000 MB is told before the body is sent.
func TestI9DeclaredLength(t *testing.T) {
	p := newShop(t)
	r := httptest.NewRequest("POST", "/p/", io.MultiReader())
	r.ContentLength = DefaultMaxSize + maxFormLen + 1
	r.Header.Set("Content-Type", "multipart/form-data; boundary=x")
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	if w.Code != 413 || !strings.Contains(w.Body.String(), "1048576000 bytes (1000 MB)") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// A form is good for a minute, and once. An upload begun in time may finish.
func TestUploadOnceInTime(t *testing.T) {
	p := newShop(t)
	late, slow, once := p.mint(t), p.mint(t), p.mint(t)
	p.set(noon.Add(UploadValid + time.Second))
	if status, text := p.send(t, newForm().fields(late).file("f", []byte("x"))); status != 403 || !strings.Contains(text, "valid for 1m0s") {
		t.Errorf("late: %d %s", status, text)
	}
	p.set(noon.Add(UploadValid))
	if status, text := p.send(t, newForm().fields(once).file("f", []byte("x"))); status != 204 {
		t.Errorf("at the last moment: %d %s", status, text)
	}
	if status, text := p.send(t, newForm().fields(once).file("f", []byte("y"))); status != 409 || !strings.Contains(text, "used already") {
		t.Errorf("a second time: %d %s", status, text)
	}

	f := newForm().fields(slow).file("f", noise(50_000))
	f.Writer.Close()
	r, w := io.Pipe()
	go func() {
		body := f.Bytes()
		w.Write(body[:20_000])
		for len(p.files(t)) < 3 { // it has begun to store
			time.Sleep(time.Millisecond)
		}
		if status, _ := p.send(t, newForm().fields(slow).file("f", []byte("z"))); status != 409 {
			t.Errorf("the same form at the same time: %d", status)
		}
		p.set(noon.Add(time.Hour))
		w.Write(body[20_000:])
		w.Close()
	}()
	if status, text := p.post(t, r, f.FormDataContentType()); status != 204 {
		t.Errorf("begun in time: %d %s", status, text)
	}
}

// An upload that breaks off leaves nothing, wherever it does.
func TestUploadBroken(t *testing.T) {
	p := newShop(t)
	for cut := 1; cut < 3000; cut += 97 {
		f := newForm().fields(p.mint(t)).file("f", noise(1500))
		f.Writer.Close()
		body := f.Bytes()
		if cut >= len(body) {
			break
		}
		conn, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "POST /p/ HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n", f.FormDataContentType(), len(body))
		conn.Write(body[:cut])
		conn.Close()
		// And a whole request whose form is cut.
		f = newForm().fields(p.mint(t)).file("f", noise(1500))
		f.Writer.Close()
		if status, _ := p.post(t, bytes.NewReader(f.Bytes()[:cut]), f.FormDataContentType()); status != 400 {
			t.Errorf("cut at %d of %d: %d", cut, len(body), status)
		}
	}
	for end := time.Now().Add(5 * time.Second); len(p.files(t)) > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("left %q", p.files(t))
		}
	}
	// The same form is good again.
	u := p.mint(t)
	p.send(t, newForm().fields(u).file("f", nil))
	if status, _ := p.send(t, newForm().fields(u).file("f", []byte("x"))); status != 204 {
		t.Errorf("after a failure: %d", status)
	}
}

// A file is not held in memory.
func TestUploadStreams(t *testing.T) {
	p := newShop(t)
	f := newForm().fields(p.mint(t))
	f.CreateFormFile(fieldFile, "f")
	head := f.Len()
	f.Writer.Close()
	const size = 64 << 20
	body := io.MultiReader(bytes.NewReader(f.Bytes()[:head]), io.LimitReader(zeros{}, size), bytes.NewReader(f.Bytes()[head:]))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if status, text := p.post(t, body, f.FormDataContentType()); status != 204 {
		t.Fatalf("%d %s", status, text)
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 8<<20 {
		t.Errorf("64 MiB took %d KiB of memory, both ends", used>>10)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// A package has to be made of a file within 60 minutes; what is not used is
// swept, what is used stays, also over a restart.
func TestSweepAndReopen(t *testing.T) {
	p := newShop(t)
	used, unused := p.put(t, []byte("used")), p.put(t, []byte("unused"))
	usedURL := p.url + root + used.ID + ".bin"
	p.set(noon.Add(ClaimWithin))
	if _, err := p.Lookup(*p.now.Load(), usedURL); err != nil {
		t.Errorf("after 60 minutes: %v", err)
	}
	if n := p.sweep(t, used.ID); n != 0 {
		t.Errorf("swept %d after 60 minutes", n)
	}
	p.set(noon.Add(ClaimWithin + sweepGrace + time.Second))
	if _, err := p.Lookup(*p.now.Load(), usedURL); !errors.Is(err, ErrStale) {
		t.Errorf("later: %v", err)
	}
	if n := p.sweep(t, used.ID); n != 1 {
		t.Errorf("swept %d", n)
	}
	if _, err := p.Get(unused.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("the swept one: %v", err)
	}
	url, err := p.SignURL(lamp, "t1", used.ID, noon.Add(24*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	// A crash in the middle of uploads, then a new process.
	for _, name := range []string{"AAAAAAAAAAAAAAAAAAAAAAAAAA.part", "BBBBBBBBBBBBBBBBBBBBBBBBBB.json", ".BBBBBBBBBBBBBBBBBBBBBBBBBB.json.tmp"} {
		if err := os.WriteFile(filepath.Join(p.Store.dir, name), []byte("{}"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	again := newShop(t, func(c *Config) { c.Dir = p.dir })
	if got := again.files(t); len(got) != 2 {
		t.Errorf("left %q", got)
	}
	if got, err := again.Get(used.ID); err != nil || got != used {
		t.Errorf("%+v, %v, want %+v", got, err, used)
	}
	if resp, body := get(t, "GET", again.url+strings.TrimPrefix(url, p.url)); resp.StatusCode != 200 || string(body) != "used" {
		t.Errorf("a URL of the earlier process: %d %q", resp.StatusCode, body)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := again.Sweep(ctx, noon, func(string) bool { return false }); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled sweep: %v", err)
	}
}

func TestOpenRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	os.WriteFile(file, nil, 0o600)
	shortKey := t.TempDir()
	os.WriteFile(filepath.Join(shortKey, keyFile), []byte("short"), 0o600)
	for name, c := range map[string]Config{
		"no base":       {Dir: t.TempDir()},
		"base of ftp":   {Dir: t.TempDir(), BaseURL: "ftp://x"},
		"base and path": {Dir: t.TempDir(), BaseURL: "http://x/y"},
		"long base":     {Dir: t.TempDir(), BaseURL: "http://" + strings.Repeat("x", 106)},
		"negative size": {Dir: t.TempDir(), BaseURL: "http://x", MaxSize: -1},
		"a file":        {Dir: file, BaseURL: "http://x"},
		"short key":     {Dir: shortKey, BaseURL: "http://x"},
	} {
		if _, err := Open(c); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
	if _, err := Open(Config{Dir: filepath.Join(t.TempDir(), "a", "b"), BaseURL: "http://x/"}); err != nil {
		t.Errorf("a directory that is not there: %v", err)
	}
	for _, suffix := range []string{"bin", ".b/n", ".b..n", ".0123456789abcdef", ". "} {
		if _, err := newShop(t).NewUpload(noon, suffix); err == nil {
			t.Errorf("suffix %q was accepted", suffix)
		}
	}
}
