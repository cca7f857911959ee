// Package tpm keeps in a TPM 2.0 what a device must not lose to who copies its
// disk: the secret that it signs in with, the private key of its TLS
// certificate, the security version below which it takes no image, and small
// sealed data.
//
// The promise: the secret and the key are used inside the TPM and cannot be
// read out of it, not by root either. The security version never goes back,
// whatever happens to the disk. A program that was interrupted anywhere in here
// is run again and comes to the same end. Nothing that is missing counts as
// zero or empty: it is [ErrNotProvisioned].
//
// The trust: who may open the TPM (root) can use the secret and the key, and
// can raise the security version, while it is on the device. To remove any of
// it, and so to start a counter anew, takes the owner's password. A device that
// was given none is safe from a copied or replaced disk, and not from its own
// root, who can set up another counter. Whoever holds the lockout password, or
// the platform's firmware, can clear the TPM: then the device's secret is gone
// as well, and it cannot sign in. Secrets, passwords and what is unsealed go to
// and from the chip encrypted, and answers are authenticated, in sessions
// salted with the storage root key. That is against who listens on the bus; it
// is not against who replaces the chip, because the root key's name is taken
// from the chip itself.
//
// All objects are exempt from the TPM's lockout after wrong passwords, so a
// lockout that others caused does not keep the device from signing in.
package tpm

import (
	"errors"
	"fmt"
	"sync"

	"github.com/google/go-tpm/tpm2"
)

// Errors that a caller acts on. Others say what failed and what to do.
var (
	// ErrNoTPM: nothing answers there, or not as a TPM 2.0 does.
	ErrNoTPM = errors.New("there is no TPM 2.0")
	// ErrNotProvisioned: this TPM does not hold it, or only a part of it.
	ErrNotProvisioned = errors.New("it has not been set up in this TPM")
	// ErrOther: the TPM holds another one, something else stands in its place, or
	// what was sealed is another TPM's.
	ErrOther = errors.New("it is not the one that is wanted")
	// ErrSealed: the system is not in the state that the data was sealed to.
	ErrSealed = errors.New("the system was not started as when this was sealed")
	// ErrTooFar: a security version that is too much higher.
	ErrTooFar = errors.New("the security version is too far ahead")
)

// Where things are in the TPM: persistent objects and NV indices of the owner.
// The first is the place that everybody's storage root key has.
const (
	rootHandle   = tpm2.TPMHandle(0x81000001)
	secretHandle = tpm2.TPMHandle(0x81004F01)
	keyHandle    = tpm2.TPMHandle(0x81004F02)
	counterIndex = tpm2.TPMHandle(0x01804F01)
	baseIndex    = tpm2.TPMHandle(0x01804F02)
)

// MaxPassword is the longest owner's password, in bytes.
const MaxPassword = 32

// TPM is an open TPM. Its methods, and those of what it gives, may be called
// from any goroutine; they wait for each other. A call takes milliseconds on an
// emulator, and up to some seconds on a slow or busy chip; see [Counter.Raise].
type TPM struct {
	mu    sync.Mutex
	dev   *device
	maker string
}

// Open opens the TPM at path: a device node (/dev/tpmrm0, which several
// programs may use at once) or the Unix socket of an emulator, which is started
// when it has not been yet. The error is ErrNoTPM when nothing of the kind is
// there, and os.ErrPermission when it must not be opened.
func Open(path string) (*TPM, error) {
	dev, err := openDevice(path)
	if err != nil {
		return nil, err
	}
	maker, err := dev.start()
	if err != nil {
		dev.Close()
		return nil, fmt.Errorf("TPM %s: %w", path, err)
	}
	return &TPM{dev: dev, maker: maker}, nil
}

// Close closes it. What came from it must not be used any more.
func (t *TPM) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.dev.Close()
}

// Maker is the four letters of the manufacturer: "IBM", "INTC", "IFX", "STM".
func (t *TPM) Maker() string { return t.maker }

// checkPassword refuses what cannot be used as it is: TPMs drop zero bytes at a
// password's end.
func checkPassword(owner []byte) error {
	if len(owner) > MaxPassword {
		return fmt.Errorf("the owner's password has %d bytes, at most %d are possible", len(owner), MaxPassword)
	}
	for _, b := range owner {
		if b == 0 {
			return errors.New("the owner's password has a zero byte in it, which TPMs do not keep")
		}
	}
	return nil
}

// explain says what a refusal means to people.
func explain(doing string, err error) error {
	hint := ""
	for _, h := range [...]struct {
		rc   tpm2.TPMRC
		hint string
	}{
		{tpm2.TPMRCBadAuth, "the owner's password is wrong or missing"},
		{tpm2.TPMRCAuthFail, "the owner's password is wrong or missing"},
		{tpm2.TPMRCLockout, "the TPM is locked after wrong passwords: wait until its recovery time is over, or reset it with the lockout password (tpm2_dictionarylockout)"},
		{tpm2.TPMRCRetry, "the TPM was busy all the time: try again later"},
		{tpm2.TPMRCYielded, "the TPM was busy all the time: try again later"},
		{tpm2.TPMRCTesting, "the TPM is still testing itself: try again later"},
		{tpm2.TPMRCNVRate, "the TPM limits how often it is written to: try again later"},
		{tpm2.TPMRCNVSpace, "the TPM's memory is full: remove persistent objects or NV indices that are not in use (tpm2_getcap handles-persistent, handles-nv-index)"},
		{tpm2.TPMRCFailure, "the TPM has failed its self-test: power the device off and on"},
		{tpm2.TPMRCObjectMemory, "another program left objects in the TPM: use /dev/tpmrm0 rather than /dev/tpm0"},
		{tpm2.TPMRCSessionMemory, "another program left sessions in the TPM: use /dev/tpmrm0 rather than /dev/tpm0"},
		{tpm2.TPMRCCommandCode, "this TPM lacks the command"},
	} {
		if errors.Is(err, h.rc) {
			hint = " (" + h.hint + ")"
		}
	}
	return fmt.Errorf("TPM: %s: %w%s", doing, err, hint)
}
