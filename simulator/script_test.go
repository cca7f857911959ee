package simulator

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/leapslot/ota"
)

var update = flag.Bool("update", false, "rewrite the answers in testdata/*.txt")

// TestScripts plays testdata/*.txt. Each line that begins with "> " is a step; what
// follows up to the next one is the whole answer of the model: its result or error,
// every value that changed, every message, and when it wants to wake up.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(text))
			if *update {
				if err := os.WriteFile(name, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(text), got); diff != "" && !*update {
				t.Errorf("the answers differ (-file +model); rewrite them with -update if they are right:\n%s", diff)
			}
		})
	}
}

// actor plays a script.
type actor struct {
	*world
	out   strings.Builder
	tasks map[string]Task // as they were last
}

func play(t *testing.T, text string) string {
	a := &actor{world: &world{t: t, cloud: newCloud(0), now: start}, tasks: map[string]Task{}}
	for line := range strings.Lines(text) {
		switch step, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "> "); {
		case ok:
			fmt.Fprintf(&a.out, "> %s\n", step)
			a.step(strings.Fields(step))
		case strings.HasPrefix(line, "#"):
			if s := a.out.String(); s != "" && !strings.HasSuffix(s, "\n\n") && !strings.HasPrefix(s[strings.LastIndexByte(s[:len(s)-1], '\n')+1:], "#") {
				a.out.WriteByte('\n')
			}
			a.out.WriteString(line)
		}
	}
	return a.out.String()
}

func (a *actor) step(f []string) {
	verb, args, opts := f[0], []string{}, map[string]string{}
	for _, s := range f[1:] {
		if k, v, ok := strings.Cut(s, "="); ok {
			opts[k] = v
		} else {
			args = append(args, s)
		}
	}
	if verb == "wait" {
		a.pass(args[0])
		return
	}
	if cmd := a.command(verb, args, opts); cmd != nil {
		v, err := a.cloud.Apply(cmd, a.now)
		if err != nil {
			var e *Error
			errors.As(err, &e)
			fmt.Fprintf(&a.out, "  refused: %s (%s)\n", e.Error(), e.Code)
		}
		if p, ok := v.(Product); ok && a.product == "" {
			a.product = p.Key
		}
		a.show(v)
		a.answer(opts)
		return
	}
	for _, name := range strings.Split(args[0], ",") {
		a.cloud.Happen(a.event(verb, name, args[1:]), a.now)
	}
	a.answer(opts)
}

func (a *actor) event(verb, name string, args []string) Event {
	arg := func(i int) string {
		if i < len(args) {
			return args[i]
		}
		return ""
	}
	switch verb {
	case "online":
		return Online{a.dev(name)}
	case "offline":
		return Offline{a.dev(name)}
	case "inform":
		return Informed{a.dev(name), arg(1), arg(0)}
	case "progress":
		module := ""
		if s, ok := strings.CutPrefix(arg(len(args)-1), "module:"); ok {
			module, args = s, args[:len(args)-1]
		}
		return Progressed{a.dev(name), module, ota.Step(a.number(arg(0))), strings.Join(args[1:], " ")}
	case "ask":
		return Asked{Device: a.dev(name), Module: arg(0), Reply: Reply{ota.TopicGetReply, "1"}}
	}
	a.t.Fatalf("no step %q", verb)
	return nil
}

// pass lets time pass; each moment at which something happens is told.
func (a *actor) pass(s string) {
	d, err := time.ParseDuration(s)
	if err != nil {
		a.t.Fatal(err)
	}
	begin, end := a.now, a.now.Add(d)
	for {
		next := a.cloud.Next()
		if next.IsZero() || next.After(end) {
			break
		}
		a.now = maxTime(next, a.now)
		a.cloud.Tick(a.now)
		fmt.Fprintf(&a.out, "  after %v\n", a.now.Sub(begin).Round(time.Millisecond))
		a.answer(nil)
	}
	a.now = end
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// answer tells everything that has changed. With undo=yes it is taken back instead.
func (a *actor) answer(opts map[string]string) {
	ch := a.cloud.Changes()
	for _, p := range ch.Products {
		fmt.Fprintf(&a.out, "  product %s\n", p.Name)
	}
	for _, m := range ch.Modules {
		fmt.Fprintf(&a.out, "  module %s\n", m.Name)
	}
	for _, d := range ch.Devices {
		fmt.Fprintf(&a.out, "  device %s %s", d.Name, strings.ToLower(d.Status()))
		for _, v := range d.Versions {
			fmt.Fprintf(&a.out, " %s=%s", v.Module, v.Version)
		}
		a.out.WriteByte('\n')
	}
	for _, p := range ch.Packages {
		status := [...]string{"needs no verification", "unverified", "verified", "verifying", "failed verification"}[p.Status+1]
		fmt.Fprintf(&a.out, "  package %s %s %s>%s %s %d%%\n", short(p.ID), p.Name, p.Source, p.Version, status, p.Progress)
	}
	for _, j := range ch.Jobs {
		n := j.Counts
		fmt.Fprintf(&a.out, "  job %s %s %s: %d queued, %d notified, %d upgrading, %d succeeded, %d failed, %d canceled\n",
			short(j.ID), j.Type, j.Status, n.Queued, n.Notified, n.InProgress, n.Succeeded, n.Failed, n.Canceled)
		if n.Unconfirmed > 0 {
			fmt.Fprintf(&a.out, "    and %d to be confirmed\n", n.Unconfirmed)
		}
	}
	for _, t := range ch.Tasks {
		a.tasks[t.ID] = t
		fmt.Fprintf(&a.out, "  task %s %s %s>%s %s (attempt %d %s, step %d) %s\n",
			short(t.ID), t.Device.Name, t.Source, t.Version, t.Status, t.Attempt, t.Phase, t.Step, t.Reason)
	}
	a.finish(opts["undo"] != "")
}

func (a *actor) finish(undo bool) {
	if undo {
		a.cloud.Undo()
		fmt.Fprintf(&a.out, "  undone\n")
	}
	for _, p := range a.cloud.TakePushes() {
		how := "notice to"
		if p.Reply.Topic != 0 {
			how = "answer to"
		}
		what := fmt.Sprintf("%s of task %s", p.Task.Version, short(p.Task.ID))
		if p.Empty {
			what = "nothing"
		}
		for _, tag := range p.Tags {
			what += fmt.Sprintf(", %s=%s", tag.Key, tag.Value)
		}
		fmt.Fprintf(&a.out, "  %s %s: %s\n", how, p.Device.Name, what)
	}
	a.cloud.Commit()
	if next := a.cloud.Next(); !next.IsZero() {
		fmt.Fprintf(&a.out, "  wakes up in %v\n", max(next.Sub(a.now), 0).Round(time.Millisecond))
	}
	trimmed := strings.ReplaceAll(a.out.String(), " \n", "\n")
	a.out.Reset()
	a.out.WriteString(trimmed)
}

func short(id string) string {
	if id == "" {
		return id
	}
	return id[:1] + strings.TrimLeft(id[1:], "0")
}
