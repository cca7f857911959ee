package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/leapslot/ota/agent"
	"github.com/spf13/cobra"
)

// order is a verb that tells the service something and has no more to say.
type order struct {
	name, short, long, done string
	within                  time.Duration // that the service has for it
	tell                    func(updater, context.Context) error
}

// orders are the verbs of that kind.
var orders = [...]order{
	{"cancel", "Stop the update that is under way",
		`Stops the update that is under way; the cloud hears of it as a failure. Exits with
2 when there is none, and with 1 when the boot loader was told to start the new
system already.`,
		"cancelled", apiAskTimeout, func(u updater, _ context.Context) error { return u.Cancel() }},
	{"report", "Report the versions of all modules to the cloud again",
		`Reports the versions of all modules again, which the service does by itself once
after each start and after an update. Exits with 75 while an update is under way:
the version of what is being updated would make the cloud call it failed.`,
		"reported, or owed until the cloud is reached", apiAskTimeout, updater.Report},
	{"pause", "Hold updates until otad resume",
		`Holds the update that is under way, at its last checkpoint, and begins no other,
also after a restart, until otad resume. A system on trial does not wait.`,
		"paused", apiAskTimeout, updater.Pause},
	{"resume", "Go on after otad pause",
		`Goes on with what otad pause has held.`,
		"resumed", apiAskTimeout, updater.Resume},
	{"commit", "Keep the system that is on trial, without waiting for its health check",
		`Ends a trial well: the health check that still waits is not waited for. Exits with
2 when nothing is on trial.`,
		"committed", apiAskTimeout, updater.Commit},
	{"rollback", "Leave the system that is on trial",
		`Ends a trial badly: the system before it is started again, and the cloud hears of a
failure. Exits with 2 when nothing is on trial.`,
		"rolled back: the machine restarts", apiAskTimeout, updater.Rollback},
	{"mark-bad", "Leave the system that is on trial, and never try it again",
		`As otad rollback; in addition this package is refused from now on, however often
the cloud announces it.`,
		"marked bad: the machine restarts", apiAskTimeout, updater.MarkBad},
	{"mark-good", "Wait until the running system is kept",
		`Waits until the system that runs is kept: at once when none is on trial, otherwise
until its health check has ended. Exits with 1 when it is left. The unit
otad-mark-good.service runs it before boot-complete.target.`,
		"the running system is kept", maxHealthTimeout, updater.MarkGood},
}

// orderCommands makes a command of each.
func (a *app) orderCommands() []*cobra.Command {
	var list []*cobra.Command
	for _, o := range orders {
		c := &cobra.Command{
			Use: o.name, Short: o.short, Long: o.long, Example: "  otad " + o.name, Args: exactly(),
			RunE: func(c *cobra.Command, _ []string) error { return a.order(c.Context(), o) },
		}
		a.outputFlag(c)
		a.socketFlag(c)
		list = append(list, c)
	}
	return list
}

func (a *app) order(ctx context.Context, o order) error {
	ctx, cancel := context.WithTimeout(ctx, o.within+clientGrace)
	defer cancel()
	err := a.call(ctx, o.name, http.MethodPost, "/v1/"+o.name, &struct{}{})
	switch {
	case err != nil:
		return err
	case a.json():
		return printJSON(a.out, map[string]bool{"ok": true})
	}
	_, err = fmt.Fprintln(a.out, o.done)
	return err
}

// obey has the service do what a path asks for; found is false for a path that is no order.
func obey(ctx context.Context, u updater, path string) (found bool, err error) {
	for _, o := range orders {
		if "/v1/"+o.name == path {
			ctx, cancel := context.WithTimeoutCause(ctx, o.within, fmt.Errorf("not done within %v", o.within))
			defer cancel()
			return true, o.tell(u, ctx)
		}
	}
	return false, nil
}

var _ updater = (*agent.Agent)(nil)
