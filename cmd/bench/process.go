package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// timeProgram is GNU time. It forks before it runs a program, so that the peak
// it reports is the program's own: exec(2) carries the peak of the memory that
// it replaces over, which after a vfork from here would be that of bench.
const timeProgram = "/usr/bin/time"

// usage is what processes cost. Of several processes CPU is the sum, Peak is the
// sum as well (they live at the same time), and Wall is from the first start to
// the last end.
type usage struct {
	CPU, Wall time.Duration
	Peak      int64 // bytes
}

func (u usage) plus(o usage) usage {
	return usage{u.CPU + o.CPU, u.Wall + o.Wall, u.Peak + o.Peak}
}

// command is one program to be measured.
type command struct {
	path  string
	args  []string
	exit  int      // that it has to end with
	stdin *os.File // nil is nothing
	out   *os.File // nil is discarded
}

func cmd(path string, args ...string) command { return command{path: path, args: args} }

// process is a measured program that runs.
type process struct {
	what    command
	cmd     *exec.Cmd
	report  string // of time
	stderr  bytes.Buffer
	started time.Time
}

// start starts a program. It is killed, with what it started, when ctx ends.
func (b *bench) start(ctx context.Context, c command) (*process, error) {
	f, err := os.CreateTemp(b.dir, "time-")
	if err != nil {
		return nil, err
	}
	f.Close()
	p := &process{what: c, report: f.Name()}
	p.cmd = exec.CommandContext(ctx, timeProgram, append([]string{"-q", "-f", "%M", "-o", p.report, c.path}, c.args...)...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	p.cmd.Cancel = func() error { return syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) }
	p.cmd.Stderr = &p.stderr
	if c.stdin != nil {
		p.cmd.Stdin = c.stdin
	}
	if c.out != nil {
		p.cmd.Stdout = c.out
	}
	p.started = time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w (install time)", timeProgram, err)
	}
	return p, nil
}

// wait waits for its end. CPU includes that of time itself, about a millisecond:
// wait4 of time also has what time has waited for.
func (p *process) wait() (usage, error) {
	err := p.cmd.Wait()
	u := usage{Wall: time.Since(p.started)}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return u, fmt.Errorf("%s: %w", p.name(), err)
	}
	if code := p.cmd.ProcessState.ExitCode(); code != p.what.exit {
		return u, fmt.Errorf("%s ended with %v, wanted was exit code %d: %s", p.name(), p.cmd.ProcessState, p.what.exit, tail(p.stderr.String()))
	}
	u.CPU = p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
	report, err := os.ReadFile(p.report)
	if err != nil {
		return u, err
	}
	if u.Peak, err = parsePeak(string(report)); err != nil {
		return u, fmt.Errorf("%s: %w", p.name(), err)
	}
	return u, os.Remove(p.report)
}

func (p *process) name() string { return filepath.Base(p.what.path) }

// parsePeak reads what time wrote: KiB in the last line.
func parsePeak(report string) (int64, error) {
	lines := strings.Split(strings.TrimSpace(report), "\n")
	kib, err := strconv.ParseInt(lines[len(lines)-1], 10, 64)
	if err != nil || kib <= 0 {
		return 0, fmt.Errorf("time reported no memory: %q", report)
	}
	return kib << 10, nil
}

// tail is the end of what a program said, which is where the reason is.
func tail(s string) string {
	const most = 600
	if s = strings.TrimSpace(s); len(s) > most {
		s = "..." + s[len(s)-most:]
	}
	return s
}

// measure runs one program to its end.
func (b *bench) measure(ctx context.Context, c command) (usage, error) {
	p, err := b.start(ctx, c)
	if err != nil {
		return usage{}, err
	}
	return p.wait()
}

// pipeline runs programs, each one's output into the next one's input, without a
// shell and without bench in between.
func (b *bench) pipeline(ctx context.Context, cs ...command) (usage, error) {
	var ps []*process
	var in *os.File
	var failed error
	began := time.Now()
	for i, c := range cs {
		var next *os.File
		c.stdin = in
		if i < len(cs)-1 {
			if next, c.out, failed = os.Pipe(); failed != nil {
				break
			}
		}
		p, err := b.start(ctx, c)
		closeFiles(in)
		if i < len(cs)-1 {
			closeFiles(c.out)
		}
		if in = next; err != nil {
			failed = err
			break
		}
		ps = append(ps, p)
	}
	closeFiles(in) // left over only where a start failed: those before it end by themselves
	var sum usage
	for _, p := range ps {
		u, err := p.wait()
		failed = errors.Join(failed, err)
		sum = sum.plus(u)
	}
	sum.Wall = time.Since(began)
	return sum, failed
}

func closeFiles(f *os.File) {
	if f != nil {
		f.Close()
	}
}
