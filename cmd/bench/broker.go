package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	mosquittoProgram = "/usr/sbin/mosquitto"
	brokerTimeout    = 20 * time.Second
	swarmLimit       = 2 * time.Minute // for one order
	restFor          = 300 * time.Millisecond
	restCPU          = 2 * time.Millisecond // what a process that rests may use in restFor
)

// mqttServer is a server of MQTT, a process of its own.
type mqttServer struct {
	pid   int
	addr  string
	close func()
}

// openMosquitto starts mosquitto on a free port with more lines of configuration.
// It keeps nothing and logs nothing; what it limits is lifted.
func (b *bench) openMosquitto(ctx context.Context, lines ...string) (*mqttServer, error) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	addr := free.Addr().(*net.TCPAddr)
	free.Close()
	config := filepath.Join(b.dir, "mosquitto.conf")
	lines = append([]string{fmt.Sprintf("listener %d 127.0.0.1", addr.Port), "persistence false", "log_dest none", "user root"}, lines...)
	if err := os.WriteFile(config, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		return nil, err
	}
	var log bytes.Buffer
	p := exec.Command(mosquittoProgram, "-c", config)
	p.Stderr = &log
	p.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.Start(); err != nil {
		return nil, fmt.Errorf("%w (install mosquitto; make bench does)", err)
	}
	m := &mqttServer{pid: p.Process.Pid, addr: addr.String(), close: func() { p.Process.Kill(); p.Wait() }}
	if err := errors.Join(moreFiles(m.pid), answers(ctx, m.addr)); err != nil {
		m.close()
		return nil, fmt.Errorf("mosquitto: %w: %s", err, tail(log.String()))
	}
	return m, nil
}

// moreFiles lets a process open as many files as this one may, which Go takes for
// itself and gives to nobody.
func moreFiles(pid int) error {
	var most unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &most); err != nil {
		return err
	}
	return unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: most.Max, Max: most.Max}, nil)
}

// answers waits until somebody listens.
func answers(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, brokerTimeout)
	defer cancel()
	for {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// processCPU is the user and system time of all threads of a process so far: what
// wait4(2) would give if it ended now, of the same counters, from the process's
// clock (clock_getcpuclockid(3)).
func processCPU(pid int) (time.Duration, error) {
	const scheduler = 2 // CPUCLOCK_SCHED of the kernel
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|scheduler), &t); err != nil {
		return 0, fmt.Errorf("the CPU clock of process %d: %w", pid, err)
	}
	return time.Duration(t.Nano()), nil
}

// rested waits until a process has nothing to do any more, and gives its CPU and
// its memory.
func rested(ctx context.Context, pid int) (usage, error) {
	ctx, cancel := context.WithTimeout(ctx, brokerTimeout)
	defer cancel()
	before, err := processCPU(pid)
	for err == nil {
		select {
		case <-ctx.Done():
			return usage{}, errors.New("a server does not come to rest")
		case <-time.After(restFor):
		}
		var now time.Duration
		now, err = processCPU(pid)
		if err == nil && now-before <= restCPU {
			kib, err := statusKiB(pid, "VmRSS")
			return usage{CPU: now, Peak: kib << 10}, err
		}
		before = now
	}
	return usage{}, err
}

// clients is a swarm, seen from here.
type clients struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	stderr bytes.Buffer
	cancel context.CancelFunc
}

// openClients starts a swarm of the devices of a list.
func (b *bench) openClients(ctx context.Context, addr, list string, secure bool) (*clients, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &clients{}
	ctx, c.cancel = context.WithTimeout(ctx, swarmLimit)
	c.cmd = exec.CommandContext(ctx, self, swarmCommand, "-addr", addr, "-devices", list, fmt.Sprintf("-tls=%t", secure))
	c.cmd.Stderr = &c.stderr
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = bufio.NewReader(out)
	return c, c.cmd.Start()
}

// order gives the swarm an order and waits until it is done.
func (c *clients) order(line string) error {
	if _, err := fmt.Fprintln(c.in, line); err != nil {
		return err
	}
	if answer, err := c.out.ReadString('\n'); err != nil || answer != "done\n" {
		c.cmd.Wait()
		return fmt.Errorf("the devices could not %s: %s", line, tail(c.stderr.String()))
	}
	return nil
}

func (c *clients) close() {
	c.in.Close()
	c.cmd.Wait()
	c.cancel()
}

// costs gives what an order costs a broker: its CPU from before it to when the broker rests
// again, the memory that it has more then, and the time until the order is done.
func (m *mqttServer) costs(ctx context.Context, c *clients, line string) (usage, error) {
	before, err := rested(ctx, m.pid)
	if err != nil {
		return usage{}, err
	}
	began := time.Now()
	if err := c.order(line); err != nil {
		return usage{}, err
	}
	took := time.Since(began)
	after, err := rested(ctx, m.pid)
	return usage{CPU: after.CPU - before.CPU, Wall: took, Peak: after.Peak - before.Peak}, err
}
