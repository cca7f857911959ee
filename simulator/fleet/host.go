package fleet

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	spareFiles     = 100  // of a process, beside its connections
	perSource      = 8000 // connections from one source address: the kernel's search for a port takes longer the more there are
	bytesPerDevice = 16 << 10
)

// Host is what the machine allows one process, read at its start.
type Host struct {
	Files  int   // RLIMIT_NOFILE
	Ports  int   // local ports for each source address
	CPUs   int   // that Go uses
	Memory int64 // bytes that are available; 0: not known
}

// ReadHost reads it, and raises the limit of open files to what is allowed.
func ReadHost() (Host, error) {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
		return Host{}, fmt.Errorf("the limit of open files cannot be read: %w", err)
	}
	if r.Cur < r.Max {
		r.Cur = r.Max
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
			return Host{}, fmt.Errorf("the limit of open files cannot be raised to %d: %w", r.Max, err)
		}
	}
	h := Host{Files: int(min(r.Cur, 1<<30)), Ports: 28232, CPUs: runtime.GOMAXPROCS(0)}
	if b, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range"); err == nil {
		if f := strings.Fields(string(b)); len(f) == 2 {
			lo, _ := strconv.Atoi(f[0])
			if hi, err := strconv.Atoi(f[1]); err == nil && hi > lo {
				h.Ports = hi - lo + 1
			}
		}
	}
	if b, err := os.ReadFile("/proc/meminfo"); err == nil {
		_, rest, _ := strings.Cut(string(b), "MemAvailable:")
		if f := strings.Fields(rest); len(f) > 0 {
			kib, _ := strconv.ParseInt(f[0], 10, 64)
			h.Memory = kib << 10
		}
	}
	return h, nil
}

// Sockets is how many connections one process may have.
func (h Host) Sockets() int { return max(h.Files-spareFiles, 0) }

// Check says why so many devices, each with a connection and as many downloads as
// that beside them, cannot be played by one process from so many addresses, and what to do.
func (h Host) Check(devices, downloads, sources int) error {
	if need := devices + min(downloads, devices); need > h.Sockets() {
		room := max(h.Sockets()-downloads, 1)
		return fmt.Errorf("%d devices and %d downloads at once want %d sockets, and this process may have %d: start %d shards (--shard 1/%d and so on)",
			devices, min(downloads, devices), need, h.Sockets(), shardsFor(devices, room), shardsFor(devices, room))
	}
	if devices > h.Ports*sources {
		return fmt.Errorf("%d devices want a port each, and %d source addresses have %d each: give more addresses (--source)", devices, sources, h.Ports)
	}
	if need := int64(devices) * bytesPerDevice; h.Memory > 0 && need > h.Memory {
		return fmt.Errorf("%d devices want about %d MiB, and %d MiB are available: start shards on several machines", devices, need>>20, h.Memory>>20)
	}
	return nil
}

func shardsFor(devices, room int) int { return (devices + room - 1) / room }

// String says it in a line.
func (h Host) String() string {
	return fmt.Sprintf("%d sockets in one process, %d ports for each source address, %d CPUs, %d MiB of memory available",
		h.Sockets(), h.Ports, h.CPUs, h.Memory>>20)
}
