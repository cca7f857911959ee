package packages

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// BenchmarkDownload shows that counting and bounding a download costs nothing
// beside http.ServeContent alone: both let the kernel copy. CPU is of both ends.
func BenchmarkDownload(b *testing.B) {
	const size = 64 << 20
	p := newShop(b)
	f := p.put(b, noise(size))
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		file, err := p.OpenFile(f.ID)
		if err != nil {
			b.Error(err)
			return
		}
		defer file.Close()
		w.Header().Set("Content-Type", "application/octet-stream")
		http.ServeContent(w, r, "", noon, file)
	}))
	defer plain.Close()
	for name, url := range map[string]string{"plain": plain.URL, "store": p.sign(b, f)} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(size)
			var before, after unix.Rusage
			unix.Getrusage(unix.RUSAGE_SELF, &before)
			for range b.N {
				resp, err := http.Get(url)
				if err != nil {
					b.Fatal(err)
				}
				n, err := io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				if n != size || err != nil {
					b.Fatal(n, err)
				}
				for len(p.seen) > 0 {
					<-p.seen
				}
			}
			unix.Getrusage(unix.RUSAGE_SELF, &after)
			used := time.Duration(after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano())
			b.ReportMetric(float64(used.Milliseconds())/float64(b.N), "ms-cpu/op")
		})
	}
}
