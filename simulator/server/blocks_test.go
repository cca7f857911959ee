package server

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server/broker"
	"github.com/leapslot/ota/simulator/server/openapi"
)

func noise(n int) []byte {
	b := make([]byte, n)
	rng := rand.NewChaCha8([32]byte{9})
	rng.Read(b)
	return b
}

// put uploads files, as a user does, and makes a package of them.
func (c *cloud) put(product, name string, files ...[]byte) simulator.Package {
	c.t.Helper()
	web := httptest.NewServer(c.Handler())
	defer web.Close()
	if err := c.files.SetBaseURL(web.URL); err != nil {
		c.t.Fatal(err)
	}
	cmd := simulator.CreatePackage{Product: product, Name: name, Version: "2.0", SignMethod: ota.MD5}
	for i, content := range files {
		u, err := c.files.NewUpload(time.Now(), ".bin")
		if err != nil {
			c.t.Fatal(err)
		}
		form := openapi.UploadForm{Host: u.Host, Key: u.Key, Policy: u.Policy, OssAccessKeyId: u.AccessKeyID, Signature: u.Signature}
		if err := openapi.Upload(c.t.Context(), form, bytes.NewReader(content), int64(len(content))); err != nil {
			c.t.Fatal(err)
		}
		f, err := c.files.Lookup(time.Now(), u.FileURL)
		if err != nil {
			c.t.Fatal(err)
		}
		cmd.Files = append(cmd.Files, simulator.File{Name: fmt.Sprintf("f%d.bin", i+1), Key: f.ID, Size: f.Size, MD5: f.MD5, SHA256: f.SHA256})
	}
	return c.do(cmd).(simulator.Package)
}

// overMQTT makes a product with devices that are to fetch one file over MQTT.
func (c *cloud) overMQTT(content []byte, names ...string) simulator.Job {
	c.t.Helper()
	c.product = c.do(simulator.CreateProduct{Account: "me", Name: "lamp"}).(simulator.Product).Key
	c.do(simulator.RegisterDevices{Product: c.product, Names: names})
	return c.batch(c.put(c.product, "fw", content), func(j *simulator.CreateStaticJob) { j.Protocol = simulator.MQTT })
}

// block asks for a block and waits for the reply.
func (d *device) block(r ota.BlockRequest) ota.Block {
	d.t.Helper()
	return d.raw(r.Encode())
}

func (d *device) raw(request []byte) ota.Block {
	d.t.Helper()
	d.await(d.Publish(ota.TopicDownload.Of(d.dev), 0, false, request))
	select {
	case m := <-d.got:
		b, err := ota.DecodeBlock(m.payload)
		if err != nil || m.topic != ota.TopicDownloadReply.Of(d.dev) {
			d.t.Fatalf("on %s: %v", m.topic, err)
		}
		return b
	case <-time.After(20 * time.Second):
		d.t.Fatal("no block within 20 s")
	}
	return ota.Block{}
}

// stream waits for a notice of a download over MQTT.
func (d *device) stream() (ota.Notice, ota.Stream) {
	d.t.Helper()
	n := d.notice()
	if n.Stream == nil || n.Files[0].URL != "" {
		d.t.Fatalf("the notice announces no stream: %+v", n)
	}
	return n, *n.Stream
}

// A device fetches the whole file by blocks of any allowed size, the last one
// shorter, goes on from any offset after a new connection and after a restart of
// the cloud, and the digest is the announced one.
func TestMQTTDownload(t *testing.T) {
	content := noise(1<<20 + 1234)
	dir := t.TempDir()
	c := open(t, dir).run()
	c.overMQTT(content, "d1")
	d := c.connect("d1")
	n, s := d.stream()
	if n.Files[0].Size != int64(len(content)) {
		t.Errorf("announced are %d bytes", n.Files[0].Size)
	}
	sizes := []int{ota.MinBlockSize, 5 << 10, 10 << 10, 100_001, ota.MaxBlockSize}
	var got []byte
	for i := 0; len(got) < len(content); i++ {
		switch i {
		case 5: // a new connection
			d.off()
			d = c.connect("d1")
		case 9: // a restart
			d.off()
			c.stop()
			product := c.product
			c = open(t, dir).run()
			c.product = product
			d = c.connect("d1")
		}
		if i == 5 || i == 9 {
			if _, again := d.stream(); again != s {
				t.Fatalf("the stream was %+v, is %+v", s, again)
			}
		}
		r := ota.BlockRequest{ID: fmt.Sprint(i), FileToken: "tok", Stream: s, Offset: int64(len(got)), Size: sizes[i%len(sizes)]}
		b := d.block(r)
		if b.Code != 200 || b.ID != r.ID || b.FileToken != "tok" || b.Offset != r.Offset || b.FileSize != int64(len(content)) ||
			len(b.Data) != min(r.Size, len(content)-len(got)) {
			t.Fatalf("asked for %+v, got code %d %q, id %s, %d bytes at %d of %d", r, b.Code, b.Message, b.ID, len(b.Data), b.Offset, b.FileSize)
		}
		got = append(got, b.Data...)
		if i == 0 {
			d.progress(10)
		}
	}
	sum := md5.Sum(got)
	if !bytes.Equal(got, content) || n.Files[0].Sign != hex.EncodeToString(sum[:]) {
		t.Error("what came is not what was announced")
	}
	// The rest of a file may be asked for by its size.
	at := int64(len(content) - 10)
	if b := d.block(ota.BlockRequest{ID: "r", Stream: s, Offset: at, Size: 10}); b.Code != 200 || !bytes.Equal(b.Data, content[at:]) {
		t.Errorf("the rest: code %d %q", b.Code, b.Message)
	}
	d.progress(100)
	d.inform("2.0")
	d.off()
	c.stop()
}

// What cannot be answered is refused with a code, and says why.
func TestMQTTDownloadRefused(t *testing.T) {
	content := noise(4000)
	c := open(t, t.TempDir()).run()
	defer c.stop()
	c.overMQTT(content, "d1")
	d := c.connect("d1")
	defer d.off()
	_, s := d.stream()
	for name, tt := range map[string]struct {
		r    ota.BlockRequest
		code int
		text string
	}{
		"at the end":     {ota.BlockRequest{Stream: s, Offset: 4000, Size: 256}, 400, "offset 4000 of a file of 4000"},
		"after the end":  {ota.BlockRequest{Stream: s, Offset: 1 << 40, Size: 256}, 400, "offset"},
		"negative":       {ota.BlockRequest{Stream: s, Offset: -1, Size: 256}, 400, "negative"},
		"too large":      {ota.BlockRequest{Stream: s, Size: 131073}, 400, "block size 131073"},
		"too small":      {ota.BlockRequest{Stream: s, Size: 255}, 400, "block size 255"},
		"nothing":        {ota.BlockRequest{Stream: s}, 400, "block size 0"},
		"another stream": {ota.BlockRequest{Stream: ota.Stream{ID: s.ID + 1, FileID: s.FileID}, Size: 256}, 403, "not of an unfinished task"},
		"another file":   {ota.BlockRequest{Stream: ota.Stream{ID: s.ID, FileID: 2}, Size: 256}, 403, "not of an unfinished task"},
		"no stream":      {ota.BlockRequest{Size: 256}, 403, "not of an unfinished task"},
	} {
		tt.r.ID, tt.r.FileToken = name, "t"
		if b := d.block(tt.r); b.Code != tt.code || !strings.Contains(b.Message, tt.text) || b.ID != name || b.FileToken != "t" || len(b.Data) > 0 {
			t.Errorf("%s: %+v", name, b)
		}
	}
	if b := d.block(ota.BlockRequest{ID: "1", Stream: s, Offset: 3900, Size: 256}); b.Code != 200 || len(b.Data) != 100 {
		t.Errorf("after all that: %+v", b)
	}
}

// Requests byte for byte as devices in the field write them: the C SDK's comma
// after fileInfo, a NUL at the end, no token, no version, no id, numeric ids.
func TestMQTTDownloadQuirks(t *testing.T) {
	content := noise(1000)
	c := open(t, t.TempDir()).run()
	defer c.stop()
	c.overMQTT(content, "d1")
	d := c.connect("d1")
	defer d.off()
	_, s := d.stream()
	for _, form := range []string{
		`{"id":"1","version":"1.0","params":{"fileToken":"1bb8","fileInfo":{"streamId":STREAM,"fileId":1},"fileBlock":{"size":256,"offset":2}}}`,
		`{"id":"1","version":"1.0","params":{"fileToken":"1bb8","fileInfo":{"streamId":STREAM,"fileId":1},"fileBlock":{"size":256,"offset":2},}}`,
		`{"id":"1","params":{"fileInfo":{"streamId":STREAM,"fileId":1,},"fileBlock":{"size":256,"offset":2}}}`,
		`{"id":"1","params":{"fileInfo":{"streamId":STREAM,"fileId":1},"fileBlock":{"size":256,"offset":2}}}` + "\x00",
		`{"id":1, "params":{"fileBlock":{"offset":2,"size":256}, "fileInfo":{"fileId":1,"streamId":STREAM}}}`,
		`{"id":"1","params":{"fileInfo":{"streamId":"STREAM","fileId":"1"},"fileBlock":{"size":"256","offset":"2"}}}`,
	} {
		request := strings.ReplaceAll(form, "STREAM", fmt.Sprint(s.ID))
		token := ""
		if strings.Contains(form, "1bb8") {
			token = "1bb8"
		}
		d.await(d.Publish(ota.TopicDownload.Of(d.dev), 0, false, []byte(request)))
		m := <-d.got
		b, err := ota.DecodeBlock(m.payload)
		if err != nil || b.Code != 200 || b.ID != "1" || !bytes.Equal(b.Data, content[2:258]) {
			t.Errorf("%s: %+v, %v", form, b, err)
		}
		// The C SDK needs the key, and reads the bytes as they stand.
		if want := fmt.Sprintf(`"fileToken":%q`, token); !bytes.Contains(m.payload, []byte(want)) {
			t.Errorf("%s: no %s in %.120q", form, want, m.payload)
		}
	}
	// What cannot be read at all is dropped, and the device is none the worse.
	d.publish(ota.TopicDownload, []byte("{"))
	if b := d.block(ota.BlockRequest{ID: "2", Stream: s, Size: 256}); b.Code != 200 {
		t.Errorf("after garbage: %+v", b)
	}
}

// A stream is of one device and of one unfinished task: neither another device of
// the same job, nor one of another product, nor a guess, nor the device itself when
// its task was cancelled or was meant for HTTPS gets a byte of it.
func TestF9MQTTStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, t.TempDir()).run()
		defer c.stop()
		c.product = c.do(simulator.CreateProduct{Account: "me", Name: "lamp"}).(simulator.Product).Key
		c.do(simulator.RegisterDevices{Product: c.product, Names: []string{"d1", "d2", "d3"}})
		p := c.fake("fw")
		some := func(how simulator.Protocol, names ...string) simulator.Job {
			return c.batch(p, func(j *simulator.CreateStaticJob) {
				j.Target, j.Devices, j.Protocol = simulator.TargetSpecific, names, how
			})
		}
		j := some(simulator.MQTT, "d1", "d2")
		some(simulator.HTTPS, "d3")
		d1, d2, d3 := c.connect("d1"), c.connect("d2"), c.connect("d3")
		_, s1 := d1.stream()
		_, s2 := d2.stream()
		if s1 == s2 {
			t.Error("two devices have one stream")
		}
		if n := d3.notice(); n.Stream != nil || n.Files[0].URL == "" {
			t.Errorf("over HTTPS: %+v", n)
		}
		ask := func(d *device, s ota.Stream) int {
			return d.block(ota.BlockRequest{ID: "1", Stream: s, Size: 256}).Code
		}
		for name, code := range map[string]int{
			"d2 with d1's": ask(d2, s1), "d1 with d2's": ask(d1, s2), "d3 with d1's": ask(d3, s1),
			"d3 with its own": ask(d3, streamOf(c.files, d3.dev, "t"+"1")),
		} {
			if code != 403 {
				t.Errorf("%s: code %d", name, code)
			}
		}
		if code := ask(d1, s1); code != 404 { // allowed; the file is made up
			t.Errorf("d1 with its own: code %d", code)
		}
		c.do(simulator.CancelTasksByJob{Job: j.ID, Notified: true, InProgress: true})
		time.Sleep(offersGood + time.Second)
		if code := ask(d1, s1); code != 403 {
			t.Errorf("after the cancellation: code %d", code)
		}
		// On another's topic nothing is asked: the broker refuses it (F6).
		d1.await(d1.Publish(ota.TopicDownload.Of(d2.dev), 0, false, ota.BlockRequest{ID: "1", Stream: s2, Size: 256}.Encode()))
		d1.nothing()
		d2.nothing()
		for _, d := range []*device{d1, d2, d3} {
			d.off()
		}
	})
}

// fake makes a package whose file is not there.
func (c *cloud) fake(name string) simulator.Package {
	return c.do(simulator.CreatePackage{Product: c.product, Name: name, Version: "2.0", SignMethod: ota.MD5,
		Files: []simulator.File{{Name: "fw.bin", Key: "AAAAAAAAAAAAAAAAAAAAAAAAAA", Size: 1000, MD5: strings.Repeat("ab", 16)}}}).(simulator.Package)
}

// One device that asks without end is slowed down by itself; another gets its
// blocks at once, and its other messages through (F7).
func TestF7MQTTDownloadRate(t *testing.T) {
	content := noise(ota.MaxBlockSize)
	c := open(t, t.TempDir()).run()
	defer c.stop()
	c.overMQTT(content, "greedy", "d2")
	greedy, d2 := c.connect("greedy"), c.connect("d2")
	defer greedy.off()
	defer d2.off()
	_, s := greedy.stream()
	_, s2 := d2.stream()
	const asked = 40 // 5 MiB, where 1 MiB may come at once
	begun := time.Now()
	sent := make(chan struct{})
	go func() { // the pipe takes a request when the broker reads it
		defer close(sent)
		for i := range asked {
			greedy.Publish(ota.TopicDownload.Of(greedy.dev), 0, false, ota.BlockRequest{ID: fmt.Sprint(i), Stream: s, Size: ota.MaxBlockSize}.Encode())
		}
	}()
	if b := d2.block(ota.BlockRequest{ID: "1", Stream: s2, Size: ota.MaxBlockSize}); b.Code != 200 {
		t.Errorf("the other device: %+v", b)
	}
	d2.progress(5)
	select {
	case <-sent:
		t.Error("the other device waited for the greedy one")
	default:
	}
	<-sent
	greedy.progress(1) // is read after all that it asked for
	least := time.Duration(float64(asked*ota.MaxBlockSize-blockBurst) / blockRate * float64(time.Second))
	if took := time.Since(begun); took < least {
		t.Errorf("%d MiB in %v, allowed after %v", asked*ota.MaxBlockSize>>20, took, least)
	}
}

// A device that does not read its blocks costs the broker a bounded queue, and the
// cloud nothing: it goes on for others, and for the device when it is back.
func TestMQTTDownloadNotRead(t *testing.T) {
	p := &fullPusher{}
	b := &blocks{files: nil, broker: p, log: newDiscard(), metrics: newMetrics(), readers: map[ota.Device]*reader{}}
	d := ota.Device{ProductKey: "a1", Name: "d1"}
	b.offers = noOffers
	b.serve(d, ota.BlockRequest{ID: "1", Size: 256}.Encode())
	if p.n != 1 || len(b.readers) != 1 {
		t.Errorf("%d pushed, %d known", p.n, len(b.readers))
	}
	b.forget(d)
	if len(b.readers) != 0 {
		t.Error("a device that has gone is remembered")
	}
	for i := range maxReaders + 10 {
		b.reader(ota.Device{ProductKey: "a1", Name: fmt.Sprint("d", i)})
	}
	if len(b.readers) > maxReaders {
		t.Errorf("%d devices are remembered", len(b.readers))
	}
}

// fullPusher is a device whose queue is full.
type fullPusher struct{ n int }

func (p *fullPusher) Push(ota.Device, ota.TopicKind, []byte) error {
	p.n++
	return broker.ErrBusy
}

func newDiscard() *slog.Logger { return slog.New(slog.DiscardHandler) }

func noOffers(context.Context, ota.Device) ([]simulator.Offer, error) { return nil, nil }

// A sub-device fetches through its gateway, on its own topics and with its own
// stream; its gateway and its neighbour do not get a byte with it.
func TestMQTTDownloadOfSubDevice(t *testing.T) {
	content := noise(200_000)
	c := open(t, t.TempDir()).run()
	defer c.stop()
	p := newPlant(c, "s1", "s2")
	c.batch(c.put(c.product, "overMQTT", content), func(j *simulator.CreateStaticJob) {
		j.Target, j.Devices, j.Protocol = simulator.TargetSpecific, []string{"s1"}, simulator.MQTT
	})
	g := p.connectGateway("gw")
	defer g.off()
	p.good(p.ask(g, ota.TopicTopoAdd, "s1", "s2"))
	p.good(p.ask(g, ota.TopicLogin, "s1"))
	s1 := g.as(p.sub("s1"))
	_, s := s1.stream()
	var got []byte
	for len(got) < len(content) {
		b := s1.block(ota.BlockRequest{ID: "1", Stream: s, Offset: int64(len(got)), Size: ota.MaxBlockSize})
		if b.Code != 200 {
			t.Fatalf("%+v", b)
		}
		got = append(got, b.Data...)
	}
	if !bytes.Equal(got, content) {
		t.Error("what came is not what was uploaded")
	}
	p.good(p.ask(g, ota.TopicLogin, "s2"))
	for _, d := range []*device{g, g.as(p.sub("s2"))} {
		if b := d.block(ota.BlockRequest{ID: "1", Stream: s, Size: 256}); b.Code != 403 {
			t.Errorf("%s got %d", d.dev, b.Code)
		}
	}
}
