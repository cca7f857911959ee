package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
)

// offer serves an image and makes the broker announce it.
func offer(t *testing.T, b *broker, version string, image []byte) {
	t.Helper()
	offerModule(t, b, "default", version, image)
}

func offerModule(t *testing.T, b *broker, module, version string, image []byte) {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("User-Agent"); !strings.HasPrefix(got, "otad/") {
			t.Errorf("User-Agent is %q", got)
		}
		http.ServeContent(w, r, "", testStart, bytes.NewReader(image))
	}))
	t.Cleanup(srv.Close)
	b.answerWith(fmt.Sprintf(`{"size":%d,"sign":"%x","version":%q,"module":%q,"signMethod":"SHA256","url":"%s/fw?secret=1"}`,
		len(image), sha256.Sum256(image), version, module, srv.URL))
}

// The way through the whole of it: installed into the spare slot, started again,
// checked with what the check is told, kept and reported.
func TestDaemonUpdate(t *testing.T) {
	b := startBroker(t, "127.0.0.1:0")
	d := newDevice(t, b.url, "")
	d.append(fmt.Sprintf("[health]\ntimeout = \"10s\"\ncommands = [[\"sh\", \"-c\", %q]]\n",
		`test "$OTAD_SLOT $OTAD_SLOT_PATH $OTAD_VERSION $OTAD_MODULE" = "b `+d.path("b.img")+` 1.1 default"`))
	image := bytes.Repeat([]byte("new system "), 5000)
	offer(t, b, "1.1", image)
	r := d.run()
	b.wait(t, "/inform/", `"version":"1.0.0"`)
	d.otad(exitAvailable, "check", "--exit-code")
	r.wait(exitReboot)
	got, err := os.ReadFile(d.path("b.img"))
	if err != nil || !bytes.HasPrefix(got, image) {
		t.Fatalf("slot b does not hold the image: %v", err)
	}
	b.answerWith("{}")
	r = d.run()
	b.wait(t, "/progress/", `"step":"100"`)
	b.wait(t, "/inform/", `"version":"1.1"`)
	eventually(t, "idle", func() bool { return d.status().Stage == "idle" })
	s := d.status()
	if s.Version != "1.1" || s.Slot != "b" || s.Last == nil || s.Last.Step != 100 || s.Last.Version != "1.1" {
		t.Errorf("status is %+v", s)
	}
	r.stop(syscall.SIGTERM, exitOK)
	if s := d.status(); s.Running || s.Version != "1.1" || s.Slot != "b" {
		t.Errorf("on the disk the status is %+v", s)
	}
}

// A system that is not healthy is left again, and the cloud hears why. The check
// hangs in a child (W6): the whole of it ends with its time.
func TestW6SickSystem(t *testing.T) {
	b := startBroker(t, "127.0.0.1:0")
	d := newDevice(t, b.url, "")
	d.append(fmt.Sprintf("[health]\ntimeout = \"300ms\"\ncommands = [[\"sh\", \"-c\", %q]]\n",
		`sleep 1234 & echo $! > `+d.path("child")+`; wait`))
	offer(t, b, "1.1", []byte("sick system"))
	r := d.run()
	b.wait(t, "/inform/", `"version":"1.0.0"`)
	d.otad(0, "check")
	r.wait(exitReboot)
	b.answerWith("{}")
	r = d.run() // on trial: leaves it and ends once more
	r.wait(exitReboot)
	pid, err := os.ReadFile(d.path("child"))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the child of the check has ended", func() bool {
		state, err := os.ReadFile("/proc/" + strings.TrimSpace(string(pid)) + "/stat")
		return err != nil || bytes.Contains(state, []byte(") Z "))
	})
	r = d.run()
	b.wait(t, "/progress/", `"step":"-1"`, "not healthy")
	if s := d.status(); s.Version != "1.0.0" || s.Slot != "a" || s.Last == nil || s.Last.Step != -1 {
		t.Errorf("status is %+v", s)
	}
	r.stop(syscall.SIGTERM, exitOK)
}

// A module that is one file, and one that a program installs, beside the system: each is
// replaced, its restart command is run, and the cloud hears its version.
func TestDaemonFileAndScript(t *testing.T) {
	b := startBroker(t, "127.0.0.1:0")
	d := newDevice(t, b.url, "")
	d.write("app", "old app")
	d.write("install.sh", `#!/bin/sh
echo "$1 $OTAD_MODULE $OTAD_FROM $OTAD_VERSION $(cat "$2")" >> `+d.path("said")+`
test -e `+d.path("ready")+` || { touch `+d.path("ready")+`; exit 21; }
`)
	d.append(fmt.Sprintf(`
[[module]]
name = "app"
installer = "file"
path = %q
version = "1.0.0"
restart = ["sh", "-c", "cp %s %s"]
[[module]]
name = "mcu"
installer = "script"
script = ["sh", %q]
version = "1.0.0"
`, d.path("app"), d.path("app"), d.path("copied"), d.path("install.sh")))
	r := d.run()
	b.wait(t, "/inform/", `"module":"app"`)
	for module, content := range map[string]string{"app": "new app", "mcu": "new firmware"} {
		offerModule(t, b, module, "2.0.0", []byte(content))
		d.otad(exitAvailable, "check", "--exit-code")
		b.wait(t, "/inform/", `"version":"2.0.0"`, module)
		b.answerWith("{}")
		eventually(t, "idle", func() bool { return d.status().Stage == "idle" })
	}
	for name, want := range map[string]string{"app": "new app", "copied": "new app",
		"said": "install mcu 1.0.0 2.0.0 new firmware\ninstall mcu 1.0.0 2.0.0 new firmware\n"} {
		if got, err := os.ReadFile(d.path(name)); err != nil || string(got) != want {
			t.Errorf("%s holds %q, %v, wanted %q", name, got, err, want)
		}
	}
	if s := d.status(); s.Modules["app"] != "2.0.0" || s.Modules["mcu"] != "2.0.0" || s.Version != "1.0.0" {
		t.Errorf("the status is %+v", s)
	}
	r.stop(syscall.SIGTERM, exitOK)
}
