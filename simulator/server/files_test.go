package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
)

// A package of several files: the notice lists each with its own size, digest, MD5
// and URL, and each URL gives its own file (protocol section 3).
func TestSeveralFiles(t *testing.T) {
	for _, count := range []int{2, ota.MaxFiles} {
		c := open(t, t.TempDir()).run()
		c.product = c.do(simulator.CreateProduct{Account: "me", Name: "lamp"}).(simulator.Product).Key
		c.do(simulator.RegisterDevices{Product: c.product, Names: []string{"d1"}})
		var files [][]byte
		for i := range count {
			files = append(files, noise(1000+i))
		}
		p := c.put(c.product, "fw", files...)
		web := httptest.NewServer(c.Handler())
		if err := c.files.SetBaseURL(web.URL); err != nil {
			t.Fatal(err)
		}
		c.batch(p, nil)
		d := c.connect("d1")
		m := <-d.got
		n, _, err := ota.DecodeNotice(m.payload)
		if err != nil || len(n.Files) != count {
			t.Fatalf("%s: %v", m.payload, err)
		}
		// One file's fields are not beside the list: the C SDK takes what it meets first.
		if head, _, _ := strings.Cut(string(m.payload), `"files"`); strings.Contains(head, `"size"`) || strings.Contains(head, `"url"`) {
			t.Errorf("%s", m.payload)
		}
		for i, f := range n.Files {
			if got := get(t, f.URL, 200); !bytes.Equal(got, files[i]) || f.Size != int64(len(files[i])) || f.Name != fmt.Sprintf("f%d.bin", i+1) {
				t.Errorf("file %d: %d bytes of %+v", i, len(got), f)
			}
			if f.Sign != p.Files[i].MD5 || f.MD5 != p.Files[i].MD5 || f.Sign == "" {
				t.Errorf("file %d is announced as %+v", i, f)
			}
		}
		d.progress(100)
		d.inform("2.0")
		d.off()
		web.Close()
		c.stop()
	}
}

// The same with SHA256: the digest is that, the MD5 stands beside it.
func TestSeveralFilesSHA256(t *testing.T) {
	links := fixedLinks{}
	content := []byte("x")
	sum := sha256.Sum256(content)
	f := simulator.File{Name: "a.bin", Key: "k", Size: 1, MD5: strings.Repeat("ab", 16), SHA256: hex.EncodeToString(sum[:])}
	g := f
	g.Name = "b.bin"
	p := &simulator.Push{
		Device: ota.Device{ProductKey: "a1", Name: "d1"}, Task: simulator.Task{ID: "t1", Module: "MCU", Version: "2.0"},
		Package: simulator.Package{ID: "p1", SignMethod: ota.SHA256, Files: []simulator.File{f, g}},
	}
	s := newSender(links, newDiscard(), newMetrics())
	n, err := s.notice(p, noon())
	if err != nil || n.Files[1] != (ota.File{Name: "b.bin", Size: 1, URL: "http://h/k", Sign: f.SHA256, MD5: f.MD5}) {
		t.Errorf("%+v, %v", n, err)
	}
	// Secure upgrade was switched on after the job was made: nothing unsigned is sent.
	p.SigningKey = []byte("key")
	if _, err := s.notice(p, noon()); err == nil || !strings.Contains(err.Error(), "2 files") {
		t.Errorf("several files with secure upgrade: %v", err)
	}
}

// A package of several files is not sent once secure upgrade is on; the task waits,
// and is sent when it is off again and the device comes online.
func TestP7SeveralFilesWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, t.TempDir()).run()
		defer c.stop()
		one := c.fill("d1")
		cmd := simulator.CreatePackage{Product: c.product, Name: "two", Version: "3.0", SignMethod: ota.MD5, Files: []simulator.File{one.Files[0], one.Files[0]}}
		cmd.Files[1].Name = "b.bin"
		c.batch(c.do(cmd).(simulator.Package), nil)
		c.do(simulator.SetSecureUpgrade{Product: c.product, On: true})
		d := c.connect("d1")
		d.nothing()
		d.off()
		synctest.Wait()
		c.do(simulator.SetSecureUpgrade{Product: c.product})
		d = c.connect("d1")
		if n := d.notice(); len(n.Files) != 2 || n.DigestSign != "" {
			t.Errorf("%+v", n)
		}
		d.off()
	})
}

func noon() time.Time { return time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC) }

// fixedLinks signs nothing.
type fixedLinks struct{}

func (fixedLinks) SignURL(_ ota.Device, _, file string, _ time.Time) (string, error) {
	return "http://h/" + file, nil
}

func (fixedLinks) StreamID(ota.Device, string) int64 { return 7 }
