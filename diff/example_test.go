package diff_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"os"
	"strings"

	"github.com/leapslot/ota/diff"
)

// On the build host: make a patch from two images.
func ExampleMake() {
	old, new := []byte("the old image\n"), []byte("the new image\n")
	var patch bytes.Buffer
	if err := diff.Make(context.Background(), &patch, old, new, diff.Options{}); err != nil {
		log.Fatal(err)
	}
	format, ok := diff.Detect(patch.Bytes())
	fmt.Println(format, ok)
	// Output: bsdiff40 true
}

// On the device: read the new image out of the old one and the patch, and
// copy it into the spare slot, whose size is the limit.
func ExampleNewReader() {
	old := strings.NewReader("the old image\n")
	patch := examplePatch("the old image\n", "the new image\n")
	const slotSize = 64 << 20
	r, err := diff.NewReader(old, old.Size(), patch, patch.Size(), diff.MaxNewSize(slotSize))
	if err != nil {
		log.Fatal(err) // nothing was written yet
	}
	slot := os.Stdout
	n, err := io.Copy(slot, r)
	if err != nil {
		log.Fatal(err) // the slot holds a part of an image: never boot it
	}
	fmt.Println(n == r.Size())
	// Output:
	// the new image
	// true
}

// What a patch holds is known without the old image.
func ExampleInfo() {
	patch := examplePatch("the old image\n", "the new image, and more\n")
	s, err := diff.Info(patch, patch.Size())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(s.Format, s.NewSize, s.DiffBytes+s.ExtraBytes)
	// Output: bsdiff40 24 24
}

// On the device: a native patch goes from the network straight into the slot.
// After each write that was synced the checkpoint is saved; after a power cut
// the slot is written on from there, and the patch asked for from there with
// an HTTP Range.
func ExampleResumeNative() {
	old := strings.NewReader("the old image\n")
	patch := exampleNative("the old image\n", "the new image\n")
	get := func(from int64) io.Reader { // GET with Range: bytes=from-
		return bytes.NewReader(patch[from:])
	}
	const slotSize = 64 << 20
	var slot bytes.Buffer

	r, err := diff.NewNativeReader(old, old.Size(), get(0), diff.MaxNewSize(slotSize))
	if err != nil {
		log.Fatal(err)
	}
	if err := r.CheckOld(); err != nil {
		log.Fatal(err) // another image runs here: nothing was written
	}
	io.CopyN(&slot, r, 7) // and sync
	saved, err := json.Marshal(r.Checkpoint())
	if err != nil {
		log.Fatal(err)
	}

	// The power is cut, and comes back.
	var c diff.Checkpoint
	if err := json.Unmarshal(saved, &c); err != nil {
		log.Fatal(err)
	}
	r, err = diff.ResumeNative(old, old.Size(), get(c.In), c, diff.MaxNewSize(slotSize))
	if err != nil {
		log.Fatal(err)
	}
	slot.Truncate(int(c.Out)) // seek the slot to c.Out
	if _, err := io.Copy(&slot, r); err != nil {
		log.Fatal(err) // a Checkpoint that is newer may be there
	}
	fmt.Print(slot.String())
	// Output: the new image
}

func exampleNative(old, new string) []byte {
	var w bytes.Buffer
	if err := diff.Make(context.Background(), &w, []byte(old), []byte(new), diff.Options{Format: diff.Native}); err != nil {
		log.Fatal(err)
	}
	return w.Bytes()
}

func examplePatch(old, new string) *bytes.Reader {
	var w bytes.Buffer
	if err := diff.Make(context.Background(), &w, []byte(old), []byte(new), diff.Options{}); err != nil {
		log.Fatal(err)
	}
	return bytes.NewReader(w.Bytes())
}
