package diff

import (
	"bytes"
	"io"
)

// Bzip2 packs data into one stream, so that tests can forge patches.
func Bzip2(data []byte) []byte {
	z := newBzip(&sorter{})
	z.write(data)
	return z.finish()
}

// Bunzip2 reads one stream with our own reader.
func Bunzip2(stream []byte) ([]byte, error) {
	z := newBunzip(bytes.NewReader(stream), 0, int64(len(stream)), new(unsorter), "stream")
	return io.ReadAll(z)
}
