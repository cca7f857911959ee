package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/leapslot/ota/agent"
	"github.com/leapslot/ota/platform/durable"
)

// gateway is a device of a town: a folder with two slots, and a supervisor that
// starts otad again when it reboots and when it was killed.
type gateway struct {
	t    *testing.T
	name string
	dir  string
	file string

	died func() // called by the supervisor after each kill, before the next start

	mu      sync.Mutex
	cmd     *exec.Cmd
	log     bytes.Buffer
	trap    string // the process is killed when its log says so,
	traps   int    // so many times
	looked  int    // log bytes that the trap has seen
	stopped bool
	tally   tally
	done    chan struct{} // the supervisor has ended
}

// tally is how a device's life went so far.
type tally struct {
	boots   int // starts of the process
	reboots int // ends with exit code 4
	kills   int
}

func (g *gateway) counts() tally {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.tally
}

// newGateway registers a device that runs image from slot a. extra is more
// configuration, tables of their own.
func (c *town) newGateway(name string, image []byte, slotSize int64, url, extra string) *gateway {
	c.t.Helper()
	g := &gateway{t: c.t, name: name, dir: c.t.TempDir()}
	g.file = g.path("config.toml")
	var made struct{ Data struct{ DeviceSecret string } }
	c.call(&made, "RegisterDevice", "ProductKey", c.product, "DeviceName", name)
	mustWrite(c.t, g.file, fmt.Appendf(nil, `
state_dir = %[1]q
[device]
product_key = %[2]q
device_name = %[3]q
device_secret = %[4]q
[[module]]
name = "default"
version = "1.0.0"
[slots]
a = %[5]q
b = %[6]q
[api]
socket = %[7]q
[log]
level = "debug"
%[8]s
`, g.path("state"), c.product, name, made.Data.DeviceSecret, g.path("a.img"), g.path("b.img"), g.path("api.sock"), extra))
	if url != "" {
		g.configure(fmt.Sprintf("[cloud]\nurl = %q\n", url))
	}
	mustWrite(c.t, g.path("a.img"), image)
	mustWrite(c.t, g.path("b.img"), nil)
	for _, slot := range []string{"a.img", "b.img"} {
		if err := os.Truncate(g.path(slot), slotSize); err != nil {
			c.t.Fatal(err)
		}
	}
	return g
}

func (g *gateway) path(name string) string { return filepath.Join(g.dir, name) }

// configure appends to the configuration.
func (g *gateway) configure(text string) {
	g.t.Helper()
	b, err := os.ReadFile(g.file)
	if err != nil {
		g.t.Fatal(err)
	}
	mustWrite(g.t, g.file, append(b, text...))
}

// on switches the device on.
func (g *gateway) on() {
	g.mu.Lock()
	g.stopped, g.done = false, make(chan struct{})
	g.mu.Unlock()
	go g.supervise(g.done)
	g.t.Cleanup(g.off)
}

func (g *gateway) supervise(done chan struct{}) {
	defer close(done)
	for {
		cmd := exec.Command("otad", "run", "-c", g.file)
		cmd.Stderr = g
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		g.mu.Lock()
		if g.stopped {
			g.mu.Unlock()
			return
		}
		err := cmd.Start()
		g.cmd = cmd
		g.tally.boots++
		g.mu.Unlock()
		if err != nil {
			g.t.Errorf("otad does not start: %v", err)
			return
		}
		cmd.Wait()
		if !g.again(cmd.ProcessState) {
			return
		}
	}
}

// again says whether a process that ended so is started again.
func (g *gateway) again(s *os.ProcessState) bool {
	g.mu.Lock()
	stopped := g.stopped
	killed := s.Sys().(syscall.WaitStatus).Signaled()
	switch {
	case killed && !stopped:
		g.tally.kills++
		g.traps--
	case s.ExitCode() == exitReboot:
		g.tally.reboots++
	}
	g.mu.Unlock()
	switch {
	case stopped:
		return false
	case killed:
		if g.died != nil {
			g.died()
		}
		return true
	case s.ExitCode() == exitReboot:
		return true
	}
	g.t.Errorf("otad of %s ended with %v by itself", g.name, s)
	return false
}

// Write takes the log of otad, and springs the trap.
func (g *gateway) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.log.Write(p)
	if g.trap != "" && g.traps > 0 {
		if at := bytes.Index(g.log.Bytes()[g.looked:], []byte(g.trap)); at >= 0 {
			g.looked += at + len(g.trap)
			g.cmd.Process.Kill() // when it has not ended by itself: then the trap stays
		}
	}
	return len(p), nil
}

// killAt has the process killed when its log says the word, so many times.
func (g *gateway) killAt(word string, times int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.trap, g.traps, g.looked = word, times, g.log.Len()
}

func (g *gateway) logged(word string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return strings.Contains(g.log.String(), word)
}

// kill is kill -9.
func (g *gateway) kill() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.cmd.Process.Kill()
}

// end stops the process by a signal, for good, and gives its exit code and how
// long that took.
func (g *gateway) end(sig syscall.Signal) (code int, took time.Duration) {
	g.mu.Lock()
	g.stopped = true
	cmd := g.cmd
	g.mu.Unlock()
	began := time.Now()
	cmd.Process.Signal(sig)
	<-g.done
	return cmd.ProcessState.ExitCode(), time.Since(began)
}

// off ends the process whatever it does.
func (g *gateway) off() {
	g.mu.Lock()
	g.stopped = true
	if g.cmd != nil && g.cmd.Process != nil {
		g.cmd.Process.Kill()
	}
	g.mu.Unlock()
	<-g.done
	if g.t.Failed() {
		g.mu.Lock()
		defer g.mu.Unlock()
		b := g.log.Bytes()
		g.t.Logf("log of otad on %s:\n%s", g.name, b[max(0, len(b)-20_000):])
	}
}

// status asks the service; ok is false while there is none.
func (g *gateway) status() (s apiStatus, ok bool) {
	c := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", g.path("api.sock"))
		}}}
	resp, err := c.Get("http://otad/v1/status")
	if err != nil {
		return s, false
	}
	defer resp.Body.Close()
	return s, resp.StatusCode == http.StatusOK && json.NewDecoder(resp.Body).Decode(&s) == nil
}

// wantRuns waits until the device is idle, owes nothing, and wants it to run the
// image from the slot and to have told the cloud so.
func (g *gateway) wantRuns(c *town, version, slot string, image []byte) {
	g.t.Helper()
	var s apiStatus
	within(g.t, slowest, "idle on "+version, func() bool {
		now, ok := g.status()
		if ok {
			s = now
		}
		return ok && s.Stage == agent.Idle && s.Owed == 0
	})
	if s.Version != version || s.Slot != slot {
		g.t.Errorf("version %s runs from slot %s, wanted is %s from %s", s.Version, s.Slot, version, slot)
	}
	got, err := os.ReadFile(g.path(s.Slot + ".img"))
	if err != nil || len(got) < len(image) || !bytes.Equal(got[:len(image)], image) {
		g.t.Errorf("slot %s does not hold the image of %s, byte for byte (%v)", s.Slot, version, err)
	}
	if v := c.version(g.name); v != version {
		g.t.Errorf("the cloud has version %s, wanted is %s", v, version)
	}
}

// savedRecord is what the tests look at in the record of a device that is off.
type savedRecord struct {
	Update struct {
		Stage string
		Mark  struct{ In, Spooled int64 }
	}
}

// record reads it. The process must be dead: reading makes the record durable.
func (g *gateway) record() (r savedRecord) {
	p, err := durable.OpenPair(g.path("state"), recordName)
	if err != nil {
		g.t.Error(err)
		return r
	}
	b, err := p.Load()
	if errors.Is(err, durable.ErrNone) {
		return r
	}
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	if err != nil {
		g.t.Errorf("the record after a kill: %v", err)
	}
	return r
}
