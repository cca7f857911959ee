package simulator

import "fmt"

// Changes is what has to be stored: each changed value once, as it is now. Its
// Revision is one more than that of the stored row it replaces, and 1 when there
// is none yet.
type Changes struct {
	Sequence int64 // 0 when unchanged
	Products []Product
	Modules  []Module
	Devices  []Device
	Packages []Package
	Jobs     []Job
	Tasks    []Task // those that have ended too: the store keeps them, the cloud forgets them
}

// Empty reports whether there is nothing to store.
func (ch *Changes) Empty() bool {
	return ch.Sequence == 0 && len(ch.Products)+len(ch.Modules)+len(ch.Devices)+
		len(ch.Packages)+len(ch.Jobs)+len(ch.Tasks) == 0
}

// journal remembers what every changed value was at the last commit.
type journal struct {
	products entries[Product, product]
	modules  entries[Module, Module]
	devices  entries[Device, device]
	packages entries[Package, Package]
	jobs     entries[Job, job]
	tasks    entries[Task, task]
	seqOld   int64
	seqNew   bool
}

func (j *journal) sequence(c *Cloud) {
	if !j.seqNew {
		j.seqNew, j.seqOld = true, c.sequence
	}
}

// entries is the journal of one kind: V is what is stored of it, T what holds it.
type entries[V, T any] struct {
	list []entry[V, T]
	at   map[*T]int
}

type entry[V, T any] struct {
	of      *T
	old     V
	created bool
}

// note records the value before it is changed, and says whether this is the first
// change since the last commit.
func (e *entries[V, T]) note(of *T, old V, created bool) bool {
	if _, ok := e.at[of]; ok {
		return false
	}
	if e.at == nil {
		e.at = map[*T]int{}
	}
	e.at[of] = len(e.list)
	e.list = append(e.list, entry[V, T]{of, old, created})
	return true
}

func (e *entries[V, T]) clear() {
	clear(e.list)
	e.list = e.list[:0]
	if len(e.at) > 4096 {
		e.at = nil // a map does not shrink
	}
	clear(e.at)
}

func formatID(kind byte, n int64) string { return fmt.Sprintf("%c%012d", kind, n) }
