package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// errNotRunning means that no service answers on the socket.
var errNotRunning = errors.New("the service is not running")

const (
	clientGrace     = 10 * time.Second // that the service has beyond its own limit
	clientTimeout   = apiAskTimeout + clientGrace
	maxClientAnswer = 4 << 20
)

// socketFlag lets a command reach a service without its configuration.
func (a *app) socketFlag(c *cobra.Command) {
	c.Flags().StringVar(&a.socket, "socket", "", "socket of the service (default: [api] socket of the configuration)")
}

// socketPath is where the service listens. Without a configuration file, and
// without one being asked for, it is the usual place.
func (a *app) socketPath() (string, error) {
	if a.socket != "" {
		return a.socket, nil
	}
	s, err := a.load()
	switch {
	case err == nil:
		return s.API.Socket, nil
	case a.file == defaultFile && errors.Is(err, fs.ErrNotExist):
		return defaultSocket, nil
	}
	return "", err
}

// call asks the service and decodes its answer into v.
func (a *app) call(ctx context.Context, verb, method, path string, v any) error {
	socket, err := a.socketPath()
	if err != nil {
		return err
	}
	if _, limited := ctx.Deadline(); !limited {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, clientTimeout)
		defer cancel()
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://otad"+path, nil)
	if err != nil {
		return err
	}
	t := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}}
	resp, err := (&http.Client{Transport: t}).Do(req)
	if err != nil {
		return unreachable(verb, socket, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxClientAnswer))
	if err != nil {
		return exitf(exitFailure, verb, "the service broke off: %w (try again)", err)
	}
	if resp.StatusCode == http.StatusOK {
		if err := json.Unmarshal(b, v); err != nil {
			return exitf(exitFailure, verb, "the answer of the service cannot be read: %w (is it another version of otad?)", err)
		}
		return nil
	}
	return refusal(verb, resp, b)
}

func unreachable(verb, socket string, err error) error {
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, fs.ErrPermission):
		return exitf(exitPermission, verb, "%s: permission denied (run as root)", socket)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return exitf(exitFailure, verb, "%s: %w (start it: systemctl start otad)", socket, errNotRunning)
	}
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	return exitf(exitFailure, verb, "%s: %w (is the service well? see its log)", socket, err)
}

// refusal turns the service's word into an exit code.
func refusal(verb string, resp *http.Response, b []byte) error {
	var e apiError
	if json.Unmarshal(b, &e) != nil || e.Text == "" {
		return exitf(exitFailure, verb, "the service answers %s (is it another version of otad?)", resp.Status)
	}
	err := errors.New(e.Text)
	switch e.Code {
	case "busy":
		return exitf(exitBusy, verb, "%w (wait for it, or stop it with otad cancel)", err)
	case "paused":
		return exitf(exitBusy, verb, "%w (otad resume ends it)", err)
	case "idle":
		return exitf(exitNothing, verb, "%w (nothing to do)", err)
	case "too_late":
		return exitf(exitFailure, verb, "%w (wait until it has ended)", err)
	}
	return exitf(exitFailure, verb, "%w (see otad doctor)", err)
}

func (a *app) checkCommand() *cobra.Command {
	var exitCode bool
	c := &cobra.Command{
		Use:   "check",
		Short: "Ask the cloud for an update now",
		Long: `Asks the cloud for an update now. What it announces is then installed by the
service. With --exit-code the exit code is 16 when there is one; it is 75 while
an update is under way.`,
		Example: `  otad check
  otad check --exit-code || echo $?`,
		Args: exactly(),
		RunE: func(c *cobra.Command, _ []string) error { return a.check(c.Context(), exitCode) },
	}
	c.Flags().BoolVar(&exitCode, "exit-code", false, "exit with 16 when an update is available")
	a.outputFlag(c)
	a.socketFlag(c)
	return c
}

func (a *app) check(ctx context.Context, exitCode bool) error {
	var found apiCheck
	err := a.call(ctx, "check", http.MethodPost, "/v1/check", &found)
	switch {
	case err != nil:
		return err
	case a.json():
		err = printJSON(a.out, found)
	case found.Notice == nil:
		_, err = fmt.Fprintln(a.out, "no update is available")
	default:
		_, err = fmt.Fprintf(a.out, "available: %s\n", describe(found.Notice))
	}
	if err == nil && found.Available && exitCode {
		return &exitError{code: exitAvailable}
	}
	return err
}
