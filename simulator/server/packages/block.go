package packages

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/leapslot/ota"
)

// StreamID gives the number that stands for a task's file in downloads over MQTT
// (protocol section 6): always the same one for a device and a task, 1 to 2^31-1,
// which every SDK has room for. It is no secret and protects nothing by itself: it
// is held against the tasks of the device that has signed in.
func (s *Store) StreamID(d ota.Device, taskID string) int64 {
	sum := mac(s.keys.stream, d.String()+"/"+taskID)
	return int64(binary.BigEndian.Uint32(sum)>>1 | 1)
}

// ReadBlock gives the bytes of a file from an offset on, size of them or as many as
// there are until its end. The file is open only for as long as that takes. Errors:
// ErrNotFound, ErrOffset, those of the disk.
func (s *Store) ReadBlock(id string, offset int64, size int) ([]byte, error) {
	f, err := s.OpenFile(id)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if offset < 0 || offset >= st.Size() || size < 1 {
		return nil, fmt.Errorf("%d bytes at %d of %d: %w", size, offset, st.Size(), ErrOffset)
	}
	b := make([]byte, min(int64(size), st.Size()-offset))
	if _, err := io.ReadFull(io.NewSectionReader(f, offset, int64(len(b))), b); err != nil {
		return nil, fmt.Errorf("file %s: %w", id, err)
	}
	s.count.blocks.Add(1)
	s.count.out.Add(int64(len(b)))
	return b, nil
}

// ErrOffset means that a block begins outside of its file.
var ErrOffset = errors.New("no such place in the file")
