package tpm

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2"
	"github.com/leapslot/ota"
	"github.com/leapslot/ota/verify"
)

var (
	_ ota.Signer     = (*Secret)(nil)
	_ verify.Counter = (*Counter)(nil)
)

// The password that the TPM makes is the one that the cloud expects.
func TestSecretSignsIn(t *testing.T) {
	e := newEmulator(t)
	tpm := e.open(t)
	if _, err := tpm.Secret(); !errors.Is(err, ErrNotProvisioned) {
		t.Fatalf("an empty TPM: %v", err)
	}
	const secret = "632155d72f983dfe24b43b30c2ed9b2f"
	made, err := tpm.ProvisionSecret(nil, []byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	c := ota.Credentials{Device: ota.Device{ProductKey: "a1pk", Name: "gateway-1"}, Signer: made}
	login, err := c.Login()
	if err != nil || login.Verify(secret) != nil {
		t.Fatalf("%+v, %v: %v", login, err, login.Verify(secret))
	}
	// The same again changes nothing; another one is not put over it.
	if _, err := tpm.ProvisionSecret(nil, []byte(secret)); err != nil {
		t.Error(err)
	}
	if _, err := tpm.ProvisionSecret(nil, []byte("another")); !errors.Is(err, ErrOther) {
		t.Errorf("another secret: %v", err)
	}
	tpm = e.cycle(t)
	found, err := tpm.Secret()
	if err != nil {
		t.Fatalf("after a power cut: %v", err)
	}
	c.Signer = found
	if again, err := c.Login(); err != nil || again != login {
		t.Errorf("after a power cut: %+v, %v", again, err)
	}
	// The one from before the cut works too: what it names persists.
	if _, err := made.HMAC([]byte("x")); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := tpm.RemoveSecret(nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := tpm.Secret(); !errors.Is(err, ErrNotProvisioned) {
		t.Errorf("removed: %v", err)
	}
	if _, err := found.HMAC([]byte("x")); !errors.Is(err, ErrNotProvisioned) {
		t.Errorf("removed, and used: %v", err)
	}
	if _, err := tpm.ProvisionSecret(nil, []byte("another")); err != nil {
		t.Errorf("another one after the first was removed: %v", err)
	}
	// An agent that runs on signs with the new one.
	if l, err := c.Login(); err != nil || l.Verify("another") != nil {
		t.Errorf("the new one: %v, %v", err, l.Verify("another"))
	}
}

// A secret of any length signs as HMAC-SHA256 says.
func TestSecretLimit(t *testing.T) {
	tpm := newEmulator(t).open(t)
	content := bytes.Repeat([]byte("c"), MaxContent)
	for _, n := range []int{1, 64, 65, maxSecret} {
		secret := bytes.Repeat([]byte("s"), n)
		s, err := tpm.ProvisionSecret(nil, secret)
		if err != nil {
			t.Fatalf("%d bytes: %v", n, err)
		}
		mac := hmac.New(sha256.New, secret)
		mac.Write(content)
		if got, err := s.HMAC(content); err != nil || !bytes.Equal(got, mac.Sum(nil)) {
			t.Errorf("%d bytes: %x, %v", n, got, err)
		}
		if _, err := s.HMAC(append(content, 0)); err == nil {
			t.Error("a text that is too long was signed")
		}
		if err := tpm.RemoveSecret(nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range []int{0, maxSecret + 1} {
		if _, err := tpm.ProvisionSecret(nil, make([]byte, n)); err == nil {
			t.Errorf("a secret of %d bytes was taken", n)
		}
	}
	// Ours is the limit of the other package: a byte more is refused there.
	d := ota.Device{ProductKey: "a", Name: "b"}
	if _, err := (ota.Credentials{Device: d, Secret: strings.Repeat("s", maxSecret)}).Login(); err != nil {
		t.Error(err)
	}
	if _, err := (ota.Credentials{Device: d, Secret: strings.Repeat("s", maxSecret+1)}).Login(); err == nil {
		t.Error("package ota takes longer secrets")
	}
}

// Neither the secret nor what it signs is on the wire to the chip.
func TestSecretIsNotOnTheBus(t *testing.T) {
	e := newEmulator(t)
	b := newBetween(t, e)
	var wire bytes.Buffer
	b.set(func(_ int, command []byte) ([]byte, error) {
		wire.Write(command)
		d := device{path: e.path}
		answer, err := d.exchange(command)
		wire.Write(answer)
		return answer, err
	})
	tpm, err := Open(b.path)
	if err != nil {
		t.Fatal(err)
	}
	defer tpm.Close()
	const secret = "632155d72f983dfe24b43b30c2ed9b2f"
	s, err := tpm.ProvisionSecret(nil, []byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	content := []byte("clientId12345deviceNamedevice")
	mac, err := s.HMAC(content)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := tpm.Seal([]byte("the key of the disk"), []int{7})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tpm.Unseal(sealed); err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(wire.Bytes(), content) {
		t.Error("this test does not see the wire")
	}
	for what, hidden := range map[string][]byte{"secret": []byte(secret), "password": mac, "sealed data": []byte("the key of the disk")} {
		if bytes.Contains(wire.Bytes(), hidden) {
			t.Errorf("the %s is on the wire", what)
		}
	}
}

// With an owner's password nothing is set up or removed without it, and
// everything is used without it.
func TestOwnersPassword(t *testing.T) {
	e := newEmulator(t)
	tpm := e.open(t)
	password := []byte("correct horse")
	_, err := tpm2.HierarchyChangeAuth{
		AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(nil)},
		NewAuth:    tpm2.TPM2BAuth{Buffer: password},
	}.Execute(tpm.dev)
	if err != nil {
		t.Fatal(err)
	}
	for what, owner := range map[string][]byte{"none": nil, "wrong": []byte("x")} {
		if _, err := tpm.ProvisionSecret(owner, []byte("s")); err == nil || !strings.Contains(err.Error(), "owner's password is wrong") {
			t.Errorf("%s: secret: %v", what, err)
		}
	}
	for _, owner := range [][]byte{bytes.Repeat([]byte("x"), MaxPassword+1), {'a', 0, 'b'}} {
		if _, err := tpm.ProvisionSecret(owner, []byte("s")); err == nil || !strings.Contains(err.Error(), "password has") {
			t.Errorf("password %q: %v", owner, err)
		}
	}
	if _, err := tpm.ProvisionSecret(password, []byte("s")); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		second(tpm.ProvisionKey(nil)), second(tpm.ProvisionCounter(nil, 1)), tpm.RemoveSecret(nil),
	} {
		if err == nil || !strings.Contains(err.Error(), "owner's password is wrong") {
			t.Errorf("without the password: %v", err)
		}
	}
	for _, err := range []error{second(tpm.ProvisionKey(password)), second(tpm.ProvisionCounter(password, 1))} {
		if err != nil {
			t.Error(err)
		}
	}
	s, err := tpm.Secret()
	if err != nil {
		t.Fatal(err)
	}
	c, err := tpm.Counter()
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{second(s.HMAC([]byte("x"))), c.Raise(2), second(tpm.Seal([]byte("x"), []int{0}))} {
		if err != nil {
			t.Errorf("use without the password: %v", err)
		}
	}
	if err := undefine(tpm, counterIndex, nil); !errors.Is(err, tpm2.TPMRCBadAuth) {
		t.Errorf("the counter was removed without the password: %v", err)
	}
	if err := tpm.RemoveSecret(password); err != nil {
		t.Error(err)
	}
}

func second[T any](_ T, err error) error { return err }
