package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/leapslot/ota"
)

// Errors of Install that callers act on, besides [ErrBusy].
var (
	// ErrInstalled means that the version runs already.
	ErrInstalled = errors.New("this version is installed already")
	// ErrPaused means that nothing begins before Resume.
	ErrPaused = errors.New("the device is paused")
)

// Bundle is what a file for installing without the cloud turns out to hold. Until
// its manifest has been checked it is a claim, as a notice is.
type Bundle struct {
	// Notice is the manifest as a notice: module, version, kind, the one file with
	// its size and SHA-256, and the manifest itself in UDI. Its URL is not used.
	Notice ota.Notice
	// Payload is the package, as a section of the file that was opened.
	Payload *io.SectionReader
}

// bundle is a package in a file of this device, as the record holds it.
type bundle struct {
	Path    string `json:"path"`
	Offset  int64  `json:"offset"`            // of the package in the file
	Offline bool   `json:"offline,omitempty"` // the cloud had not been reached when it began
}

// Install begins an update from a bundle, and returns when that is recorded:
// Status and History say what becomes of it. It walks the corridor as any other
// update does, is gone on with after a power cut as long as the file is there,
// and its result is reported when the cloud is next reached. Without a manifest
// that this device's keys have signed it fails at Trust, whatever the policy
// wants of packages from the cloud.
//
// A device that is offline when it begins need not reach the cloud to be well
// afterwards. [ErrBusy], [ErrPaused], [ErrInstalled]; any other error says what is
// wrong with the file.
func (a *Agent) Install(ctx context.Context, path string) error {
	if a.Status().Stage != Idle {
		return ErrBusy
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	n, from, err := a.readBundle(path)
	if err != nil {
		return fmt.Errorf("bundle %s: %w", path, err)
	}
	return a.order(ctx, false, func() error {
		switch {
		case a.rec.Update != nil:
			return ErrBusy
		case a.rec.Paused:
			return ErrPaused
		case a.versions[n.Module] == n.Version:
			return ErrInstalled
		}
		a.begin(n, &bundle{path, from, !a.online})
		return nil
	})
}

func (a *Agent) readBundle(path string) (n ota.Notice, from int64, err error) {
	if a.cfg.OpenBundle == nil {
		return n, 0, errors.New("this agent installs no bundles")
	}
	f, err := os.Open(path)
	if err != nil {
		return n, 0, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return n, 0, err
	}
	if !st.Mode().IsRegular() {
		return n, 0, errors.New("it is no regular file")
	}
	b, err := a.cfg.OpenBundle(f, st.Size())
	if err != nil {
		return n, 0, err
	}
	n = b.Notice
	if len(n.Files) != 1 || b.Payload == nil || b.Payload.Size() != n.Files[0].Size {
		return n, 0, errors.New("it does not hold the one file that its manifest names")
	}
	n.Stream = nil
	n.Files = []ota.File{n.Files[0]}
	n.Files[0].URL = "file:" // nobody asks for it; a notice without one is refused
	_, from, _ = b.Payload.Outer()
	return n, from, n.Validate()
}

// open gives the package from an offset on. Should the file have been exchanged
// since it was looked at, the digests say so.
func (b *bundle) open(size, from int64) (body, error) {
	f, err := os.Open(b.Path)
	if err != nil {
		return nil, fmt.Errorf("the bundle is gone: %w", err)
	}
	return bundleBody{io.NewSectionReader(f, b.Offset+from, size-from), f}, nil
}

type bundleBody struct {
	io.Reader
	io.Closer
}

// Validator implements body: a file has none.
func (bundleBody) Validator() string { return "" }
