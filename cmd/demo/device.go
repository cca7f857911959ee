package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// exitReboot is how otad says that its supervisor is to start it again.
const exitReboot = 4

// device is one gateway: its folder with two slots, and the supervisor that
// starts otad again when it "reboots".
type device struct {
	name   string
	dir    string
	otad   string
	config string
	failed chan error

	mu      sync.Mutex
	cmd     *exec.Cmd
	stopped bool
	done    chan struct{}
	boots   int
}

// newDevice makes the folder of a device that runs image from slot a.
func (d *demo) newDevice(name, secret, image string) (*device, error) {
	dev := &device{name: name, dir: filepath.Join(d.dir, name), otad: filepath.Join(d.bin, "otad"), failed: make(chan error, 1)}
	dev.config = filepath.Join(dev.dir, "config.toml")
	if err := os.MkdirAll(dev.dir, 0o700); err != nil {
		return nil, err
	}
	content, err := os.ReadFile(image)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(fmt.Sprintf(slotFormat, dev.dir, "a"), content, 0o600); err != nil {
		return nil, err
	}
	return dev, os.WriteFile(dev.config, []byte(fmt.Sprintf(`
state_dir = "%[1]s/state"

[device]
product_key = "%[2]s"
device_name = "%[3]s"
device_secret = "%[4]s"

[cloud]
url = "mqtt://%[5]s"

[[module]]
name = "default"
installer = "ab"
version_command = ["sh", "-c", "debugfs -R 'cat /etc/version' \"$OTAD_SLOT_PATH\" 2>/dev/null"]

[slots]
kind = "files"
a = "%[1]s/slot-a.img"
b = "%[1]s/slot-b.img"
size = "64MiB"

[boot]
kind = "files"
dir = "%[1]s/state"

[health]
timeout = "30s"
cloud = true
commands = [["sh", "-c", "debugfs -R 'cat /etc/health' \"$OTAD_SLOT_PATH\" 2>/dev/null | grep -qx ok"]]

[download]
retries = 2

[trust]
require = "digest"

[api]
socket = "%[1]s/api.sock"
`, dev.dir, d.product, name, secret, d.cloud.MQTT)), 0o600)
}

// start lets the device run, with files of at most so many KiB; 0 is no limit.
func (dev *device) start(maxFile int) error {
	dev.stopped, dev.done = false, make(chan struct{})
	log, err := os.OpenFile(filepath.Join(dev.dir, "otad.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	go func() {
		defer close(dev.done)
		defer log.Close()
		for {
			again, err := dev.boot(log, maxFile)
			if err != nil {
				dev.failed <- fmt.Errorf("otad of %s: %w (see %s/otad.log)", dev.name, err, dev.dir)
			}
			if !again {
				return
			}
		}
	}()
	return nil
}

// boot is one life of the process.
func (dev *device) boot(log *os.File, maxFile int) (again bool, err error) {
	script := `exec "$0" run -c "$1"`
	if maxFile > 0 {
		script = fmt.Sprintf("ulimit -f %d; ", maxFile*2) + script // in blocks of 512 bytes
	}
	cmd := exec.Command("sh", "-c", script, dev.otad, dev.config)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	dev.mu.Lock()
	if dev.stopped {
		dev.mu.Unlock()
		return false, nil
	}
	err = cmd.Start()
	dev.cmd = cmd
	dev.boots++
	dev.mu.Unlock()
	if err != nil {
		return false, err
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == exitReboot {
		return true, nil
	}
	return false, err
}

// stop ends the process as a service manager does.
func (dev *device) stop() {
	if dev.done == nil {
		return
	}
	dev.mu.Lock()
	dev.stopped = true
	if dev.cmd != nil && dev.cmd.Process != nil {
		dev.cmd.Process.Signal(syscall.SIGTERM)
	}
	dev.mu.Unlock()
	<-dev.done
}

// status is what the device says of itself; ok is false while it restarts.
func (dev *device) status(ctx context.Context) (s deviceStatus, ok bool) {
	var out, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, dev.otad, "status", "-c", dev.config, "-o", "json")
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if cmd.Run() != nil || json.Unmarshal(out.Bytes(), &s) != nil {
		return s, false
	}
	return s, true
}

type deviceStatus struct {
	Version string
	Slot    string
	Stage   string
	Percent int
}

func (dev *device) stage(ctx context.Context) (string, int) {
	s, ok := dev.status(ctx)
	if !ok {
		return "starting", 0
	}
	return s.Stage, s.Percent
}

// runs waits until the device is idle and says what it should.
func (dev *device) runs(ctx context.Context, version, slot string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var s deviceStatus
	for {
		now, ok := dev.status(ctx)
		if ok {
			s = now
		}
		if s.Version == version && s.Slot == slot && s.Stage == "idle" {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s runs version %s from slot %s (stage %s), wanted was %s from slot %s",
				dev.name, s.Version, s.Slot, s.Stage, version, slot)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// command runs one of our programs to its end.
func (d *demo) command(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(d.bin, name), args...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	return nil
}
