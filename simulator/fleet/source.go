package fleet

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
)

// Bounds of a list of addresses.
const (
	MaxSources     = 4096
	maxSourcesFile = 1 << 20 // bytes
)

// ReadSources reads the addresses that devices connect from: a list with commas, or the
// name of a file with one in each line. What is not an address of this host is refused.
func ReadSources(text string) ([]netip.Addr, error) {
	split := func(s string) []string {
		return strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(", \t\r\n", r) })
	}
	words := split(text)
	if len(words) == 0 {
		return nil, fmt.Errorf("%q has no address", text)
	}
	if _, err := netip.ParseAddr(words[0]); err != nil {
		info, err := os.Stat(text)
		if err != nil || info.Size() > maxSourcesFile {
			return nil, fmt.Errorf("%.100q is neither an IP address nor a file of them", text)
		}
		content, err := os.ReadFile(text)
		if err != nil {
			return nil, err
		}
		words = split(string(content))
	}
	if len(words) == 0 || len(words) > MaxSources {
		return nil, fmt.Errorf("%.100q has %d addresses: give 1 to %d", text, len(words), MaxSources)
	}
	var out []netip.Addr
	seen := map[netip.Addr]bool{}
	for _, w := range words {
		a, err := netip.ParseAddr(w)
		if err != nil {
			return nil, fmt.Errorf("%.60q is no IP address", w)
		}
		if seen[a] {
			return nil, fmt.Errorf("%s is given twice", a)
		}
		seen[a] = true
		if err := ours(a); err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, nil
}

// ours asks the kernel whether this host has the address.
func ours(a netip.Addr) error {
	l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(a, 0)))
	if err != nil || a.IsUnspecified() || a.IsMulticast() {
		if err == nil {
			l.Close()
		}
		return fmt.Errorf("%s is not an address of this host (ip address shows those that are)", a)
	}
	return l.Close()
}

// sourcesFor spreads devices over 127.0.x.y when the broker is on an address like that,
// so that no address runs out of ports and the kernel finds a free one at once.
func sourcesFor(t Target, devices, shard int) []netip.Addr {
	ip, err := netip.ParseAddr(t.host)
	if t.host != "localhost" && (err != nil || !ip.Is4() || !ip.IsLoopback()) {
		return nil
	}
	n := devices/perSource + 1
	out := make([]netip.Addr, n)
	for i := range out {
		k := shard*n + i
		out[i] = netip.AddrFrom4([4]byte{127, 0, byte(1 + k/250%250), byte(1 + k%250)})
	}
	return out
}

// checkSources says why the broker cannot be reached from the addresses.
func (t Target) checkSources(sources []netip.Addr) error {
	if len(sources) > MaxSources {
		return fmt.Errorf("%d source addresses: give at most %d", len(sources), MaxSources)
	}
	ip, err := netip.ParseAddr(t.host)
	for _, s := range sources {
		switch {
		case s.Unmap().IsLoopback() && !t.Local():
			return fmt.Errorf("%s is on another machine, which is not reached from %s", t.host, s)
		case err == nil && ip.Unmap().Is4() != s.Unmap().Is4():
			return fmt.Errorf("%s and %s are not of one kind of IP: one is not reached from the other", t.host, s)
		}
	}
	return nil
}

// source is the address that the i-th device reaches a host from; not valid: the kernel's
// choice. Packages may be on another host than the broker.
func (f *Fleet) source(i int, host string) netip.Addr {
	if len(f.sources) == 0 {
		return netip.Addr{}
	}
	s := f.sources[i%len(f.sources)]
	if s.Unmap().IsLoopback() && !loopback(host) {
		return netip.Addr{}
	}
	return s
}

// Sources is how many addresses there are to connect from.
func (f *Fleet) Sources() int { return max(len(f.sources), 1) }
