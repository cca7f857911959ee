package main

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/term"
)

// screen shows on stderr what is measured: one line that changes where there is
// a terminal, elsewhere one line for each section.
type screen struct {
	live  bool
	lines bool // elsewhere one line for each step as well
	name  string
}

func newScreen() *screen { return &screen{live: term.IsTerminal(int(os.Stderr.Fd()))} }

func (s *screen) section(name string) {
	s.name = name
	if !s.live {
		fmt.Fprintf(os.Stderr, "bench: %s\n", name)
		return
	}
	s.step("begins")
}

func (s *screen) step(format string, args ...any) {
	if s.live {
		fmt.Fprintf(os.Stderr, "\r\033[Kbench: %s: %s", s.name, fmt.Sprintf(format, args...))
	} else if s.lines {
		fmt.Fprintf(os.Stderr, "%s bench: %s: %s\n", time.Now().Format(time.TimeOnly), s.name, fmt.Sprintf(format, args...))
	}
}

func (s *screen) clear() {
	if s.live {
		fmt.Fprint(os.Stderr, "\r\033[K")
	}
}
