package grub

import (
	"strings"
	"testing"
)

func TestB9ExactlyFull(t *testing.T) {
	for _, over := range []int{0, 1} {
		var b block
		b.set("x", strings.Repeat("y", Size-len(signature)-len("x=\n")+over))
		data, err := b.encode()
		if (err != nil) != (over > 0) {
			t.Fatalf("%d over: %v", over, err)
		}
		if err != nil {
			continue
		}
		if got, err := parse(data); err != nil || got.length() != b.length() {
			t.Errorf("%v", err)
		}
	}
}

func TestEscapes(t *testing.T) {
	for _, v := range []string{"", `\`, `\\`, "a\nb", "\n", `ends\`, "tab\tand =", "#x", "ü"} {
		var b block
		b.set("v", v)
		data, err := b.encode()
		if err != nil {
			t.Fatal(err)
		}
		k, err := parse(data)
		if got, ok := k.get("v"); got != v || !ok || err != nil {
			t.Errorf("%q came back as %q, %v", v, got, err)
		}
	}
}

func TestParse(t *testing.T) {
	pad := func(s string) []byte {
		return []byte(s + strings.Repeat("#", Size-len(s)))
	}
	for name, c := range map[string]struct {
		data []byte
		ok   bool
		junk int
	}{
		"empty block":       {pad(signature), true, 0},
		"warning":           {pad(signature + warning), true, 0},
		"a comment":         {pad(signature + "# who\na=1\n"), true, 0},
		"without a newline": {pad(signature[:len(signature)-1]), false, 0},
		"no equals sign":    {pad(signature + "abc\n"), true, 1},
		"an empty line":     {pad(signature + "a=1\n\nb=2\n"), true, 1},
		"no name":           {pad(signature + "=1\n"), true, 1},
		"escaped newline":   {pad(signature + "a=1\\\n"), true, 1},
		"torn at the end":   {pad(signature + "a=1\nb=2"), true, 1},
		"torn comment":      {pad(signature + "a=1\n# x"), true, 1},
		"NUL":               {pad(signature + "a=\x00\n"), false, 0},
		"zero filling":      {append([]byte(signature+"a=1\n"), make([]byte, Size-len(signature)-4)...), false, 0},
		"another header":    {pad("# GRUB environment Block\n"), false, 0},
	} {
		k, err := parse(c.data)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
		junk := 0
		for _, l := range k.lines {
			if l.junk {
				junk++
			}
		}
		if junk != c.junk {
			t.Errorf("%s: %d lines are junk, want %d: %+v", name, junk, c.junk, k.lines)
		}
	}
	k, err := parse(pad(signature + "a=1\nb=2\na=3\n"))
	if v, _ := k.get("a"); v != "3" || err != nil {
		t.Errorf("of two GRUB takes the last, got %q, %v", v, err)
	}
}

// FuzzGrubenv: what is read and written again says the same, and is as long.
func FuzzGrubenv(f *testing.F) {
	for _, s := range []string{"", warning, "a=1\nb=2\n", "a=\\\\\\\n\n", "###\nx=y\n##\n", "otad_slot=a\notad_trial=b\notad_left=3\n#####\n"} {
		f.Add([]byte(s))
	}
	b, err := New(Config{Slots: names, Running: func() (string, error) { return "a", nil }})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if _, err := parse(body); err == nil && len(body) != Size {
			t.Fatalf("%d bytes are a block", len(body))
		}
		data := append([]byte(signature), body...)
		if n := Size - len(data); n > 0 {
			data = append(data, strings.Repeat("#", n)...)
		}
		k, err := parse(data)
		if err != nil {
			return
		}
		again, err := k.encode()
		if err != nil || string(again) != string(data) {
			t.Fatalf("%q came back as %q, %v", data, again, err)
		}
		next := state{kept: "b", trial: "a", left: 2}
		laid, err := b.layout(k, next).encode()
		if err != nil {
			return // too full
		}
		l, err := parse(laid)
		if err != nil {
			t.Fatal(err)
		}
		if s, err := b.state(l); s != next || err != nil {
			t.Fatalf("%+v, %v", s, err)
		}
		for _, v := range k.lines {
			if v.junk || v.name == "" || v.name == varSlot || v.name == varTrial || v.name == varLeft {
				continue
			}
			want, _ := k.get(v.name)
			if got, _ := l.get(v.name); got != want {
				t.Fatalf("%s was %q and is %q", v.name, want, got)
			}
		}
	})
}
