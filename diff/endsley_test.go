package diff_test

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/leapslot/ota/diff"
)

// endsley puts a BSDIFF43 patch together: each record is followed by its bytes.
func endsley(newSize int64, body []byte) []byte {
	return join([]byte("ENDSLEY/BSDIFF43"), number(newSize), diff.Bzip2(body))
}

func endsleyParts() [][]byte {
	return [][]byte{triples(triple{3, 2, -1}), []byte("\x00\x00\x01xy"), triples(triple{0, 0, 4}), triples(triple{4, 0, 0}), make([]byte, 4)}
}

const endsleyWant = "013xy6789"

func TestEndsley(t *testing.T) {
	patch := endsley(9, join(endsleyParts()...))
	for name, in := range map[string]io.Reader{"whole": bytes.NewReader(patch), "byte by byte": iotest.OneByteReader(bytes.NewReader(patch)), "with the end": iotest.DataErrReader(bytes.NewReader(patch))} {
		r, err := diff.NewEndsleyReader(bytes.NewReader([]byte(oldImage)), 10, in, diff.MaxNewSize(9))
		if err != nil {
			t.Fatal(err)
		}
		if err := iotest.TestReader(r, []byte(endsleyWant)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got, err := apply([]byte(oldImage), patch); err != nil || string(got) != endsleyWant {
		t.Errorf("NewReader: %q, %v", got, err)
	}
	s, err := diff.Info(bytes.NewReader(patch), int64(len(patch)))
	if err != nil || s.Format != diff.BSDIFF43 || s.NewSize != 9 || s.DiffBytes != 7 || s.ExtraBytes != 2 || s.Records != 3 || s.OldAtLeast != 10 {
		t.Errorf("Info: %+v, %v", s, err)
	}
}

// TestEndsleyLong has several blocks of bzip2.
func TestEndsleyLong(t *testing.T) {
	old, add := randomBytes(1, 1_500_000), randomBytes(2, 1_500_000)
	patch := endsley(3_000_000, join(triples(triple{1_500_000, 1_500_000, 0}), make([]byte, 1_500_000), add))
	r, err := diff.NewEndsleyReader(bytes.NewReader(old), int64(len(old)), flow(patch))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, join(old, add)) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
}

func TestI1HostileEndsley(t *testing.T) {
	parts := endsleyParts()
	good := endsley(9, join(parts...))
	for name, patch := range map[string][]byte{
		"nothing": {}, "half a header": good[:20], "another magic": join([]byte("ENDSLEY/BSDIFF44"), good[16:]),
		"negative size":            endsley(-9, join(parts...)),
		"negative diff":            endsley(9, join(triples(triple{-3, 12, 0}), make([]byte, 9))),
		"too long":                 endsley(9, join(triples(triple{3, 7, 0}), make([]byte, 10))),
		"seek before old":          endsley(9, join(triples(triple{3, 2, -4}), make([]byte, 5), triples(triple{4, 0, 0}), make([]byte, 4))),
		"behind old":               endsley(12, join(triples(triple{12, 0, 0}), make([]byte, 12))),
		"record that does nothing": endsley(9, join(triples(triple{}, triple{9, 0, 0}), make([]byte, 9))),
		"too few bytes":            endsley(9, join(parts...)[:40]),
		"too many bytes":           endsley(9, append(join(parts...), 0)),
		"bytes behind the stream":  append(bytes.Clone(good), 0),
		"no bzip2":                 join(good[:24], join(parts...)),
		"huge size":                endsley(1<<62, join(parts...)),
	} {
		r, err := diff.NewEndsleyReader(bytes.NewReader([]byte(oldImage)), 10, flow(patch))
		if err == nil {
			_, err = io.Copy(io.Discard, r)
		}
		if !errors.Is(err, diff.ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for n := range good {
		r, err := diff.NewEndsleyReader(bytes.NewReader([]byte(oldImage)), 10, flow(good[:n]))
		if err == nil {
			_, err = io.Copy(io.Discard, r)
		}
		if !errors.Is(err, diff.ErrFormat) || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("cut after %d bytes: %v", n, err)
		}
	}
	broken := errors.New("connection reset")
	r, err := diff.NewEndsleyReader(bytes.NewReader([]byte(oldImage)), 10, io.MultiReader(bytes.NewReader(good[:40]), iotest.ErrReader(broken)))
	if err == nil {
		_, err = io.Copy(io.Discard, r)
	}
	if !errors.Is(err, broken) || errors.Is(err, diff.ErrFormat) {
		t.Errorf("a broken connection: %v", err)
	}
}

// TestI1HostileRecordsInOneStream has the records that BSDIFF40 must refuse, each
// followed by as much of its bytes as there is.
func TestI1HostileRecordsInOneStream(t *testing.T) {
	for name, c := range hostileRecords() {
		diffData, extra, body := c.diff, c.extra, []byte(nil)
		take := func(from *string, n int64) {
			n = min(max(n, 0), int64(len(*from)))
			body = append(body, (*from)[:n]...)
			*from = (*from)[n:]
		}
		for _, r := range c.records {
			body = append(body, triples(r)...)
			take(&diffData, r[0])
			take(&extra, r[1])
		}
		patch := endsley(c.newSize, append(body, diffData+extra...))
		for _, in := range []io.Reader{flow(patch), bytes.NewReader(patch)} {
			r, err := diff.NewEndsleyReader(bytes.NewReader([]byte(oldImage)), 10, in)
			n := int64(0)
			if err == nil {
				n, err = io.Copy(io.Discard, r)
			}
			if !errors.Is(err, diff.ErrFormat) || n > max(c.newSize, 0) {
				t.Errorf("%s: %v after %d bytes", name, err, n)
			}
		}
	}
}

func FuzzEndsley(f *testing.F) {
	f.Add(int64(9), join(endsleyParts()...), uint8(0))
	f.Add(int64(12), join(triples(triple{12, 0, 0}), make([]byte, 12)), uint8(3))
	f.Fuzz(func(t *testing.T, newSize int64, body []byte, cut uint8) {
		patch := endsley(newSize, body)
		patch = patch[:len(patch)-min(len(patch), int(cut))]
		_, infoErr := diff.Info(bytes.NewReader(patch), int64(len(patch)))
		got, err := apply([]byte(oldImage), patch, diff.MaxNewSize(fuzzLimit))
		if err == nil && (int64(len(got)) != newSize || infoErr != nil) {
			t.Fatalf("%d bytes of %d, Info says %v", len(got), newSize, infoErr)
		}
		if err != nil && !errors.Is(err, diff.ErrFormat) && !errors.Is(err, diff.ErrTooLarge) {
			t.Fatalf("unknown error %v", err)
		}
	})
}
