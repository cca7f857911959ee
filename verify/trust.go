package verify

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

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
	// RequireManifest wants a manifest that enough keys have signed.
	RequireManifest Requirement = "manifest"
)

// Trust is a device's policy: whose packages it installs. It is checked before
// the first byte is fetched, since all that is signed is signed of what is
// announced; that the package is that is seen when it is there. A Trust is safe
// for use by several goroutines as long as nobody changes it.
type Trust struct {
	// Require is what every notice must carry.
	Require Requirement
	// Keys are those that may have signed.
	Keys KeySet
	// MinMethod is the weakest digest that a notice may have: SHA256 refuses
	// Md5 (fault T12). Empty: either.
	MinMethod ota.SignMethod
	// Certificates lets signers with a certificate sign manifests, when it is
	// not nil. Each counts like a key.
	Certificates Certificates
}

// Certificates checks signatures that carry the signer's certificate.
type Certificates interface {
	// Signer returns the signer's SubjectPublicKeyInfo in DER when signature is
	// that of message by one whose certificate is good at the time now.
	Signer(message, signature []byte, now time.Time) (spki []byte, err error)
}

// NewTrust makes a policy, and refuses one that could never say yes, or that
// says it where it should not. Fields that are set afterwards are checked by
// Check; who trusts certificates alone gives a set with nothing but a threshold.
func NewTrust(require Requirement, set KeySet) (*Trust, error) {
	t := &Trust{Require: require, Keys: set}
	if err := set.check(); err != nil {
		return nil, fmt.Errorf("trust: %w", err)
	}
	if require == RequireManifest && len(set.Keys) == 0 && set.Threshold > 0 {
		return t, nil
	}
	if err := t.usable(); err != nil {
		return nil, err
	}
	return t, nil
}

// usable refuses policies that are none. A Trust that was not made by NewTrust
// meets it in Check, so that its zero value trusts nobody.
func (t *Trust) usable() error {
	switch t.MinMethod {
	case "", ota.MD5, ota.SHA256:
	default:
		return fmt.Errorf("trust: the weakest digest is %.20q (want %q or %q)", string(t.MinMethod), ota.MD5, ota.SHA256)
	}
	switch t.Require {
	case RequireDigest:
		return nil
	case RequireDigestSign:
		if t.Keys.count(RoleDigestSign) == 0 {
			return errors.New("trust: digestsign is required and there are no keys to check it with (set [trust] keys; they are RSA)")
		}
		return nil
	case RequireManifest:
		switch {
		case !t.checksManifests():
			return errors.New("trust: a manifest is required and there are no keys to check it with (set [trust] keys)")
		case t.Keys.Threshold < 1: // T8
			return errors.New("trust: a manifest is required, and not how many keys must have signed it (want a threshold of at least 1)")
		}
		return nil
	}
	return fmt.Errorf("trust: require = %.40q (want %q, %q or %q)", string(t.Require), RequireDigest, RequireDigestSign, RequireManifest)
}

func (t *Trust) checksManifests() bool {
	return t.Keys.count(RoleManifest) > 0 || t.Certificates != nil
}

// Check returns nil when the device d may act on the notice, and what of the
// package is signed. A digestsign or manifest that is there and can be checked
// must be right even where none is required; only where a manifest is required,
// which says more, a digestsign is not looked at.
func (t *Trust) Check(n *ota.Notice, d Device) (Grant, error) {
	if err := t.usable(); err != nil {
		return Grant{}, err
	}
	digests, err := t.digests(n)
	if err != nil {
		return Grant{}, err
	}
	g, err := t.manifest(n, digests, d)
	if err != nil {
		return Grant{}, err
	}
	if t.Require == RequireManifest {
		if !g.Manifest {
			return Grant{}, errors.New("trust: the package has no signed manifest, and this device wants one (otapack sign makes it, for the package's custom info)")
		}
		return g, nil
	}
	if err := t.digestSign(n, digests, d); err != nil {
		return Grant{}, err
	}
	return g, nil
}

// digests are those of the notice's files, in bytes.
func (t *Trust) digests(n *ota.Notice) ([][]byte, error) {
	if n == nil || len(n.Files) == 0 {
		return nil, errors.New("trust: the notice announces no file")
	}
	if n.SignMethod == ota.MD5 && t.MinMethod == ota.SHA256 { // T12
		return nil, errors.New("trust: the digest is Md5, and this device wants SHA256 (choose it for the package)")
	}
	digests := make([][]byte, len(n.Files))
	for i, f := range n.Files {
		d, err := decodeDigest(f.Sign, n.SignMethod.DigestLen())
		if err != nil {
			return nil, fmt.Errorf("trust: file %d: %w", i+1, err)
		}
		digests[i] = d
	}
	return digests, nil
}

// manifest checks the manifest in the package's custom info. Without one, or
// without anything to check it with, nothing is granted.
func (t *Trust) manifest(n *ota.Notice, digests [][]byte, d Device) (Grant, error) {
	if !HasManifest(n.UDI) || !t.checksManifests() {
		return Grant{}, nil
	}
	s, err := ParseSigned(KindManifest, n.UDI)
	if err != nil {
		return Grant{}, fmt.Errorf("trust: manifest: %w", err)
	}
	// The signatures first: nothing in the body is looked at before (T11).
	if err := t.signedManifest(s, d); err != nil {
		return Grant{}, fmt.Errorf("trust: manifest: %w", err)
	}
	m, err := DecodeManifest(s.Body)
	if err != nil {
		return Grant{}, fmt.Errorf("trust: %w", err)
	}
	if len(digests) != 1 { // T3
		return Grant{}, fmt.Errorf("trust: the manifest is of one file, and the package has %d", len(digests))
	}
	if err := m.covers(n, digests[0], d); err != nil {
		return Grant{}, fmt.Errorf("trust: manifest: %w", err)
	}
	return Grant{
		Manifest: true, PackageSize: m.Package.Size, PackageSHA256: m.Package.SHA256,
		ImageSize: m.Image.Size, ImageSHA256: m.Image.SHA256,
		SourceSize: m.Source.Size, SourceSHA256: m.Source.SHA256, SecurityVersion: m.SecurityVersion,
	}, nil
}

// signedManifest returns nil when enough keys and certificates have signed.
func (t *Trust) signedManifest(s Signed, d Device) error {
	if t.Keys.Threshold < 1 { // T8
		return fmt.Errorf("a threshold of %d signatures accepts none", t.Keys.Threshold)
	}
	count, why, err := s.signedBy(t.Keys.Keys, func(k Key) error {
		if err := notRevoked(k, t.Keys.Revoked); err != nil {
			return err
		}
		return k.usable(RoleManifest, d)
	})
	if err != nil {
		return err
	}
	for _, sig := range s.Signatures {
		if sig.Algorithm != CMS {
			continue
		}
		if err := t.certified(s, sig, d.Now); err != nil {
			why = append(why, fmt.Sprintf("certificate of key %s: %v", sig.KeyID, err))
			continue
		}
		count++
	}
	if count < t.Keys.Threshold {
		return fmt.Errorf("signed by %d of the keys that this device trusts, %d are wanted%s", count, t.Keys.Threshold, because(why))
	}
	return nil
}

// certified checks one signature that carries a certificate. Its key is the one
// that it says, so that one key cannot count twice.
func (t *Trust) certified(s Signed, sig Signature, now time.Time) error {
	if t.Certificates == nil {
		return errors.New("certificates are not trusted here")
	}
	if now.IsZero() {
		return errors.New("certificates expire, and the time is not known here")
	}
	spki, err := t.Certificates.Signer(s.Message(), sig.Value, now)
	if err != nil {
		return err
	}
	pub, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return err
	}
	id, err := KeyID(pub)
	switch {
	case err != nil:
		return err
	case id != sig.KeyID:
		return fmt.Errorf("it is of the key %s", id)
	case slices.Contains(t.Keys.Revoked, id):
		return errors.New("it is revoked")
	}
	return nil
}

// digestSign checks the digestsign (protocol section 7).
func (t *Trust) digestSign(n *ota.Notice, digests [][]byte, d Device) error {
	if n.DigestSign == "" && t.Require == RequireDigestSign {
		return errors.New("trust: the package is not signed (it has no digestsign), and this device wants it to be")
	}
	if n.DigestSign == "" || t.Keys.count(RoleDigestSign) == 0 {
		return nil
	}
	if len(digests) > 1 {
		return fmt.Errorf("trust: the digestsign is of one file, and the package has %d", len(digests))
	}
	var why []string
	for _, k := range t.Keys.Keys {
		if k.rsa() == nil || !k.signs(RoleDigestSign) {
			continue
		}
		err := notRevoked(k, t.Keys.Revoked)
		if err == nil {
			err = k.usable(RoleDigestSign, d)
		}
		if err == nil {
			err = VerifyDigestSign(k.rsa(), n.SignMethod, digests[0], n.DigestSign)
		}
		if err == nil {
			return nil
		}
		why = append(why, fmt.Sprintf("%s: %v", k.Name, err))
	}
	return fmt.Errorf("trust: no key has signed this package%s", because(why))
}

// because joins the reasons for a refusal.
func because(why []string) string {
	if len(why) == 0 {
		return ""
	}
	return ": " + strings.Join(why, "; ")
}
