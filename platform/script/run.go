package script

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/leapslot/ota/platform/program"
)

// environment is all that the program gets.
func (b *Boot) environment() []string {
	return []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"LC_ALL=C",
		"OTAD_SLOTS=" + strings.Join(b.cfg.Slots, " "),
		"OTAD_ATTEMPTS=" + strconv.Itoa(b.cfg.Attempts),
	}
}

// run runs the program with arguments and gives what it printed. It leads a
// process group of its own, all of which is ended when its time is up, and also
// when it is done: what it left behind could still be changing what is started.
func (b *Boot) run(args ...string) (string, error) {
	call := b.cfg.Program + " " + strings.Join(args, " ")
	ctx, cancel := context.WithTimeout(context.Background(), b.cfg.Timeout)
	defer cancel()
	out, err := program.Run(ctx, program.Call{Argv: append([]string{b.cfg.Program}, args...), Env: b.environment(), Dir: "/"})
	switch {
	case ctx.Err() != nil:
		return "", fmt.Errorf("%s: it was not done within %v and was ended", call, b.cfg.Timeout)
	case err != nil:
		return "", fmt.Errorf("%s: %w", call, err)
	case out.More:
		return "", fmt.Errorf("%s: it printed more than %d bytes", call, program.MaxOutput)
	}
	return out.Out, nil
}
