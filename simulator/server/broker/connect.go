package broker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// maxConnectLen bounds a CONNECT packet. The three fields of a sign-in have less
// than 1 KiB together; the rest is for a will that is thrown away.
const maxConnectLen = 4 << 10

// Answers to a CONNECT (protocol section 1).
const (
	codeAccepted    = 0
	codeVersion     = 1
	codeParameters  = 2
	codeUnavailable = 3
	codePassword    = 4
	codeUnknown     = 5
)

// errVersion is an MQTT version that is not spoken here: the one malformed
// CONNECT that MQTT wants answered.
var errVersion = errors.New("not MQTT 3.1 or 3.1.1")

// connect is a CONNECT packet as far as it means something here.
type connect struct {
	level     byte // 3: MQTT 3.1, 4: MQTT 3.1.1
	keepAlive uint16
	clientID  string
	username  string
	password  string
}

// readConnect reads one whole CONNECT packet and gives its body, and what the
// client has sent after it already. At most maxConnectLen bytes are held.
func readConnect(r io.Reader) (body, rest []byte, err error) {
	buf := make([]byte, 0, 512)
	for {
		header, length, err := connectLength(buf)
		if err != nil {
			return nil, nil, err
		}
		if header > 0 && len(buf) >= header+length {
			body, rest = buf[header:header+length], buf[header+length:]
			if len(rest) == 0 {
				rest = nil // or it would hold buf for as long as the connection lasts
			}
			return body, rest, nil
		}
		if len(buf) == cap(buf) {
			buf = append(make([]byte, 0, 2*cap(buf)), buf...)
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if err != nil && n == 0 {
			return nil, nil, fmt.Errorf("the connection ended before its CONNECT: %w", err)
		}
	}
}

// connectLength takes the fixed header apart: its own length, 0 when more bytes
// are needed, and the length of the body.
func connectLength(b []byte) (header, length int, err error) {
	if len(b) > 0 && b[0] != 0x10 {
		return 0, 0, fmt.Errorf("the first packet starts with %#02x and is no CONNECT", b[0])
	}
	for i := 1; i < len(b); i++ {
		length |= int(b[i]&0x7f) << (7 * (i - 1))
		if length > maxConnectLen {
			return 0, 0, fmt.Errorf("CONNECT is longer than %d bytes", maxConnectLen)
		}
		if b[i]&0x80 == 0 {
			return i + 1, length, nil
		}
		if i == 4 {
			return 0, 0, errors.New("the length of CONNECT has more than 4 bytes")
		}
	}
	return 0, 0, nil
}

// Flags of CONNECT.
const (
	flagReserved = 1 << 0
	flagWill     = 1 << 2
	flagPassword = 1 << 6
	flagUsername = 1 << 7
)

// parseConnect reads the body of a CONNECT packet.
func parseConnect(body []byte) (connect, error) {
	p := fields{rest: body}
	name := p.text()
	level, flags := p.byte(), p.byte()
	if p.err == nil && (name != "MQTT" || level != 4) && (name != "MQIsdp" || level != 3) {
		return connect{}, fmt.Errorf("protocol %.20q level %d: %w", name, level, errVersion)
	}
	c := connect{level: level, keepAlive: p.uint16(), clientID: p.text()}
	if flags&flagWill != 0 {
		p.text()  // its topic
		p.bytes() // its payload
	}
	if flags&flagUsername != 0 {
		c.username = p.text()
	}
	if flags&flagPassword != 0 {
		c.password = string(p.bytes())
	}
	switch {
	case p.err != nil:
		return connect{}, p.err
	case flags&flagReserved != 0:
		return connect{}, errors.New("the reserved flag of CONNECT is set")
	case len(p.rest) != 0:
		return connect{}, fmt.Errorf("CONNECT has %d bytes after its last field", len(p.rest))
	}
	return c, nil
}

// connack is the answer to a CONNECT. No session is ever present.
func connack(code byte) []byte { return []byte{0x20, 2, 0, code} }

// fields reads the fields of a packet. After the first that does not fit, err is
// set and all others are empty.
type fields struct {
	rest []byte
	err  error
}

func (f *fields) take(n int) []byte {
	if f.err == nil && n > len(f.rest) {
		f.err = fmt.Errorf("a field of %d bytes goes past the end of the packet", n)
	}
	if f.err != nil {
		return nil
	}
	b := f.rest[:n]
	f.rest = f.rest[n:]
	return b
}

func (f *fields) byte() byte {
	if b := f.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (f *fields) uint16() uint16 {
	if b := f.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (f *fields) bytes() []byte { return f.take(int(f.uint16())) }

func (f *fields) text() string {
	s := string(f.bytes())
	if f.err == nil && !utf8.ValidString(s) {
		f.err = errors.New("a text is not valid UTF-8")
	}
	return s
}
