package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/leapslot/ota/verify"
)

// secret looks at the device's secret, which nobody else should read.
func (d *doctor) secret() {
	path := d.set.Device.SecretFile
	if _, err := credentials(d.set.Device, d.chip); err != nil {
		d.failed("secret", "", err)
		return
	}
	if d.chip != nil {
		d.ok("secret", "in %s, made by %s", d.chip.at(), d.chip.Maker())
		return
	}
	if d.set.Device.Credential != "" {
		d.ok("secret", "the credential %s of systemd", d.set.Device.Credential)
		return
	}
	if path == "" {
		d.ok("secret", "in the configuration")
		return
	}
	if fi, err := os.Stat(path); err == nil && fi.Mode().Perm()&0o077 != 0 {
		d.add("secret", "warn", "chmod 600 "+path, "%s can be read by others", path)
		return
	}
	d.ok("secret", "%s", path)
}

func (d *doctor) keys() {
	t, err := newTrust("", d.set.Trust, verify.KeyOptions{})
	switch {
	case err != nil:
		d.failed("keys", "", err)
	case len(t.Keys.Keys) == 0:
		d.add("keys", "warn", "set [trust] keys, and switch on secure upgrade in the cloud", "none: whoever speaks for the cloud can install anything")
	default:
		d.ok("keys", "%s, required is %s", plural(len(t.Keys.Keys), "key"), t.Require)
	}
}

// clock warns of a device that does not know the time. TLS works all the same,
// as long as the server's certificate was valid when otad was built (K1).
func (d *doctor) clock(now time.Time) {
	at := now.UTC().Format(time.RFC3339)
	switch {
	case d.build.Time.IsZero():
		d.ok("clock", "%s (this build does not know when it was made, so there is nothing to compare with)", at)
	case now.Before(d.build.Time):
		d.add("clock", "warn", "set the clock, with NTP for instance", "%s is before otad was built, %s", at, d.build.Time.UTC().Format(time.RFC3339))
	default:
		d.ok("clock", "%s", at)
	}
}

// cloud asks the service, or signs in itself. It does not do both: the cloud
// keeps one connection for each device, and would drop the service.
func (d *doctor) cloud(ctx context.Context) {
	switch {
	case d.running && d.status.Online:
		d.ok("cloud", "the service has reached %s", d.set.Cloud.URL)
		return
	case d.running:
		d.add("cloud", "fail", "its log says why", "the service has not reached %s yet", d.set.Cloud.URL)
		return
	}
	if err := d.signIn(ctx); err != nil {
		d.add("cloud", "fail", "see [cloud] and [device]", "%s: %v", d.set.Cloud.URL, err)
		return
	}
	d.ok("cloud", "signed in at %s", d.set.Cloud.URL)
}

// signIn connects once.
func (d *doctor) signIn(ctx context.Context) error {
	l, err := newLink(d.set, d.build, d.chip, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, doctorCloudTimeout)
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.Run(ctx)
	}()
	defer func() { cancel(); <-done }()
	for {
		select {
		case <-l.Events():
			return nil
		case <-time.After(50 * time.Millisecond):
			if err := l.LastError(); err != nil {
				return err
			}
		case <-ctx.Done():
			return fmt.Errorf("no answer within %v", doctorCloudTimeout)
		}
	}
}

func (d *doctor) print() error {
	failed := 0
	for _, f := range d.findings {
		if f.State == "fail" {
			failed++
		}
	}
	if err := d.write(failed == 0); err != nil {
		return err
	}
	if failed > 0 {
		return &exitError{exitFailure, errors.New("doctor: " + plural(failed, "check") + " failed (see what is said there)")}
	}
	return nil
}

func (d *doctor) write(ok bool) error {
	if d.app.json() {
		return printJSON(d.app.out, struct {
			OK     bool      `json:"ok"`
			Checks []finding `json:"checks"`
		}{ok, d.findings})
	}
	for _, f := range d.findings {
		todo := ""
		if f.Todo != "" {
			todo = " (" + f.Todo + ")"
		}
		if _, err := fmt.Fprintf(d.app.out, "%-4s  %-11s %s%s\n", f.State, f.Check, f.Text, todo); err != nil {
			return err
		}
	}
	return nil
}
