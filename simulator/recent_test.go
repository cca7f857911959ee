package simulator

import (
	"testing"
	"time"
)

// TestP34RateOfTheLastMinute: what is shown beside a batch's limit is what it has pushed in
// the last minute, and nothing older, also when nobody asks for long or the clock is set back.
func TestP34RateOfTheLastMinute(t *testing.T) {
	const devices = 35
	w := newWorld(t, devices)
	for i := range devices {
		w.online("d" + itoa(i+1))
	}
	j := w.batch(w.pkg("p"), func(cmd *CreateStaticJob) { cmd.MaximumPerMinute = 20 })
	rate := func() PushRate { return w.do(FindPushRate{j.ID}).(PushRate) }
	if r := rate(); r.LastMinute != w.job(j.ID).Pushed || r.Limit != 20 || r.LastMinute == 0 {
		t.Errorf("in its first second: %+v of %d", r, w.job(j.ID).Pushed)
	}
	w.wait(75 * time.Second)
	if r := rate(); r.LastMinute < 19 || r.LastMinute > 20 { // 99.3 % of the rate
		t.Errorf("while it pushes: %+v", r)
	}
	w.wait(time.Minute)
	if r := rate(); w.job(j.ID).Pushed != devices || r.LastMinute == 0 || r.LastMinute > 15 {
		t.Errorf("when the last were pushed to: %+v", r)
	}
	w.now = w.now.Add(-10 * time.Second)
	if r := rate(); r.LastMinute != 0 {
		t.Errorf("when the clock was set back: %+v", r)
	}
	w.now = w.now.Add(time.Hour)
	if r := rate(); r.LastMinute != 0 {
		t.Errorf("much later: %+v", r)
	}
	w.refused(FindPushRate{"j9"}, NotFound, "Job", "j9")
}
