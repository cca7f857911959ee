package packages

import (
	"bytes"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/leapslot/ota"
)

func fuzzStore(f *testing.F) *Store {
	s, err := Open(Config{Dir: f.TempDir(), BaseURL: "http://x", MaxSize: 1 << 10, Clock: func() time.Time { return noon }})
	if err != nil {
		f.Fatal(err)
	}
	return s
}

// FuzzURL: no path but the one that was signed opens anything.
func FuzzURL(f *testing.F) {
	s := fuzzStore(f)
	id := strings.Repeat("A", idLen)
	u, err := s.SignURL(ota.Device{ProductKey: "a1", Name: "lamp"}, "task", id, noon.Add(time.Hour))
	if err != nil {
		f.Fatal(err)
	}
	signed := strings.TrimPrefix(u, "http://x")
	f.Add(signed)
	f.Add("/p/" + id + ".bin")
	f.Add("/p/////")
	f.Add("/p/../key/x/y/z")
	f.Fuzz(func(t *testing.T, path string) {
		if _, err := s.open(path, noon); err == nil && path != signed {
			t.Errorf("%q was opened", path)
		}
		if file, err := s.Lookup(noon, "http://x"+path); err == nil {
			t.Errorf("%q names %+v", path, file)
		}
	})
}

// FuzzForm: whatever is posted, nothing is left but whole files of the one form.
func FuzzForm(f *testing.F) {
	s := fuzzStore(f)
	u, err := s.NewUpload(noon, ".bin")
	if err != nil {
		f.Fatal(err)
	}
	whole := newForm()
	whole.SetBoundary("b")
	whole.fields(u).file("f", []byte("content")).Writer.Close()
	f.Add("multipart/form-data; boundary=b", whole.Bytes())
	f.Add("multipart/form-data; boundary=b", whole.Bytes()[:whole.Len()-3])
	f.Add("multipart/form-data; boundary=b", []byte("--b\r\nContent-Disposition: form-data; name=\"file\"; filename*=utf-8''%2e%2e%2fx\r\n\r\nx\r\n--b--"))
	f.Add("multipart/form-data; boundary=\"\"", []byte("--\r\n"))
	f.Fuzz(func(t *testing.T, kind string, body []byte) {
		r := httptest.NewRequest("POST", "/p/", bytes.NewReader(body))
		r.Header.Set("Content-Type", kind)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		file, err := s.Lookup(noon, u.FileURL)
		if (w.Code < 300) != (err == nil) {
			t.Fatalf("answered %d, and the file: %v", w.Code, err)
		}
		if err == nil {
			if file.Size == 0 || file.Size > 1<<10 {
				t.Errorf("%+v", file)
			}
			if err := s.remove(file.ID); err != nil {
				t.Error(err)
			}
		}
	})
}
