package fleet

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/leapslot/ota/simulator/fleet/report"
	"github.com/leapslot/ota/simulator/server"
)

// relay passes connections on, and notes where they come from.
type relay struct {
	net.Listener
	mu   sync.Mutex
	from map[string]int
}

func (r *relay) Accept() (net.Conn, error) {
	c, err := r.Listener.Accept()
	if err == nil {
		r.mu.Lock()
		host, _, _ := net.SplitHostPort(c.RemoteAddr().String())
		r.from[host]++
		r.mu.Unlock()
	}
	return c, err
}

// TestSources: devices of either kind connect and download from the addresses that are
// given, in turns, and from no other.
func TestSources(t *testing.T) {
	t.Parallel()
	var doors [2]*relay // the broker's and the packages'
	w := newWorldOf(t, server.Config{}, func(i int, l net.Listener) net.Listener {
		doors[i] = &relay{Listener: l, from: map[string]int{}}
		return doors[i]
	})
	members := w.register(w.product, 12)
	job := w.batch(w.product, w.firmware(w.product, "2.0.0", 10_000))
	list := filepath.Join(t.TempDir(), "list")
	if err := os.WriteFile(list, []byte("127.9.1.1\n127.9.1.2\n\n127.9.1.3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	sources, err := ReadSources(list)
	if err != nil || len(sources) != 3 {
		t.Fatalf("%v, %v", sources, err)
	}
	f := w.fleet(members, func(c *Config) { c.Sources = sources }, Behaviour{}, Behaviour{Client: ClientAgent})
	w.run(f)
	if n := w.agree(f, job, w.product)[report.Succeeded]; n != 12 {
		t.Errorf("%d of 12 succeeded", n)
	}
	for i, door := range doors {
		for _, s := range sources {
			least := 4 * (2 - i) // each device signs in twice and downloads once
			if door.from[s.String()] < least {
				t.Errorf("door %d: %d connections from %s, wanted are %d", i, door.from[s.String()], s, least)
			}
			delete(door.from, s.String())
		}
		delete(door.from, "127.0.0.1") // the test's own
		if len(door.from) > 0 {
			t.Errorf("door %d: connections from %v", i, door.from)
		}
	}
}

func TestReadSources(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for text, bad := range map[string]string{
		"127.0.0.7":            "",
		"127.0.0.7, 127.0.0.8": "",
		"192.0.2.1":            "not an address of this host",
		"127.0.0.7,192.0.2.1":  "192.0.2.1 is not an address of this host",
		"0.0.0.0":              "not an address of this host",
		"224.0.0.1":            "not an address of this host",
		"127.0.0.7,127.0.0.7":  "twice",
		"127.0.0.7,elsewhere":  "no IP address",
		"no/such/file":         "neither an IP address nor a file",
		"":                     "no address",
		empty:                  "0 addresses",
	} {
		got, err := ReadSources(text)
		if bad == "" && (err != nil || len(got) != 1+strings.Count(text, ",")) || bad != "" && (err == nil || !strings.Contains(err.Error(), bad)) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

func TestCheckSources(t *testing.T) {
	for _, c := range []struct {
		broker, source string
		good           bool
	}{
		{"mqtt://127.0.0.1", "127.0.0.9", true}, {"mqtt://localhost", "10.0.0.1", true}, {"mqtt://10.0.0.2", "10.0.0.1", true},
		{"mqtt://broker.example", "10.0.0.1", true}, {"mqtt://broker.example", "127.0.0.1", false}, {"mqtt://10.0.0.2", "127.0.0.1", false},
		{"mqtt://127.0.0.1", "::1", false}, {"mqtt://[2001:db8::1]", "10.0.0.1", false},
	} {
		target, err := ParseTarget(c.broker, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := target.checkSources([]netip.Addr{netip.MustParseAddr(c.source)}); (err == nil) != c.good {
			t.Errorf("%s from %s: %v", c.broker, c.source, err)
		}
	}
	f := &Fleet{sources: []netip.Addr{netip.MustParseAddr("127.0.0.1")}}
	if s := f.source(0, "192.0.2.1"); s.IsValid() {
		t.Errorf("another machine is to be reached from %s", s)
	}
}
