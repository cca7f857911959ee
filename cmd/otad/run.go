package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/leapslot/ota/agent"
	subs "github.com/leapslot/ota/agent/gateway"
	"github.com/leapslot/ota/platform/power"
	"github.com/spf13/cobra"
)

// Memory of the service. A small heap is collected more often: the agent is
// idle most of its life, and memory is what a device has least of.
const (
	gcPercent   = 25
	memoryLimit = 24 << 20
)

// reloadEvery is how often a reload that waits looks whether the agent is idle.
const reloadEvery = time.Second

func (a *app) runCommand() *cobra.Command {
	var rebootExitCode bool
	c := &cobra.Command{
		Use:   "run",
		Short: "Run the service",
		Long: `Runs the service in the foreground and logs to stderr. SIGTERM stops it, exit code
0; an update under way goes on at the next start. SIGHUP reads the configuration
again. Exit code 4 asks the supervisor to start it again: with boot kind "files"
that is the reboot, with --reboot-exit-code the supervisor restarts the machine;
otherwise otad does that itself. Only one service runs on a state directory: exit code 75.`,
		Example: `  otad run -c /etc/otad/config.toml
  otad run -c config.toml --set log.level=debug`,
		Args: exactly(),
		RunE: func(c *cobra.Command, _ []string) error { return a.serve(c.Context(), rebootExitCode) },
	}
	c.Flags().BoolVar(&rebootExitCode, "reboot-exit-code", false, "exit with 4 instead of restarting the machine")
	return c
}

// service is one run of "otad run".
type service struct {
	app     *app
	build   build
	log     *slog.Logger
	level   slog.LevelVar
	machine *machine
	chip    chip // nil without a TPM
	dogs    *dogs
	current atomic.Pointer[agent.Agent]
	subs    atomic.Pointer[subs.Gateway] // nil when there are none
}

func (a *app) serve(ctx context.Context, rebootExitCode bool) error {
	tuneMemory()
	set, err := a.load()
	if err != nil {
		return err
	}
	s := &service{app: a, build: thisBuild()}
	s.setLevel(set)
	s.log = newLog(a.err, &s.level, os.Getenv("JOURNAL_STREAM") != "")
	if s.machine, err = powerOn(&set.config, rebootExitCode); err != nil {
		return err
	}
	defer s.machine.close()
	if s.chip, err = openTPM(&set.config); err != nil {
		return err
	}
	defer closeTPM(s.chip)
	p, err := assemble(set, s.build, s.chip, s.log)
	if err != nil {
		return err
	}
	if s.dogs, err = newDogs(set.Health, s.log); err != nil {
		return err
	}
	defer s.dogs.end(false)
	first, err := newAgent(p, s.machine, s.dogs.alive, s.log)
	if err != nil {
		return err
	}
	s.current.Store(first)
	s.subs.Store(p.subs)
	stopAPI, err := s.openAPI(set.API.Socket)
	if err != nil {
		return err
	}
	defer stopAPI()
	s.ready()
	if err := s.dogs.watch(); err != nil {
		return err
	}
	err = s.work(ctx, p)
	notify(daemon.SdNotifyStopping)
	s.dogs.end(errors.Is(err, agent.ErrReboot))
	if _, really := s.machine.power.(*power.Button); really && errors.Is(err, agent.ErrReboot) {
		return s.goDown(ctx)
	}
	if errors.Is(err, agent.ErrReboot) {
		s.log.Info("ends to be started again", "exit", exitReboot)
		return &exitError{code: exitReboot}
	}
	if err == nil {
		s.log.Info("stopped")
	}
	return err
}

// rebootWait is how long a machine that was told to restart may take to end this
// process. Started again after it, the agent restarts the machine again.
const rebootWait = 10 * time.Minute

// goDown waits for the end that the restart of the machine brings: who ended at once
// would be started again by a supervisor that does not know of it yet.
func (s *service) goDown(ctx context.Context) error {
	s.log.Info("the machine restarts")
	select {
	case <-ctx.Done():
		return nil
	case <-time.After(rebootWait):
		return exitf(exitFailure, "run", "the machine was told to restart %v ago and has not", rebootWait)
	}
}

// tuneMemory leaves alone what the environment asks for.
func tuneMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
}

func (s *service) setLevel(set *settings) {
	level, _ := set.Log.slogLevel() // checked when it was loaded
	s.level.Set(level)
}

// openAPI answers on the socket until the function it returns is called.
func (s *service) openAPI(socket string) (stop func(), err error) {
	l, err := listen(socket)
	if err != nil {
		return nil, err
	}
	h := &api{func() updater { return playing{s.current.Load(), s.subs.Load()} }, s.build.Version}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		serveAPI(ctx, l, h.answer)
	}()
	return func() { cancel(); <-done }, nil
}

// ready tells the supervisor that the service works.
func (s *service) ready() {
	st := s.current.Load().Status()
	s.log.Info("otad runs", "version", s.build.Version, "slot", st.Slot, "stage", st.Stage)
	debug.FreeOSMemory() // what the start needed, and then the pages of the program
	if err := letGo(); err != nil {
		s.log.Debug("the pages of the program are kept", "err", err)
	}
	notify(daemon.SdNotifyReady)
}

// notify tells systemd, when it is there.
func notify(state string) { daemon.SdNotify(false, state) }

// work runs one agent after the other: a reload makes a new one.
func (s *service) work(ctx context.Context, p *parts) error {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	for {
		next, err := s.until(ctx, p, hup)
		if next == nil {
			return err
		}
		a, err := newAgent(next, s.machine, s.dogs.alive, s.log)
		if err != nil {
			s.log.Error("the new configuration cannot work, the old one counts", "err", err)
			// The link of the old parts has been used up.
			if next, err = assemble(p.set, s.build, s.chip, s.log); err != nil {
				return err
			}
			if a, err = newAgent(next, s.machine, s.dogs.alive, s.log); err != nil {
				return err
			}
		}
		s.setLevel(next.set)
		s.current.Store(a)
		s.subs.Store(next.subs)
		p = next
	}
}

// until runs the current agent until it ends, or until it is idle and has to
// make room for another configuration, which is returned.
func (s *service) until(ctx context.Context, p *parts, hup <-chan os.Signal) (next *parts, err error) {
	ctx, cancel := context.WithCancel(ctx)
	var beside sync.WaitGroup
	beside.Go(func() { p.link.Run(ctx) })
	beside.Go(func() { s.playSubs(ctx, p) })
	ended := make(chan error, 1)
	a := s.current.Load()
	go func() { ended <- a.Run(ctx) }()
	defer func() { cancel(); beside.Wait() }()
	var idle <-chan time.Time
	for {
		select {
		case err := <-ended:
			return nil, err
		case <-hup:
			if read := s.reload(p); read != nil {
				next, idle = read, time.After(0)
			}
			continue
		case <-idle:
		}
		if a.Status().Stage != agent.Idle || p.busy() {
			idle = time.After(reloadEvery)
			continue
		}
		cancel()
		if err := <-ended; err != nil {
			return nil, err
		}
		return next, nil
	}
}

// reload reads the configuration again. One that cannot work changes nothing.
func (s *service) reload(old *parts) *parts {
	set, err := s.app.load()
	if err == nil {
		if keys := fixed(old.set, set); len(keys) > 0 {
			err = exitf(exitConfig, "reload", "%s cannot be changed while the service runs (restart it)", strings.Join(keys, ", "))
		}
	}
	var p *parts
	if err == nil {
		p, err = assemble(set, s.build, s.chip, s.log)
	}
	if err != nil {
		s.log.Error("the configuration was not reloaded, the old one counts", "err", err)
		return nil
	}
	s.log.Info("the configuration was read again; it counts as soon as no update is under way")
	return p
}

// fixed lists the keys that are different and only count at the start.
func fixed(old, new *settings) (changed []string) {
	for _, k := range keys() {
		if k.path != "state_dir" && k.path != "device.tpm" && !slices.Contains([]string{"slots", "boot", "api", "reboot"}, k.section()) {
			continue
		}
		if !reflect.DeepEqual(k.value(&old.config).Interface(), k.value(&new.config).Interface()) {
			changed = append(changed, k.path)
		}
	}
	return changed
}
