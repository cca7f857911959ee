package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leapslot/ota"
)

// cpu is what the process has used so far.
func (s *served) cpu() time.Duration {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(s.cmd.Process.Pid) + "/stat")
	if err != nil {
		s.t.Fatal(err)
	}
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	var ticks int
	for _, v := range f[11:13] { // utime and stime, in hundredths of a second
		n, err := strconv.Atoi(v)
		if err != nil {
			s.t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// BenchmarkServe is the whole update of one device with a real server process: sign in,
// notice, download of 64 KiB, version, four progress reports, the new version, each
// acknowledged when it is stored. cpu-us/op is the server's part alone.
func BenchmarkServe(b *testing.B) {
	s := serve(b, filepath.Join(b.TempDir(), "data"), "--max-push-rate", "unlimited")
	defer s.kill()
	var product struct{ ProductKey string }
	s.call("CreateProduct", &product, "ProductName", "lamp")
	all := make([]*lamp, b.N)
	for i := range all {
		all[i] = &lamp{dev: ota.Device{ProductKey: product.ProductKey, Name: "lamp-" + strconv.Itoa(i)}, notice: make(chan ota.Notice, 10)}
		all[i].secret = register(b, s, all[i].dev)
	}
	fw := newFirmware(b, s, product.ProductKey)
	s.call("CreateOTAStaticUpgradeJob", nil, "ProductKey", product.ProductKey, "FirmwareId", fw, "TargetSelection", "ALL", "MaximumPerMinute", "100000000")
	before := s.cpu()
	b.ResetTimer()
	next := make(chan *lamp)
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			for l := range next {
				if err := l.cycle(s.mqtt); err != nil {
					b.Error(err)
				}
			}
		})
	}
	for _, l := range all {
		next <- l
	}
	close(next)
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64((s.cpu()-before).Microseconds())/float64(b.N), "cpu-us/op")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "cycles/s")
}

func (l *lamp) cycle(addr string) error {
	c := l.connect(addr)
	if c == nil {
		return os.ErrDeadlineExceeded
	}
	defer c.Disconnect(0)
	n := <-l.notice
	resp, err := http.Get(n.Files[0].URL)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	l.report(c, "1.0")
	for _, step := range []ota.Step{0, 30, 60, 100} {
		c.Publish(ota.TopicProgress.Of(l.dev), 1, false, ota.Progress{ID: "1", Step: step}.Encode()).WaitTimeout(10 * time.Second)
	}
	if !l.report(c, "2.0") {
		return os.ErrDeadlineExceeded
	}
	return nil
}
