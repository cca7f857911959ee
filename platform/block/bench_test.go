package block

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

const benchSize = 64 << 20

// BenchmarkSlotWrite writes and syncs 64 MiB as the agent does, beside dd. The
// CPU time of the two is that of the process; the loop driver's own is not in it.
func BenchmarkSlotWrite(b *testing.B) {
	l := newLoop(b, b.TempDir(), benchSize, 512)
	noise := make([]byte, 4<<20)
	fill(rand.New(rand.NewPCG(7, 7)), noise)
	source := b.TempDir() + "/image"
	f, err := os.Create(source)
	if err != nil {
		b.Fatal(err)
	}
	for range benchSize / len(noise) {
		f.Write(noise)
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
	for _, direct := range []bool{false, true} {
		s := newSlot(b, Config{Device: l.path, Direct: direct})
		b.Run(fmt.Sprintf("Direct=%v", direct), func(b *testing.B) {
			measure(b, func() time.Duration {
				before := cpu(syscall.RUSAGE_SELF)
				copyIn(b, s, source)
				return cpu(syscall.RUSAGE_SELF) - before
			})
		})
	}
	for name, flags := range map[string][]string{"dd": {"conv=fsync"}, "dd,direct": {"conv=fsync", "oflag=direct"}} {
		b.Run(name, func(b *testing.B) {
			measure(b, func() time.Duration {
				cmd := exec.Command("dd", append([]string{"if=" + source, "of=" + l.path, "bs=1M", "status=none"}, flags...)...)
				if err := cmd.Run(); err != nil {
					b.Fatal(err)
				}
				return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
			})
		})
	}
}

func measure(b *testing.B, once func() time.Duration) {
	b.SetBytes(benchSize)
	var used time.Duration
	for b.Loop() {
		used += once()
	}
	b.ReportMetric(float64(used.Milliseconds())/float64(b.N), "cpu-ms/op")
}

func copyIn(b *testing.B, s *Slot, source string) {
	f, err := os.Open(source)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	m, err := s.Open(true)
	if err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 128<<10)
	for at := int64(0); at < benchSize; {
		n, err := f.Read(buf)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := m.WriteAt(buf[:n], at); err != nil {
			b.Fatal(err)
		}
		at += int64(n)
	}
	if err := m.Sync(); err != nil {
		b.Fatal(err)
	}
	if err := m.Close(); err != nil {
		b.Fatal(err)
	}
}

func cpu(who int) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(who, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
