package diff

import (
	"encoding/binary"
	"hash/crc32"
)

// Native is our own format: frames that are applied in one pass from a plain
// io.Reader, each of which can be the first. docs/delta-format.md has every byte.
const Native Format = "native"

// Sizes and limits of the native format, version 1.
const (
	nativeMagic   = "OTADELTA"
	nativeVersion = 1
	// NativeHeader is the length in bytes of the header of a native patch.
	NativeHeader = 112
	frameHeader  = 64
	// frameOut is the most output of a frame: what is written again when
	// a power cut comes just before its end.
	frameOut = 16 << 20
	// framePlain is the most that the sections of a frame hold together,
	// decoded. As they are in the patch they are no longer.
	framePlain = 1 << 20
)

// The sections of a frame, in the order in which they come.
const (
	secRecords = iota // seek, diff and extra of each record, as varints
	secRuns           // zeros and literals of the diff bytes by turns, as varints
	secDiff           // literals: diff bytes that are not in a run of zeros
	secExtra          // bytes that are sent as they are
	sections
)

// sectionNames are for errors.
var sectionNames = [sections]string{"records", "runs", "diff section", "extra section"}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// NativeInfo is the header of a native patch. It is as trustworthy as the
// patch: what signs the patch signs the digests.
type NativeInfo struct {
	OldSize, NewSize     int64
	OldSHA256, NewSHA256 [32]byte
	PatchSize            int64
	Frames               uint32

	codecs uint8 // bit n: codec n may be used
}

// encode gives the bytes of the header.
func (h *NativeInfo) encode() []byte {
	b := append(make([]byte, 0, NativeHeader), nativeMagic...)
	b = append(b, nativeVersion, h.codecs, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, h.Frames)
	b = binary.LittleEndian.AppendUint64(b, uint64(h.OldSize))
	b = binary.LittleEndian.AppendUint64(b, uint64(h.NewSize))
	b = binary.LittleEndian.AppendUint64(b, uint64(h.PatchSize))
	b = append(b, h.OldSHA256[:]...)
	b = append(b, h.NewSHA256[:]...)
	b = append(b, 0, 0, 0, 0)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// ParseNativeHeader reads the header of a native patch from its first
// [NativeHeader] bytes. Errors wrap [ErrFormat].
func ParseNativeHeader(b []byte) (NativeInfo, error) {
	var h NativeInfo
	if len(b) < NativeHeader {
		return h, cutShort("header")
	}
	b = b[:NativeHeader]
	if string(b[:MagicSize]) != nativeMagic {
		return h, badf("it does not begin with %s", nativeMagic)
	}
	if b[8] != nativeVersion {
		return h, badf("it is of version %d of the native format, and %d is known", b[8], nativeVersion)
	}
	if crc32.Checksum(b[:NativeHeader-4], castagnoli) != binary.LittleEndian.Uint32(b[NativeHeader-4:]) {
		return h, badf("its header is damaged")
	}
	h.codecs = b[9]
	h.Frames = binary.LittleEndian.Uint32(b[12:])
	h.OldSize = int64(binary.LittleEndian.Uint64(b[16:]))
	h.NewSize = int64(binary.LittleEndian.Uint64(b[24:]))
	h.PatchSize = int64(binary.LittleEndian.Uint64(b[32:]))
	copy(h.OldSHA256[:], b[40:])
	copy(h.NewSHA256[:], b[72:])
	reserved := binary.LittleEndian.Uint16(b[10:]) != 0 || binary.LittleEndian.Uint32(b[104:]) != 0
	return h, h.check(reserved)
}

func (h *NativeInfo) check(reserved bool) error {
	switch {
	case reserved || h.codecs&^knownCodecs != 0:
		return badf("its header asks for something that is not known")
	case h.OldSize < 0 || h.NewSize < 0:
		return badf("its header has a negative size (old image %d, new image %d)", h.OldSize, h.NewSize)
	case int64(h.Frames) > h.NewSize || h.NewSize > int64(h.Frames)*frameOut:
		return badf("it has %d frames for a new image of %d bytes", h.Frames, h.NewSize)
	case h.PatchSize < NativeHeader+int64(h.Frames)*frameHeader || h.PatchSize > NativeHeader+int64(h.Frames)*(frameHeader+framePlain):
		return badf("%d frames cannot take %d bytes", h.Frames, h.PatchSize)
	}
	return nil
}

// frameInfo is the header of a frame.
type frameInfo struct {
	number, out uint32
	at          int64 // offset of its output
	stored      [sections]uint32
	plain       [sections]uint32
	codec       [sections]codec
	records     uint32
	sum         uint32 // CRC-32C of the sections as they are in the patch
}

func (f *frameInfo) encode() []byte {
	b := binary.LittleEndian.AppendUint32(make([]byte, 0, frameHeader), f.number)
	b = binary.LittleEndian.AppendUint32(b, f.out)
	b = binary.LittleEndian.AppendUint64(b, uint64(f.at))
	for i := range sections {
		b = binary.LittleEndian.AppendUint32(b, f.stored[i])
		b = binary.LittleEndian.AppendUint32(b, f.plain[i])
	}
	for _, c := range f.codec {
		b = append(b, byte(c))
	}
	b = binary.LittleEndian.AppendUint32(b, f.records)
	b = binary.LittleEndian.AppendUint32(b, f.sum)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// parseFrame reads the header of the frame that has to come now.
func parseFrame(b []byte, number uint32, at int64, h *NativeInfo) (frameInfo, error) {
	var f frameInfo
	if crc32.Checksum(b[:frameHeader-4], castagnoli) != binary.LittleEndian.Uint32(b[frameHeader-4:]) {
		return f, badf("the header of frame %d is damaged", number)
	}
	f.number = binary.LittleEndian.Uint32(b)
	f.out = binary.LittleEndian.Uint32(b[4:])
	f.at = int64(binary.LittleEndian.Uint64(b[8:]))
	for i := range sections {
		f.stored[i] = binary.LittleEndian.Uint32(b[16+8*i:])
		f.plain[i] = binary.LittleEndian.Uint32(b[20+8*i:])
		f.codec[i] = codec(b[48+i])
	}
	f.records = binary.LittleEndian.Uint32(b[52:])
	f.sum = binary.LittleEndian.Uint32(b[56:])
	if f.number != number || f.at != at {
		return f, badf("frame %d at byte %d of the new image comes where frame %d at %d is due", f.number, f.at, number, at)
	}
	return f, f.check(h)
}

func (f *frameInfo) check(h *NativeInfo) error {
	left := h.NewSize - f.at
	if f.out == 0 || f.out > frameOut || int64(f.out) > left || (f.number == h.Frames-1) != (int64(f.out) == left) {
		return badf("frame %d has %d bytes of output where %d are left", f.number, f.out, left)
	}
	total := uint64(0)
	for i := range sections {
		total += uint64(f.plain[i])
		if f.stored[i] > f.plain[i] || f.codec[i] == codecRaw && f.stored[i] != f.plain[i] || f.stored[i] == 0 && f.plain[i] != 0 {
			return badf("frame %d has a %s of %d bytes in %d", f.number, sectionNames[i], f.plain[i], f.stored[i])
		}
		if f.codec[i] > codecLast || h.codecs>>f.codec[i]&1 == 0 {
			return badf("frame %d uses codec %d, which the header does not announce", f.number, f.codec[i])
		}
	}
	if total > framePlain {
		return badf("frame %d holds %d bytes, and %d is the limit", f.number, total, framePlain)
	}
	if f.plain[secExtra] > f.out || f.plain[secDiff] > f.out-f.plain[secExtra] || f.records == 0 || f.records > f.plain[secRecords]/3 {
		return badf("frame %d has sections that do not fit its output", f.number)
	}
	return nil
}

// packedSize is how many bytes of the patch follow the frame's header.
func (f *frameInfo) packedSize() int64 {
	n := int64(0)
	for _, s := range f.stored {
		n += int64(s)
	}
	return n
}
