package agent

import (
	"bytes"

	"github.com/klauspost/compress/gzip"
)

func gzipOf(_, new []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write(new)
	z.Close()
	return b.Bytes()
}
