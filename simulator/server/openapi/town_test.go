package openapi

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/services/iot"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server/packages"
	"github.com/leapslot/ota/simulator/server/store"
)

// town is the real cloud behind the real API: the model and the store of the server,
// driven one command at a time in place of the server's loop, so that a test says
// what devices do and what time it is.
type town struct {
	t       *testing.T
	mu      sync.Mutex
	cloud   *simulator.Cloud
	store   *store.SQLite
	clock   *clock
	uploads Uploads
	web     *httptest.Server
	client  *iot.Client
}

func newTown(t *testing.T) *town {
	t.Helper()
	s, err := store.OpenSQLite(context.Background(), filepath.Join(t.TempDir(), "cloud.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	tw := &town{t: t, cloud: simulator.New(simulator.Options{Random: rand.Reader}), store: s, clock: newClock()}
	tw.uploads = newShelf(t.TempDir())
	api, err := New(Config{Keys: testKey(), Engine: tw, Lists: s, Uploads: tw, Now: tw.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	tw.web = httptest.NewServer(api)
	t.Cleanup(tw.web.Close)
	tw.client = official(t, tw.web, testKey())
	return tw
}

// Do applies a command and stores what it changed before it answers.
func (tw *town) Do(ctx context.Context, cmd simulator.Command) (any, error) {
	tw.mu.Lock()
	defer tw.mu.Unlock()
	v, err := tw.cloud.Apply(cmd, tw.clock.Now())
	if err != nil {
		return nil, err
	}
	tw.cloud.Tick(tw.clock.Now())
	return v, tw.save(ctx)
}

func (tw *town) save(ctx context.Context) error {
	if ch := tw.cloud.Changes(); !reflect.DeepEqual(ch, &simulator.Changes{}) {
		if err := tw.store.Commit(ctx, ch); err != nil {
			tw.cloud.Undo()
			return err
		}
	}
	tw.cloud.Commit()
	return nil
}

// happen is what devices do.
func (tw *town) happen(events ...simulator.Event) {
	tw.t.Helper()
	tw.mu.Lock()
	defer tw.mu.Unlock()
	for _, e := range events {
		tw.cloud.Happen(e, tw.clock.Now())
	}
	tw.cloud.Tick(tw.clock.Now())
	if err := tw.save(context.Background()); err != nil {
		tw.t.Fatal(err)
	}
}

func (tw *town) NewUpload(now time.Time, suffix string) (packages.Upload, error) {
	return tw.uploads.NewUpload(now, suffix)
}

func (tw *town) Lookup(now time.Time, fileURL string) (packages.File, error) {
	return tw.uploads.Lookup(now, fileURL)
}

func (tw *town) SignURL(d ota.Device, task, file string, until time.Time) (string, error) {
	return tw.uploads.SignURL(d, task, file, until)
}

func (tw *town) OpenFile(file string) (*os.File, error) { return tw.uploads.OpenFile(file) }

// shelf has package files without an upload: a URL is put on it with its content.
type shelf struct {
	dir   string
	files map[string]packages.File
}

func newShelf(dir string) *shelf { return &shelf{dir, map[string]packages.File{}} }

func (s *shelf) OpenFile(file string) (*os.File, error) { return os.Open(filepath.Join(s.dir, file)) }

func (s *shelf) put(url string, content []byte) {
	m, h := md5.Sum(content), sha256.Sum256(content)
	if err := os.WriteFile(filepath.Join(s.dir, "id"+hex.EncodeToString(h[:4])), content, 0o600); err != nil {
		panic(err)
	}
	s.files[url] = packages.File{ID: "id" + hex.EncodeToString(h[:4]), Size: int64(len(content)), MD5: hex.EncodeToString(m[:]), SHA256: hex.EncodeToString(h[:])}
}

func (s *shelf) NewUpload(_ time.Time, suffix string) (packages.Upload, error) {
	return packages.Upload{Host: "http://h/p/", Key: "k" + suffix, Policy: "p", AccessKeyID: "a", Signature: "s", FileURL: "http://h/p/k" + suffix}, nil
}

func (s *shelf) Lookup(_ time.Time, url string) (packages.File, error) {
	if f, ok := s.files[url]; ok {
		return f, nil
	}
	if url == "http://h/stale.bin" {
		return packages.File{}, packages.ErrStale
	}
	return packages.File{}, packages.ErrNotFound
}

func (s *shelf) SignURL(_ ota.Device, task, file string, _ time.Time) (string, error) {
	return "http://h/p/" + file + "?task=" + task, nil
}

// product makes a product and gives its key.
func (tw *town) product(name string) string {
	tw.t.Helper()
	req := iot.CreateCreateProductRequest()
	req.ProductName, req.NodeType = name, "0"
	resp, err := tw.client.CreateProduct(req)
	if err != nil || !resp.Success {
		tw.t.Fatalf("%v %+v", err, resp)
	}
	return resp.ProductKey
}

// device registers a device, brings it online and has it report a version.
func (tw *town) device(product, name, version string) ota.Device {
	tw.t.Helper()
	req := iot.CreateRegisterDeviceRequest()
	req.ProductKey, req.DeviceName = product, name
	resp, err := tw.client.RegisterDevice(req)
	if err != nil || !resp.Success {
		tw.t.Fatalf("%v %+v", err, resp)
	}
	d := ota.Device{ProductKey: product, Name: name}
	if version != "" {
		tw.happen(simulator.Online{Device: d}, simulator.Informed{Device: d, Version: version})
	}
	return d
}

// firmware makes a package of content and gives its id.
func (tw *town) firmware(product, name, version string, verify bool) string {
	tw.t.Helper()
	url := "http://h/p/" + name + ".bin"
	tw.uploads.(*shelf).put(url, bytes.Repeat([]byte(name), 100))
	req := iot.CreateCreateOTAFirmwareRequest()
	req.ProductKey, req.FirmwareName, req.DestVersion, req.FirmwareUrl = product, name, version, url
	if !verify {
		req.NeedToVerify = "false"
	}
	resp, err := tw.client.CreateOTAFirmware(req)
	if err != nil || !resp.Success {
		tw.t.Fatalf("%v %+v", err, resp)
	}
	return resp.Data.FirmwareId
}
