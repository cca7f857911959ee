package report

import (
	"testing"
	"time"
)

// BenchmarkRecorder is what one event of a device costs: a counter, a change of
// state and a value, from all processors at once.
func BenchmarkRecorder(b *testing.B) {
	r := New(start)
	b.RunParallel(func(pb *testing.PB) {
		for d := time.Millisecond; pb.Next(); d += 37 * time.Microsecond {
			r.Add(Bytes, 4096)
			r.Move(Online, Downloading)
			r.Observe(Connect, d%time.Second)
		}
	})
}
