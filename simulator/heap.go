package simulator

import "container/heap"

// timers holds which task wants attention when, soonest first. An entry that the
// task no longer has (task.timer differs) is passed over.
type timers []timer

type timer struct {
	at Stamp
	t  *task
}

func (h timers) Len() int { return len(h) }
func (h timers) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].t.ID < h[j].t.ID
}
func (h timers) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push is for container/heap.
func (h *timers) Push(x any) { *h = append(*h, x.(timer)) }

// Pop is for container/heap.
func (h *timers) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = timer{}
	*h = old[:len(old)-1]
	return last
}

// set has the task wake up at the moment, or not at all (0).
func (h *timers) set(t *task, at Stamp) {
	if t.timer == at {
		return
	}
	if t.timer = at; at != 0 {
		heap.Push(h, timer{at, t})
	}
}

// next gives the soonest moment, 0 if there is none.
func (h *timers) next() Stamp {
	for len(*h) > 0 {
		if first := (*h)[0]; first.t.timer == first.at {
			return first.at
		}
		heap.Pop(h)
	}
	return 0
}

// take gives a task that wants attention by now.
func (h *timers) take(now Stamp) *task {
	if at := h.next(); at == 0 || at > now {
		return nil
	}
	t := heap.Pop(h).(timer).t
	t.timer = 0
	return t
}
