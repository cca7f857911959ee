package broker

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/leapslot/ota"
)

func cpu() time.Duration {
	var u unix.Rusage
	unix.Getrusage(unix.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func memory() (heap, stacks int64) {
	for range 3 { // stacks shrink by half each time
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse), int64(m.StackInuse)
}

// BenchmarkConnections opens 9,000 connections of as many devices and leaves
// them idle. CPU is that of the whole process, so the dialling side is in it,
// which is a socket and two system calls; memory is heap and stacks of the broker
// and of the client's net.Conn, without what the kernel holds.
func BenchmarkConnections(b *testing.B) {
	const n = 9000 // 2 sockets each in one process, below RLIMIT_NOFILE
	c := newCity()
	devices := make([]ota.Device, n)
	packets := make([][]byte, n)
	for i := range devices {
		devices[i] = ota.Device{ProductKey: "a1b2c3d4e5f", Name: fmt.Sprintf("device-%05d", i)}
		c.secrets[devices[i]] = "s"
		l, err := ota.Credentials{Device: devices[i], Secret: "s"}.Login()
		if err != nil {
			b.Fatal(err)
		}
		packets[i] = connectPacket(l.ClientID, l.Username, l.Password, 1200)
	}
	for _, kind := range []string{"tcp", "pipe"} {
		b.Run(kind, func(b *testing.B) {
			for range b.N {
				br, addr := start(b, c)
				open := func() net.Conn { return pipe(br) }
				if kind == "tcp" {
					open = func() net.Conn {
						conn, err := net.Dial("tcp", addr)
						if err != nil {
							b.Fatal(err)
						}
						return conn
					}
				}
				conns := make([]net.Conn, n)
				heap, stacks := memory()
				used := cpu()
				for i := range conns {
					conns[i] = open()
					conns[i].Write(packets[i])
					var ack [4]byte
					if _, err := io.ReadFull(conns[i], ack[:]); err != nil || ack[3] != 0 {
						b.Fatal(ack, err)
					}
				}
				used = cpu() - used
				b.ReportMetric(float64(used.Microseconds())/n, "us-cpu/connect")
				heap2, stacks2 := memory()
				b.ReportMetric(float64(heap2-heap)/n, "B-heap/conn")
				b.ReportMetric(float64(stacks2-stacks)/n, "B-stack/conn")
				b.ReportMetric(float64(heap2+stacks2-heap-stacks)/n, "B/conn")
				for _, conn := range conns {
					conn.Close()
				}
				br.Close()
			}
		})
	}
}
