package ota

import (
	"strings"
	"testing"
)

// A request that is refused can be answered: its id and token are read all the same.
func TestRefusedBlockRequest(t *testing.T) {
	const form = `{"id":7,"params":{"fileToken":"t","fileInfo":{"streamId":1,"fileId":1},"fileBlock":{"size":SIZE,"offset":AT}}}`
	for _, tt := range []struct{ size, at string }{{"0", "0"}, {"131073", "0"}, {"-1", "0"}, {"256", "-1"}} {
		got, err := DecodeBlockRequest([]byte(strings.NewReplacer("SIZE", tt.size, "AT", tt.at).Replace(form)))
		if err == nil || got != (BlockRequest{ID: "7", FileToken: "t"}) {
			t.Errorf("size %s at %s: %+v, %v", tt.size, tt.at, got, err)
		}
	}
	rest := strings.NewReplacer("SIZE", "1", "AT", "4096").Replace(form)
	if got, err := DecodeBlockRequest([]byte(rest + "\x00")); err != nil || got.Size != 1 || got.Offset != 4096 {
		t.Errorf("the rest of a file: %+v, %v", got, err)
	}
}

// A damaged block names the request that it answers.
func TestDamagedBlock(t *testing.T) {
	payload := Block{ID: "9", Code: 200, FileSize: 3, Data: []byte("abc")}.Encode()
	payload[len(payload)-3] ^= 1
	if got, err := DecodeBlock(payload); err == nil || got.ID != "9" || got.Data != nil {
		t.Errorf("%+v, %v", got, err)
	}
}
