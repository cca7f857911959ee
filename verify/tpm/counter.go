package tpm

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

// MaxRaise is the largest step of a counter at once. A TPM's counter goes up by
// one, each time with a write of its memory, which wears; a security version of
// a million (a date, say) is a mistake.
const MaxRaise = 1000

const (
	theCounter = "the security version"
	nvLen      = 8
)

// Counter is the security version in the TPM: a verify.Counter. It is the
// difference of two NV indices. One is a counter that can be incremented and
// nothing else; the TPM chooses where it starts, above all that it ever
// counted. The other is that start, locked since it was written.
type Counter struct{ tpm *TPM }

// Who may open the TPM may read and increment. There is no right to write the
// owner, nor one to write the base again once it is locked. Not orderly: those
// counters are kept in memory, and jump after a power cut.
func counterAttributes() tpm2.TPMANV {
	return tpm2.TPMANV{NT: tpm2.TPMNTCounter, AuthRead: true, AuthWrite: true, NoDA: true}
}

func baseAttributes() tpm2.TPMANV {
	return tpm2.TPMANV{NT: tpm2.TPMNTOrdinary, AuthRead: true, AuthWrite: true, NoDA: true, WriteDefine: true}
}

// ProvisionCounter sets the counter up, with start as its first value: the
// security version of the image that the device leaves the factory with. One
// that is there already keeps its value, whatever start is.
func (t *TPM) ProvisionCounter(owner []byte, start uint64) (*Counter, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r, err := t.makeRoot(owner)
	if err != nil {
		return nil, err
	}
	count, err := t.defineNV(r, owner, counterIndex, counterAttributes())
	if err != nil {
		return nil, err
	}
	if !count.public.Attributes.Written {
		if err := t.increment(count, r.session(none)); err != nil {
			return nil, err
		}
		// Its attributes, and with them its name, are others now.
		if count, err = t.findNV(counterIndex, counterAttributes()); err != nil {
			return nil, err
		}
	}
	base, err := t.defineNV(r, owner, baseIndex, baseAttributes())
	if err != nil {
		return nil, err
	}
	// The lock comes last: a base without it is written again, so an interrupted
	// set-up ends well.
	if !base.public.Attributes.WriteLocked {
		if err := t.writeBase(r, count, base, start); err != nil {
			return nil, err
		}
	}
	c := &Counter{t}
	if _, err := c.value(); err != nil {
		return nil, err
	}
	return c, nil
}

func (t *TPM) writeBase(r root, count, base nvIndex, start uint64) error {
	now, err := t.readNV(count, r.session(out))
	if err != nil {
		return err
	}
	// Unsigned numbers go around: a start above the TPM's own number is as good.
	_, err = tpm2.NVWrite{
		AuthHandle: base.use(r.session(none)), NVIndex: base.named(),
		Data: tpm2.TPM2BMaxNVBuffer{Buffer: binary.BigEndian.AppendUint64(nil, now-start)},
	}.Execute(t.dev)
	if err != nil {
		return explain("write the start of "+theCounter, err)
	}
	if base, err = t.findNV(baseIndex, baseAttributes()); err != nil {
		return err
	}
	if _, err := (tpm2.NVWriteLock{AuthHandle: base.use(r.session(none)), NVIndex: base.named()}).Execute(t.dev); err != nil {
		return explain("lock the start of "+theCounter, err)
	}
	return nil
}

// Counter gives the counter that was set up, whole.
func (t *TPM) Counter() (*Counter, error) {
	c := &Counter{t}
	if _, err := c.Value(); err != nil {
		return nil, err
	}
	return c, nil
}

// Value is the security version. Without a counter it is ErrNotProvisioned,
// never zero.
func (c *Counter) Value() (uint64, error) {
	c.tpm.mu.Lock()
	defer c.tpm.mu.Unlock()
	return c.value()
}

func (c *Counter) value() (uint64, error) {
	r, err := c.tpm.root()
	if err != nil {
		return 0, err
	}
	v, _, _, err := c.tpm.version(r)
	return v, err
}

// version gives the security version, the index that counts, and where it
// started.
func (t *TPM) version(r root) (now uint64, count nvIndex, start uint64, err error) {
	count, err = t.findNV(counterIndex, counterAttributes())
	if err != nil {
		return 0, nvIndex{}, 0, err
	}
	base, err := t.findNV(baseIndex, baseAttributes())
	if err != nil {
		return 0, nvIndex{}, 0, err
	}
	if !count.public.Attributes.Written || !base.public.Attributes.WriteLocked {
		return 0, nvIndex{}, 0, fmt.Errorf("TPM: setting up %s was interrupted, do it again: %w", theCounter, ErrNotProvisioned)
	}
	if now, err = t.readNV(count, r.session(out)); err != nil {
		return 0, nvIndex{}, 0, err
	}
	start, err = t.readNV(base, r.session(out))
	return now - start, count, start, err
}

// Raise brings the counter to at least the value: ErrTooFar, and nothing
// changed, when that is more than MaxRaise ahead; nothing is done when it is
// there already. Interrupted, it is called again and goes on. Each step takes a
// chip about a twentieth of a second. The only danger is a second program that
// raises it at the same moment: both may count, and the value end too high.
func (c *Counter) Raise(to uint64) error {
	c.tpm.mu.Lock()
	defer c.tpm.mu.Unlock()
	r, err := c.tpm.root()
	if err != nil {
		return err
	}
	now, count, start, err := c.tpm.version(r)
	if err != nil || now >= to {
		return err
	}
	if to-now > MaxRaise {
		return fmt.Errorf("TPM: %w: from %d to %d, at most %d at once (number security versions one by one)", ErrTooFar, now, to, MaxRaise)
	}
	// One session for all steps: to begin one is the slowest command of all.
	s, end, err := tpm2.HMACSession(c.tpm.dev, tpm2.TPMAlgSHA256, nonceLen, tpm2.Salted(r.handle, r.public))
	if err != nil {
		return explain("raise "+theCounter, err)
	}
	defer func() { _ = end() }() // as of flush
	for now < to {
		if err := c.tpm.increment(count, s); err != nil {
			return err
		}
		raw, err := c.tpm.readNV(count, s)
		if err != nil {
			return err
		}
		now = raw - start
	}
	return nil
}

func (t *TPM) increment(count nvIndex, s tpm2.Session) error {
	if _, err := (tpm2.NVIncrement{AuthHandle: count.use(s), NVIndex: count.named()}).Execute(t.dev); err != nil {
		return explain("raise "+theCounter, err)
	}
	return nil
}

// nvIndex is one in the TPM.
type nvIndex struct {
	name   tpm2.TPM2BName
	public *tpm2.TPMSNVPublic
}

func (i nvIndex) named() tpm2.NamedHandle {
	return tpm2.NamedHandle{Handle: i.public.NVIndex, Name: i.name}
}

func (i nvIndex) use(s tpm2.Session) tpm2.AuthHandle {
	return tpm2.AuthHandle{Handle: i.public.NVIndex, Name: i.name, Auth: s}
}

// findNV reads what an index is, and refuses one that is not as we make it.
func (t *TPM) findNV(at tpm2.TPMHandle, want tpm2.TPMANV) (nvIndex, error) {
	r, err := tpm2.NVReadPublic{NVIndex: at}.Execute(t.dev)
	if errors.Is(err, tpm2.TPMRCHandle) {
		return nvIndex{}, fmt.Errorf("TPM: %s: %w", theCounter, ErrNotProvisioned)
	}
	if err != nil {
		return nvIndex{}, explain("read "+theCounter, err)
	}
	public, err := r.NVPublic.Contents()
	if err != nil {
		return nvIndex{}, explain("read "+theCounter, err)
	}
	is := public.Attributes
	is.Written, is.WriteLocked = false, false
	if is != want || public.DataSize != nvLen || len(public.AuthPolicy.Buffer) != 0 {
		return nvIndex{}, fmt.Errorf("TPM: the NV index %#x is not as otad makes it: %w (somebody tampered with it, or another program had it first)", uint32(at), ErrOther)
	}
	return nvIndex{r.NVName, public}, nil
}

// defineNV finds an index or makes it.
func (t *TPM) defineNV(r root, password []byte, at tpm2.TPMHandle, attributes tpm2.TPMANV) (nvIndex, error) {
	if i, err := t.findNV(at, attributes); !errors.Is(err, ErrNotProvisioned) {
		return i, err
	}
	_, err := tpm2.NVDefineSpace{
		AuthHandle: r.owner(password),
		PublicInfo: tpm2.New2B(tpm2.TPMSNVPublic{NVIndex: at, NameAlg: tpm2.TPMAlgSHA256, Attributes: attributes, DataSize: nvLen}),
	}.Execute(t.dev)
	if err != nil {
		return nvIndex{}, explain("set up "+theCounter, err)
	}
	return t.findNV(at, attributes)
}

func (t *TPM) readNV(i nvIndex, s tpm2.Session) (uint64, error) {
	got, err := tpm2.NVRead{AuthHandle: i.use(s), NVIndex: i.named(), Size: nvLen}.Execute(t.dev)
	if err != nil {
		return 0, explain("read "+theCounter, err)
	}
	if len(got.Data.Buffer) != nvLen {
		return 0, fmt.Errorf("TPM: read %s: %d bytes instead of %d", theCounter, len(got.Data.Buffer), nvLen)
	}
	return binary.BigEndian.Uint64(got.Data.Buffer), nil
}
