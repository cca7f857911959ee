package openapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server/packages"
	"github.com/leapslot/ota/simulator/server/store"
)

// Engine carries out commands. Its answer is the value that the command names, and
// is stored by the time it is given.
type Engine interface {
	Do(ctx context.Context, cmd simulator.Command) (any, error)
}

// Uploads is where package files are.
type Uploads interface {
	NewUpload(now time.Time, suffix string) (packages.Upload, error)
	Lookup(now time.Time, fileURL string) (packages.File, error)
	OpenFile(fileID string) (*os.File, error)
	SignURL(d ota.Device, taskID, fileID string, expires time.Time) (string, error)
}

// do carries out a command whose answer is a T.
func do[T any](ctx context.Context, s session, cmd simulator.Command) (T, error) {
	var none T
	v, err := s.engine.Do(ctx, cmd)
	if err != nil {
		return none, err
	}
	t, ok := v.(T)
	if !ok {
		return none, fmt.Errorf("%T was answered with %T, not %T", cmd, v, none)
	}
	return t, nil
}

// faultOf turns what an action failed with into what the caller is told.
func (a *action) faultOf(err error) *Fault {
	var f *Fault
	var refused *simulator.Error
	switch {
	case errors.As(err, &f):
		return f
	case errors.As(err, &refused):
		return a.refused(refused)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return gateway(http.StatusServiceUnavailable, "ServiceUnavailable", "The request was given up before it was answered; whether it was carried out is not known.")
	}
	for _, known := range []error{store.ErrFull, store.ErrBusy, store.ErrReadOnly, store.ErrConflict} {
		if errors.Is(err, known) {
			return business(codeSystem, "nothing was changed: %v", err)
		}
	}
	return business(codeSystem, "the server failed: %v", err)
}

// Times as the platform writes them: the Utc fields with milliseconds, the Gmt
// fields, in spite of their name, in the time of Beijing.
const (
	utcFormat = "2006-01-02T15:04:05.000Z"
	gmtFormat = "2006-01-02 15:04:05"
	beijing   = 8 * 60 * 60
)

func utc(s simulator.Stamp) string {
	if s == 0 {
		return ""
	}
	return s.Time().Format(utcFormat)
}

func gmt(s simulator.Stamp) string {
	if s == 0 {
		return ""
	}
	return s.Time().In(time.FixedZone("", beijing)).Format(gmtFormat)
}
