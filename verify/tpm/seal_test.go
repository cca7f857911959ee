package tpm

import (
	"bytes"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2"
)

func extend(t *testing.T, tpm *TPM, pcr int) {
	t.Helper()
	_, err := tpm2.PCRExtend{
		PCRHandle: tpm2.AuthHandle{Handle: tpm2.TPMHandle(uint32(pcr)), Auth: tpm2.PasswordAuth(nil)},
		Digests:   tpm2.TPMLDigestValues{Digests: []tpm2.TPMTHA{{HashAlg: tpm2.TPMAlgSHA256, Digest: bytes.Repeat([]byte{1}, 32)}}},
	}.Execute(tpm.dev)
	if err != nil {
		t.Fatal(err)
	}
}

func TestSeal(t *testing.T) {
	e := newEmulator(t)
	tpm := e.open(t)
	if _, err := tpm.Seal([]byte("x"), []int{0}); !errors.Is(err, ErrNotProvisioned) {
		t.Errorf("an empty TPM: %v", err)
	}
	if _, err := tpm.ProvisionKey(nil); err != nil {
		t.Fatal(err)
	}
	extend(t, tpm, 7)
	secret := bytes.Repeat([]byte("k"), MaxSealed)
	sealed, err := tpm.Seal(secret, []int{7, 11, 23})
	if err != nil {
		t.Fatal(err)
	}
	if len(sealed) > MaxBlob || bytes.Contains(sealed, secret[:16]) {
		t.Errorf("%d bytes: %q", len(sealed), sealed)
	}
	extend(t, tpm, 0) // none of them
	if got, err := tpm.Unseal(sealed); err != nil || !bytes.Equal(got, secret) {
		t.Errorf("%q, %v", got, err)
	}
	// Another start is another state, until the same is measured again.
	tpm = e.cycle(t)
	if _, err := tpm.Unseal(sealed); !errors.Is(err, ErrSealed) {
		t.Errorf("before it was measured: %v", err)
	}
	extend(t, tpm, 7)
	if got, err := tpm.Unseal(sealed); err != nil || !bytes.Equal(got, secret) {
		t.Errorf("started the same way: %q, %v", got, err)
	}
	extend(t, tpm, 11)
	if got, err := tpm.Unseal(sealed); !errors.Is(err, ErrSealed) || got != nil {
		t.Errorf("after an extend: %q, %v", got, err)
	}
	// Altered, or on another device. The PCRs that are named in the blob are
	// only a hint: those that count are in what the TPM protects.
	fresh := newEmulator(t).open(t)
	if _, err := fresh.ProvisionKey(nil); err != nil {
		t.Fatal(err)
	}
	if _, err := fresh.Unseal(sealed); !errors.Is(err, ErrOther) {
		t.Errorf("another TPM: %v", err)
	}
	for _, c := range []struct{ at, flip int }{{len(blobMagic), 0x10}, {20, 1}, {len(sealed) - 1, 1}} {
		altered := bytes.Clone(sealed)
		altered[c.at] ^= byte(c.flip)
		if got, err := tpm.Unseal(altered); err == nil {
			t.Errorf("altered at %d: %q", c.at, got)
		}
	}
	// Many times, and nothing is left in the TPM.
	for range 10 {
		sealed, err := tpm.Seal([]byte("x"), []int{0})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tpm.Unseal(sealed); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSealRefuses(t *testing.T) {
	tpm := newEmulator(t).open(t)
	for _, c := range []struct {
		n    int
		pcrs []int
	}{{0, []int{1}}, {MaxSealed + 1, []int{1}}, {1, nil}, {1, []int{-1}}, {1, []int{PCRs}}} {
		if _, err := tpm.Seal(make([]byte, c.n), c.pcrs); err == nil || errors.Is(err, ErrNotProvisioned) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func FuzzParseBlob(f *testing.F) {
	good := blob{pcrMask{1}, []byte("private"), []byte("public")}.bytes()
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add(append(bytes.Clone(good), 0))
	f.Add([]byte(blobMagic + "\x00\x00\x00\x00\x01a\x00\x01b"))
	f.Fuzz(func(t *testing.T, in []byte) {
		b, err := parseBlob(in)
		if err == nil && !bytes.Equal(b.bytes(), in) {
			t.Errorf("%x is read as %+v", in, b)
		}
	})
}

func TestOpen(t *testing.T) {
	dir, err := os.MkdirTemp("", "tpm")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	// A socket that nobody listens on, and one where something else answers.
	dead, other := filepath.Join(dir, "dead"), filepath.Join(dir, "other")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: dead, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	chatty, err := net.Listen("unix", other)
	if err != nil {
		t.Fatal(err)
	}
	defer chatty.Close()
	go func() {
		for {
			c, err := chatty.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
			c.Close()
		}
	}()
	for _, path := range []string{filepath.Join(dir, "absent"), file, dir, dead, other, "/dev/null"} {
		if tpm, err := Open(path); !errors.Is(err, ErrNoTPM) || tpm != nil || !strings.Contains(err.Error(), "TPM") {
			t.Errorf("%s: %v", path, err)
		}
	}
	e := newEmulator(t)
	for range 2 { // it is started once
		if tpm := e.open(t); tpm.Maker() != "IBM" {
			t.Errorf("made by %q", tpm.Maker())
		}
	}
}
