//go:build lab

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

// ceiling is how long a line may be waited for: about six times what the
// slowest takes on an idle machine.
const ceiling = 4 * time.Minute

// line is what a console printed, and when.
type line struct {
	at   time.Time
	text string
}

// guest is a running QEMU and its console. Every line is waited for once: what
// was before the last line that matched is over.
type guest struct {
	cmd     *exec.Cmd
	log     *os.File
	verbose bool

	mu    sync.Mutex
	lines []line
	next  int           // the first line that was not waited for
	news  chan struct{} // closed when there is another line, or the end
	ended bool
	done  chan struct{}
}

// power starts QEMU. Its console is kept in a file, one after the other.
func power(log string, verbose bool, argv ...string) (*guest, error) {
	f, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	g := &guest{cmd: exec.Command(argv[0], argv[1:]...), log: f, verbose: verbose, news: make(chan struct{}), done: make(chan struct{})}
	// The process is QEMU itself, without a shell around it, so that a kill is
	// a power cut. It does not outlive the lab.
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := g.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	g.cmd.Stderr = g.cmd.Stdout
	if err := g.cmd.Start(); err != nil {
		f.Close()
		return nil, fmt.Errorf("qemu: %w", err)
	}
	go g.listen(out)
	return g, nil
}

// escapes are the terminal's colours and movements, which U-Boot likes.
var escapes = regexp.MustCompile("\x1b\\[[0-9;?]*[A-Za-z]")

func (g *guest) listen(out io.Reader) {
	defer close(g.done)
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		text := strings.TrimRight(escapes.ReplaceAllString(lines.Text(), ""), "\r ")
		fmt.Fprintln(g.log, text)
		if g.verbose {
			fmt.Println("    |", text)
		}
		g.tell(func() { g.lines = append(g.lines, line{time.Now(), text}) })
	}
	g.tell(func() { g.ended = true })
}

func (g *guest) tell(change func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	change()
	close(g.news)
	g.news = make(chan struct{})
}

// wait gives the next line that matches, and fails when the ceiling is reached,
// when a line matches what must not come, or when the machine is off.
func (g *guest) wait(ctx context.Context, want, never string) (line, error) {
	match, bad := regexp.MustCompile(want), regexp.MustCompile(never)
	ctx, cancel := context.WithTimeoutCause(ctx, ceiling, fmt.Errorf("no line like %q within %v", want, ceiling))
	defer cancel()
	for {
		g.mu.Lock()
		for g.next < len(g.lines) {
			l := g.lines[g.next]
			g.next++
			if match.MatchString(l.text) {
				g.mu.Unlock()
				return l, nil
			}
			if never != "" && bad.MatchString(l.text) {
				g.mu.Unlock()
				return l, fmt.Errorf("waiting for %q the console says: %s", want, l.text)
			}
		}
		news, ended := g.news, g.ended
		g.mu.Unlock()
		if ended {
			return line{}, fmt.Errorf("the machine went off before a line like %q (see %s)", want, g.log.Name())
		}
		select {
		case <-news:
		case <-ctx.Done():
			return line{}, fmt.Errorf("%w (see %s)", context.Cause(ctx), g.log.Name())
		}
	}
}

// mark is the number of lines up to the last one that was waited for.
func (g *guest) mark() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.next
}

// between gives the lines from a mark to the last one that was waited for.
func (g *guest) between(mark int) []line {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]line(nil), g.lines[mark:g.next]...)
}

// count is how many lines so far match.
func (g *guest) count(want string) (n int) {
	match := regexp.MustCompile(want)
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, l := range g.lines {
		if match.MatchString(l.text) {
			n++
		}
	}
	return n
}

// cut takes the power away and returns when the machine is off. Cutting twice
// is harmless.
func (g *guest) cut() {
	g.cmd.Process.Signal(syscall.SIGKILL)
	<-g.done
	g.cmd.Wait()
	g.log.Close()
}
