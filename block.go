package ota

import "encoding/binary"

// BlockRequest asks for a part of a file over MQTT (protocol section 6).
type BlockRequest struct {
	ID        string
	FileToken string // echoed in the reply; may be empty
	Stream    Stream
	Offset    int64 // bytes
	Size      int   // bytes, MinBlockSize to MaxBlockSize; less only for the rest of a file
}

// Block is the answer to a [BlockRequest]. The platform does not say which codes
// its failures have; the simulator's are those of HTTP.
type Block struct {
	ID        string
	Code      int    // 200, or a failure
	Message   string // in words
	FileToken string
	FileSize  int64 // bytes of the whole file
	Offset    int64
	Data      []byte
}

type wireBlockRequest struct {
	ID      text   `json:"id"`
	Version string `json:"version,omitempty"`
	Params  struct {
		FileToken text `json:"fileToken"`
		FileInfo  struct {
			StreamID number `json:"streamId"`
			FileID   number `json:"fileId"`
		} `json:"fileInfo"`
		FileBlock struct {
			Size   number `json:"size"`
			Offset number `json:"offset"`
		} `json:"fileBlock"`
	} `json:"params"`
}

type wireBlockData struct {
	FileToken  string `json:"fileToken"`
	FileLength number `json:"fileLength"`
	Offset     number `json:"bOffset"`
	Size       number `json:"bSize"`
}

type wireBlock struct {
	Code    number        `json:"code"`
	Data    wireBlockData `json:"data"`
	ID      text          `json:"id"`
	Message string        `json:"message"`
}

// Encode gives the request for [TopicDownload].
func (r BlockRequest) Encode() []byte {
	w := wireBlockRequest{ID: text(r.ID), Version: "1.0"}
	w.Params.FileToken = text(r.FileToken)
	w.Params.FileInfo.StreamID, w.Params.FileInfo.FileID = number(r.Stream.ID), number(r.Stream.FileID)
	w.Params.FileBlock.Size, w.Params.FileBlock.Offset = number(r.Size), number(r.Offset)
	return encode(w)
}

// DecodeBlockRequest reads a request; sizes below 1 or above MaxBlockSize and
// negative offsets are refused. Whether a size below MinBlockSize is the rest of
// the file is for the caller to see. With an error the request has its ID and
// FileToken when they could be read, so that the refusal can be told.
func DecodeBlockRequest(payload []byte) (BlockRequest, error) {
	var w wireBlockRequest
	if err := decode(payload, &w); err != nil {
		return BlockRequest{}, err
	}
	p := w.Params
	if len(w.ID) > maxIDLen || len(p.FileToken) > maxIDLen {
		return BlockRequest{}, badf("id or fileToken is longer than %d characters", maxIDLen)
	}
	r := BlockRequest{ID: string(w.ID), FileToken: string(p.FileToken)}
	if p.FileBlock.Size < 1 || p.FileBlock.Size > MaxBlockSize {
		return r, badf("block size %d, allowed are %d to %d", p.FileBlock.Size, MinBlockSize, MaxBlockSize)
	}
	if p.FileBlock.Offset < 0 {
		return r, badf("block offset %d is negative", p.FileBlock.Offset)
	}
	r.Stream = Stream{int64(p.FileInfo.StreamID), int64(p.FileInfo.FileID)}
	r.Offset, r.Size = int64(p.FileBlock.Offset), int(p.FileBlock.Size)
	return r, nil
}

// Encode gives the reply for [TopicDownloadReply]: the length of the JSON, big
// endian; the JSON; the block; its CRC-16/ARC, little endian.
func (b Block) Encode() []byte {
	head := encode(wireBlock{
		Code: number(b.Code), ID: text(b.ID), Message: b.Message,
		Data: wireBlockData{b.FileToken, number(b.FileSize), number(b.Offset), number(len(b.Data))},
	})
	out := make([]byte, 0, 2+len(head)+len(b.Data)+2)
	out = binary.BigEndian.AppendUint16(out, uint16(len(head)))
	out = append(out, head...)
	out = append(out, b.Data...)
	return binary.LittleEndian.AppendUint16(out, CRC16(b.Data))
}

// DecodeBlock reads a reply. A reply with a code other than 200 is returned
// with that code and no data; a CRC or a length that does not fit is an error,
// with the ID of the reply when that could be read. Data is a part of payload.
func DecodeBlock(payload []byte) (Block, error) {
	if len(payload) < 2 || len(payload) > MaxMessageLen {
		return Block{}, badf("block reply of %d bytes", len(payload))
	}
	n := int(binary.BigEndian.Uint16(payload))
	body := payload[2:]
	if n > len(body) {
		return Block{}, badf("block reply: JSON of %d bytes in %d", n, len(body))
	}
	var w wireBlock
	if err := decode(body[:n], &w); err != nil {
		return Block{}, err
	}
	b := Block{ID: string(w.ID), Code: int(w.Code), Message: w.Message, FileToken: w.Data.FileToken,
		FileSize: int64(w.Data.FileLength), Offset: int64(w.Data.Offset)}
	if b.Code != 200 {
		return b, nil
	}
	body = body[n:]
	if w.Data.Size < 0 || int64(w.Data.Size) != int64(len(body))-2 || b.Offset < 0 ||
		b.FileSize < int64(w.Data.Size) || b.Offset > b.FileSize-int64(w.Data.Size) {
		return Block{ID: b.ID}, badf("block reply: bSize %d at %d of %d in %d bytes", w.Data.Size, b.Offset, b.FileSize, len(body))
	}
	b.Data = body[:len(body)-2]
	if got := binary.LittleEndian.Uint16(body[len(b.Data):]); got != CRC16(b.Data) {
		return Block{ID: b.ID}, badf("block reply: CRC %04x, computed %04x", got, CRC16(b.Data))
	}
	return b, nil
}

// CRC16 is CRC-16/ARC: polynomial 0x8005 reflected, initial value 0.
// CRC16("123456789") is 0xBB3D.
func CRC16(data []byte) uint16 {
	var crc uint16
	for _, c := range data {
		crc = crc>>8 ^ crc16Table[byte(crc)^c]
	}
	return crc
}

var crc16Table = func() (t [256]uint16) {
	for i := range t {
		crc := uint16(i)
		for range 8 {
			if crc&1 != 0 {
				crc = crc>>1 ^ 0xA001
			} else {
				crc >>= 1
			}
		}
		t[i] = crc
	}
	return t
}()
