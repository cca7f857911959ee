package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator/server/broker"
)

// fleet knows every device, and counts what the broker hands on.
type fleet struct{ uplinks chan ota.TopicKind }

const fleetSecret = "secret"

func (fleet) Secret(context.Context, ota.Device) (string, error) { return fleetSecret, nil }
func (fleet) Online(ota.Device)                                  {}
func (fleet) Offline(ota.Device)                                 {}
func (f fleet) Uplink(_ ota.Device, kind ota.TopicKind, _ []byte) {
	f.uplinks <- kind
}

// TestSwarm: the packets written here are those that the real broker reads, and its
// answers are those that are waited for.
func TestSwarm(t *testing.T) {
	const devices, messages = 20, 3
	f := fleet{make(chan ota.TopicKind, devices*messages)}
	b, err := broker.New(broker.Config{Directory: f, Sink: f})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go b.Serve(l)
	defer b.Close()
	list := writeFleet(t, devices)
	var out bytes.Buffer
	orders := fmt.Sprintf("connect\npublish %s %d\npublish %s %d\n", telemetry, messages, versions, messages)
	if err := swarmMain([]string{"-addr", l.Addr().String(), "-devices", list}, strings.NewReader(orders), &out); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); got != "done\ndone\ndone\n" {
		t.Errorf("the swarm said %q", got)
	}
	s := b.Stats()
	if s.Accepted != devices || s.Ignored != devices*messages || len(f.uplinks) != devices*messages || s.Denied != 0 {
		t.Errorf("%+v, %d reports of versions", s, len(f.uplinks))
	}
}

// TestSwarmFails: what is not measured is an error, and not a low figure.
func TestSwarmFails(t *testing.T) {
	list := writeFleet(t, 1)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := free.Addr().String()
	free.Close()
	for _, order := range []string{"connect", "publish", "publish telemetry", "dance"} {
		if err := swarmMain([]string{"-addr", addr, "-devices", list}, strings.NewReader(order+"\n"), &bytes.Buffer{}); err == nil {
			t.Errorf("%s was done with nobody there", order)
		}
	}
	if err := swarmMain([]string{"-addr", addr, "-devices", filepath.Join(t.TempDir(), "none")}, strings.NewReader(""), &bytes.Buffer{}); err == nil {
		t.Error("a swarm without devices")
	}
}

func writeFleet(t *testing.T, n int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "devices.csv")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := csv.NewWriter(f)
	w.Write([]string{"product_key", "device_name", "device_secret"})
	for i := range n {
		w.Write([]string{"a1b2c3d4e5f", fmt.Sprintf("device-%d", i), fleetSecret})
	}
	if w.Flush(); w.Error() != nil {
		t.Fatal(w.Error())
	}
	return path
}

// A packet of 128 bytes and more has two bytes of length.
func TestPacketLength(t *testing.T) {
	for n, want := range map[int]string{0: "3000", 127: "307f", 128: "308001", 16383: "30ff7f", 16384: "30808001"} {
		if got := fmt.Sprintf("%x", packet(0x30, make([]byte, n))[:len(want)/2]); got != want {
			t.Errorf("a body of %d bytes begins with %s, not %s", n, got, want)
		}
	}
}

// The clock of a process counts what wait4 counts.
func TestProcessCPU(t *testing.T) {
	before, err := processCPU(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	var u, v syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	for began := time.Now(); time.Since(began) < 100*time.Millisecond; {
	}
	syscall.Getrusage(syscall.RUSAGE_SELF, &v)
	after, err := processCPU(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	usage := time.Duration(v.Utime.Nano() + v.Stime.Nano() - u.Utime.Nano() - u.Stime.Nano())
	if off := after - before - usage; off < -20*time.Millisecond || off > 20*time.Millisecond || usage <= 0 {
		t.Errorf("%v by the clock, %v by getrusage", after-before, usage)
	}
	if _, err := processCPU(1 << 22); err == nil {
		t.Error("a process that is not there has a clock")
	}
}

func TestEngineTable(t *testing.T) {
	got := engineTable(map[string]series{
		"engine-tasks/s": {70, 80, 90}, "raw-tasks/s": {100, 100, 100}, "engine-rows/s": {1, 1, 1}, "raw-rows/s": {1, 1, 1},
		"engine-cpu-us/row": {1, 1, 1}, "raw-cpu-us/row": {1, 1, 1}, "rows/batch": {800, 800, 800},
	})
	if got.rows[0][3] != "0.800 (0.700, 0.800, 0.900)" || !got.goals[0].reached() {
		t.Errorf("%v, %v", got.rows[0], got.goals)
	}
}
