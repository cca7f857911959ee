package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/leapslot/ota/agent"
	subs "github.com/leapslot/ota/agent/gateway"
)

// Bounds of the local API. Whoever may open the socket is trusted with the
// device, but not to be without mistakes.
const (
	apiTimeout     = 5 * time.Second // for reading a request, and for writing its answer
	apiMaxRequest  = 16 << 10        // bytes, body included
	apiMaxRequests = 16              // at a time
	apiAskTimeout  = 90 * time.Second
)

// apiStatus is the answer of /v1/status, and what otad status -o json prints.
type apiStatus struct {
	agent.Status
	Running bool   `json:"running"` // the service is; otherwise this was read from the disk
	Agent   string `json:"agent"`   // version of otad

	SubDevices []subs.Status `json:"sub_devices,omitempty"`
}

func newStatus(s agent.Status, running bool, version string) apiStatus {
	return apiStatus{Status: s, Running: running, Agent: version}
}

// apiCheck is the answer of /v1/check.
type apiCheck struct {
	Available bool             `json:"available"`
	Notice    *agent.Announced `json:"notice"`
}

// apiError is the answer of a request that failed.
type apiError struct {
	Code string `json:"code"` // busy, idle, too_late, unknown or failed
	Text string `json:"error"`
}

// updater is the part of *agent.Agent that the API shows.
type updater interface {
	Status() agent.Status
	History() []agent.Result
	Check(ctx context.Context) (*agent.Announced, error)
	Report(ctx context.Context) error
	Cancel() error
	Pause(ctx context.Context) error
	Resume(ctx context.Context) error
	Commit(ctx context.Context) error
	Rollback(ctx context.Context) error
	MarkGood(ctx context.Context) error
	MarkBad(ctx context.Context) error
	Install(ctx context.Context, path string) error
}

// api answers for the agent that now gives, which may be another one after a
// reload.
type api struct {
	now     func() updater
	version string
}

// answer gives the status and the body of one request.
func (a *api) answer(ctx context.Context, method, path string) (int, any) {
	switch method + " " + path {
	case "GET /v1/status":
		s := newStatus(a.now().Status(), true, a.version)
		if g, ok := a.now().(interface{ SubDevices() []subs.Status }); ok {
			s.SubDevices = g.SubDevices()
		}
		return http.StatusOK, s
	case "GET /v1/history":
		return http.StatusOK, append([]agent.Result{}, a.now().History()...)
	case "POST /v1/check":
		ctx, cancel := context.WithTimeout(ctx, apiAskTimeout)
		defer cancel()
		n, err := a.now().Check(ctx)
		if err != nil {
			return refused(err)
		}
		return http.StatusOK, apiCheck{n != nil, n}
	}
	if method == http.MethodPost {
		found, err := obey(ctx, a.now(), path)
		if !found {
			found, err = installs(ctx, a.now(), path)
		}
		if err != nil {
			return refused(err)
		} else if found {
			return http.StatusOK, struct{}{}
		}
	}
	return http.StatusNotFound, apiError{"unknown", "there is no " + method + " " + path}
}

func refused(err error) (int, any) {
	switch {
	case errors.Is(err, agent.ErrBusy):
		return http.StatusConflict, apiError{"busy", err.Error()}
	case errors.Is(err, agent.ErrPaused):
		return http.StatusConflict, apiError{"paused", err.Error()}
	case errors.Is(err, agent.ErrInstalled):
		return http.StatusConflict, apiError{"idle", err.Error()}
	case errors.Is(err, agent.ErrIdle):
		return http.StatusConflict, apiError{"idle", err.Error()}
	case errors.Is(err, agent.ErrTooLate):
		return http.StatusConflict, apiError{"too_late", err.Error()}
	}
	return http.StatusBadGateway, apiError{"failed", err.Error()}
}

// listen opens the socket for root alone. One that a killed service left behind
// is replaced; one that answers, and anything that is no socket, is not.
func listen(path string) (net.Listener, error) {
	const todo = "set [api] socket to another path"
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fileError(exitConfig, "run", filepath.Dir(path), err, todo)
	}
	switch fi, err := os.Lstat(path); {
	case err != nil:
	case fi.Mode()&os.ModeSocket == 0:
		return nil, exitf(exitConfig, "run", "%s: there is a file that is no socket (%s)", path, todo)
	default:
		c, err := net.DialTimeout("unix", path, time.Second)
		if err == nil {
			c.Close()
			return nil, exitf(exitBusy, "run", "%s: another otad answers there (stop it, or %s)", path, todo)
		}
		if err := os.Remove(path); err != nil {
			return nil, fileError(exitConfig, "run", path, err, todo)
		}
	}
	// A socket gets its permissions when it is made: changed afterwards, it
	// would be open for a moment.
	mask := syscall.Umask(0o177)
	l, err := net.Listen("unix", path)
	syscall.Umask(mask)
	if err != nil {
		return nil, exitf(exitConfig, "run", "%s: %w (%s)", path, err, todo)
	}
	return l, nil
}
