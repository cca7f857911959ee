package gateway

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/agent/fetch"
	"github.com/leapslot/ota/platform/durable"
	"github.com/leapslot/ota/verify"
)

// A checkpoint is made every checkpointBytes or checkpointTime, whichever comes
// first: that much, at most, is fetched again after a power cut (W9).
const (
	checkpointBytes = 4 << 20
	checkpointTime  = time.Second

	copyBuffer   = 64 << 10
	spoolReserve = 1 << 20 // bytes that a package leaves free in the directory
	maxRestarts  = 3       // of a package that changes while it is fetched (N7)
	freshTime    = 2 * time.Minute
)

// fetch brings the package into the spool.
func (w *walk) fetch(ctx context.Context) (err error) {
	if w.spool, err = durable.OpenSpool(w.s.path); err != nil {
		return err
	}
	for restarts := 0; ; restarts++ {
		err := w.pull(ctx)
		if !errors.Is(err, fetch.ErrChanged) || restarts == maxRestarts {
			return err
		}
		w.g.cfg.Log.Warn("starting over: the package changed on the server", "device", w.s.Device.Device, "err", err)
		w.u.Mark = mark{}
	}
}

// pull fetches from the mark to the end. What the spool has beyond the mark may be
// zeros after a power cut, and is fetched again.
func (w *walk) pull(ctx context.Context) error {
	f := w.u.Notice.Files[0]
	have, err := w.spool.Size()
	if err != nil {
		return err
	}
	if have < w.u.Mark.Bytes {
		w.u.Mark = mark{}
	}
	if err := w.spool.Truncate(w.u.Mark.Bytes); err != nil {
		return err
	}
	if free, err := w.spool.Free(); err == nil && f.Size-w.u.Mark.Bytes+spoolReserve > free {
		return fmt.Errorf("the package needs %d bytes more, free are %d", f.Size-w.u.Mark.Bytes, free)
	}
	w.progress(w.fetchedPercent(w.u.Mark.Bytes)) // the first one starts the task's timeout in the cloud
	if w.u.Mark.Bytes == f.Size {
		return nil
	}
	body, err := w.open(ctx)
	if err != nil {
		return err
	}
	defer body.Close()
	return w.copy(body)
}

func (w *walk) copy(body body) error {
	at, due := w.u.Mark.Bytes, time.Now().Add(checkpointTime)
	buf := make([]byte, copyBuffer)
	for {
		n, err := body.Read(buf)
		if n > 0 {
			if _, werr := w.spool.WriteAt(buf[:n], at); werr != nil {
				return fmt.Errorf("writing at byte %d: %w", at, werr)
			}
			at += int64(n)
			w.progress(w.fetchedPercent(at))
		}
		// First the bytes are synced, then the record says that they are there; what
		// came before an error is worth keeping as well.
		if at > w.u.Mark.Bytes && (err != nil || at-w.u.Mark.Bytes >= checkpointBytes || !time.Now().Before(due)) {
			if serr := w.spool.Sync(); serr != nil {
				return fmt.Errorf("syncing the spool: %w", serr)
			}
			w.u.Mark, w.u.Starts, due = mark{at, body.Validator()}, 0, time.Now().Add(checkpointTime)
			if serr := w.s.save(); serr != nil {
				return serr
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (w *walk) fetchedPercent(at int64) int {
	return int(at * fetched / max(w.u.Notice.Files[0].Size, 1))
}

// verify compares the whole package with what was announced.
func (w *walk) verify(ctx context.Context) error {
	f := w.u.Notice.Files[0]
	h, err := verify.NewDigest(w.u.Notice.SignMethod)
	if err != nil {
		return err
	}
	if w.u.Notice.SignMethod == ota.SHA256 {
		h = verify.NewSHA256()
	}
	// With a manifest it is SHA-256 that counts, whatever was announced.
	both := io.Writer(h)
	var signed hash.Hash
	if w.grant.Manifest {
		signed = verify.NewSHA256()
		both = io.MultiWriter(h, signed)
	}
	for at, buf := int64(0), make([]byte, copyBuffer); at < f.Size; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := w.spool.ReadAt(buf[:min(int64(len(buf)), f.Size-at)], at)
		both.Write(buf[:n])
		if at += int64(n); err != nil && at < f.Size {
			return fmt.Errorf("the package cannot be read back at byte %d: %w", at, err)
		}
	}
	if have, err := w.spool.Size(); err != nil || have != f.Size {
		return fmt.Errorf("the package has %d bytes, announced were %d (%v)", have, f.Size, err)
	}
	err = verify.Equal(f.Sign, h.Sum(nil))
	if err == nil && signed != nil {
		if err = verify.Equal(w.grant.PackageSHA256, signed.Sum(nil)); err != nil {
			err = fmt.Errorf("this is not the package of the manifest: %w", err)
		}
	}
	if err != nil {
		w.u.Mark = mark{} // nothing of it is worth keeping
	}
	return err
}
