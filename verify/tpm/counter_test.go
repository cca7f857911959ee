package tpm

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2"
)

// undefine removes an NV index, as the owner can.
func undefine(t *TPM, at tpm2.TPMHandle, password []byte) error {
	r, err := t.root()
	if err != nil {
		return err
	}
	pub, err := tpm2.NVReadPublic{NVIndex: at}.Execute(t.dev)
	if err != nil {
		return err
	}
	_, err = tpm2.NVUndefineSpace{AuthHandle: r.owner(password), NVIndex: tpm2.NamedHandle{Handle: at, Name: pub.NVName}}.Execute(t.dev)
	return err
}

func value(t *testing.T, c *Counter, want uint64) {
	t.Helper()
	if got, err := c.Value(); err != nil || got != want {
		t.Fatalf("security version %d, %v, want %d", got, err, want)
	}
}

func TestT9Counter(t *testing.T) {
	e := newEmulator(t)
	tpm := e.open(t)
	if _, err := tpm.Counter(); !errors.Is(err, ErrNotProvisioned) {
		t.Fatalf("an empty TPM: %v", err)
	}
	c, err := tpm.ProvisionCounter(nil, 7)
	if err != nil {
		t.Fatal(err)
	}
	value(t, c, 7)
	for _, step := range []struct{ to, want uint64 }{{7, 7}, {3, 7}, {0, 7}, {8, 8}, {12, 12}} {
		if err := c.Raise(step.to); err != nil {
			t.Fatal(err)
		}
		value(t, c, step.want)
	}
	if err := c.Raise(12 + MaxRaise + 1); !errors.Is(err, ErrTooFar) {
		t.Errorf("too far: %v", err)
	}
	if err := c.Raise(math.MaxUint64); !errors.Is(err, ErrTooFar) {
		t.Errorf("too far: %v", err)
	}
	value(t, c, 12)
	// A power cut, and setting it up again, change nothing.
	tpm = e.cycle(t)
	if c, err = tpm.ProvisionCounter(nil, 99); err != nil {
		t.Fatal(err)
	}
	value(t, c, 12)
	if err := c.Raise(13); err != nil {
		t.Fatal(err)
	}
	value(t, c, 13)
}

func TestT9CounterFarAhead(t *testing.T) {
	c, err := newEmulator(t).open(t).ProvisionCounter(nil, 20261122)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Raise(20261122 + MaxRaise); err != nil {
		t.Fatal(err)
	}
	value(t, c, 20261122+MaxRaise)
}

// Whatever root does short of the owner's rights, the number does not go back.
func TestT9CounterCannotBeMoved(t *testing.T) {
	tpm := newEmulator(t).open(t)
	c, err := tpm.ProvisionCounter(nil, 5)
	if err != nil {
		t.Fatal(err)
	}
	r, err := tpm.root()
	if err != nil {
		t.Fatal(err)
	}
	base, err := tpm.findNV(baseIndex, baseAttributes())
	if err != nil {
		t.Fatal(err)
	}
	count, err := tpm.findNV(counterIndex, counterAttributes())
	if err != nil {
		t.Fatal(err)
	}
	data := tpm2.TPM2BMaxNVBuffer{Buffer: make([]byte, nvLen)}
	asOwner := func() tpm2.AuthHandle { return r.owner(nil) }
	for what, err := range map[string]error{
		"base":             second(tpm2.NVWrite{AuthHandle: base.use(r.session(none)), NVIndex: base.named(), Data: data}.Execute(tpm.dev)),
		"base as owner":    second(tpm2.NVWrite{AuthHandle: asOwner(), NVIndex: base.named(), Data: data}.Execute(tpm.dev)),
		"counter":          second(tpm2.NVWrite{AuthHandle: count.use(r.session(none)), NVIndex: count.named(), Data: data}.Execute(tpm.dev)),
		"counter as owner": second(tpm2.NVIncrement{AuthHandle: asOwner(), NVIndex: count.named()}.Execute(tpm.dev)),
	} {
		if err == nil {
			t.Errorf("%s: was written", what)
		}
	}
	value(t, c, 5)
	// One that was removed and made anew, or is another kind, is not taken for
	// ours without a base; and without either it is not zero.
	if err := undefine(tpm, baseIndex, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Value(); !errors.Is(err, ErrNotProvisioned) {
		t.Errorf("without a base: %v", err)
	}
	loose := baseAttributes()
	loose.WriteDefine = false
	if _, err := tpm.defineNV(r, nil, baseIndex, loose); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Value(); !errors.Is(err, ErrOther) {
		t.Errorf("a base that cannot be locked: %v", err)
	}
	if err := c.Raise(9); !errors.Is(err, ErrOther) {
		t.Errorf("a base that cannot be locked: raised, %v", err)
	}
	if _, err := tpm.ProvisionCounter(nil, 0); !errors.Is(err, ErrOther) {
		t.Errorf("a base that cannot be locked: set up, %v", err)
	}
}

// Power goes before or after any command of setting up and raising: done
// again, it ends the same.
func TestT9PowerCut(t *testing.T) {
	for _, cut := range []error{io.EOF, io.ErrUnexpectedEOF} {
		whole := false
		for at := 1; !whole; at += 5 { // sessions make commands many
			if at > 400 {
				t.Fatal("it does not end")
			}
			e := newEmulator(t)
			b := newBetween(t, e)
			b.set(func(n int, _ []byte) ([]byte, error) {
				if n >= at {
					return nil, cut
				}
				return nil, nil
			})
			whole = setUp(b.path) == nil
			tpm := e.cycle(t)
			if _, err := tpm.Secret(); err != nil && !errors.Is(err, ErrNotProvisioned) {
				t.Fatalf("%v at command %d: secret: %v", cut, at, err)
			}
			c, err := tpm.Counter()
			if err == nil {
				v, err := c.Value()
				if err != nil || v < cutStart || v > cutRaised || whole && v != cutRaised {
					t.Fatalf("%v at command %d: %d, %v", cut, at, v, err)
				}
			} else if !errors.Is(err, ErrNotProvisioned) || whole {
				t.Fatalf("%v at command %d: %v", cut, at, err)
			}
			if err := setUp(e.path); err != nil {
				t.Fatalf("%v at command %d, again: %v", cut, at, err)
			}
			value(t, &Counter{tpm}, cutRaised)
			e.cut()
		}
	}
}

const cutStart, cutRaised = 3, 6

// setUp is a device's first start, and its first update.
func setUp(path string) error {
	tpm, err := Open(path)
	if err != nil {
		return err
	}
	defer tpm.Close()
	c, err := tpm.ProvisionCounter(nil, cutStart)
	if err != nil {
		return err
	}
	if _, err := tpm.ProvisionSecret(nil, []byte("s")); err != nil {
		return err
	}
	if _, err := tpm.ProvisionKey(nil); err != nil {
		return err
	}
	return c.Raise(cutRaised)
}

// A TPM that is busy is asked again, for a while.
func TestBusy(t *testing.T) {
	e := newEmulator(t)
	b := newBetween(t, e)
	tpm, err := Open(b.path)
	if err != nil {
		t.Fatal(err)
	}
	defer tpm.Close()
	tpm.dev.pause = 1 // nanosecond
	s, err := tpm.ProvisionSecret(nil, []byte("s"))
	if err != nil {
		t.Fatal(err)
	}
	refusal := func(rc tpm2.TPMRC) []byte {
		return []byte{0x80, 1, 0, 0, 0, headerLen, byte(rc >> 24), byte(rc >> 16), byte(rc >> 8), byte(rc)}
	}
	for rc, words := range map[tpm2.TPMRC]string{tpm2.TPMRCRetry: "busy", tpm2.TPMRCYielded: "busy", tpm2.TPMRCTesting: "testing itself", tpm2.TPMRCNVRate: "limits how often"} {
		b.set(func(n int, _ []byte) ([]byte, error) {
			if n%3 != 0 {
				return refusal(rc), nil
			}
			return nil, nil
		})
		if _, err := s.HMAC([]byte("x")); err != nil {
			t.Errorf("%v for a while: %v", rc, err)
		}
		b.set(func(int, []byte) ([]byte, error) { return refusal(rc), nil })
		if _, err := s.HMAC([]byte("x")); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%v without an end: error %v does not say %q", rc, err, words)
		}
		if n := b.n.Load(); n != maxTries {
			t.Errorf("%v: tried %d times", rc, n)
		}
	}
	b.set(func(int, []byte) ([]byte, error) { return refusal(tpm2.TPMRCLockout), nil })
	if _, err := s.HMAC([]byte("x")); err == nil || !strings.Contains(err.Error(), "wait until") {
		t.Errorf("lockout: %v", err)
	}
	for _, bad := range []string{"", "short", "\x80\x01\x00\x00\x00\x05\x00\x00\x00\x00", "\x80\x01\xff\xff\xff\xff\x00\x00\x00\x00", "\x80\x01\x00\x00\x00\x0a\x00\x00\x00\x00more", "\x80\x01\x00\x00\x00\x0a\x00\x00\x00\x00"} {
		b.set(func(int, []byte) ([]byte, error) { return append([]byte{}, bad...), nil })
		if _, err := s.HMAC([]byte("x")); err == nil {
			t.Errorf("the answer %q was taken", bad)
		}
	}
	b.set(func(int, []byte) ([]byte, error) { return nil, nil })
	if _, err := s.HMAC([]byte("x")); err != nil {
		t.Error(fmt.Errorf("afterwards: %w", err))
	}
}
