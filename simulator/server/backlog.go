package server

import (
	"sync"

	"github.com/leapslot/ota/simulator"
)

// maxUnsent is how many batches may wait for the sender before the engine does.
const maxUnsent = 64

// backlog is what waits to be sent. It knows which of it came too late: a device's last
// word may be stored while the notice that it got on signing in still waits here, or even
// in the same batch, and a device that is told then would begin anew.
type backlog struct {
	unsent chan []simulator.Push

	mu    sync.Mutex
	tasks map[string]standing // those that a message waits for
}

// standing is what became of a task since a message of it was queued.
type standing struct {
	waiting int // messages
	attempt int // of the task, once it has changed; 0 before
	due     bool
}

func newBacklog() *backlog {
	return &backlog{unsent: make(chan []simulator.Push, maxUnsent), tasks: map[string]standing{}}
}

// add queues what a batch of the engine wants sent, and notes the tasks as that batch left
// them. It waits while too much waits already.
func (b *backlog) add(pushes []simulator.Push, changed []simulator.Task) {
	b.mu.Lock()
	for i := range pushes {
		if id := pushes[i].Task.ID; id != "" {
			s := b.tasks[id]
			s.waiting++
			b.tasks[id] = s
		}
	}
	if len(b.tasks) > 0 {
		for i := range changed {
			b.note(&changed[i])
		}
	}
	b.mu.Unlock()
	if len(pushes) > 0 {
		b.unsent <- pushes
	}
}

func (b *backlog) note(t *simulator.Task) {
	s, ok := b.tasks[t.ID]
	if !ok {
		return
	}
	s.attempt = t.Attempt
	s.due = t.Phase == simulator.PhaseNotified || t.Phase == simulator.PhaseBegun
	b.tasks[t.ID] = s
}

// send sends a message, unless it comes too late: its task has ended, waits to be tried
// again, or is in another attempt. What the engine notes meanwhile waits, so that a message
// is either sent before a device is told that its word was stored, or not at all.
func (b *backlog) send(p *simulator.Push, do func() error) (late bool, err error) {
	if p.Task.ID == "" {
		return false, do()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.tasks[p.Task.ID]
	if s.waiting--; s.waiting > 0 {
		b.tasks[p.Task.ID] = s
	} else {
		delete(b.tasks, p.Task.ID)
	}
	if s.attempt != 0 && (!s.due || s.attempt != p.Task.Attempt) {
		return true, nil
	}
	return false, do()
}
