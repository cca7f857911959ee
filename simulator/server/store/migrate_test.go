package store

import (
	"bytes"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
)

// old makes a database as version 1 of the program left it.
func old(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("testdata/version1.sql")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "ota.db")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(string(text)); err != nil {
		t.Fatal(err)
	}
	return path
}

const (
	oldProduct = "a1KG6ht9rmx"
	oldSecret  = "9bZRLSR2AN6xSmwH" // of the product
	oldDevice  = "fb0458b1a9acb337c9f5b63d5480147a"
)

// TestMigrate: a database of version 1 is brought up to date with everything that is in
// it, and goes on from there. Opened again it is left alone.
func TestMigrate(t *testing.T) {
	path := old(t)
	for range 2 {
		w := newTown(t, path)
		st, err := w.store.Load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(st.Products) != 1 || len(st.Devices) != 4 || len(st.Modules) != 1 || len(st.Packages) != 1 || len(st.Jobs) != 1 || len(st.Tasks) != 3 || st.Sequence != 6 {
			t.Errorf("%d products, %d devices, %d modules, %d packages, %d jobs, %d tasks, sequence %d",
				len(st.Products), len(st.Devices), len(st.Modules), len(st.Packages), len(st.Jobs), len(st.Tasks), st.Sequence)
		}
		if p := st.Products[0]; p.Secret != oldSecret || string(p.SigningKey) != "key" || st.Devices[1].Secret != oldDevice {
			t.Errorf("secrets %q, %q, %q", p.Secret, p.SigningKey, st.Devices[1].Secret)
		}
		if err := w.store.Close(); err != nil {
			t.Fatal(err)
		}
	}
	w := newTown(t, path)
	d := ota.Device{ProductKey: oldProduct, Name: "d1"}
	w.happen(simulator.Online{Device: d})
	w.happen(simulator.Informed{Device: d, Version: "2.0"})
	for _, job := range []string{"j000000000002"} {
		if n := w.do(simulator.FindJob{Job: job}).(simulator.Job).Counts; n.Succeeded != 2 || n.Total() != 4 {
			t.Errorf("counts are %+v", n)
		}
	}
}

// TestMigrateAgain: a step that fails leaves the version before it, whole.
func TestMigrateAgain(t *testing.T) {
	path := old(t)
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("CREATE TABLE seal (x)"); err != nil { // in the way
		t.Fatal(err)
	}
	if _, err := OpenSQLite(t.Context(), path); err == nil {
		t.Fatal("opened although a step cannot be done")
	}
	if _, err := db.Exec("DROP TABLE seal"); err != nil {
		t.Fatal(err)
	}
	newTown(t, path)
}

// TestSealed: no secret is readable in the files of the database, neither of an old one
// that was brought up to date nor of what is stored since, and all come back.
func TestSealed(t *testing.T) {
	path := old(t)
	w := newTown(t, path)
	secret := w.do(simulator.RegisterDevices{Product: oldProduct, Names: []string{"new"}}).([]simulator.Device)[0].Secret
	w.do(simulator.SetSecureUpgrade{Product: oldProduct, On: false})
	if err := w.store.AddKey(t.Context(), AccessKey{ID: "id", Secret: "topsecret", Account: "me", Role: "admin", Created: 7}); err != nil {
		t.Fatal(err)
	}
	list, _, err := w.store.Devices(t.Context(), DeviceFilter{Product: oldProduct}, Page{Size: 100})
	if err != nil || len(list) != 5 || list[4].Secret != secret || list[1].Secret != oldDevice {
		t.Errorf("%d devices, %v", len(list), err)
	}
	products, _, err := w.store.Products(t.Context(), "me", Page{})
	if err != nil || len(products) != 1 || products[0].Secret != oldSecret {
		t.Errorf("products %+v, %v", products, err)
	}
	for _, name := range []string{path, path + "-wal"} {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range []string{secret, oldSecret, oldDevice, "topsecret"} {
			if bytes.Contains(b, []byte(s)) {
				t.Errorf("%s holds the secret %s", name, s)
			}
		}
	}
	key := filepath.Join(filepath.Dir(path), KeyFile)
	if st, err := os.Stat(key); err != nil || st.Mode() != 0o600 {
		t.Errorf("the key file: %v, %v", st, err)
	}
	if err := w.store.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	for what, b := range map[string][]byte{"none": nil, "short": whole[1:], "another": newKey()} {
		if err := os.Remove(key); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		if b != nil {
			if err := os.WriteFile(key, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := OpenSQLite(t.Context(), path); !errors.Is(err, ErrSealed) {
			t.Errorf("key %s: %v, want %v", what, err, ErrSealed)
		}
	}
}

// TestSealBound: a sealed secret opens only where it belongs.
func TestSealBound(t *testing.T) {
	s, err := openSeal(filepath.Join(t.TempDir(), KeyFile), true)
	if err != nil {
		t.Fatal(err)
	}
	sealed := s.close("device a", "secret")
	if got, err := s.open("device a", sealed); err != nil || got != "secret" {
		t.Errorf("%q, %v", got, err)
	}
	for _, bad := range []struct{ of, sealed string }{{"device b", sealed}, {"device a", "secret"}, {"device a", sealMark + "AAAA"}, {"device a", sealed[:len(sealed)-2]}} {
		if got, err := s.open(bad.of, bad.sealed); err == nil {
			t.Errorf("%q opened for %s: %q", bad.sealed, bad.of, got)
		}
	}
	if s.close("x", "") != "" {
		t.Error("nothing is sealed to something")
	}
}

// TestAccessKeys: added once, found with their secrets, listed without, removed; another
// process may do so while this one works.
func TestAccessKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ota.db")
	w := newTown(t, path)
	other, err := OpenSQLite(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	k := AccessKey{ID: "id", Secret: "secret", Account: "me", Role: "operator", Note: "ci", Created: 5}
	if err := other.AddKey(t.Context(), k); err != nil {
		t.Fatal(err)
	}
	if err := w.store.AddKey(t.Context(), k); !errors.Is(err, ErrKeyExists) {
		t.Errorf("added twice: %v", err)
	}
	w.fill(2)
	got, err := w.store.FindKey(t.Context(), "id")
	if diff := cmp.Diff(k, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	k.Secret = ""
	list, err := w.store.ListKeys(t.Context())
	if diff := cmp.Diff([]AccessKey{k}, list); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	if err := w.store.RemoveKey(t.Context(), "id", 9); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{other.RemoveKey(t.Context(), "id", 9), func() error { _, err := other.FindKey(t.Context(), "id"); return err }()} {
		if !errors.Is(err, ErrNoKey) {
			t.Errorf("after removal: %v", err)
		}
	}
	lines, n, err := w.store.Audit(t.Context(), AuditFilter{Account: "me"}, Page{})
	if err != nil || n != 2 || lines[0].Action != "RemoveAccessKey" || lines[0].At != 9 || lines[1].Action != "AddAccessKey" || lines[1].Object != "id operator" {
		t.Errorf("%d lines are written down: %+v, %v", n, lines, err)
	}
}

// BenchmarkSeal is what sealing one device's secret costs, and opening it.
func BenchmarkSeal(b *testing.B) {
	s, err := openSeal(filepath.Join(b.TempDir(), KeyFile), true)
	if err != nil {
		b.Fatal(err)
	}
	sealed := s.close("device pk d", oldDevice)
	b.Run("close", func(b *testing.B) {
		for b.Loop() {
			s.close("device pk d", oldDevice)
		}
	})
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.open("device pk d", sealed); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// FuzzSealOpen: whatever stands in the database, nothing opens but what was sealed for
// that very row.
func FuzzSealOpen(f *testing.F) {
	s, err := openSeal(filepath.Join(f.TempDir(), KeyFile), true)
	if err != nil {
		f.Fatal(err)
	}
	sealed := s.close("device a", "secret")
	for _, seed := range []string{sealed, sealed[:len(sealed)-1], sealMark, sealMark + "AAAA", "secret", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if got, err := s.open("device b", text); err == nil && text != "" {
			t.Errorf("%q opens as %q", text, got)
		}
	})
}
