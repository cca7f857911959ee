package simulator

import "container/heap"

// timers holds what wants attention when, soonest first. An entry that its owner no
// longer has (its alarm differs) is passed over.
type timers[T sleeper[T]] []timer[T]

// sleeper is a task or a device. Those of one moment wake up in the order of their
// names, so that the same inputs always come to the same state.
type sleeper[T any] interface {
	alarm() *Stamp
	before(T) bool
}

type timer[T sleeper[T]] struct {
	at Stamp
	of T
}

func (t *task) alarm() *Stamp   { return &t.timer }
func (d *device) alarm() *Stamp { return &d.timer }

func (t *task) before(u *task) bool { return t.ID < u.ID }
func (d *device) before(e *device) bool {
	return d.Name < e.Name || d.Name == e.Name && d.ProductKey < e.ProductKey
}

func (h timers[T]) Len() int { return len(h) }
func (h timers[T]) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].of.before(h[j].of)
}
func (h timers[T]) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push is for container/heap.
func (h *timers[T]) Push(x any) { *h = append(*h, x.(timer[T])) }

// Pop is for container/heap.
func (h *timers[T]) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = timer[T]{}
	*h = old[:len(old)-1]
	return last
}

// set has the owner wake up at the moment, or not at all (0).
func (h *timers[T]) set(of T, at Stamp) {
	if *of.alarm() == at {
		return
	}
	if *of.alarm() = at; at != 0 {
		heap.Push(h, timer[T]{at, of})
	}
}

// next gives the soonest moment, 0 if there is none.
func (h *timers[T]) next() Stamp {
	for len(*h) > 0 {
		if first := (*h)[0]; *first.of.alarm() == first.at {
			return first.at
		}
		heap.Pop(h)
	}
	return 0
}

// take gives who wants attention by now; nil is nobody.
func (h *timers[T]) take(now Stamp) (of T) {
	if at := h.next(); at == 0 || at > now {
		return of
	}
	of = heap.Pop(h).(timer[T]).of
	*of.alarm() = 0
	return of
}
