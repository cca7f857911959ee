package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/leapslot/ota/agent"
)

// The life of a service that has nothing to install.
func TestDaemonIdle(t *testing.T) {
	b := startBroker(t, "127.0.0.1:0")
	d := newDevice(t, b.url, "[health]\ncloud = true\n")
	r := d.run()
	b.wait(t, "/ota/device/inform/"+testProduct+"/"+testDevice, `"version":"1.0.0"`)
	eventually(t, "online", func() bool { return d.status().Online })
	s := d.status()
	if s.Version != "1.0.0" || s.Module != "default" || s.Slot != "a" || s.Stage != "idle" || !s.Running || s.Notice != nil || s.Last != nil {
		t.Errorf("status is %+v", s)
	}
	out, _ := d.otad(0, "status")
	if !strings.Contains(out, "1.0.0  (module default, slot a)") {
		t.Errorf("status prints %q", out)
	}
	if fi, err := os.Stat(d.path("run/api.sock")); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("socket: %v, %v", fi.Mode(), err)
	}
	if fi, err := os.Stat(d.path("state")); err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("state directory: %v, %v", fi.Mode(), err)
	}

	out, _ = d.otad(0, "check", "--exit-code")
	if out != "no update is available\n" {
		t.Errorf("check prints %q", out)
	}
	_, stderr := d.otad(exitNothing, "cancel")
	if stderr != "otad: cancel: no update is under way (nothing to do)\n" {
		t.Errorf("cancel prints %q", stderr)
	}
	if out, _ = d.otad(0, "history", "-o", "json"); out != "[]\n" {
		t.Errorf("history prints %q", out)
	}
	if _, stderr = d.otad(exitBusy, "run"); !strings.Contains(stderr, "is in use by another otad") {
		t.Errorf("a second service prints %q", stderr)
	}
	if out, _ = d.otad(0, "doctor"); !strings.Contains(out, "the service has reached") {
		t.Errorf("doctor prints %q", out)
	}
	d.otad(exitFailure, "doctor", "--record-slot") // the service runs

	r.stop(syscall.SIGTERM, exitOK)
	if _, err := os.Stat(d.path("run/api.sock")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left behind: %v", err)
	}
	if s := d.status(); s.Running || s.Version != "1.0.0" || s.Stage != "idle" {
		t.Errorf("without a service the status is %+v", s)
	}
	if out, _ = d.otad(0, "status"); !strings.Contains(out, "NOT RUNNING") {
		t.Errorf("without a service status prints %q", out)
	}
	if _, stderr = d.otad(exitFailure, "check"); !strings.Contains(stderr, "the service is not running (start it") {
		t.Errorf("check prints %q", stderr)
	}
	if out, _ = d.otad(0, "doctor", "--record-slot"); !strings.Contains(out, "signed in at") || !strings.Contains(out, "65536 bytes, SHA-256 ") {
		t.Errorf("doctor prints %q", out)
	}

	// A socket that a killed service left behind is replaced.
	r = d.run()
	r.stop(syscall.SIGKILL, -1)
	r = d.run()
	r.stop(syscall.SIGINT, exitOK)
}

// An update that is offered by an answer is begun: check says so, and while it
// is under way it is busy and can be cancelled.
func TestDaemonCheckAndCancel(t *testing.T) {
	hang := hangingServer(t)
	b := startBroker(t, "127.0.0.1:0")
	d := newDevice(t, b.url, "")
	r := d.run()
	b.wait(t, "/inform/")
	b.answerWith(fmt.Sprintf(`{"size":4252,"sign":"2e78f357f54732c90f3bebb2fb6a3865","version":"1.1","signMethod":"Md5","url":"http://%s/f","md5":"2e78f357f54732c90f3bebb2fb6a3865"}`, hang))
	out, _ := d.otad(exitAvailable, "check", "--exit-code", "-o", "json")
	var found apiCheck
	if err := json.Unmarshal([]byte(out), &found); err != nil || !found.Available || found.Notice.Version != "1.1" || found.Notice.Size != 4252 {
		t.Fatalf("check prints %q", out)
	}
	eventually(t, "fetching", func() bool { return d.status().Stage == "fetch" })
	if _, stderr := d.otad(exitBusy, "check"); !strings.Contains(stderr, "an update is under way") {
		t.Errorf("check prints %q", stderr)
	}

	// Stopped in the middle, it goes on at the next start (W11).
	r.stop(syscall.SIGTERM, exitOK)
	if s := d.status(); s.Running || s.Stage != "fetch" || s.Notice == nil || s.Notice.Version != "1.1" {
		t.Errorf("on the disk the status is %+v", s)
	}
	r = d.run()
	eventually(t, "fetching again", func() bool { return d.status().Stage == "fetch" })
	b.answerWith("{}")
	if out, _ := d.otad(0, "cancel"); out != "cancelled\n" {
		t.Errorf("cancel prints %q", out)
	}
	b.wait(t, "/progress/", "cancelled")
	eventually(t, "idle", func() bool { return d.status().Stage == "idle" })
	if s := d.status(); s.Last == nil || s.Last.Version != "1.1" || !s.Last.Step.Failed() {
		t.Errorf("status is %+v", s)
	}
	if out, _ := d.otad(0, "history"); !strings.Contains(out, "from 1.0.0 to 1.1: ") || !strings.Contains(out, "cancelled") {
		t.Errorf("history prints %q", out)
	}
	r.stop(syscall.SIGTERM, exitOK)
}

// hangingServer takes connections and never answers.
func hangingServer(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			if _, err := l.Accept(); err != nil {
				return
			}
		}
	}()
	return l.Addr().String()
}

// N25: without a broker the service stays up, and signs in when one appears.
func TestN25NoBrokerAtBoot(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	d := newDevice(t, "mqtt://"+addr, "")
	r := d.run()
	if s := d.status(); s.Online || !s.Running {
		t.Errorf("status is %+v", s)
	}
	if out, _ := d.otad(exitFailure, "doctor"); !strings.Contains(out, "fail  cloud") {
		t.Errorf("doctor prints %q", out)
	}
	b := startBroker(t, addr)
	b.wait(t, "/inform/", `"version":"1.0.0"`)
	r.stop(syscall.SIGTERM, exitOK)
}

// SIGHUP: a good configuration counts, a bad one changes nothing, and what only
// counts at the start is refused.
func TestDaemonReload(t *testing.T) {
	b := startBroker(t, "127.0.0.1:0")
	d := newDevice(t, b.url, "[[module]]\nname = \"default\"\nversion = \"1.0.0\"\n")
	r := d.run()
	b.wait(t, `"version":"1.0.0"`)
	d.append("[[module]]\nname = \"mcu\"\ninstaller = \"none\"\nversion = \"7\"\n[log]\nlevel = \"debug\"\n")
	r.cmd.Process.Signal(syscall.SIGHUP)
	b.wait(t, `"version":"7"`, `"module":"mcu"`)
	eventually(t, "two modules", func() bool { return d.status().Modules["mcu"] == "7" })

	d.append("[boot]\nattempts = 5\n")
	r.cmd.Process.Signal(syscall.SIGHUP)
	eventually(t, "a refusal", func() bool { return r.logged("boot.attempts cannot be changed while the service runs") })
	good, err := os.ReadFile(d.file)
	if err != nil {
		t.Fatal(err)
	}
	d.append("nonsense = 1\n")
	r.cmd.Process.Signal(syscall.SIGHUP)
	eventually(t, "a refusal", func() bool { return r.logged("there is no such key") })
	d.write("config.toml", string(good))
	if s := d.status(); s.Modules["mcu"] != "7" {
		t.Errorf("status is %+v", s)
	}
	r.stop(syscall.SIGTERM, exitOK)
}

// What systemd hears: ready, alive, stopping.
func TestDaemonNotifies(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	t.Setenv("NOTIFY_SOCKET", socket)
	t.Setenv("WATCHDOG_USEC", "1000000")
	d := newDevice(t, "mqtt://127.0.0.1:1", "")
	r := d.run()
	next := func() string {
		c.SetReadDeadline(time.Now().Add(10 * time.Second))
		b := make([]byte, 256)
		n, err := c.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
	for _, want := range []string{"READY=1", "WATCHDOG=1", "WATCHDOG=1"} {
		if got := next(); got != want {
			t.Errorf("systemd hears %q, wanted is %q", got, want)
		}
	}
	r.stop(syscall.SIGTERM, exitOK)
	for got := ""; got != "STOPPING=1"; got = next() {
		if got != "" && got != "WATCHDOG=1" {
			t.Errorf("systemd hears %q", got)
		}
	}
}

// A watched status has a line for each change, and ends when it is interrupted.
func TestStatusWatch(t *testing.T) {
	b := startBroker(t, "127.0.0.1:0")
	d := newDevice(t, b.url, "")
	d.run().stop(syscall.SIGTERM, exitOK)
	var out bytes.Buffer
	var mu sync.Mutex
	cmd := exec.Command("otad", "status", "--watch", "-c", d.file)
	cmd.Stdout = writerFunc(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return out.Write(p)
	})
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := func(want string) func() bool {
		return func() bool { mu.Lock(); defer mu.Unlock(); return out.String() == want }
	}
	const off, on = "(service not running) idle, version 1.0.0 in slot a\n", "idle, version 1.0.0 in slot a\n"
	eventually(t, "a line without a service", lines(off))
	r := d.run()
	eventually(t, "a line with one", lines(off+on))
	r.stop(syscall.SIGTERM, exitOK)
	eventually(t, "a line without one again", lines(off+on+off))
	cmd.Process.Signal(os.Interrupt)
	if err := cmd.Wait(); err != nil {
		t.Errorf("interrupted: %v", err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestStatusLine(t *testing.T) {
	s := newStatus(agent.Status{Stage: agent.Fetch, Percent: 25, Slot: "a", Notice: &agent.Announced{Version: "1.1"}}, true, "1")
	if got := s.line(true); got != "["+strings.Repeat("#", 10)+strings.Repeat(".", 30)+"]  25 %  fetch 1.1" {
		t.Errorf("on a terminal %q", got)
	}
	if got := s.line(false); got != " 25 %  fetch 1.1" {
		t.Errorf("elsewhere %q", got)
	}
}
