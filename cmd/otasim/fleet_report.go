package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/leapslot/ota/simulator/fleet/report"
)

// metricsTimeout bounds the head of a request for the figures.
const metricsTimeout = 10 * time.Second

// live samples the run and shows it until stop is called.
func (f *fleetFlags) live(rec *report.Recorder, sockets func() int, errs io.Writer) (stop func(), err error) {
	var metrics *http.Server
	var l net.Listener
	if f.prometheus != "" {
		if l, err = net.Listen("tcp", f.prometheus); err != nil {
			return nil, fmt.Errorf("fleet: --prometheus %s cannot be listened on: %w", f.prometheus, err)
		}
		mux := http.NewServeMux()
		mux.Handle("/metrics", rec.Metrics())
		metrics = &http.Server{Handler: mux, ReadHeaderTimeout: metricsTimeout}
		fmt.Fprintf(errs, "figures for Prometheus at http://%s/metrics\n", l.Addr())
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { rec.Run(ctx, sockets) })
	running.Go(func() { rec.Show(ctx, screen(errs)) })
	if metrics != nil {
		running.Go(func() { _ = metrics.Serve(l) }) // it ends with Close
	}
	return func() {
		cancel()
		if metrics != nil {
			_ = metrics.Close()
		}
		running.Wait()
	}, nil
}

// screen is where a run is shown: a dashboard on a terminal, else a line now and then.
func screen(w io.Writer) report.Screen {
	s := report.Screen{Out: w}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		s.Size = func() int {
			columns, _, err := term.GetSize(int(f.Fd()))
			if err != nil {
				return 80
			}
			return columns
		}
	}
	return s
}
