package fleet

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator/fleet/report"
)

// block asks for one block over MQTT and takes it.
func (d *device) block(u *update) error {
	size := u.notice.Files[0].Size
	from := d.from(u)
	req := ota.BlockRequest{ID: d.id(), Stream: *u.notice.Stream, Offset: from, Size: int(min(blockSize, size-from))}
	payload := req.Encode()
	d.said(u.dev, ota.TopicDownload, payload)
	if err := d.post(ota.TopicDownload.Of(u.dev), payload); err != nil {
		return fmt.Errorf("%w: %v", errLost, err)
	}
	var took error
	err := d.await(blockPatience, func(m mail) bool {
		if m.kind != ota.TopicDownloadReply {
			return false
		}
		b, err := ota.DecodeBlock(m.payload)
		if b.ID != req.ID {
			d.f.rec.Add(report.OutOfOrder, 1)
			return false
		}
		d.f.rec.Add(report.Blocks, 1)
		switch {
		case err != nil:
			took = err
		case b.Code == http.StatusServiceUnavailable || b.Code == http.StatusTooManyRequests:
			took = &busy{d.retryAfter("")}
		case b.Code != http.StatusOK:
			took = &gone{b.Code}
		case b.Offset != from || len(b.Data) != req.Size:
			took = errors.New("the block is not the one that was asked for")
		default:
			took = d.took(u, b.Data)
		}
		return true
	})
	if errors.Is(err, os.ErrDeadlineExceeded) {
		d.f.rec.Add(report.Unanswered, 1)
		return errors.New("a block was asked for and did not come")
	}
	if err != nil {
		return fmt.Errorf("%w: %v", errLost, err)
	}
	if d.b.Bandwidth > 0 {
		time.Sleep(time.Duration(req.Size) * time.Second / time.Duration(d.b.Bandwidth))
	}
	return took
}
