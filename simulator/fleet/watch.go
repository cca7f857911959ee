package fleet

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/leapslot/ota/simulator/fleet/report"
)

// pushes compares when notices come with when the cloud's rate wants them.
type pushes struct {
	mu    sync.Mutex
	n     int
	first time.Time
}

// pushedAt is a notice that a device got for the first time. A shard sees only some of the
// notices, and cannot tell which of them are late.
func (f *Fleet) pushedAt(at time.Time) {
	if f.cfg.PushRate <= 0 || f.cfg.Shard.Count > 1 {
		return
	}
	p := &f.pushes
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.n == 0 {
		p.first = at
	}
	due := p.first.Add(time.Duration(p.n) * time.Minute / time.Duration(f.cfg.PushRate))
	p.n++
	f.rec.Observe(report.PushLateness, max(at.Sub(due), 0))
}

// kneeWatch looks whether a limit breaks, one step after the other. All its methods may
// be called on nil, and do nothing then.
type kneeWatch struct {
	Knee
	mu       sync.Mutex
	began    time.Time
	step     int
	took     []time.Duration
	failures int
	at       string // where it broke
}

// enough is how many connections a step must have had to say something.
const enough = 20

func (k *kneeWatch) saw(now time.Time, took time.Duration, failed bool) {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.began.IsZero() {
		k.began = now
	}
	if step := int(now.Sub(k.began) / k.Every); step != k.step {
		k.judge()
		k.step, k.took, k.failures = step, k.took[:0], 0
	}
	if failed {
		k.failures++
	} else {
		k.took = append(k.took, took)
	}
}

// judge looks at the step that ends.
func (k *kneeWatch) judge() {
	all := len(k.took) + k.failures
	if k.at != "" || all < enough {
		return
	}
	rate := k.rateAt(time.Duration(k.step) * k.Every)
	slices.Sort(k.took)
	if share := float64(k.failures) / float64(all); share > k.Errors {
		k.at = fmt.Sprintf("at %.0f connections a second %.1f %% of them failed", rate, share*100)
	} else if p99 := k.took[len(k.took)*99/100]; p99 > k.P99 {
		k.at = fmt.Sprintf("at %.0f connections a second the 99th percentile of connecting was %v", rate, p99.Round(time.Millisecond))
	}
}

func (k *kneeWatch) broken() bool {
	if k == nil {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.at != ""
}

// end says what was found.
func (k *kneeWatch) end() string {
	if k == nil {
		return ""
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.judge()
	if k.at == "" {
		return fmt.Sprintf("no limit broke up to %.0f connections a second: there were no more devices", k.rateAt(time.Duration(k.step)*k.Every))
	}
	return k.at
}

func (f *Fleet) connectedIn(took time.Duration) { f.knee.saw(time.Now(), took, false) }

func (f *Fleet) missed(error) { f.knee.saw(time.Now(), 0, true) }

// Knee says where a limit broke, when that was looked for; "" otherwise.
func (f *Fleet) Knee() string { return f.knee.end() }
