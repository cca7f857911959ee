package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/leapslot/ota/agent"
	"github.com/leapslot/ota/agent/fetch"
	"github.com/leapslot/ota/platform/durable"
	"github.com/spf13/cobra"
)

// installPath is where the local API is asked to install; the path of the file follows.
const installPath = "/v1/install"

// bundleName is the file in the state directory that a bundle from a URL is kept in.
const bundleName = "bundle"

// installGone is how long the service may be away while it installs: a restart of it, or
// of the machine, which ends this command too.
const installGone = time.Minute

func (a *app) installCommand() *cobra.Command {
	var noWait bool
	c := &cobra.Command{
		Use:   "install FILE|URL",
		Short: "Install a bundle without the cloud",
		Long: `Installs a bundle that otapack bundle has made, from a medium or from a web server.
Its manifest must be signed by keys of this device. Waits for the end, with the
exit code of the step that failed: 11 upgrade, 12 download, 13 verification, 14
flash. When the machine restarts on the way, otad status says how it ended. The
result is reported when the cloud is next reached.`,
		Example: `  otad install /media/usb/release-2.1.0.tar
  otad install https://updates.example.com/release-2.1.0.tar --no-wait`,
		Args: exactly("FILE|URL"),
		RunE: func(c *cobra.Command, args []string) error { return a.install(c.Context(), args[0], !noWait) },
	}
	c.Flags().BoolVar(&noWait, "no-wait", false, "return as soon as the update has begun")
	a.outputFlag(c)
	a.socketFlag(c)
	return c
}

func (a *app) install(ctx context.Context, from string, wait bool) error {
	path, err := filepath.Abs(from)
	if u, bad := url.Parse(from); bad == nil && (u.Scheme == "http" || u.Scheme == "https") {
		path, err = a.download(ctx, from)
	}
	if err != nil {
		return err
	}
	before, err := a.status(ctx)
	if err != nil {
		return err
	}
	begin := (&url.URL{Path: installPath + path}).EscapedPath()
	if err := a.call(ctx, "install", http.MethodPost, begin, &struct{}{}); err != nil {
		return err
	}
	if !wait {
		return a.sayInstall("the update has begun (otad status --watch follows it)", nil)
	}
	return a.follow(ctx, before.Last)
}

// follow waits until the update that has begun has a result other than the one before.
func (a *app) follow(ctx context.Context, before *agent.Result) error {
	for seen := time.Now(); ; {
		s, err := a.status(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil && s.Running:
			seen = time.Now()
			if a.terminal {
				fmt.Fprintf(a.err, "\r\x1b[K%s", s.line(true))
			}
		case time.Since(seen) > installGone:
			return exitf(exitFailure, "install", "the service has been away for %v (see otad status)", installGone)
		}
		if err == nil && s.Stage == agent.Idle && s.Last != nil && (before == nil || *s.Last != *before) {
			if a.terminal {
				fmt.Fprintln(a.err)
			}
			return a.ended(*s.Last)
		}
		select {
		case <-ctx.Done():
		case <-time.After(watchEvery):
		}
	}
}

// ended prints a result, and makes a failure's exit code of it.
func (a *app) ended(r agent.Result) error {
	if !r.Step.Failed() {
		return a.sayInstall("installed: version "+r.Version, &r)
	}
	return exitf(exitStep-int(r.Step), "install", "version %s: %s (%d): %s (see otad history)", r.Version, r.Step.Meaning(), int(r.Step), r.Reason)
}

func (a *app) sayInstall(text string, r *agent.Result) error {
	if a.json() {
		return printJSON(a.out, struct {
			Begun  bool          `json:"begun"`
			Result *agent.Result `json:"result"` // null when nobody waited for it
		}{true, r})
	}
	_, err := fmt.Fprintln(a.out, text)
	return err
}

// download keeps a bundle of a web server where the service finds it again after a
// restart. Nothing of it is believed here.
func (a *app) download(ctx context.Context, from string) (string, error) {
	s, err := a.load()
	if err != nil {
		return "", err
	}
	client, err := newFetch(s, thisBuild())
	if err != nil {
		return "", err
	}
	size, err := client.Size(ctx, from)
	if err != nil {
		return "", exitf(exitDownload, "install", "%w (see [download])", err)
	}
	path := filepath.Join(s.StateDir, bundleName)
	spool, err := durable.OpenSpool(path)
	if err != nil {
		return "", fileError(exitFailure, "install", path, err, "see state_dir")
	}
	defer spool.Close()
	body, err := client.Open(ctx, fetch.Request{URL: from, Size: size})
	if err != nil {
		return "", exitf(exitDownload, "install", "%w (see [download])", err)
	}
	defer body.Close()
	if err := a.keep(spool, body, size); err != nil {
		os.Remove(path)
		return "", err
	}
	return path, nil
}

// keep copies what is downloaded.
func (a *app) keep(spool *durable.Spool, body io.Reader, size int64) error {
	if free, err := spool.Free(); err == nil && free < size {
		return exitf(exitDownload, "install", "the bundle has %s, and %s are free (make room, or copy it to another medium and name the file)", bytesText(size), bytesText(free))
	}
	if err := spool.Truncate(0); err != nil {
		return exitf(exitDownload, "install", "%w (see state_dir)", err)
	}
	buf := make([]byte, 64<<10)
	for at := int64(0); ; {
		n, err := body.Read(buf)
		if _, werr := spool.WriteAt(buf[:n], at); werr != nil {
			return exitf(exitDownload, "install", "the bundle cannot be kept: %w (see state_dir)", werr)
		}
		at += int64(n)
		if a.terminal {
			fmt.Fprintf(a.err, "\r\x1b[Kdownload %d %%", at*100/size)
		}
		switch {
		case errors.Is(err, io.EOF):
			return spool.Sync()
		case err != nil:
			return exitf(exitDownload, "install", "%w (try again)", err)
		}
	}
}

// installs has the service begin with the bundle that a path of the API names; found
// is false for another path.
func installs(ctx context.Context, u updater, path string) (found bool, err error) {
	file, found := strings.CutPrefix(path, installPath)
	if !found || !filepath.IsAbs(file) {
		return false, nil
	}
	return true, u.Install(ctx, file)
}
