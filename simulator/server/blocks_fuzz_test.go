package server

import (
	"context"
	"testing"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
)

// FuzzDownload: whatever a device asks for, it gets one answer that can be read, or
// none, and never a byte outside of its file.
func FuzzDownload(f *testing.F) {
	f.Add([]byte(`{"id":"1","version":"1.0","params":{"fileToken":"t","fileInfo":{"streamId":7,"fileId":1},"fileBlock":{"size":256,"offset":2},}}` + "\x00"))
	f.Add([]byte(`{"id":1,"params":{"fileInfo":{"streamId":"7","fileId":1},"fileBlock":{"size":131072,"offset":"600"}}}`))
	f.Add([]byte(`{"params":{"fileInfo":{"streamId":8},"fileBlock":{"size":-1,"offset":-1}}}`))
	f.Add([]byte("{"))
	file := noise(700)
	d := ota.Device{ProductKey: "a1", Name: "d1"}
	offer := simulator.Offer{Task: simulator.Task{ID: "t1"}, Protocol: simulator.MQTT, Files: []simulator.File{{Key: "k", Size: int64(len(file))}}}
	f.Fuzz(func(t *testing.T, payload []byte) {
		p := &kept{}
		b := &blocks{files: memory{file}, broker: p, log: newDiscard(), metrics: newMetrics(), readers: map[ota.Device]*reader{}}
		b.offers = func(context.Context, ota.Device) ([]simulator.Offer, error) { return []simulator.Offer{offer}, nil }
		b.serve(d, payload)
		if len(p.got) > 1 {
			t.Fatalf("%d answers", len(p.got))
		}
		for _, m := range p.got {
			got, err := ota.DecodeBlock(m)
			if err != nil {
				t.Fatalf("%q: %v", m, err)
			}
			if end := got.Offset + int64(len(got.Data)); got.Code == 200 && (len(got.Data) == 0 || end > int64(len(file)) || string(got.Data) != string(file[got.Offset:end])) {
				t.Errorf("%d bytes at %d", len(got.Data), got.Offset)
			}
		}
	})
}

// kept keeps what is pushed.
type kept struct{ got [][]byte }

func (p *kept) Push(_ ota.Device, _ ota.TopicKind, payload []byte) error {
	p.got = append(p.got, payload)
	return nil
}

// memory is a package server with one file.
type memory struct{ file []byte }

func (memory) StreamID(ota.Device, string) int64 { return 7 }

func (m memory) ReadBlock(_ string, at int64, size int) ([]byte, error) {
	return m.file[at:min(at+int64(size), int64(len(m.file)))], nil
}
