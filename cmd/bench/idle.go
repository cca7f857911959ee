package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// An agent counts as idle after idleAfter without anything to do; then it is
// looked at idleSamples times.
const (
	idleAfter   = 12 * time.Second
	idleSamples = 3
	idleEvery   = 4 * time.Second
	idleGoal    = 12 // MB
)

// idle measures the memory of agents that are connected and have nothing to do.
// They run at the same time, since waiting costs them nothing.
func (b *bench) idle(ctx context.Context) ([]table, error) {
	c, err := b.openCloud(ctx, "idle-cloud")
	if err != nil {
		return nil, err
	}
	defer c.Stop()
	var agents []*exec.Cmd
	defer func() {
		for _, a := range agents {
			a.Process.Signal(syscall.SIGTERM)
			a.Wait()
		}
	}()
	for i := range b.runs {
		d, err := b.newDevice(ctx, c, idleName(i))
		if err != nil {
			return nil, err
		}
		a := exec.Command(filepath.Join(b.bin, "otad"), "run", "-c", d.config)
		var log bytes.Buffer
		a.Stderr = &log
		a.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := a.Start(); err != nil {
			return nil, err
		}
		agents = append(agents, a)
		if err := c.hears(ctx, d.name, firstVersion); err != nil {
			return nil, err
		}
	}
	tables, err := b.sampleIdle(ctx, agents)
	for i := range agents {
		if err == nil { // what was measured has to be an agent that is connected
			err = c.online(ctx, idleName(i))
		}
	}
	return tables, err
}

func idleName(i int) string { return fmt.Sprintf("idle-%d", i+1) }

func (b *bench) sampleIdle(ctx context.Context, agents []*exec.Cmd) ([]table, error) {
	figures := map[string]series{}
	names := []string{"VmRSS", "RssAnon", "RssFile", "VmHWM"}
	wait := idleAfter
	for i := range idleSamples {
		b.screen.step("sample %d of %d", i+1, idleSamples)
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(wait):
		}
		wait = idleEvery
		for _, a := range agents {
			for _, n := range names {
				kib, err := statusKiB(a.Process.Pid, n)
				if err != nil {
					return nil, err
				}
				figures[n] = append(figures[n], float64(kib<<10)/mb)
			}
		}
	}
	t := table{
		title: "Idle memory of the agent",
		about: []string{fmt.Sprintf("`otad run`, connected to a broker (`otasim serve`), its version reported and nothing to do for %.0f s. "+
			"%d processes, each looked at %d times, %.0f s apart. VmRSS counts the pages of the program's file that are mapped "+
			"(RssFile), which the kernel can drop at any time; RssAnon is the memory that is the agent's own. VmHWM is the peak "+
			"since its start.", idleAfter.Seconds(), len(agents), idleSamples, idleEvery.Seconds())},
		commands: []string{"otad run -c CONFIG", "grep -E 'VmRSS|RssAnon|RssFile|VmHWM' /proc/PID/status"},
		head:     []string{"/proc/PID/status", "min MB", "median MB", "max MB"},
		goals:    []goal{{"idle RSS of `otad run`", idleGoal, figures["VmRSS"].spread().max, " MB", false}},
	}
	for _, n := range names {
		s := figures[n].spread()
		t.rows = append(t.rows, []string{n, figure(s.min), figure(s.median), figure(s.max)})
	}
	return []table{t}, nil
}

// statusKiB reads one field of /proc/PID/status.
func statusKiB(pid int, name string) (int64, error) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	v, ok := strings.CutSuffix(fieldIn(string(content), name), " kB")
	kib, err := strconv.ParseInt(v, 10, 64)
	if !ok || err != nil {
		return 0, fmt.Errorf("/proc/%d/status has no %s: the process has ended", pid, name)
	}
	return kib, nil
}
