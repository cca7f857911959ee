package console

import (
	"strconv"

	"github.com/leapslot/ota/simulator"
)

// piece is one piece of a bar: where it begins and how wide it is, in percent.
type piece struct{ X, W, Percent string }

// pieces lays parts side by side.
func pieces(parts []int) []piece {
	total, at := 0, 0
	for _, n := range parts {
		total += n
	}
	out := make([]piece, len(parts))
	for i, n := range parts {
		out[i] = piece{percent(at, total), percent(n, total), strconv.FormatFloat(100*float64(n)/float64(max(total, 1)), 'f', 1, 64)}
		at += n
	}
	return out
}

func percent(n, total int) string {
	return strconv.FormatFloat(100*float64(n)/float64(max(total, 1)), 'f', 3, 64)
}

// state is one state of a batch's tasks, with its place in the bar.
type state struct {
	Status simulator.TaskStatus
	N      int
	piece
}

// statesOf lists the states of a batch's tasks in the order in which they are walked;
// CONFIRM only when there are any.
func statesOf(c simulator.Counts) []state {
	all := []state{
		{Status: simulator.Succeeded, N: c.Succeeded}, {Status: simulator.InProgress, N: c.InProgress}, {Status: simulator.Notified, N: c.Notified},
		{Status: simulator.Queued, N: c.Queued}, {Status: simulator.Failed, N: c.Failed}, {Status: simulator.Canceled, N: c.Canceled},
	}
	if c.Unconfirmed > 0 {
		all = append(all, state{Status: simulator.Unconfirmed, N: c.Unconfirmed})
	}
	parts := make([]int, len(all))
	for i := range all {
		parts[i] = all[i].N
	}
	for i, p := range pieces(parts) {
		all[i].piece = p
	}
	return all
}
