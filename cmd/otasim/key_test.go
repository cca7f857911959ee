package main

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/leapslot/ota/simulator/server/openapi"
)

// TestKeysWhileServing: keys that are added beside a running server work at once, within
// their role and account; removed, they do not; and they survive kill -9.
func TestKeysWhileServing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := serve(t, dir)
	defer func() { s.kill() }()
	var product struct{ ProductKey string }
	s.call("CreateProduct", &product, "ProductName", "lamp")
	add := func(id, account, role string) openapi.Key {
		t.Helper()
		out, err := otasim("key", "add", "--data", dir, "--account", account, "--role", role, id).Output()
		_, secret, ok := strings.Cut(strings.TrimSpace(string(out)), ":")
		if err != nil || !ok {
			t.Fatalf("key add: %q, %v", out, err)
		}
		return openapi.Key{ID: id, Secret: secret}
	}
	try := func(k openapi.Key, action string, params map[string]string) string {
		t.Helper()
		c, err := openapi.NewClient("http://"+s.http, k, 10*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = c.Call(context.Background(), action, params); err != nil {
			return err.Error()
		}
		return ""
	}
	look, name := map[string]string{"ProductKey": product.ProductKey}, map[string]string{"ProductKey": product.ProductKey, "DeviceName": "d1"}
	reader, op, other := add("reader", "id", "read-only"), add("op", "id", "operator"), add("other", "other", "admin")
	for range 2 {
		if why := try(reader, "QueryProduct", look); why != "" {
			t.Errorf("the reader cannot read: %s", why)
		}
		if why := try(reader, "RegisterDevice", name); !strings.Contains(why, "Forbidden.RAM") {
			t.Errorf("the reader registers a device: %q", why)
		}
		if why := try(op, "UpdateProductOTASecurity", map[string]string{"ProductKey": product.ProductKey, "Enable": "true"}); !strings.Contains(why, "Forbidden.RAM") {
			t.Errorf("the operator switches secure upgrade: %q", why)
		}
		if why := try(other, "QueryProduct", look); !strings.Contains(why, "NotExistedProduct") {
			t.Errorf("another account reads the product: %q", why)
		}
		s.kill()
		s = serve(t, dir)
	}
	if why := try(op, "RegisterDevice", name); why != "" {
		t.Errorf("the operator cannot register a device: %s", why)
	}
	if out, err := otasim("key", "remove", "--data", dir, "op").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if why := try(op, "QueryProduct", look); !strings.Contains(why, "InvalidAccessKeyId.NotFound") {
		t.Errorf("a removed key: %q", why)
	}
}

// TestServeCallRate: --max-call-rate bounds the calls of a key.
func TestServeCallRate(t *testing.T) {
	s := serve(t, filepath.Join(t.TempDir(), "data"), "--max-call-rate", "5")
	defer s.kill()
	refused := 0
	for range 40 {
		if err := s.try("QueryProductList", nil, "CurrentPage", "1", "PageSize", "1"); err != nil && strings.Contains(err.Error(), "Throttling.User") {
			refused++
		}
	}
	if refused < 10 {
		t.Errorf("%d of 40 calls at once were refused", refused)
	}
}
