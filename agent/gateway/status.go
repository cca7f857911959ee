package gateway

import "github.com/leapslot/ota"

// postponedStage is shown of an update whose installer asked for another time.
const postponedStage = "later"

// Status is what is going on with one sub-device.
type Status struct {
	ProductKey string `json:"product_key"`
	DeviceName string `json:"device_name"`
	Online     bool   `json:"online"`  // logged in
	Problem    string `json:"problem"` // why it is not; "" when it is, or when nothing went wrong yet
	Version    string `json:"version"` // "" when it is not known

	Stage   string `json:"stage"` // of the update under way, or "later"; "" when there is none
	To      string `json:"to"`    // the version that it brings
	Percent int    `json:"percent"`

	Last *Result `json:"last"` // the last update that ended since the start; nil when there was none
}

// Result is how an update ended.
type Result struct {
	Version string   `json:"version"`
	Step    ota.Step `json:"step"`   // 100, or the failure's code
	Reason  string   `json:"reason"` // "" on success; at most so long as a progress report of it
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

// clip shortens a reason as a progress report does.
func clip(s string) string {
	if r := []rune(s); len(r) > ota.MaxDescLen {
		return string(r[:ota.MaxDescLen])
	}
	return s
}
