package gateway

import "github.com/leapslot/ota"

// postponedStage is shown of an update whose installer asked for another time.
const postponedStage = "later"

// Status is what is going on with one sub-device.
type Status struct {
	Device  ota.Device
	Online  bool   // logged in
	Problem string // why it is not; "" when it is, or when nothing went wrong yet
	Version string // "" when it is not known

	Stage   string // of the update under way, or "later"; "" when there is none
	To      string // the version that it brings
	Percent int

	Last *Result // the last update that ended since the start
}

// Result is how an update ended.
type Result struct {
	Version string
	Step    ota.Step // 100, or the failure's code
	Reason  string   // "" on success
}

// Status tells of every sub-device, in the order of the configuration.
func (g *Gateway) Status() []Status {
	g.mu.Lock()
	defer g.mu.Unlock()
	list := make([]Status, len(g.all))
	for i, s := range g.all {
		list[i] = s.shown
	}
	return list
}

func (g *Gateway) set(s *sub, change func(*Status)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	change(&s.shown)
}

// show tells whether the sub-device is logged in.
func (g *Gateway) show(s *sub) {
	g.set(s, func(st *Status) {
		st.Online, st.Problem = s.in, ""
		if !s.in && s.why != nil {
			st.Problem = s.why.Error()
		}
	})
}

// Busy reports whether a sub-device is being updated at this moment.
func (g *Gateway) Busy() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, s := range g.all {
		if s.shown.Stage != "" && s.shown.Stage != postponedStage {
			return true
		}
	}
	return false
}
