package tpm

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// Limits of sealed data.
const (
	// MaxSealed is the most that can be sealed, in bytes: a key, not a file.
	MaxSealed = 128
	// MaxBlob is the longest result, in bytes.
	MaxBlob = 1024
	// PCRs is their number: 0 to 23.
	PCRs = 24

	blobMagic = "otadSEAL1"
	maskLen   = PCRs / 8
	theSealed = "the sealed data"
)

// pcrMask is a set of PCRs, one bit each, as the TPM wants it.
type pcrMask [maskLen]byte

func newMask(pcrs []int) (m pcrMask, err error) {
	for _, p := range pcrs {
		if p < 0 || p >= PCRs {
			return m, fmt.Errorf("TPM: there is no PCR %d: 0 to %d", p, PCRs-1)
		}
		m[p/8] |= 1 << (p % 8)
	}
	return m, m.check()
}

func (m pcrMask) check() error {
	if m == (pcrMask{}) {
		return errors.New("TPM: sealing to no PCR at all is sealing to nothing")
	}
	return nil
}

// policy tells the TPM, in a session, to look at the PCRs as they are now.
func (m pcrMask) policy(tpm transport.TPM, session tpm2.TPMISHPolicy, _ tpm2.TPM2BNonce) error {
	_, err := tpm2.PolicyPCR{PolicySession: session, Pcrs: tpm2.TPMLPCRSelection{
		PCRSelections: []tpm2.TPMSPCRSelection{{Hash: tpm2.TPMAlgSHA256, PCRSelect: m[:]}},
	}}.Execute(tpm)
	return err
}

// digest is the policy that only the present state of the PCRs satisfies.
func (m pcrMask) digest(tpm transport.TPM) ([]byte, error) {
	s, end, err := tpm2.PolicySession(tpm, tpm2.TPMAlgSHA256, nonceLen, tpm2.Trial())
	if err != nil {
		return nil, err
	}
	defer func() { _ = end() }() // a session that stays is one place less until the TPM is closed
	if err := m.policy(tpm, s.Handle(), tpm2.TPM2BNonce{}); err != nil {
		return nil, err
	}
	got, err := tpm2.PolicyGetDigest{PolicySession: s.Handle()}.Execute(tpm)
	if err != nil {
		return nil, err
	}
	return got.PolicyDigest.Buffer, nil
}

// Seal encrypts data of 1 to MaxSealed bytes so that only this TPM can decrypt
// it, and only while the PCRs (of the SHA-256 bank) are as now: the system was
// started by the same firmware, boot loader and kernel, as far as those measure
// themselves into these PCRs. The result is no secret. It takes a storage root
// key, which every Provision function makes, else it is ErrNotProvisioned.
func (t *TPM) Seal(data []byte, pcrs []int) ([]byte, error) {
	if len(data) == 0 || len(data) > MaxSealed {
		return nil, fmt.Errorf("TPM: %d bytes to seal, possible are 1 to %d (seal a key, and encrypt with that)", len(data), MaxSealed)
	}
	mask, err := newMask(pcrs)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	r, err := t.root()
	if err != nil {
		return nil, err
	}
	policy, err := mask.digest(t.dev)
	if err != nil {
		return nil, explain("read the PCRs", err)
	}
	made, err := t.create(r, theSealed, data, tpm2.TPMTPublic{
		Type: tpm2.TPMAlgKeyedHash, NameAlg: tpm2.TPMAlgSHA256,
		// Without UserWithAuth the policy is the only way.
		ObjectAttributes: tpm2.TPMAObject{FixedTPM: true, FixedParent: true, NoDA: true},
		AuthPolicy:       tpm2.TPM2BDigest{Buffer: policy},
	})
	if err != nil {
		return nil, err
	}
	return blob{mask, made.OutPrivate.Buffer, made.OutPublic.Bytes()}.bytes(), nil
}

// Unseal gives what was sealed. The error is ErrSealed when the PCRs are not as
// they were, and ErrOther when another TPM sealed it or it was altered.
func (t *TPM) Unseal(sealed []byte) ([]byte, error) {
	b, err := parseBlob(sealed)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	r, err := t.root()
	if err != nil {
		return nil, err
	}
	o, err := t.load(r, theSealed, tpm2.TPM2BPrivate{Buffer: b.private}, tpm2.BytesAs2B[tpm2.TPMTPublic](b.public))
	if errors.Is(err, tpm2.TPMRCIntegrity) {
		return nil, fmt.Errorf("TPM: %s: %w: another TPM sealed it, or it was altered", theSealed, ErrOther)
	}
	if err != nil {
		return nil, err
	}
	defer t.flush(o.handle)
	got, err := tpm2.Unseal{ItemHandle: tpm2.AuthHandle{Handle: o.handle, Name: o.name,
		Auth: tpm2.Policy(tpm2.TPMAlgSHA256, nonceLen, b.mask.policy,
			tpm2.Salted(r.handle, r.public), tpm2.AESEncryption(aesBits, tpm2.EncryptOut)),
	}}.Execute(t.dev)
	if errors.Is(err, tpm2.TPMRCPolicyFail) || errors.Is(err, tpm2.TPMRCPCRChanged) {
		return nil, fmt.Errorf("TPM: %w", ErrSealed)
	}
	if err != nil {
		return nil, explain("unseal", err)
	}
	return got.OutData.Buffer, nil
}

// blob is sealed data at rest: the magic word, the PCRs, and the two halves of
// the object, each after its length in two bytes.
type blob struct {
	mask            pcrMask
	private, public []byte
}

func (b blob) bytes() []byte {
	to := append([]byte(blobMagic), b.mask[:]...)
	for _, half := range [][]byte{b.private, b.public} {
		to = binary.BigEndian.AppendUint16(to, uint16(len(half)))
		to = append(to, half...)
	}
	return to
}

func parseBlob(text []byte) (b blob, err error) {
	const head = len(blobMagic) + maskLen
	if len(text) > MaxBlob || len(text) < head || string(text[:len(blobMagic)]) != blobMagic {
		return blob{}, errors.New("TPM: this is no sealed data")
	}
	copy(b.mask[:], text[len(blobMagic):])
	text = text[head:]
	for _, half := range []*[]byte{&b.private, &b.public} {
		if len(text) < 2 || len(text)-2 < int(binary.BigEndian.Uint16(text)) {
			return blob{}, errors.New("TPM: the sealed data is cut off")
		}
		n := int(binary.BigEndian.Uint16(text))
		if n == 0 {
			return blob{}, errors.New("TPM: the sealed data is incomplete")
		}
		*half, text = text[2:2+n], text[2+n:]
	}
	if len(text) != 0 {
		return blob{}, errors.New("TPM: something follows the sealed data")
	}
	return b, b.mask.check()
}
