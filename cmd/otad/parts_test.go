package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/leapslot/ota/agent"
)

// testStart is a time that does not matter.
var testStart = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func TestSize(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "65536": 65536, "64KiB": 64 << 10, "64 KiB": 64 << 10, "128MiB": 128 << 20, "1GiB": 1 << 30,
		"2GB": 2e9, "3MB/s": 3e6, "4k": -1, "5kB": 5000, "6K": 6 << 10, "7M": 7 << 20, "8B": 8,
		"": -1, "x": -1, "-1": -1, "1.5MiB": -1, "9223372036854775807": 1<<63 - 1, "9007199254740993KiB": -1, "MiB": -1,
	} {
		var s size
		err := s.UnmarshalText([]byte(text))
		if (want < 0) != (err != nil) || (err == nil && int64(s) != want) {
			t.Errorf("%q: %d, %v; wanted is %d", text, s, err, want)
			continue
		}
		var again size
		if again.UnmarshalText([]byte(s.String())) != nil || again != s {
			t.Errorf("%q is written as %q, which is %d", text, s.String(), again)
		}
	}
}

// What is written is read as the same, by the configuration's own reader.
func TestShowRoundTrip(t *testing.T) {
	a := &app{in: strings.NewReader(defaultConfig), file: "-", set: []string{
		"download.rate_limit=1MiB", `health.commands=[["a", "b c"], ["d"]]`, `health.timeout=90s`, `device.device_secret_file=`,
		"device.device_secret=\"quoted\" and\ttab", `boot.attempts=7`, "health.cloud=false"}}
	first, err := a.load()
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := first.show(&text, true); err != nil {
		t.Fatal(err)
	}
	shown := strings.Replace(text.String(), "'"+hidden+"'", `"\"quoted\" and\ttab"`, 1)
	second, err := (&app{in: strings.NewReader(shown), file: "-"}).load()
	if err != nil {
		t.Fatalf("%v\n%s", err, shown)
	}
	if one, two := fmt.Sprintf("%+v", first.config), fmt.Sprintf("%+v", second.config); one != two {
		t.Errorf("shown and read again:\n%s\n%s", one, two)
	}
}

// Every key has an environment variable of its own, and none is one of those
// that commands are given.
func TestEnvNames(t *testing.T) {
	seen := map[string]string{}
	for _, k := range keys() {
		if k.path == modulePath {
			continue
		}
		if other := seen[k.env()]; other != "" {
			t.Errorf("%s is both %s and %s", k.env(), other, k.path)
		}
		seen[k.env()] = k.path
		if got, isSetting, _ := fromEnv(k.env()); !isSetting || got.path != k.path {
			t.Errorf("%s sets %q, wanted is %s", k.env(), got.path, k.path)
		}
	}
	for _, name := range append(hookEnv[:], "OTAD", "OTAD_BIN", "PATH") {
		if _, isSetting, known := fromEnv(name); isSetting || !known {
			t.Errorf("%s: a setting %v, known %v", name, isSetting, known)
		}
	}
}

// The complete file names every key, and what it has commented out is right too.
func TestDefaultIsComplete(t *testing.T) {
	for _, k := range keys() {
		name := strings.TrimPrefix(k.path, k.section()+".")
		if k.path == "device.credential" || k.path == "device.tpm" || k.section() == "reboot" ||
			k.path == "boot.env_config" || k.path == "boot.grubenv" || k.path == "boot.script" {
			continue // for a later build
		}
		if !strings.Contains(defaultConfig, "\n"+name+" = ") && !strings.Contains(defaultConfig, "\n# "+name+" = ") &&
			!strings.Contains(defaultConfig, "\n[["+name+"]]") {
			t.Errorf("%s is not in the default configuration", k.path)
		}
	}
	var all strings.Builder
	for line := range strings.Lines(defaultConfig) {
		if rest, ok := strings.CutPrefix(line, "# "); ok && strings.Contains(rest, " = ") && !strings.HasSuffix(strings.TrimSpace(rest), ".") {
			if name, _, _ := strings.Cut(rest, " "); strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_") == "" && name != "have" {
				line = rest
			}
		}
		all.WriteString(line)
	}
	if wrong := strict("default", []byte(all.String())); len(wrong) > 0 {
		t.Errorf("with all comments taken away:\n%v\n%s", wrong, wrong[0].Excerpt)
	}
}

// K1: a clock before the build counts as the build's time.
func TestK1ClockFloor(t *testing.T) {
	b := build{Time: testStart}
	for now, want := range map[time.Time]time.Time{
		time.Unix(0, 0):          testStart,
		testStart.Add(time.Hour): testStart.Add(time.Hour),
	} {
		if got := b.clock(func() time.Time { return now })(); !got.Equal(want) {
			t.Errorf("at %v it is %v", now, got)
		}
	}
}

func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		err  error
		code int
		text string
	}{
		{nil, 0, ""},
		{errors.New("x"), 1, "otad: x\n"},
		{usagef("check", "no"), 64, "otad: check: no\n"},
		{&exitError{code: 16}, 16, ""},
		{fmt.Errorf("open: %w", fs.ErrPermission), 77, "otad: open: permission denied\n"},
		{fileError(exitConfig, "config", "f", &fs.PathError{Op: "open", Path: "f", Err: syscall.EACCES}, "x"), 77,
			"otad: config: f: permission denied (run as a user who may, root for instance)\n"},
		{unreachable("status", "s", &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.EACCES)}), 77,
			"otad: status: s: permission denied (run as root)\n"},
		{context.Canceled, 1, "otad: interrupted\n"},
		{&exitError{78, problems{{Where: position{"f", 1, 2}, Key: "k", Why: "w", Todo: "t", Excerpt: "e\n"}}}, 78, "otad: config: f:1:2: k: w (t)\ne\n"},
	} {
		var out bytes.Buffer
		a := &app{err: &out}
		if code := a.explain(c.err); code != c.code || out.String() != c.text {
			t.Errorf("%v: exit code %d and %q, wanted are %d and %q", c.err, code, out.String(), c.code, c.text)
		}
	}
}

// asked is an agent that says what the test wants.
type asked struct {
	err    error
	notice *agent.Announced
}

func (a asked) Status() agent.Status                            { return agent.Status{Stage: agent.Idle} }
func (a asked) History() []agent.Result                         { return nil }
func (a asked) Check(context.Context) (*agent.Announced, error) { return a.notice, a.err }
func (a asked) Cancel() error                                   { return a.err }

// The words of the API become exit codes.
func TestAPIExitCodes(t *testing.T) {
	for _, c := range []struct {
		err  error
		verb string
		code int
	}{
		{agent.ErrBusy, "check", exitBusy},
		{errors.New("the cloud cannot be asked"), "check", exitFailure},
		{nil, "check", exitOK},
		{agent.ErrIdle, "cancel", exitNothing},
		{agent.ErrTooLate, "cancel", exitFailure},
		{nil, "cancel", exitOK},
	} {
		socket := serveTest(t, (&api{func() updater { return asked{err: c.err} }, "1"}).answer)
		var out, problem bytes.Buffer
		a := &app{in: strings.NewReader(""), out: &out, err: &problem}
		if code := a.run(t.Context(), []string{c.verb, "--socket", socket}); code != c.code {
			t.Errorf("%s with %v: exit code %d, wanted is %d (%s)", c.verb, c.err, code, c.code, problem.String())
		}
	}
}

func serveTest(t *testing.T, answer func(context.Context, string, string) (int, any)) (socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "deep", "api.sock")
	l, err := listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); serveAPI(ctx, l, answer) }()
	t.Cleanup(func() { cancel(); <-done })
	return socket
}

// Whatever is sent to the socket, the service answers the next request.
func TestAPIHostile(t *testing.T) {
	socket := serveTest(t, (&api{func() updater { return asked{} }, "1"}).answer)
	for _, text := range []string{
		"", "\r\n\r\n", "nonsense", "GET /v1/status HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("A: "+strings.Repeat("b", 1000)+"\r\n", 100),
		"POST /v1/cancel HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\nxx",
		"POST /v1/cancel HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
	} {
		c, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, text)
		c.(*net.UnixConn).CloseWrite()
		io.Copy(io.Discard, c)
		c.Close()
	}
	for _, c := range []struct {
		request string
		status  int
	}{
		{"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n", 200},
		{"GET /v1/status HTTP/1.0\r\n\r\n", 200},
		{"POST /v1/check HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", 200},
		{"GET /v1/cancel HTTP/1.1\r\nHost: x\r\n\r\n", 404},
		{"GET /../etc HTTP/1.1\r\nHost: x\r\n\r\n", 404},
	} {
		if got := request(t, socket, c.request); got != c.status {
			t.Errorf("%q: status %d, wanted is %d", c.request, got, c.status)
		}
	}
}

func request(t *testing.T, socket, text string) int {
	t.Helper()
	c, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, text)
	_, rest, _ := strings.Cut(string(must(io.ReadAll(c))), " ")
	var status int
	fmt.Sscan(rest, &status)
	return status
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// More requests than there are places are told so.
func TestAPIAtMost(t *testing.T) {
	hold, in := make(chan struct{}), make(chan struct{}, apiMaxRequests)
	socket := serveTest(t, func(context.Context, string, string) (int, any) {
		in <- struct{}{}
		<-hold
		return http.StatusOK, struct{}{}
	})
	done := make(chan int, apiMaxRequests)
	for range apiMaxRequests {
		go func() { done <- request(t, socket, "GET / HTTP/1.1\r\nHost: x\r\n\r\n") }()
	}
	for range apiMaxRequests {
		<-in
	}
	if got := request(t, socket, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); got != http.StatusServiceUnavailable {
		t.Errorf("status %d", got)
	}
	close(hold)
	for range apiMaxRequests {
		if got := <-done; got != http.StatusOK {
			t.Errorf("status %d", got)
		}
	}
}

// The keys of the status are those that scripts rely on.
func TestStatusKeys(t *testing.T) {
	b, err := json.Marshal(newStatus(agent.Status{Last: &agent.Result{}}, true, "1"))
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	for _, k := range []string{"version", "module", "slot", "stage", "percent", "notice", "last"} {
		if _, ok := got[k]; !ok {
			t.Errorf("the status has no %q: %s", k, b)
		}
	}
	last, _ := got["last"].(map[string]any)
	for _, k := range []string{"step", "reason", "version"} {
		if _, ok := last[k]; !ok {
			t.Errorf("last has no %q: %s", k, b)
		}
	}
}

// FuzzConfig: no configuration makes it panic, and one that is accepted is
// accepted again as it is shown.
func FuzzConfig(f *testing.F) {
	f.Add(defaultConfig)
	f.Add("health.timeout = 5\nslots.size = 1.5\n[[module]]\n")
	f.Add("[device]\n'product key' = {a = [1, {b = 2}]}\n")
	f.Fuzz(func(t *testing.T, text string) {
		a := &app{in: strings.NewReader(text), file: "-"}
		s, err := a.load()
		if err != nil {
			_ = err.Error()
			return
		}
		var shown bytes.Buffer
		if err := s.show(&shown, true); err != nil {
			t.Fatal(err)
		}
		a = &app{in: &shown, file: "-"}
		if _, err := a.load(); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
	})
}
