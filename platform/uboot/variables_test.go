package uboot

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestVariables(t *testing.T) {
	v := variables{"a=1", "odd", "b==2=", "a=3", "none="}
	for name, want := range map[string]string{"a": "3", "b": "=2=", "odd": "", "none": "", "missing": ""} {
		if got, ok := v.get(name); got != want || ok != (want != "") {
			t.Errorf("%s: %q, %v", name, got, ok)
		}
	}
	got := v.set(map[string]string{"a": "4", "c": "5", "gone": "", "b": ""})
	if d := cmp.Diff(variables{"a=4", "odd", "none=", "c=5"}, got); d != "" {
		t.Error(d)
	}
}

func TestSetRefuses(t *testing.T) {
	c, _ := memory(t, setups()[0])
	e, err := open(c)
	if err != nil {
		t.Fatal(err)
	}
	before := e.All()
	for name, value := range map[string]string{
		"": "x", "a=b": "x", "a\x00": "x", "v": "a\x00b", strings.Repeat("n", maxName+1): "x", "long": strings.Repeat("x", envSize),
	} {
		if e.Set(map[string]string{name: value, "good": "1"}) == nil {
			t.Errorf("%.20q=%.20q was accepted", name, value)
		}
	}
	if d := cmp.Diff(before, e.All()); d != "" {
		t.Errorf("a refused Set changed something\n%s", d)
	}
}

// TestFull: to the last byte, and no further.
func TestFull(t *testing.T) {
	for n := 40; n < 64; n++ {
		v := variables{"x=" + strings.Repeat("y", n)}
		raw, err := encode(v, 7, true, false, 64)
		fits := 5+2+n+2 <= 64
		if (err == nil) != fits {
			t.Fatalf("%d bytes: %v", n, err)
		}
		if err == nil {
			if img := decode(raw, true); !img.whole() || img.flag != 7 || !cmp.Equal(img.vars, v) {
				t.Fatalf("%d bytes: %+v", n, img)
			}
		}
	}
}

func TestFlags(t *testing.T) {
	for _, c := range []struct {
		first, second byte
		want          int
	}{
		{1, 0, 0}, {0, 1, 1}, {1, 1, 0}, {0, 0, 0}, // marked
		{1, 2, 1}, {2, 1, 0}, {255, 0, 1}, {0, 255, 0}, {254, 255, 1}, {255, 254, 0}, // counted
	} {
		got := (&copies{redundant: true}).active([]image{{flag: c.first}, {flag: c.second}})
		if got != c.want {
			t.Errorf("flags %d and %d: copy %d", c.first, c.second, got)
		}
	}
}

func FuzzEnvironment(f *testing.F) {
	for _, v := range []variables{nil, {"otad_slot=a", "bootcount=0"}, {"odd", "=x", "a==b"}} {
		for _, redundant := range []bool{false, true} {
			raw, err := encode(v, 255, redundant, redundant, 64)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(raw, redundant)
		}
	}
	f.Add(bytes.Repeat([]byte{0xff}, 64), true)
	f.Add([]byte{}, false)
	f.Fuzz(func(t *testing.T, raw []byte, redundant bool) {
		// As it is, and with a checksum that lets it through.
		decode(raw, redundant)
		if len(raw) < header(redundant)+2 {
			return
		}
		raw = bytes.Clone(raw)
		sign(raw, redundant)
		img := decode(raw, redundant)
		if !img.whole() {
			return
		}
		for _, e := range img.vars {
			if e == "" || strings.ContainsRune(e, 0) {
				t.Fatalf("entry %q", e)
			}
		}
		// One byte more: U-Boot lets the last NUL be missing in a full one.
		again, err := encode(img.vars, img.flag, redundant, img.big, int64(len(raw))+1)
		if err != nil {
			t.Fatalf("cannot be written again: %v", err)
		}
		if d := cmp.Diff(img.vars, decode(again, redundant).vars); d != "" {
			t.Fatal(d)
		}
	})
}
