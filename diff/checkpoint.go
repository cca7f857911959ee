package diff

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
)

// Checkpoint is the beginning of a frame, and all that is needed to go on from
// there in another process: the header of the patch, what was read and given,
// and the state of the new image's digest. As text (and so in JSON) it has about
// 350 characters and is protected against damage, not against forgery: keep it
// where only root writes.
type Checkpoint struct {
	Frame uint32
	In    int64 // where in the patch the frame begins: the first byte to ask for
	Out   int64 // where in the new image its output begins

	header [NativeHeader]byte
	sum    []byte
}

// Checkpoint is the last beginning of a frame up to which Read has given
// everything. Before it is saved, what was read up to its Out must be on the
// medium, synced.
func (r *NativeReader) Checkpoint() Checkpoint {
	c := r.kept
	c.sum = append([]byte(nil), c.sum...)
	return c
}

// keep makes the current place the checkpoint.
func (r *NativeReader) keep() error {
	sum, err := r.sum.(interface{ AppendBinary([]byte) ([]byte, error) }).AppendBinary(r.kept.sum[:0])
	if err != nil {
		return err
	}
	r.kept = Checkpoint{Frame: r.number, In: r.in, Out: r.out, header: r.header, sum: sum}
	return nil
}

const (
	checkpointFixed = 20 + NativeHeader
	checkpointMost  = 512 // bytes; the state of SHA-256 has 108
)

// MarshalText gives the checkpoint as base64.
func (c Checkpoint) MarshalText() ([]byte, error) {
	b := binary.LittleEndian.AppendUint32(nil, c.Frame)
	b = binary.LittleEndian.AppendUint64(b, uint64(c.In))
	b = binary.LittleEndian.AppendUint64(b, uint64(c.Out))
	b = append(append(b, c.header[:]...), c.sum...)
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	return base64.RawURLEncoding.AppendEncode(nil, b), nil
}

// UnmarshalText is the reverse of MarshalText. Errors wrap [ErrFormat].
func (c *Checkpoint) UnmarshalText(text []byte) error {
	if len(text) > 2*checkpointMost {
		return badf("a checkpoint has %d characters", len(text))
	}
	b, err := base64.RawURLEncoding.AppendDecode(nil, text)
	if err != nil || len(b) < checkpointFixed+4 || len(b) > checkpointMost {
		return badf("this is no checkpoint")
	}
	end := len(b) - 4
	if crc32.Checksum(b[:end], castagnoli) != binary.LittleEndian.Uint32(b[end:]) {
		return badf("the checkpoint is damaged")
	}
	*c = Checkpoint{
		Frame: binary.LittleEndian.Uint32(b),
		In:    int64(binary.LittleEndian.Uint64(b[4:])),
		Out:   int64(binary.LittleEndian.Uint64(b[12:])),
		sum:   append([]byte(nil), b[checkpointFixed:end]...),
	}
	copy(c.header[:], b[20:])
	return c.check()
}

func (c *Checkpoint) check() error {
	h, err := ParseNativeHeader(c.header[:])
	if err != nil {
		return err
	}
	if c.Frame > h.Frames || c.In < NativeHeader || c.In > h.PatchSize || c.Out < 0 || c.Out > h.NewSize ||
		(c.Frame == h.Frames) != (c.Out == h.NewSize) || (c.Frame == 0) != (c.Out == 0) && h.Frames > 0 {
		return badf("the checkpoint does not fit its patch")
	}
	return nil
}
