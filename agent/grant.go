package agent

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/verify"
)

// trust is the policy's word on what was announced. What a manifest says beyond
// the notice is kept in the record, and held against the package and the image
// when they are there.
func (a *Agent) trust(_ context.Context, u *Update) error {
	n := &u.Notice
	level, err := a.security(n.Module)
	if err != nil {
		return fmt.Errorf("the counter that keeps older systems out cannot be read: %w", err)
	}
	policy := a.cfg.Trust
	if u.Bundle != nil && a.cfg.TrustBundles != nil {
		policy = a.cfg.TrustBundles
	}
	g, err := policy.Check(n, verify.Device{Product: a.cfg.Product, Version: a.versions[n.Module],
		SecurityVersion: level, Now: a.cfg.Clock()})
	if err != nil {
		return err
	}
	if u.Bundle != nil && !g.Manifest {
		return errors.New("a bundle is installed only with a manifest that the keys of this device have signed: see [trust] keys")
	}
	if g.Manifest {
		switch f := n.Files[0]; {
		case len(n.Files) != 1:
			return fmt.Errorf("the manifest is of one file, the package has %d", len(n.Files))
		case f.Size != g.PackageSize:
			return fmt.Errorf("the package was announced with %d bytes, its manifest says %d", f.Size, g.PackageSize)
		case n.SignMethod == ota.SHA256 && f.Sign != g.PackageSHA256:
			return errors.New("the package was announced with another SHA-256 than its manifest says")
		case g.SecurityVersion < level:
			return fmt.Errorf("security version %d is older than %d, which this device has seen", g.SecurityVersion, level)
		}
	}
	signed := grant(g)
	u.Grant = &signed
	return nil
}

// digests are those of a package as it comes: the announced one, and SHA-256 as
// well when a manifest names it and the announced one is MD5.
type digests struct {
	hash.Hash
	signed hash.Hash // nil when the announced one says it all
}

func newDigests(u *Update) (*digests, error) {
	announced, err := verify.NewDigest(u.Notice.SignMethod)
	if err != nil {
		return nil, err
	}
	d := &digests{Hash: announced}
	if u.Grant.Manifest && u.Notice.SignMethod != ota.SHA256 {
		d.signed, err = verify.NewDigest(ota.SHA256)
	}
	return d, err
}

// Write implements io.Writer; it never fails.
func (d *digests) Write(p []byte) (int, error) {
	if d.signed != nil {
		d.signed.Write(p)
	}
	return d.Hash.Write(p)
}

// sums gives the digests in hexadecimal; signed is empty when nobody asked for it.
func (d *digests) sums() (announced, signed string) {
	if d.signed != nil {
		signed = hex.EncodeToString(d.signed.Sum(nil))
	}
	return hex.EncodeToString(d.Hash.Sum(nil)), signed
}

// save puts the states of both into a mark, and restore takes them from there.
func (d *digests) save(m *mark) (err error) {
	if m.Package, err = stateOf(d.Hash); err == nil && d.signed != nil {
		m.Signed, err = stateOf(d.signed)
	}
	return err
}

func (d *digests) restore(m mark) error {
	if err := restore(d.Hash, m.Package); err != nil || d.signed == nil {
		return err
	}
	return restore(d.signed, m.Signed)
}

// packageAsSigned compares what came with the manifest, if there is one.
func (u *Update) packageAsSigned() error {
	if !u.Grant.Manifest {
		return nil
	}
	sum := u.SHA256
	if u.Notice.SignMethod == ota.SHA256 {
		sum = u.Digest
	}
	if err := equalHex(u.Grant.PackageSHA256, sum); err != nil {
		return fmt.Errorf("the package is not the signed one: %w", err)
	}
	return nil
}

// imageAsSigned compares what was made of the package with the manifest.
func (u *Update) imageAsSigned() error {
	g, im := u.Grant, u.Image
	if !g.Manifest || g.ImageSHA256 == "" {
		return nil // a manifest that names no image is of the package alone
	}
	if im.Size != g.ImageSize {
		return fmt.Errorf("the image has %d bytes, signed are %d", im.Size, g.ImageSize)
	}
	if err := equalHex(g.ImageSHA256, im.SHA256); err != nil {
		return fmt.Errorf("the image is not the signed one: %w", err)
	}
	return nil
}

func equalHex(want, got string) error {
	sum, err := hex.DecodeString(got)
	if err != nil {
		return err
	}
	return verify.Equal(want, sum)
}

// source is the image that a patch is made for: the one that the manifest names,
// else the one that the record says the running slot holds, else the one that a native
// patch named and that was found there.
func (a *Agent) source(u *Update) (im Image, known bool) {
	im, known = a.rec.Images[a.running.Name()]
	if g := u.Grant; g.Manifest && g.SourceSHA256 != "" && g.SourceSize > 0 {
		return Image{Size: g.SourceSize, SHA256: g.SourceSHA256}, true
	}
	if !known && u.Source != nil {
		return *u.Source, true
	}
	return im, known
}

// security is the lowest security version that may still be installed of a
// module. That of the system is the counter's, when the device has one; the
// record's counts all the same, in case the counter could not be raised.
func (a *Agent) security(module string) (uint64, error) {
	level := a.rec.Security[module]
	if a.cfg.Counter == nil || module != a.system.Name {
		return level, nil
	}
	v, err := a.cfg.Counter.Value()
	return max(v, level), err
}

// raise notes the security version of what was just kept. A counter that cannot
// be raised makes no good system a bad one: it is tried again at each start.
func (a *Agent) raise(u *Update) {
	if g := u.Grant; g != nil && g.Manifest && g.SecurityVersion > a.rec.Security[u.Notice.Module] {
		if a.rec.Security == nil {
			a.rec.Security = make(map[string]uint64)
		}
		a.rec.Security[u.Notice.Module] = g.SecurityVersion
	}
	a.raiseCounter()
}

func (a *Agent) raiseCounter() {
	level := a.rec.Security[a.system.Name]
	if a.cfg.Counter == nil || level == 0 {
		return
	}
	if err := a.cfg.Counter.Raise(level); err != nil {
		a.cfg.Log.Error("the counter that keeps older systems out cannot be raised", "to", level, "err", err)
	}
}
