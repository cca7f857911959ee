package agent

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/leapslot/ota"
)

func fuzzNotice() ota.Notice {
	return ota.Notice{Module: "default", Version: "2", SignMethod: ota.MD5,
		Files: []ota.File{{Size: 1, URL: "http://h/p", Sign: "54d6ff5a205596db57161705764eeb1b"}}}
}

// FuzzDecodeRecord reads records that no agent wrote; the checksum of the two
// copies finds accidents, and this is for what it does not find.
func FuzzDecodeRecord(f *testing.F) {
	good := record{Format: recordFormat, Update: &Update{Notice: fuzzNotice(), Stage: Fetch, Target: "b", Kept: "a"},
		Images: map[string]Image{"a": {Size: 1, SHA256: "00"}}, Owed: []message{{Kind: 1, Payload: []byte("x")}}}
	f.Add(good.encode())
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeRecord(b)
		if err != nil {
			return
		}
		again, err := decodeRecord(r.encode())
		if err != nil {
			t.Fatalf("%s: not read again: %v", r.encode(), err)
		}
		if d := cmp.Diff(string(r.encode()), string(again.encode())); d != "" {
			t.Error(d)
		}
	})
}
