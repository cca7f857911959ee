package power

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/leapslot/ota/platform"
)

var _ platform.Power = (*Button)(nil)

// recorder stands for the machine: it notes what would have restarted it. What
// the kernel really does is proved by TestKernelRestarts.
type recorder struct {
	did  []string
	fail map[string]bool // what does not work, by its first two words
	stop context.CancelFunc
}

func (r *recorder) note(what string) error {
	r.did = append(r.did, what)
	if r.stop != nil {
		r.stop()
	}
	if words := strings.Fields(what + " ."); r.fail[words[0]+" "+words[1]] {
		return errors.New(what + " does not work here")
	}
	return nil
}

func (r *recorder) run(_ context.Context, argv, _ []string) error {
	return r.note(strings.Join(argv, " "))
}

func (r *recorder) restart(argument string) error { return r.note("kernel " + argument) }

func newButton(t *testing.T, systemd bool, cfg Config, fail ...string) (*Button, *recorder) {
	t.Helper()
	b, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{fail: map[string]bool{}}
	for _, f := range fail {
		r.fail[f] = true
	}
	b.machine, b.runDir = r, t.TempDir()
	if systemd {
		if err := os.MkdirAll(filepath.Join(b.runDir, "systemd/system"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return b, r
}

func tryboot() (string, error) { return "0 tryboot", nil }

const target = "systemctl start --no-block --job-mode=replace-irreversibly reboot.target"

func TestTheGentlestWay(t *testing.T) {
	for name, c := range map[string]struct {
		systemd  bool
		argument func() (string, error)
		fail     []string
		want     []string
		param    string // left for the end of the shutdown
	}{
		"Systemd":         {systemd: true, want: []string{"systemctl reboot"}},
		"SystemdBroken":   {systemd: true, fail: []string{"systemctl reboot"}, want: []string{"systemctl reboot", "reboot"}},
		"NoSystemd":       {want: []string{"reboot"}},
		"NothingElse":     {fail: []string{"reboot ."}, want: []string{"reboot", "kernel "}},
		"Argument":        {systemd: true, argument: tryboot, want: []string{"systemctl reboot --reboot-argument=0 tryboot"}},
		"OldSystemd":      {systemd: true, argument: tryboot, fail: []string{"systemctl reboot"}, want: []string{"systemctl reboot --reboot-argument=0 tryboot", target}, param: "0 tryboot"},
		"ArgumentAlone":   {argument: tryboot, want: []string{"kernel 0 tryboot"}},
		"EmptyArgument":   {argument: func() (string, error) { return "", nil }, want: []string{"reboot"}},
		"ArgumentAtLast":  {systemd: true, argument: tryboot, fail: []string{"systemctl reboot", "systemctl start"}, want: []string{"systemctl reboot --reboot-argument=0 tryboot", target, "kernel 0 tryboot"}},
		"EverythingFails": {fail: []string{"reboot .", "kernel ."}, want: []string{"reboot", "kernel "}},
	} {
		t.Run(name, func(t *testing.T) {
			b, r := newButton(t, c.systemd, Config{Argument: c.argument}, c.fail...)
			err := b.Reboot(t.Context())
			if all := name == "EverythingFails"; (err != nil) != all || all && !strings.Contains(err.Error(), "reboot does not work here\nkernel") {
				t.Errorf("Reboot: %v", err)
			}
			if !slices.Equal(r.did, c.want) {
				t.Errorf("did %q, want %q", r.did, c.want)
			}
			got, _ := os.ReadFile(filepath.Join(b.runDir, "systemd/reboot-param"))
			if string(got) != c.param {
				t.Errorf("reboot-param holds %q, want %q", got, c.param)
			}
		})
	}
}

func TestNotRestarted(t *testing.T) {
	for name, argument := range map[string]func() (string, error){
		"Unknown": func() (string, error) { return "", errors.New("no autoboot.txt") },
		"Huge":    func() (string, error) { return strings.Repeat("x", maxArgument+1), nil },
		"NUL":     func() (string, error) { return "0\x00tryboot", nil },
	} {
		b, r := newButton(t, true, Config{Argument: argument})
		if err := b.Reboot(t.Context()); err == nil || len(r.did) > 0 {
			t.Errorf("%s: %v, did %q", name, err, r.did)
		}
	}
	for _, c := range []Config{{Command: []string{""}}, {Timeout: -1}} {
		if _, err := New(c); err == nil {
			t.Errorf("accepted: %+v", c)
		}
	}
}

// TestW11Stopped: the agent is stopped while it waits: no rougher way is taken.
func TestW11Stopped(t *testing.T) {
	b, r := newButton(t, false, Config{}, "reboot .")
	ctx, stop := context.WithCancel(t.Context())
	r.stop = stop
	if err := b.Reboot(ctx); !errors.Is(err, context.Canceled) || len(r.did) != 1 {
		t.Errorf("%v, did %q", err, r.did)
	}
}

// The rest runs real programs.

func command(t *testing.T, cfg Config, script string) (*Button, string) {
	t.Helper()
	dir := t.TempDir()
	cfg.Command = []string{"/bin/sh", "-c", "cd " + dir + "; " + script}
	b, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return b, dir
}

func TestCommand(t *testing.T) {
	b, dir := command(t, Config{Argument: tryboot}, `echo "$OTAD_REBOOT_ARGUMENT" > told; echo noise`)
	if err := b.Reboot(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "told")); string(got) != "0 tryboot\n" {
		t.Errorf("the command was told %q, %v", got, err)
	}
	b, _ = command(t, Config{}, `test "${OTAD_REBOOT_ARGUMENT-unset}" = "" || exit 1; echo first; echo no power >&2; exit 3`)
	if err := b.Reboot(t.Context()); err == nil || !strings.Contains(err.Error(), "exit status 3: no power") {
		t.Errorf("a command that fails: %v", err)
	}
	b, err := New(Config{Command: []string{"/nonexistent/reboot"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Reboot(t.Context()); err == nil || !strings.Contains(err.Error(), "cannot be run") {
		t.Errorf("a command that is missing: %v", err)
	}
}

// TestW6CommandHangs: its whole process group is ended.
func TestW6CommandHangs(t *testing.T) {
	b, dir := command(t, Config{Timeout: 300 * time.Millisecond}, `sleep 60 & echo $! > child; wait`)
	begun := time.Now()
	if err := b.Reboot(t.Context()); err == nil || !strings.Contains(err.Error(), "not ended within 300ms") {
		t.Errorf("a command that hangs: %v", err)
	}
	if d := time.Since(begun); d > 10*time.Second {
		t.Errorf("it took %v", d)
	}
	child, err := os.ReadFile(filepath.Join(dir, "child"))
	if err != nil {
		t.Fatal(err)
	}
	stat := filepath.Join("/proc", strings.TrimSpace(string(child)), "stat")
	for range 500 { // a killed process may not have been waited for yet
		if text, err := os.ReadFile(stat); err != nil || strings.Contains(string(text), ") Z ") {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("the command's child is still running")
}

// TestCommandGoesOn: a command may leave behind what restarts the machine a
// moment later.
func TestCommandGoesOn(t *testing.T) {
	b, dir := command(t, Config{}, `(sleep 3; touch later) & `)
	if err := b.Reboot(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		if _, err := os.Stat(filepath.Join(dir, "later")); err == nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("what the command left behind was killed")
}

// TestKernelRestarts calls reboot(2) for real, as the first process of a PID
// namespace of its own, which is all that the kernel then restarts.
func TestKernelRestarts(t *testing.T) {
	here, err := os.Readlink("/proc/self/ns/pid")
	if argument, ok := os.LookupEnv("POWER_TEST_RESTART"); ok {
		// Otherwise this machine itself would restart.
		if outside := os.Getenv("POWER_TEST_OUTSIDE"); err != nil || os.Getpid() != 1 || outside == "" || outside == here {
			t.Fatal("not in a PID namespace of its own")
		}
		t.Fatal(host{}.restart(argument))
	}
	if err != nil {
		t.Skipf("no PID namespaces here: %v", err)
	}
	for _, argument := range []string{"", "0 tryboot"} {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestKernelRestarts$")
		cmd.Env = append(os.Environ(), "POWER_TEST_RESTART="+argument, "POWER_TEST_OUTSIDE="+here)
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOEXEC) {
			t.Skipf("this program cannot be started in a PID namespace here: %v", err)
		}
		// The kernel tells a namespace's parent of a restart by this signal.
		if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGHUP {
			t.Errorf("argument %q: %v, want a hangup: %s", argument, err, out)
		}
	}
}
