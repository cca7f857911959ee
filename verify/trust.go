package verify

import (
	"errors"
	"fmt"
	"strings"

	"github.com/leapslot/ota"
)

// Requirement is what a notice must carry to be acted on.
type Requirement string

// The requirements, from the weakest to the strongest.
const (
	// RequireDigest wants the digest of the package.
	RequireDigest Requirement = "digest"
	// RequireDigestSign wants a digestsign by one of the keys as well.
	RequireDigestSign Requirement = "digestsign"
	// RequireManifest wants a signed manifest. It is not built yet.
	RequireManifest Requirement = "manifest"
)

// Trust is a device's policy: whose packages it installs. It is checked before
// the first byte is fetched, since digest and digestsign are both of the
// announced digest; that the package has it is seen when it is there. A Trust
// is safe for use by several goroutines as long as nobody changes it.
type Trust struct {
	// Require is what every notice must carry.
	Require Requirement
	// Keys are those of which one must have signed.
	Keys KeySet
}

// NewTrust makes a policy, and refuses one that could never say yes, or that
// says it where it should not.
func NewTrust(require Requirement, set KeySet) (*Trust, error) {
	t := &Trust{Require: require, Keys: set}
	keys := set.Keys
	if err := t.usable(); err != nil {
		return nil, err
	}
	if len(keys) > MaxKeys {
		return nil, fmt.Errorf("trust: %d keys, at most %d are allowed", len(keys), MaxKeys)
	}
	for i, k := range keys {
		if err := checkKey(k.RSA); err != nil {
			return nil, fmt.Errorf("trust: key %s: %w", k.Name, err)
		}
		for _, other := range keys[:i] {
			if k.RSA.Equal(other.RSA) {
				return nil, fmt.Errorf("trust: %s and %s are the same key", other.Name, k.Name)
			}
		}
	}
	return t, nil
}

// usable refuses policies that are none. A Trust that was not made by NewTrust
// meets it in Check, so that its zero value trusts nobody.
func (t *Trust) usable() error {
	switch t.Require {
	case RequireDigest:
		return nil
	case RequireDigestSign:
		if len(t.Keys.Keys) == 0 {
			return errors.New("trust: digestsign is required and there are no keys to check it with (set [trust] keys)")
		}
		return nil
	case RequireManifest:
		return errors.New(`trust: require = "manifest" is not supported yet (use "digestsign")`)
	}
	return fmt.Errorf("trust: require = %.40q (want %q or %q)", string(t.Require), RequireDigest, RequireDigestSign)
}

// Check returns nil when the notice may be acted on. A digestsign that is there
// and can be checked must be right even where none is required.
func (t *Trust) Check(n *ota.Notice, d Device) (Grant, error) {
	return Grant{}, t.check(n)
}

func (t *Trust) check(n *ota.Notice) error {
	if err := t.usable(); err != nil {
		return err
	}
	if n == nil || len(n.Files) == 0 {
		return errors.New("trust: the notice announces no file")
	}
	digests := make([][]byte, len(n.Files))
	for i, f := range n.Files {
		d, err := decodeDigest(f.Sign, n.SignMethod.DigestLen())
		if err != nil {
			return fmt.Errorf("trust: file %d: %w", i+1, err)
		}
		digests[i] = d
	}
	if n.DigestSign == "" && t.Require == RequireDigestSign {
		return errors.New("trust: the package is not signed (it has no digestsign), and this device wants it to be")
	}
	if n.DigestSign == "" || len(t.Keys.Keys) == 0 {
		return nil
	}
	if len(digests) > 1 {
		return fmt.Errorf("trust: the digestsign is of one file, and the package has %d", len(digests))
	}
	return t.signed(n, digests[0])
}

// signed returns nil when one of the keys has signed the digest.
func (t *Trust) signed(n *ota.Notice, digest []byte) error {
	var why []string
	for _, k := range t.Keys.Keys {
		err := VerifyDigestSign(k.RSA, n.SignMethod, digest, n.DigestSign)
		if err == nil {
			return nil
		}
		why = append(why, fmt.Sprintf("%s: %v", k.Name, err))
	}
	return fmt.Errorf("trust: no key has signed this package: %s", strings.Join(why, "; "))
}
