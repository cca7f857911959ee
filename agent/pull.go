package agent

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/agent/fetch"
	"github.com/leapslot/ota/agent/unpack"
	"github.com/leapslot/ota/verify"
)

const (
	copyBuffer    = 128 << 10
	maxEmptyReads = 100
	maxRestarts   = 3 // of a package that changes while it is fetched (N7)
)

// fetch brings the package: a full image is unpacked straight into the target
// slot, a patch goes into the spool as it is. What breaks at the reading end is
// returned; what breaks at the writing end is kept for the Write stage to
// report, because that is where it broke.
func (a *Agent) fetch(ctx context.Context, u *Update) error {
	if u.Digest != "" || u.Broken != "" {
		return nil
	}
	if u.Mark.In == 0 && u.Mark.Spooled == 0 {
		a.progress(u, 0) // starts the task's timeout in the cloud
	}
	for restarts := 0; ; restarts++ {
		err := a.pullOnce(ctx, u)
		switch {
		case restarts == maxRestarts:
			return err
		case errors.Is(err, errOther):
			a.cfg.Log.Info("going on in another way", "mqtt", u.Notice.Stream != nil)
			u.Validator = "" // the digest says whether it is the same file
		case errors.Is(err, fetch.ErrChanged):
			a.cfg.Log.Warn("starting over: the package changed on the server", "err", err)
			u.startOver()
		default:
			return err
		}
	}
}

func (u *Update) startOver() { u.Mark, u.Kind, u.Validator, u.Source = mark{}, "", "", nil }

// sink is where a package goes: a slot, or the spool.
type sink interface {
	io.WriterAt
	Sync() error
}

// pull is one walk of the package from the record's mark to its end.
type pull struct {
	a     *Agent
	u     *Update
	sink  sink
	limit int64 // bytes that the sink takes

	body   body
	source *source
	rest   io.Reader // source, and before it what was read of it to find out what it is
	reader opened
	pkg    *digests  // of the package, fed by reader
	image  hash.Hash // of the image; nil when those are the same bytes and the same digest, or none is wanted
	out    int64

	last int64     // package bytes read at the last checkpoint
	due  time.Time // of the next one
}

func (a *Agent) pullOnce(ctx context.Context, u *Update) error {
	p := &pull{a: a, u: u, due: time.Now().Add(checkpointTime)}
	if err := p.openDigests(); err != nil {
		a.cfg.Log.Warn("starting over: the saved digest cannot be taken up again", "err", err)
		u.startOver()
		if err := p.openDigests(); err != nil {
			return err
		}
	}
	if err := p.openSource(ctx); err != nil {
		return err
	}
	defer p.body.Close()
	if err := p.sniff(); err != nil {
		return err
	}
	done, err := p.openSink()
	if err != nil {
		u.Broken = err.Error()
		return nil
	}
	defer done()
	if err := p.openReader(); err != nil {
		return p.broke(ctx, err)
	}
	if n, ok := p.reader.(*nativePatch); ok {
		defer n.old.Close()
	}
	return p.run(ctx)
}

// openSink opens where the package goes. Only the agent writes there, so that
// done, which closes it, has nothing left to say.
func (p *pull) openSink() (done func(), err error) {
	if p.u.Notice.IsDiff && !p.u.native() {
		p.sink, p.limit = p.a.cfg.Spool, p.u.Notice.Files[0].Size
		return func() {}, p.a.mayBeSpooled(p.u)
	}
	slot := p.a.spare
	size, err := slot.Size()
	if err != nil {
		return nil, err
	}
	m, err := slot.Open(true)
	if err != nil {
		return nil, fmt.Errorf("slot %s cannot be written: %w", slot.Name(), err)
	}
	p.sink, p.limit = m, size
	return func() { m.Close() }, nil
}

// openDigests makes the digests as they stood at the mark.
func (p *pull) openDigests() (err error) {
	if p.pkg, err = newDigests(p.u); err != nil {
		return err
	}
	if p.image, err = verify.NewDigest(ota.SHA256); err != nil {
		return err
	}
	if p.u.Mark.In == 0 {
		return nil
	}
	if err := p.pkg.restore(p.u.Mark); err != nil {
		return err
	}
	if p.u.Notice.IsDiff {
		return nil
	}
	return restore(p.image, p.u.Mark.Image)
}

// openSource connects what is spooled already and the network.
func (p *pull) openSource(ctx context.Context) error {
	u := p.u
	from := p.a.spoolEnd(u)
	body, err := p.a.openFile(ctx, u, 0, from)
	if err != nil {
		return err
	}
	p.body, p.last, p.out = body, from, u.Mark.Out
	p.source = &source{body: body, spool: p.a.cfg.Spool, at: u.Mark.In, from: from}
	p.source.keep = p.mayHaveSpool()
	return nil
}

// mayHaveSpool decides whether the package is kept in the spool while it
// comes. Patches go there anyway and raw images need none, since they resume at
// every byte.
func (p *pull) mayHaveSpool() bool {
	u := p.u
	if u.Notice.IsDiff || u.Kind == unpack.Raw.String() {
		return false
	}
	free, err := p.a.cfg.Spool.Free()
	have, err2 := p.a.cfg.Spool.Size()
	return err == nil && err2 == nil && u.Notice.Files[0].Size-have+spoolReserve <= free
}

func (p *pull) openReader() (err error) {
	u := p.u
	var reader *unpack.Reader
	switch {
	case u.native():
		n, err := p.openNative()
		if err == nil {
			p.reader, p.image = n, nil // the patch says what its digest is, and the reader compares it
		}
		return err
	case u.Notice.IsDiff:
		reader, err = unpack.Continue(unpack.Raw, p.rest, p.pkg, p.limit, u.Mark.In, u.Mark.Out)
	case u.Mark.In == 0:
		reader, err = unpack.Open(p.rest, p.pkg, p.limit)
	default:
		kind, kerr := unpack.ParseKind(u.Kind)
		if kerr != nil {
			return kerr
		}
		reader, err = unpack.Continue(kind, p.rest, p.pkg, p.limit, u.Mark.In, u.Mark.Out)
	}
	if err != nil {
		return err
	}
	p.reader = reader
	kind := reader.Kind()
	if kind == unpack.Raw {
		if size := u.Notice.Files[0].Size; size > p.limit {
			return fmt.Errorf("the image has %d bytes, slot %s takes %d", size, u.Target, p.limit)
		}
		p.source.keep = false
		if u.Notice.IsDiff || u.Notice.SignMethod == ota.SHA256 {
			p.image = nil // the same bytes, the same digest
		}
	}
	u.Kind = kind.String()
	p.a.cfg.Log.Info("package", "kind", u.Kind, "from", p.source.from, "resumes", p.resumes(kind))
	return nil
}

// resumes says from where this package would go on after a cut.
func (p *pull) resumes(kind unpack.Kind) string {
	switch {
	case kind == unpack.Raw:
		return "at every checkpoint"
	case p.source.keep:
		return "from the spool"
	case kind.Resumable():
		return "at frame boundaries: the state directory has no room for a spool"
	}
	return "from the start: the state directory has no room for a spool"
}

// run copies the image into the sink until the package ends.
func (p *pull) run(ctx context.Context) error {
	buf := make([]byte, copyBuffer)
	for empty := 0; ; {
		n, err := p.reader.Read(buf)
		if empty++; n > 0 {
			empty = 0
			if werr := p.put(buf[:n]); werr != nil {
				p.u.Broken = werr.Error()
				return nil
			}
		}
		if cerr := ctx.Err(); cerr != nil {
			return cerr
		}
		if err == io.EOF {
			return p.finish()
		}
		if err == nil && empty > maxEmptyReads {
			err = io.ErrNoProgress
		}
		if err != nil {
			return p.broke(ctx, err)
		}
		if err := p.checkpoint(); err != nil || p.u.Broken != "" {
			return err
		}
		p.a.progress(p.u, p.u.percent(p.source.at))
	}
}

func (p *pull) put(b []byte) error {
	if _, err := p.sink.WriteAt(b, p.out); err != nil {
		return fmt.Errorf("writing at byte %d: %w", p.out, err)
	}
	if p.image != nil {
		p.image.Write(b)
	}
	p.out += int64(len(b))
	return nil
}

// broke tells the two ends apart: an error of the source is the download's. An
// error of the unpacker is the package's, but it may be that the transfer
// damaged it: so the rest is read too, and the Verify stage decides.
func (p *pull) broke(ctx context.Context, err error) error {
	if p.source.err != nil {
		return p.source.err
	}
	p.u.Broken = err.Error()
	if n, ok := p.reader.(*nativePatch); ok {
		p.u.Broken = n.explain(err).Error()
	}
	if p.reader == nil {
		return nil
	}
	if p.reader.Drain() != nil {
		if ctx.Err() != nil { // walked again, it breaks again
			p.u.Broken = ""
			return ctx.Err()
		}
		return nil // the digest stays unknown, and Write says what broke
	}
	p.u.Digest, p.u.SHA256 = p.pkg.sums()
	return nil
}

// finish notes what came, for Verify and Write.
func (p *pull) finish() error {
	if err := p.sink.Sync(); err != nil {
		p.u.Broken = fmt.Sprintf("syncing: %v", err)
		return nil
	}
	p.u.Digest, p.u.SHA256 = p.pkg.sums()
	if n, ok := p.reader.(*nativePatch); ok {
		p.u.Image = Image{Size: p.out, SHA256: fmt.Sprintf("%x", n.Info().NewSHA256), Version: p.u.Notice.Version}
	}
	if !p.u.Notice.IsDiff {
		p.u.Image = Image{Size: p.out, SHA256: p.u.Digest, Version: p.u.Notice.Version}
		if p.image != nil {
			p.u.Image.SHA256 = hex.EncodeToString(p.image.Sum(nil))
		}
	}
	p.u.Mark = mark{In: p.source.at, Out: p.out}
	p.a.progress(p.u, p.u.percent(p.source.at))
	return nil
}
