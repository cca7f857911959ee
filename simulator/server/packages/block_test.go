package packages

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/leapslot/ota"
)

func TestReadBlock(t *testing.T) {
	p := newShop(t)
	content := noise(1000)
	f := p.put(t, content)
	for _, tt := range []struct {
		at   int64
		size int
		want string // "from-to", or the error
	}{
		{0, 256, "0-256"}, {744, 256, "744-1000"}, {745, 256, "745-1000"}, {999, 1, "999-1000"}, {0, 131072, "0-1000"},
		{1000, 256, ErrOffset.Error()}, {1 << 40, 256, ErrOffset.Error()}, {-1, 256, ErrOffset.Error()}, {0, 0, ErrOffset.Error()},
	} {
		got, err := p.ReadBlock(f.ID, tt.at, tt.size)
		if err != nil {
			if !errors.Is(err, ErrOffset) || tt.want != ErrOffset.Error() {
				t.Errorf("%d at %d: %v", tt.size, tt.at, err)
			}
			continue
		}
		if is := fmt.Sprintf("%d-%d", tt.at, tt.at+int64(len(got))); is != tt.want || !bytes.Equal(got, content[tt.at:tt.at+int64(len(got))]) {
			t.Errorf("%d at %d: %s, want %s", tt.size, tt.at, is, tt.want)
		}
	}
	for _, id := range []string{"", "../key", "AAAAAAAAAAAAAAAAAAAAAAAAAA"} {
		if _, err := p.ReadBlock(id, 0, 256); !errors.Is(err, ErrNotFound) {
			t.Errorf("%q: %v", id, err)
		}
	}
	if s := p.Stats(); s.Blocks != 5 || s.BytesOut != 256+256+255+1+1000 {
		t.Errorf("%+v", s)
	}
}

// No file stays open for a device that has asked once and never again.
func TestReadBlockLeavesNothingOpen(t *testing.T) {
	p := newShop(t)
	f := p.put(t, noise(300))
	open := func() int {
		all, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	before := open()
	for range 100 {
		if _, err := p.ReadBlock(f.ID, 0, 256); err != nil {
			t.Fatal(err)
		}
	}
	if after := open(); after > before+10 { // connections of other tests come and go
		t.Errorf("%d files open, before %d", after, before)
	}
}

// The number is bound to the device and the task, and outlives the process.
func TestStreamID(t *testing.T) {
	p := newShop(t)
	id := p.StreamID(lamp, "t1")
	again, err := Open(p.config)
	if err != nil {
		t.Fatal(err)
	}
	if id < 1 || id > 1<<31-1 || again.StreamID(lamp, "t1") != id {
		t.Errorf("%d, then %d", id, again.StreamID(lamp, "t1"))
	}
	if o := p.StreamID(lamp, "t2"); o == id {
		t.Error("two tasks have one stream")
	}
	if o := p.StreamID(ota.Device{ProductKey: lamp.ProductKey, Name: lamp.Name + "x"}, "t1"); o == id {
		t.Error("two devices have one stream")
	}
}
