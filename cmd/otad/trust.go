package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/agent"
	"github.com/leapslot/ota/platform/durable"
	"github.com/leapslot/ota/verify"
	"github.com/leapslot/ota/verify/bundle"
)

// keysName is the pair of files in the state directory that remembers the highest
// version of a key list, so that an older one is not believed again.
const keysName = "keys"

// newTrust reads the keys. stateDir is where the version of the key list is
// remembered, "" for a check that remembers nothing.
func newTrust(stateDir string, t trustConfig, opt verify.KeyOptions) (*verify.Trust, error) {
	keys := verify.KeySet{Threshold: max(t.Threshold, 1)}
	opt.Threshold, opt.ListThreshold = t.Threshold, t.ListThreshold
	if t.Keys != "" {
		list, err := openListVersion(stateDir)
		if err != nil {
			return nil, err
		}
		opt.ListVersion = list.version
		if keys, err = verify.LoadPublicKeys(t.Keys, opt); err != nil {
			return nil, exitf(exitConfig, "trust.keys", "%w (every .pem there must be a public key of the product)", err)
		}
		if err := list.raise(keys.ListVersion); err != nil {
			return nil, err
		}
	}
	trust, err := verify.NewTrust(verify.Requirement(t.Require), keys)
	if err != nil {
		return nil, exitf(exitConfig, "trust", "%w (correct [trust])", err)
	}
	trust.MinMethod = ota.SignMethod(t.MinMethod)
	if t.Roots != "" {
		trust.Certificates, err = newCertificates(t.Roots)
	}
	return trust, err
}

// listVersion is the highest version of a key list that was used here.
type listVersion struct {
	pair    *durable.Pair // nil: not remembered
	version uint64
}

func openListVersion(stateDir string) (l listVersion, err error) {
	if stateDir == "" {
		return l, nil
	}
	if l.pair, err = durable.OpenPair(stateDir, keysName); err != nil {
		return l, exitf(exitConfig, "trust.keys", "%s: %w (see state_dir)", stateDir, err)
	}
	b, err := l.pair.Load()
	switch {
	case errors.Is(err, durable.ErrNone):
		return l, nil
	case err == nil && len(b) == 8:
		l.version = binary.BigEndian.Uint64(b)
		return l, nil
	case err == nil:
		err = fmt.Errorf("%d bytes, wanted are 8", len(b))
	}
	return l, exitf(exitConfig, "trust.keys", "the version of the key list that was used last cannot be read from %s: %w (an older list could be passed off; remove the files only when you are sure)", l.pair.Path(0), err)
}

func (l listVersion) raise(to uint64) error {
	if l.pair == nil || to <= l.version {
		return nil
	}
	if err := l.pair.Save(binary.BigEndian.AppendUint64(nil, to)); err != nil {
		return exitf(exitConfig, "trust.keys", "the version of the key list cannot be remembered: %w (see state_dir)", err)
	}
	return nil
}

// newCounter gives the security version of the TPM, or nil for that of the record.
func newCounter(c *config, t chip) (verify.Counter, error) {
	if c.Trust.Counter != "tpm" {
		return nil, nil
	}
	n, err := t.counter()
	if errors.Is(err, errNotSetUp) {
		return nil, exitf(exitConfig, "trust.counter", "the security version: %w (otad tpm counter sets it up; counter = \"record\" does without)", err)
	}
	if err != nil {
		return nil, exitf(exitConfig, "trust.counter", "%w (see otad tpm status)", err)
	}
	return n, nil
}

// openBundle looks into a file for installing without the cloud.
func openBundle(r io.ReaderAt, size int64) (agent.Bundle, error) {
	b, err := bundle.Open(r, size)
	if err != nil {
		return agent.Bundle{}, err
	}
	n, err := verify.NoticeOf(b.Manifest)
	if err != nil {
		return agent.Bundle{}, err
	}
	return agent.Bundle{Notice: *n, Payload: b.Package(r)}, nil
}

// bundleTrust is the policy for what comes without the cloud: a manifest, whatever is
// wanted of the cloud's packages. Without keys nothing is signed, and no bundle passes.
func bundleTrust(t *verify.Trust) (agent.Policy, error) {
	if len(t.Keys.Keys) == 0 && t.Certificates == nil || t.Require == verify.RequireManifest {
		return t, nil
	}
	b, err := verify.NewTrust(verify.RequireManifest, t.Keys)
	if err != nil {
		return nil, exitf(exitConfig, "trust", "%w (correct [trust])", err)
	}
	b.MinMethod, b.Certificates = t.MinMethod, t.Certificates
	return b, nil
}
