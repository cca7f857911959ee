package fleet

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"syscall"

	"github.com/leapslot/ota"
)

// trouble is what happens to a real agent so that its updates fail as its behaviour
// wants: the agent itself is as it is on any device.
type trouble struct {
	mu      sync.Mutex
	times   int
	spoiled bool // the package that was announced last; of the goroutine that listens
}

// fails says whether the behaviour wants this step to fail now, and counts.
func (a *realAgent) fails(step ota.Step) bool {
	t := &a.trouble
	t.mu.Lock()
	defer t.mu.Unlock()
	if ota.Step(a.b.Fail) != step || a.b.FailTimes > 0 && t.times >= a.b.FailTimes {
		return false
	}
	t.times++
	return true
}

// health makes the new system one that is not well (-1).
func (a *realAgent) health(context.Context) error {
	if a.fails(ota.StepUpgradeFailed) {
		return errors.New("the new system is not well, as its behaviour wants")
	}
	return nil
}

// dialInVain makes the server of the package one that is not reached (-2).
func (a *realAgent) dialInVain(ctx context.Context, network, addr string) (net.Conn, error) {
	if a.fails(ota.StepDownloadFailed) {
		return nil, errors.New("the server is not reached, as its behaviour wants")
	}
	return a.dialPackage(ctx, network, addr)
}

// announced makes a notice one of another package than the cloud has (-3): its digest is
// another one, and stays that when the notice is sent again.
func (a *realAgent) announced(payload []byte, n *ota.Notice, isNew bool) []byte {
	if isNew {
		a.trouble.spoiled = a.fails(ota.StepVerifyFailed)
	}
	if !a.trouble.spoiled {
		return payload
	}
	for _, f := range n.Files {
		first := "0"
		if strings.HasPrefix(f.Sign, first) {
			first = "1"
		}
		payload = bytes.ReplaceAll(payload, []byte(f.Sign), []byte(first+f.Sign[1:]))
	}
	return payload
}

// refuses makes a slot one that is full (-4).
func (a *realAgent) refuses() error {
	if a.fails(ota.StepWriteFailed) {
		return syscall.ENOSPC
	}
	return nil
}
