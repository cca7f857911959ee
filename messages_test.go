package ota

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What devices in the field send, byte for byte (protocol section 11).
func TestUplinksOfTheField(t *testing.T) {
	informs := map[string]Inform{
		`{"id":1, "params":{"version":"1.0.0"}}`:                                {"1", DefaultModule, "1.0.0"},
		`{"id":1, "params":{"version":"1.0.0","module":"MCU"}}`:                 {"1", "MCU", "1.0.0"},
		`{"id":"123","params":{"version":"1.0.1","module":"MCU"}}`:              {"123", "MCU", "1.0.1"},
		"{\"id\":0,\"params\":{\"version\":\"1.0.1\",\"module\":\"\"}}\x00\x00": {"0", DefaultModule, "1.0.1"},
		`{"id":"1","params":{"version":1.5}}`:                                   {"1", DefaultModule, "1.5"},
	}
	for s, want := range informs {
		if got, err := DecodeInform([]byte(s)); err != nil || got != want {
			t.Errorf("%s: %+v, %v", s, got, err)
		}
	}
	reports := map[string]Progress{
		`{"id":2, "params":{"step":"0","desc":"","module":"default"}}`:  {"2", DefaultModule, 0, ""},
		`{"id":0,"params":{"step":"-2","desc":"", "module":"default"}}`: {"0", DefaultModule, -2, ""},
		`{"id":"1","params":{"step":35,"desc":"x"}}`:                    {"1", DefaultModule, 35, "x"},
		`{"id":"1","params":{"step":"-71","desc":"x","module":"MCU"},}`: {"1", "MCU", -71, "x"},
		`{"id":"1","params":{"step":"100"}}`:                            {"1", DefaultModule, 100, ""},
		`{"id":"1","params":{"step":"100","desc":"` + long(500) + `"}}`: {"1", DefaultModule, 100, long(MaxDescLen)},
	}
	for s, want := range reports {
		if got, err := DecodeProgress([]byte(s)); err != nil || got != want {
			t.Errorf("%s: %+v, %v", s, got, err)
		}
	}
	if got, err := DecodeGet([]byte(`{"id":2, "params":{}}`)); err != nil || got != (Get{"2", DefaultModule}) {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := DecodeRequest([]byte(`{"id":5,"params":{"version":"1.0"}}`)); err != nil || got != (Request{"5", "1.0"}) {
		t.Errorf("%+v, %v", got, err)
	}
	comma := `{"id":"123456","version":"1.0","params":{"fileToken":"1bb8","fileInfo":{"streamId":1234565,"fileId":1},"fileBlock":{"size":256,"offset":2},}}`
	if got, err := DecodeBlockRequest([]byte(comma)); err != nil || got != (BlockRequest{"123456", "1bb8", Stream{1234565, 1}, 2, 256}) {
		t.Errorf("%+v, %v", got, err)
	}
}

func long(n int) string { return strings.Repeat("好", n) }

func TestUplinkRoundTrip(t *testing.T) {
	inform := Inform{"9", "MCU", "1.0"}
	if got, err := DecodeInform(inform.Encode()); err != nil || got != inform {
		t.Errorf("%+v, %v", got, err)
	}
	progress := Progress{"9", DefaultModule, -4, "no <space> & more"}
	if got, err := DecodeProgress(progress.Encode()); err != nil || got != progress {
		t.Errorf("%+v, %v", got, err)
	}
	get := Get{"9", "a.b"}
	if got, err := DecodeGet(get.Encode()); err != nil || got != get {
		t.Errorf("%+v, %v", got, err)
	}
	request := Request{"9", "1"}
	if got, err := DecodeRequest(request.Encode()); err != nil || got != request {
		t.Errorf("%+v, %v", got, err)
	}
	block := BlockRequest{"9", "t", Stream{1, 2}, 1 << 40, MaxBlockSize}
	if got, err := DecodeBlockRequest(block.Encode()); err != nil || got != block {
		t.Errorf("%+v, %v", got, err)
	}
	reply := Block{ID: "1", Code: 200, Message: "success", FileToken: "t", FileSize: 10, Offset: 4, Data: []byte("abc")}
	got, err := DecodeBlock(reply.Encode())
	if d := cmp.Diff(reply, got); err != nil || d != "" {
		t.Error(err, d)
	}
	refused := Block{ID: "1", Code: 520, Message: "no such stream"}
	got, err = DecodeBlock(refused.Encode())
	if d := cmp.Diff(refused, got); err != nil || d != "" {
		t.Error(err, d)
	}
}

// The exact bytes that this end emits.
func TestUplinkBytes(t *testing.T) {
	for got, want := range map[string]string{
		string(Inform{"1", DefaultModule, "1.0.0"}.Encode()): `{"id":"1","params":{"version":"1.0.0"}}`,
		string(Inform{"1", "MCU", "1.0.0"}.Encode()):         `{"id":"1","params":{"version":"1.0.0","module":"MCU"}}`,
		string(Progress{"2", DefaultModule, 0, ""}.Encode()): `{"id":"2","params":{"step":"0","desc":""}}`,
		string(Progress{"2", "MCU", -1, "a\x00b"}.Encode()):  `{"id":"2","params":{"step":"-1","desc":"a\u0000b","module":"MCU"}}`,
		string(Get{"3", DefaultModule}.Encode()):             `{"id":"3","version":"1.0","params":{},"method":"thing.ota.firmware.get"}`,
	} {
		if got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestBlockVector(t *testing.T) {
	if got := CRC16([]byte("123456789")); got != 0xBB3D {
		t.Errorf("check value %04x", got)
	}
	payload, err := os.ReadFile("testdata/vectors/download_reply_payload_reconstructed.bin")
	if err != nil {
		t.Fatal(err)
	}
	b, err := DecodeBlock(payload)
	if err != nil || b.Code != 200 || len(b.Data) != 256 {
		t.Fatalf("%+v, %v", b, err)
	}
	for i := range payload {
		bad := append([]byte(nil), payload...)
		bad[i] ^= 1
		if got, err := DecodeBlock(bad); err == nil && len(got.Data) > 0 && string(got.Data) != string(b.Data) {
			t.Fatalf("a flipped bit at %d was not noticed", i)
		}
	}
	for i := range payload {
		if _, err := DecodeBlock(payload[:i]); err == nil {
			t.Fatalf("cut at %d: taken", i)
		}
	}
}

func TestTopics(t *testing.T) {
	d := Device{"a1pk", "gw-1"}
	for k := TopicInform; int(k) < len(topicShapes); k++ {
		got, dev, ok := ParseTopic(k.Of(d))
		if !ok || got != k || dev != d {
			t.Errorf("%s: %v %v %v", k.Of(d), got, dev, ok)
		}
		if !k.Up() && !k.Down() {
			t.Errorf("%s goes nowhere", k.Of(d))
		}
	}
	for _, s := range []string{"", "/", "/ota/device/inform/a1pk", "/ota/device/inform/a1pk/gw/1", "/ota/device/inform/+/+",
		"/ota/device/inform/#", "/sys/a1pk/gw-1/thing/ota/firmware/get/x", "/ota/device/inform/a/" + strings.Repeat("b", 200)} {
		if k, d, ok := ParseTopic(s); ok {
			t.Errorf("%q: taken as %v of %v", s, k, d)
		}
	}
}

// I5: steps outside of the scale.
func TestI5Steps(t *testing.T) {
	for _, s := range []string{"", "101", "1e2", "0x1", "-2147483649", " 5", "５"} {
		if step, err := ParseStep(s); err == nil {
			t.Errorf("%q: taken as %v", s, step)
		}
	}
}

func FuzzDecodeUplinks(f *testing.F) {
	f.Add([]byte(`{"id":2, "params":{"step":"0","desc":"","module":"default"}}`))
	f.Add([]byte(`{"id":1, "params":{"version":"1.0.0"},}` + "\x00"))
	f.Add(BlockRequest{"9", "t", Stream{1, 2}, 3, 512}.Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := DecodeInform(b); err == nil {
			if again, err := DecodeInform(m.Encode()); err != nil || again != m {
				t.Errorf("%+v, then %+v, %v", m, again, err)
			}
		}
		if m, err := DecodeProgress(b); err == nil {
			if again, err := DecodeProgress(m.Encode()); err != nil || again != m {
				t.Errorf("%+v, then %+v, %v", m, again, err)
			}
		}
		if m, err := DecodeBlockRequest(b); err == nil {
			if again, err := DecodeBlockRequest(m.Encode()); err != nil || again != m {
				t.Errorf("%+v, then %+v, %v", m, again, err)
			}
		}
		DecodeGet(b)
		DecodeRequest(b)
	})
}

func FuzzDecodeBlock(f *testing.F) {
	f.Add(Block{ID: "1", Code: 200, FileSize: 10, Offset: 4, Data: []byte("abc")}.Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := DecodeBlock(b)
		if err == nil && m.Code == 200 && int64(len(m.Data))+m.Offset > m.FileSize {
			t.Errorf("%+v is longer than its file", m)
		}
	})
}
