package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server/packages"
)

// Limits of downloads over MQTT (protocol section 6). A device that asks faster is
// read more slowly, as one that publishes too much is (F7); nobody else waits for it.
const (
	blockRate  = 4 << 20         // bytes a second that one device gets
	blockBurst = 1 << 20         // bytes at once
	blockCost  = 16 << 10        // bytes that a request counts for at least
	offersGood = 5 * time.Second // how long a cancelled task may still be fetched
	maxReaders = 100_000         // devices that are remembered
	blockWait  = 5 * time.Second // for the engine's answer
	streamFile = 1               // the streamFileId: a stream has one file
)

// Codes of replies, which the platform leaves open: those of HTTP, as the agent reads
// them.
const (
	blockOK          = 200
	blockBad         = 400 // size or offset
	blockForbidden   = 403 // not a stream of this device, or of a task that has ended
	blockGone        = 404 // the package was deleted
	blockUnavailable = 503 // come again
)

// streams numbers downloads over MQTT.
type streams interface {
	StreamID(d ota.Device, taskID string) int64
}

// shelf is the part of the package server that blocks come from.
type shelf interface {
	streams
	ReadBlock(fileID string, offset int64, size int) ([]byte, error)
}

// blocks answers devices that fetch a file over MQTT. A stream belongs to one device
// and one unfinished task of it (F9): what a device may fetch is looked up in the
// model, and believed for offersGood. Nothing is kept of how far a device is, so it
// may go on from any offset, after any restart.
type blocks struct {
	files   shelf
	broker  pusher
	log     *slog.Logger
	metrics *metrics
	offers  func(ctx context.Context, d ota.Device) ([]simulator.Offer, error)

	mu      sync.Mutex
	readers map[ota.Device]*reader
}

// reader is a device that fetches. Only the goroutine of its connection uses it.
type reader struct {
	offers []simulator.Offer
	until  time.Time // when offers has to be looked up again
	level  float64   // bytes that it may get at once
	last   time.Time
}

func newBlocks(e *Engine, files shelf, log *slog.Logger, m *metrics) *blocks {
	return &blocks{
		files: files, log: log, metrics: m, readers: map[ota.Device]*reader{},
		offers: func(ctx context.Context, d ota.Device) ([]simulator.Offer, error) {
			v, err := e.Do(ctx, simulator.FindOffers{Device: d})
			if err != nil {
				return nil, err
			}
			return v.([]simulator.Offer), nil
		},
	}
}

// serve answers one request. It holds the connection of the device that asked. A
// reply that the device has no room for is lost: it asks again.
func (b *blocks) serve(d ota.Device, payload []byte) {
	r, err := ota.DecodeBlockRequest(payload)
	if err != nil && r == (ota.BlockRequest{}) { // there is nobody to answer
		b.metrics.uplinks.WithLabelValues(kindName(ota.TopicDownload), "bad").Inc()
		b.log.Debug("a message was dropped", "device", d.String(), "topic", kindName(ota.TopicDownload), "why", err.Error())
		return
	}
	b.metrics.uplinks.WithLabelValues(kindName(ota.TopicDownload), "good").Inc()
	reader := b.reader(d)
	time.Sleep(reader.take(max(r.Size, blockCost), time.Now()))
	reply := refuseBlock(blockBad, "%v", err)
	if err == nil {
		reply = b.block(reader, d, r)
	}
	reply.ID, reply.FileToken = r.ID, r.FileToken
	result := "refused"
	if reply.Code == blockOK {
		result = "sent"
	}
	if err := b.broker.Push(d, ota.TopicDownloadReply, reply.Encode()); err != nil {
		result = "lost"
	}
	b.metrics.blocks.WithLabelValues(result).Inc()
}

func refuseBlock(code int, format string, args ...any) ota.Block {
	return ota.Block{Code: code, Message: fmt.Sprintf(format, args...)}
}

// block reads what was asked for, or says why not.
func (b *blocks) block(reader *reader, d ota.Device, r ota.BlockRequest) ota.Block {
	if now := time.Now(); now.After(reader.until) {
		ctx, cancel := context.WithTimeout(context.Background(), blockWait)
		offers, err := b.offers(ctx, d)
		cancel()
		if err != nil {
			return refuseBlock(blockUnavailable, "come again")
		}
		reader.offers, reader.until = offers, now.Add(offersGood)
	}
	file, ok := b.find(reader, d, r.Stream)
	switch {
	case !ok:
		reader.until = time.Time{} // the next notice may have it
		return refuseBlock(blockForbidden, "stream %d, file %d is not of an unfinished task of this device", r.Stream.ID, r.Stream.FileID)
	case r.Offset >= file.Size:
		return refuseBlock(blockBad, "offset %d of a file of %d bytes", r.Offset, file.Size)
	case r.Size < ota.MinBlockSize && r.Offset+int64(r.Size) < file.Size:
		return refuseBlock(blockBad, "block size %d, allowed are %d to %d, and less for the rest of the file", r.Size, ota.MinBlockSize, ota.MaxBlockSize)
	}
	data, err := b.files.ReadBlock(file.Key, r.Offset, r.Size)
	switch {
	case errors.Is(err, packages.ErrNotFound):
		return refuseBlock(blockGone, "the package was deleted")
	case err != nil:
		b.log.Error("download over MQTT failed", "file", file.Key, "why", err.Error())
		return refuseBlock(blockUnavailable, "the file cannot be read")
	}
	return ota.Block{Code: blockOK, Message: "success", FileSize: file.Size, Offset: r.Offset, Data: data}
}

// find gives the file of a stream, when it is one of the device's.
func (b *blocks) find(reader *reader, d ota.Device, s ota.Stream) (simulator.File, bool) {
	for _, o := range reader.offers {
		if o.Protocol == simulator.MQTT && len(o.Files) == 1 && s == streamOf(b.files, d, o.Task.ID) {
			return o.Files[0], true
		}
	}
	return simulator.File{}, false
}

// streamOf is what a notice calls the one file of a task that is fetched over MQTT.
func streamOf(s streams, d ota.Device, taskID string) ota.Stream {
	return ota.Stream{ID: s.StreamID(d, taskID), FileID: streamFile}
}

func (b *blocks) reader(d ota.Device) *reader {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.readers[d]
	if r == nil {
		if len(b.readers) >= maxReaders {
			clear(b.readers)
		}
		r = &reader{level: blockBurst}
		b.readers[d] = r
	}
	return r
}

// forget drops what is known of a device that has gone.
func (b *blocks) forget(d ota.Device) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.readers, d)
}

// take counts bytes at now and says how long they have to wait.
func (r *reader) take(n int, now time.Time) time.Duration {
	if !r.last.IsZero() {
		r.level = min(blockBurst, r.level+blockRate*now.Sub(r.last).Seconds())
	}
	r.last = now
	r.level -= float64(n)
	return max(0, time.Duration(-r.level/blockRate*float64(time.Second)))
}
