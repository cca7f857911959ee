package agent

import (
	"context"
	"errors"
	"io"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/agent/fetch"
)

// body is a package as it comes: a *fetch.Body or a *fetch.StreamBody.
type body interface {
	io.ReadCloser
	Validator() string
}

// openFile begins the download of a file of an update's package at an offset, over
// HTTP or over MQTT as it was announced.
func (a *Agent) openFile(ctx context.Context, u *Update, i int, from int64) (body, error) {
	f := u.Notice.Files[i]
	if u.Bundle != nil {
		return u.Bundle.open(f.Size, from)
	}
	if u.Notice.Stream == nil {
		return a.cfg.Downloads.Open(ctx, fetch.Request{
			URL: f.URL, Size: f.Size, Offset: from, Validator: u.Validator,
			Fresh: func(ctx context.Context) (string, error) { return a.freshURL(ctx, u, i) },
		})
	}
	downloads, blocks, ok := a.streams()
	if !ok { // accept has seen to it
		return nil, errors.New("a download over MQTT is not possible with this agent")
	}
	return downloads.OpenStream(ctx, fetch.StreamRequest{
		Blocks: blocks, Stream: *u.Notice.Stream, Size: f.Size, Offset: from,
		Fresh: func(ctx context.Context) (ota.Stream, error) { return a.freshStream(ctx, u) },
	})
}

// streams are the two ends that a download over MQTT needs.
func (a *Agent) streams() (Streams, fetch.Blocks, bool) {
	s, ok := a.cfg.Downloads.(Streams)
	b, ok2 := a.cfg.Cloud.(fetch.Blocks)
	return s, b, ok && ok2
}

// errOther: it came over HTTP until now and comes over MQTT from here on, or the
// other way round. The download goes on from its mark.
var errOther = errors.New("the cloud has it downloaded in another way now")

func (a *Agent) freshURL(ctx context.Context, u *Update, i int) (string, error) {
	if err := a.fresh(ctx, u); err != nil {
		return "", err
	}
	if u.Notice.Stream != nil {
		return "", errOther
	}
	return u.Notice.Files[i].URL, nil
}

func (a *Agent) freshStream(ctx context.Context, u *Update) (ota.Stream, error) {
	if err := a.fresh(ctx, u); err != nil {
		return ota.Stream{}, err
	}
	if u.Notice.Stream == nil {
		return ota.Stream{}, errOther
	}
	return *u.Notice.Stream, nil
}
