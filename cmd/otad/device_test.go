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
	r := d.start(args...)
	eventually(d.t, "the service answers", d.answers)
	return r
}

func (d *device) answers() bool {
	c, err := net.Dial("unix", d.path("run/api.sock"))
	if err == nil {
		c.Close()
	}
	return err == nil
}

func (d *device) start(args ...string) *process {
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
