package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/agent/fetch"
)

// body is a package as it comes: a *fetch.Body or a *fetch.StreamBody.
type body interface {
	io.ReadCloser
	Validator() string
}

// blocksOf asks for the blocks of one sub-device.
type blocksOf struct {
	Blocks
	device ota.Device
}

// Block implements fetch.Blocks.
func (b blocksOf) Block(ctx context.Context, r ota.BlockRequest, patience time.Duration) (ota.Block, error) {
	return b.Blocks.Block(ctx, b.device, r, patience)
}

// streams reports whether packages can come over MQTT.
func (g *Gateway) streams() bool {
	_, downloads := g.cfg.Downloads.(Streams)
	_, blocks := g.cfg.Cloud.(Blocks)
	return downloads && blocks
}

// open begins the download at the mark, over HTTP or over MQTT as it was announced.
func (w *walk) open(ctx context.Context) (body, error) {
	n, at := w.u.Notice, w.u.Mark
	if n.Stream == nil {
		return w.g.cfg.Downloads.Open(ctx, fetch.Request{
			URL: n.Files[0].URL, Size: n.Files[0].Size, Offset: at.Bytes, Validator: at.Validator, Fresh: w.freshURL,
		})
	}
	// accept has seen to it that both are there
	return w.g.cfg.Downloads.(Streams).OpenStream(ctx, fetch.StreamRequest{
		Blocks: blocksOf{w.g.cfg.Cloud.(Blocks), w.s.Device.Device}, Stream: *n.Stream, Size: n.Files[0].Size, Offset: at.Bytes, Fresh: w.freshStream,
	})
}

// errOther: it came over HTTP until now and comes over MQTT from here on, or the
// other way round.
var errOther = errors.New("the cloud has it downloaded in another way now")

func (w *walk) freshURL(ctx context.Context) (string, error) {
	n, err := w.fresh(ctx)
	if err == nil && n.Stream != nil {
		err = errOther
	}
	if err != nil {
		return "", err
	}
	return n.Files[0].URL, nil
}

func (w *walk) freshStream(ctx context.Context) (ota.Stream, error) {
	n, err := w.fresh(ctx)
	if err == nil && n.Stream == nil {
		err = errOther
	}
	if err != nil {
		return ota.Stream{}, err
	}
	return *n.Stream, nil
}

// fresh asks the cloud, through the loop, what the package is announced with now.
func (w *walk) fresh(ctx context.Context) (ota.Notice, error) {
	ctx, cancel := context.WithTimeout(ctx, freshTime)
	defer cancel()
	w.g.cfg.Log.Info("the announcement has expired; asking for a fresh one", "device", w.s.Device.Device)
	answer := make(chan fresh, 1)
	w.g.leave(ctx, func() { w.s.fresh = answer })
	select {
	case f := <-answer:
		return f.notice, f.err
	case <-ctx.Done():
		return ota.Notice{}, fmt.Errorf("the cloud did not say within %v", freshTime)
	}
}
