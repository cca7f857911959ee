package unpack_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding"
	"fmt"
	"io"

	"github.com/leapslot/ota/agent/unpack"
)

// A package of two gzip members is unpacked until the power is cut after the
// first, and then to its end with what was saved there.
func ExampleContinue() {
	var pkg bytes.Buffer
	for _, part := range []string{"one half, ", "the other\n"} {
		w := gzip.NewWriter(&pkg)
		io.WriteString(w, part)
		w.Close()
	}
	whole, want := pkg.Bytes(), sha256.Sum256(pkg.Bytes())
	const slotSize = 100

	digest := sha256.New()
	r, err := unpack.Open(bytes.NewReader(whole), digest, slotSize)
	if err != nil {
		fmt.Println(err)
		return
	}
	image := make([]byte, 0, slotSize)
	n, _ := r.Read(image[:slotSize])
	image = image[:n]
	kind, out := r.Kind(), int64(n)
	in, ok := r.Boundary()
	state, _ := digest.(encoding.BinaryMarshaler).MarshalBinary()
	fmt.Printf("%v, %q, can go on here: %v\n", kind, image, ok)

	// What was saved: kind, in, out and state.
	digest = sha256.New()
	digest.(encoding.BinaryUnmarshaler).UnmarshalBinary(state)
	if r, err = unpack.Continue(kind, bytes.NewReader(whole[in:]), digest, slotSize, in, out); err != nil {
		fmt.Println(err)
		return
	}
	rest, err := io.ReadAll(r)
	fmt.Printf("%q, %v, the digest is right: %v\n", rest, err, bytes.Equal(digest.Sum(nil), want[:]))
	// Output:
	// gzip, "one half, ", can go on here: true
	// "the other\n", <nil>, the digest is right: true
}
