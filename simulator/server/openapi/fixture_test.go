package openapi

import (
	"context"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth/credentials"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/iot"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server/packages"
	"github.com/leapslot/ota/simulator/server/store"
)

func testKey() Key { return Key{ID: "testid", Secret: "testsecret", Account: "acme"} }

// engineFunc answers commands with a function.
type engineFunc func(simulator.Command) (any, error)

func (f engineFunc) Do(_ context.Context, cmd simulator.Command) (any, error) {
	if cmd = simulator.Bare(cmd); cmd == nil {
		return nil, nil // a line of the audit log alone
	}
	return f(cmd)
}

// noLists is a store that nothing is in.
type noLists struct{ store.Lists }

func (noLists) Devices(context.Context, store.DeviceFilter, store.Page) ([]simulator.Device, int, error) {
	return nil, 0, nil
}

func (noLists) Products(context.Context, string, store.Page) ([]simulator.Product, int, error) {
	return nil, 0, nil
}

// noUploads is a package server that nothing was sent to.
type noUploads struct{}

func (noUploads) NewUpload(time.Time, string) (packages.Upload, error) {
	return packages.Upload{}, nil
}

func (noUploads) Lookup(time.Time, string) (packages.File, error) {
	return packages.File{}, packages.ErrNotFound
}

func (noUploads) OpenFile(string) (*os.File, error) { return nil, packages.ErrNotFound }

func (noUploads) SignURL(ota.Device, string, string, time.Time) (string, error) { return "", nil }

// clock is a clock that is set by hand.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Now()} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// serveEngine serves the API over an engine that is a function.
func serveEngine(t *testing.T, now func() time.Time, do engineFunc) *httptest.Server {
	t.Helper()
	s, err := New(Config{Keys: testKey(), Engine: do, Lists: noLists{}, Uploads: noUploads{}, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	return web
}

// oneProduct is an engine that knows one product.
func oneProduct(cmd simulator.Command) (any, error) {
	switch c := cmd.(type) {
	case simulator.CreateProduct:
		return simulator.Product{Key: "a1Product", Account: c.Account, Name: c.Name, Desc: c.Desc, Created: 1}, nil
	case simulator.FindProduct:
		if c.Product == "a1Product" {
			return simulator.Product{Key: "a1Product", Name: "lamp"}, nil
		}
	}
	return nil, &simulator.Error{Code: simulator.NotFound, Field: "Product", Message: "there is no such product"}
}

// official is the official client, pointed at our server.
func official(t *testing.T, web *httptest.Server, key Key) *iot.Client {
	t.Helper()
	config := sdk.NewConfig().WithScheme("HTTP").WithAutoRetry(false).WithTimeout(20 * time.Second)
	c, err := iot.NewClientWithOptions("cn-shanghai", config, credentials.NewAccessKeyCredential(key.ID, key.Secret))
	if err != nil {
		t.Fatal(err)
	}
	c.Domain = web.Listener.Addr().String()
	return c
}
