package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// screen prints chapters and lines, and a live bar where there is a terminal;
// elsewhere the bar is a plain line for each new stage.
type screen struct {
	live  bool
	drawn bool
	last  string
	began time.Time
}

func newScreen() *screen {
	return &screen{live: term.IsTerminal(int(os.Stdout.Fd())), began: time.Now()}
}

func (s *screen) chapter(format string, args ...any) {
	s.endBar()
	fmt.Printf("\n[%5.1f s] %s\n", time.Since(s.began).Seconds(), fmt.Sprintf(format, args...))
}

func (s *screen) line(format string, args ...any) {
	s.endBar()
	fmt.Printf("          %s\n", strings.TrimSpace(fmt.Sprintf(format, args...)))
}

const barWidth = 30

// bar shows how far an update is: the device's stage and the cloud's state.
func (s *screen) bar(stage string, percent int, state string) {
	if !s.live {
		if now := stage + " " + state; now != s.last {
			s.last = now
			fmt.Printf("          device: %-8s %3d %%   cloud: %s\n", stage, percent, state)
		}
		return
	}
	full := percent * barWidth / 100
	fmt.Printf("\r          [%s%s] %3d %%  device: %-8s cloud: %-12s", strings.Repeat("#", full), strings.Repeat(".", barWidth-full), percent, stage, state)
	s.drawn = true
}

func (s *screen) endBar() {
	if s.drawn {
		fmt.Print("\r\033[K")
		s.drawn = false
	}
	s.last = ""
}

// pause waits a moment, or gives why there is nothing to wait for.
func pause(ctx context.Context, dev *device) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case err := <-dev.failed:
		return err
	case <-time.After(50 * time.Millisecond):
		return nil
	}
}
