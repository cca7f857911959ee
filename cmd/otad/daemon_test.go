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
)

// device is a directory with a configuration, and the daemons that run on it.
type device struct {
	t    *testing.T
	dir  string
	file string
}

// newDevice writes a configuration with two slots that exist. extra is more of
// it, tables of their own.
func newDevice(t *testing.T, url, extra string) *device {
	t.Helper()
	d := &device{t: t, dir: t.TempDir()}
	d.file = filepath.Join(d.dir, "config.toml")
	d.write("config.toml", fmt.Sprintf(`
state_dir = %[1]q
[device]
product_key = %[2]q
device_name = %[3]q
device_secret = %[4]q
[cloud]
url = %[5]q
[slots]
a = %[6]q
b = %[7]q
[api]
socket = %[8]q
%[9]s
`, d.path("state"), testProduct, testDevice, testSecret, url, d.path("a.img"), d.path("b.img"), d.path("run/api.sock"), extra))
	if !strings.Contains(extra, "[[module]]") {
		d.append("[[module]]\nname = \"default\"\nversion = \"1.0.0\"\n")
	}
	d.write("a.img", strings.Repeat("a", 64<<10))
	d.write("b.img", strings.Repeat("b", 64<<10))
	return d
}

func (d *device) path(name string) string { return filepath.Join(d.dir, name) }

func (d *device) write(name, text string) {
	d.t.Helper()
	if err := os.WriteFile(d.path(name), []byte(text), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

func (d *device) append(text string) {
	d.t.Helper()
	b, err := os.ReadFile(d.file)
	if err != nil {
		d.t.Fatal(err)
	}
	d.write("config.toml", string(b)+text)
}

// otad runs a command to its end and wants its exit code.
func (d *device) otad(code int, args ...string) (stdout, stderr string) {
	d.t.Helper()
	var out, problem bytes.Buffer
	cmd := exec.Command("otad", append(args, "-c", d.file)...)
	cmd.Stdout, cmd.Stderr = &out, &problem
	err := cmd.Run()
	var exit *exec.ExitError
	got := 0
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		d.t.Fatal(err)
	}
	if got != code {
		d.t.Fatalf("otad %v: exit code %d, wanted is %d\n%s%s", args, got, code, out.String(), problem.String())
	}
	return out.String(), problem.String()
}

func (d *device) status() (s apiStatus) {
	d.t.Helper()
	out, _ := d.otad(0, "status", "-o", "json")
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		d.t.Fatal(err)
	}
	return s
}

// process is a running `otad run`.
type process struct {
	d     *device
	cmd   *exec.Cmd
	ended chan struct{}

	mu  sync.Mutex
	log bytes.Buffer
}

func (r *process) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.Write(p)
}

func (r *process) logged(word string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Contains(r.log.String(), word)
}

// run starts the service and waits until it answers.
func (d *device) run(args ...string) *process {
	d.t.Helper()
	r := &process{d: d, ended: make(chan struct{})}
	r.cmd = exec.Command("otad", append([]string{"run", "-c", d.file}, args...)...)
	r.cmd.Stderr = r
	if err := r.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	go func() { r.cmd.Wait(); close(r.ended) }()
	d.t.Cleanup(func() {
		r.cmd.Process.Kill()
		<-r.ended
		if d.t.Failed() {
			d.t.Logf("log of otad:\n%s", r.log.String())
		}
	})
	eventually(d.t, "the service answers", func() bool {
		c, err := net.Dial("unix", d.path("run/api.sock"))
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return r
}

// stop ends the service by a signal and wants its exit code.
func (r *process) stop(sig syscall.Signal, code int) {
	r.d.t.Helper()
	if err := r.cmd.Process.Signal(sig); err != nil {
		r.d.t.Fatal(err)
	}
	r.wait(code)
}

func (r *process) wait(code int) {
	r.d.t.Helper()
	select {
	case <-r.ended:
	case <-time.After(15 * time.Second):
		r.d.t.Fatal("otad did not end")
	}
	if got := r.cmd.ProcessState.ExitCode(); got != code {
		r.d.t.Fatalf("otad ended with %d, wanted is %d", got, code)
	}
}

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
