package link

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"syscall"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// Run keeps the connection up until the context ends, whose cause it returns.
// It may be called once at a time.
func (l *Link) Run(ctx context.Context) error {
	if !l.running.CompareAndSwap(false, true) {
		return errors.New("the link runs already")
	}
	defer l.running.Store(false)
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { l.queue.pump(ctx, l.events) })
	for failures := 0; ctx.Err() == nil; {
		lasted, why := l.once(ctx)
		if ctx.Err() != nil {
			break
		}
		l.failed(why)
		// A connection that is thrown off again and again, by a second device
		// with the same name for one, must not become a storm: only one that
		// lasted counts as a success.
		if failures++; lasted >= Stable {
			failures = 1
		}
		var refused refusal
		pause := pause(failures, errors.As(why, &refused))
		l.cfg.Log.Warn("no connection to the cloud", "why", why, "next_attempt_in", pause.Round(time.Millisecond))
		sleep(ctx, pause)
	}
	return context.Cause(ctx)
}

// once connects and stays connected as long as it lasts.
func (l *Link) once(ctx context.Context) (lasted time.Duration, why error) {
	s, err := l.connect(ctx)
	if err != nil {
		return 0, err
	}
	l.cfg.Log.Info("connected to the cloud", "broker", l.to.host)
	began := time.Now()
	why = l.serve(ctx, s)
	return time.Since(began), why
}

// pause is a random part of the window for so many failures in a row: full
// jitter, or at least half of a longer window after a refusal, which the next
// attempt will hardly change.
func pause(failures int, refused bool) time.Duration {
	window, most := MinBackoff, MaxBackoff
	if refused {
		window, most = MinRefused, MaxRefused
	}
	for i := 1; i < failures && window < most; i++ {
		window *= 2
	}
	window = min(window, most)
	if refused {
		return window/2 + rand.N(window/2)
	}
	return rand.N(window)
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// refusal is the broker's no in CONNACK.
type refusal struct{ code byte }

func (r refusal) Error() string {
	switch r.code {
	case packets.ErrRefusedIDRejected:
		return "the broker refuses the sign-in as malformed (CONNACK 2): check product key, device name and secret, and whether it wants TLS"
	case packets.ErrRefusedBadUsernameOrPassword:
		return "the broker refuses the password (CONNACK 4): check the device secret"
	case packets.ErrRefusedNotAuthorised:
		return "the broker does not accept this device (CONNACK 5): check product key, device name and device secret, and whether the device is disabled"
	}
	return fmt.Sprintf("the broker refuses the connection (CONNACK %d)", r.code)
}

// explain says what a failed attempt or a lost connection means.
func explain(code byte, err error) error {
	if code != 0 && code != packets.ErrRefusedServerUnavailable && code <= packets.ErrRefusedNotAuthorised {
		return refusal{code}
	}
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	switch {
	case code == packets.ErrRefusedServerUnavailable:
		return errors.New("the broker is not available (CONNACK 3)")
	case errors.As(err, &unknown):
		return errors.New("TLS: the broker's certificate is not signed by a trusted CA (name its CA in ca_file of [cloud])")
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fmt.Errorf("TLS: the broker's certificate is expired or not valid yet, and the clock says %s (is it right?)", time.Now().UTC().Format("2006-01-02 15:04"))
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("the broker did not answer within %v", connectTimeout)
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
		return errors.New("the broker closed the connection (it goes down, or another session of this device signed in)")
	}
	// The library says "network Error : " before what the network said.
	if inner, ok := err.(interface{ Unwrap() []error }); ok && errors.Is(err, packets.ErrorNetworkError) {
		if all := inner.Unwrap(); len(all) == 2 && all[1] != nil {
			return all[1]
		}
	}
	return err
}
