// Package verify says yes or no to bytes: is this the package that was
// announced, and was it announced by somebody whose key this device holds?
//
// The promise: no is the answer to everything that is missing, malformed,
// unknown or too long. Nothing here decides by a name, and nothing of a notice
// is taken apart further than is needed to check it.
//
// What a yes is worth: a digest (the sign field of a notice, which is no
// signature) proves that the package is the announced one, and nothing about
// who announced it. A digestsign (protocol section 7) proves that the holder of
// the product's key once signed a package with this digest. It covers neither
// version nor module nor size, so that an older package that was signed once is
// accepted again, and with Md5 it is as weak as MD5 is: who can make two
// packages of one MD5 can have one signed and send the other. A signed manifest
// (docs/manifest.md) names product, module, version, both digests and a security
// version, so that none of that is left to who announces it.
//
// No private key and no clock is here: the time comes with the Device, and what
// signs for the build host takes a crypto.Signer.
//
// There are two constructors of digests, since one implementation cannot do
// both things well. [NewDigest] is of the standard library: the state of its
// digests can be saved with a download's checkpoint and restored after a
// restart, and the standard library says so in its documentation. [NewSHA256]
// is of github.com/minio/sha256-simd: for reading back what was written, where
// nothing is saved. Which is faster depends on the processor, and
// BenchmarkSHA256 compares them.
package verify

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"

	simd "github.com/minio/sha256-simd"

	"github.com/leapslot/ota"
)

// NewDigest makes the digest of a method. It is an encoding.BinaryMarshaler and
// encoding.BinaryUnmarshaler, so that its state can be saved and restored, also
// by another build of the program.
func NewDigest(method ota.SignMethod) (hash.Hash, error) {
	switch method {
	case ota.MD5:
		return md5.New(), nil
	case ota.SHA256:
		return sha256.New(), nil
	}
	return nil, fmt.Errorf("digest: unknown method %.20q", string(method))
}

// NewSHA256 makes a SHA-256 whose state cannot be saved.
func NewSHA256() hash.Hash { return simd.New() }

// Equal returns nil when the announced digest, in hexadecimal digits of any
// case, is that of sum. Anything but exactly the right number of digits is
// refused, blanks around them too, and so is an empty sum (fault T15, T3).
func Equal(announced string, sum []byte) error {
	want, err := decodeDigest(announced, len(sum))
	if err != nil {
		return err
	}
	if !bytes.Equal(want, sum) {
		return fmt.Errorf("digest %.6x..., announced was %.6x...", sum, want)
	}
	return nil
}

// decodeDigest reads the hexadecimal digits of a digest of n bytes.
func decodeDigest(announced string, n int) ([]byte, error) {
	if n == 0 {
		return nil, errors.New("digest: there is none to compare with")
	}
	if len(announced) != 2*n {
		return nil, fmt.Errorf("digest: announced are %d hexadecimal digits, want %d", len(announced), 2*n)
	}
	b, err := hex.DecodeString(announced)
	if err != nil {
		return nil, fmt.Errorf("digest: announced %.64q is not hexadecimal", announced)
	}
	return b, nil
}
