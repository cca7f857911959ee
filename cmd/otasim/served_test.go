package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator/server/openapi"
)

// served is a real otasim serve process.
type served struct {
	t                 testing.TB
	cmd               *exec.Cmd
	mqtt, mqtts, http string
	ws, wss           string
	client            *openapi.Client
}

// serve starts a process on the directory: this test binary, as otasim.
func serve(t testing.TB, dir string, more ...string) *served {
	t.Helper()
	args := []string{"serve", "--data", dir, "--mqtt", "127.0.0.1:0", "--http", "127.0.0.1:0", "--access-key", "id:secret"}
	s := &served{t: t, cmd: otasim(append(args, more...)...)}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var logs strings.Builder
	s.cmd.Stderr = &logs
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready := false
	for lines := bufio.NewScanner(out); !ready && lines.Scan(); {
		what, addr, _ := strings.Cut(lines.Text(), " ")
		switch what {
		case "mqtt":
			s.mqtt = addr
		case "mqtts":
			s.mqtts = addr
		case "ws":
			s.ws = addr
		case "wss":
			s.wss = addr
		case "http":
			s.http = addr
		}
		ready = what == "ready"
	}
	if !ready {
		_ = s.cmd.Wait()
		t.Fatalf("the server did not come up:\n%s", logs.String())
	}
	if s.client, err = openapi.NewClient("http://"+s.http, openapi.Key{ID: "id", Secret: "secret"}, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	return s
}

// kill is kill -9.
func (s *served) kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait() // "signal: killed"
}

// call calls an action that must succeed.
func (s *served) call(action string, answer any, params ...string) {
	s.t.Helper()
	if err := s.try(action, answer, params...); err != nil {
		s.t.Fatal(err)
	}
}

func (s *served) try(action string, answer any, params ...string) error {
	all := map[string]string{}
	for i := 0; i < len(params); i += 2 {
		all[params[i]] = params[i+1]
	}
	b, err := s.client.Call(context.Background(), action, all)
	if err != nil || answer == nil {
		return err
	}
	return json.Unmarshal(b, answer)
}

func register(t testing.TB, s *served, d ota.Device) string {
	t.Helper()
	var a struct{ Data struct{ DeviceSecret string } }
	s.call("RegisterDevice", &a, "ProductKey", d.ProductKey, "DeviceName", d.Name)
	return a.Data.DeviceSecret
}

// newFirmware uploads a file and makes a package of it that needs no verification.
func newFirmware(t testing.TB, s *served, product string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "fw.bin")
	if err := os.WriteFile(file, bytes.Repeat([]byte("firmware"), 8<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	up := otasim("cloud", "GenerateOTAUploadURL", "--file", file, "--FileSuffix", "bin", "--endpoint", "http://"+s.http, "--access-key", "id:secret")
	out, err := up.Output()
	if err != nil {
		t.Fatal(err)
	}
	_, url, _ := strings.Cut(string(out), `"FirmwareUrl":"`)
	url, _, _ = strings.Cut(url, `"`)
	var pkg struct{ Data struct{ FirmwareId string } }
	s.call("CreateOTAFirmware", &pkg, "ProductKey", product, "FirmwareName", "fw", "DestVersion", "2.0", "FirmwareUrl", url, "NeedToVerify", "false")
	return pkg.Data.FirmwareId
}

// otasim is this test binary as the command: the real main in a process of its own.
func otasim(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), asMain+"=1")
	return cmd
}
