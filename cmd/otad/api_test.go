package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leapslot/ota/agent"
)

// asked is an agent that says what the test wants.
type asked struct {
	err    error
	notice *agent.Announced
}

func (a asked) Status() agent.Status                            { return agent.Status{Stage: agent.Idle} }
func (a asked) History() []agent.Result                         { return nil }
func (a asked) Check(context.Context) (*agent.Announced, error) { return a.notice, a.err }
func (a asked) Report(context.Context) error                    { return a.err }
func (a asked) Cancel() error                                   { return a.err }
func (a asked) Pause(context.Context) error                     { return a.err }
func (a asked) Resume(context.Context) error                    { return a.err }
func (a asked) Commit(context.Context) error                    { return a.err }
func (a asked) Rollback(context.Context) error                  { return a.err }
func (a asked) MarkGood(context.Context) error                  { return a.err }
func (a asked) Install(context.Context, string) error           { return a.err }
func (a asked) MarkBad(context.Context) error                   { return a.err }

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
		{agent.ErrBusy, "report", exitBusy},
		{nil, "report", exitOK},
		{agent.ErrIdle, "cancel", exitNothing},
		{agent.ErrTooLate, "cancel", exitFailure},
		{nil, "cancel", exitOK},
		{nil, "pause", exitOK},
		{nil, "resume", exitOK},
		{agent.ErrIdle, "commit", exitNothing},
		{nil, "commit", exitOK},
		{agent.ErrIdle, "rollback", exitNothing},
		{agent.ErrTooLate, "rollback", exitFailure},
		{agent.ErrIdle, "mark-bad", exitNothing},
		{errors.New("the trial failed"), "mark-good", exitFailure},
		{nil, "mark-good", exitOK},
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
