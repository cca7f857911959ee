package fleet

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/leapslot/ota"
)

// Bounds of a scenario.
const (
	MaxScenario   = 1 << 20 // bytes of its file
	MaxBehaviours = 100
	MaxModules    = 11 // default, and the 10 that a product may have
	MaxSubs       = 2000
	MaxFlood      = 1_000_000
)

// Kinds of clients.
const (
	ClientSmall = "small" // one goroutine a device
	ClientAgent = "agent" // package agent over package agent/link, on slots in memory
)

// Scenario says what the devices of a fleet are like. The same scenario, seed and list of
// devices give the same fleet.
type Scenario struct {
	Name    string `toml:"name"`
	Seed    uint64 `toml:"seed"`
	Version string `toml:"version"` // what the devices run at first; "" is 1.0.0
	Key     string `toml:"key"`     // PEM, the product's public key: packages must be signed with it
	// Connections lost without a device's wish are tried again after a random part of a
	// window that doubles from Backoff to BackoffMost; 0 is 1 s and 1 min.
	Backoff     Duration    `toml:"backoff"`
	BackoffMost Duration    `toml:"backoff_most"`
	Behaviours  []Behaviour `toml:"behaviour"`
}

// Behaviour is what a part of the fleet does. One with nothing but a name and a share is
// good: it does what it is told. What is set adds up: a slow device may also be one that
// fails.
type Behaviour struct {
	Name   string  `toml:"name"`
	Share  float64 `toml:"share"`  // of the fleet, beside the shares of the others
	Client string  `toml:"client"` // ClientSmall ("") or ClientAgent

	Modules  []string `toml:"modules"`   // besides default; all report their versions, and any may be upgraded
	Subs     int      `toml:"subs"`      // a gateway: so many of the devices after it in the list are behind it
	SubsFail float64  `toml:"subs_fail"` // this part of a gateway's devices, 0 to 1, reports -1 instead of success, always
	Pull     Duration `toml:"pull"`      // asks for an upgrade so often, besides taking what is pushed
	Reboot   Duration `toml:"reboot"`    // how long a reboot takes
	Percent  int      `toml:"percent"`   // reports progress each so many percent, however fast; 0 is as the agent does: each 5, and at most once a second

	Latency   Duration `toml:"latency"`   // of the link, one way
	Bandwidth Size     `toml:"bandwidth"` // of the link, a second; 0 is any

	OfflineAfter Duration `toml:"offline_after"` // goes away so long after it signed in, again and again
	OfflineFor   Duration `toml:"offline_for"`   // and stays away so long
	Wave         Duration `toml:"wave"`          // all devices of the behaviour go at the same moment, at every multiple of this, instead
	Storm        bool     `toml:"storm"`         // signs in again at once, without backoff, when its connection is lost

	Fail       int    `toml:"fail"`        // reports this step, -1 to -4, instead of success
	FailTimes  int    `toml:"fail_times"`  // so often, and then is well; 0 is always
	Reports    string `toml:"reports"`     // reports this version in place of the new one
	Silent     bool   `toml:"silent"`      // never answers a notice
	Ignore     int    `toml:"ignore"`      // does nothing with so many notices, and signs in anew after each
	HangAt     int    `toml:"hang_at"`     // reports progress up to this percentage, and nothing more
	WrongRange bool   `toml:"wrong_range"` // downloads from a wrong offset
	Flood      int    `toml:"flood"`       // sends so many progress messages where others send a few
}

// Duration is a time.Duration written as "1m30s".
type Duration time.Duration

// UnmarshalText reads one that is not negative.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err == nil && v < 0 {
		err = fmt.Errorf("the duration %s is negative", b)
	}
	*d = Duration(v)
	return err
}

// Size is a number of bytes written as "64KiB", "1MiB" or "1000".
type Size int64

// UnmarshalText reads one that is not negative.
func (s *Size) UnmarshalText(b []byte) error {
	text, unit := string(b), int64(1)
	for suffix, n := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
		if rest, ok := strings.CutSuffix(text, suffix); ok {
			text, unit = strings.TrimSpace(rest), n
		}
	}
	v, err := strconv.ParseInt(text, 10, 32)
	if err != nil || v < 0 {
		return fmt.Errorf("%.40q is no size (such as 64KiB)", b)
	}
	*s = Size(v * unit)
	return nil
}

// Good is the scenario without a file: every device does what it is told.
func Good() Scenario {
	s := Scenario{Name: "good", Behaviours: []Behaviour{{Name: "good", Share: 1}}}
	s.complete()
	return s
}

// ReadScenario reads a scenario in TOML. Keys that are not known are refused, with their
// line.
func ReadScenario(r io.Reader) (Scenario, error) {
	var s Scenario
	text, err := io.ReadAll(io.LimitReader(r, MaxScenario+1))
	if err != nil {
		return s, fmt.Errorf("the scenario cannot be read: %w", err)
	}
	if len(text) > MaxScenario {
		return s, fmt.Errorf("the scenario is longer than %d bytes", MaxScenario)
	}
	d := toml.NewDecoder(strings.NewReader(string(text))).DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		var strict *toml.StrictMissingError
		var where *toml.DecodeError
		switch {
		case errors.As(err, &strict):
			return s, fmt.Errorf("the scenario has keys that are not known:\n%s", strict.String())
		case errors.As(err, &where):
			line, column := where.Position()
			return s, fmt.Errorf("the scenario, line %d, column %d: %s", line, column, where.Error())
		}
		return s, fmt.Errorf("the scenario: %w", err)
	}
	s.complete()
	return s, s.Validate()
}

func (s *Scenario) complete() {
	if s.Version == "" {
		s.Version = "1.0.0"
	}
	if s.Backoff == 0 {
		s.Backoff = Duration(time.Second)
	}
	if s.BackoffMost == 0 {
		s.BackoffMost = Duration(time.Minute)
	}
	for i := range s.Behaviours {
		if s.Behaviours[i].Client == "" {
			s.Behaviours[i].Client = ClientSmall
		}
	}
}

// Validate says what of a scenario cannot be played.
func (s *Scenario) Validate() error {
	if err := ota.CheckVersion(s.Version); err != nil {
		return fmt.Errorf("the scenario's version: %w", err)
	}
	if len(s.Behaviours) == 0 || len(s.Behaviours) > MaxBehaviours {
		return fmt.Errorf("the scenario has %d behaviours ([[behaviour]]), wanted are 1 to %d", len(s.Behaviours), MaxBehaviours)
	}
	if s.BackoffMost < s.Backoff {
		return errors.New("the scenario's backoff_most is below its backoff")
	}
	seen := map[string]bool{}
	for i := range s.Behaviours {
		b := &s.Behaviours[i]
		if b.Name == "" || seen[b.Name] {
			return fmt.Errorf("behaviour %d has the name %.40q: each wants one of its own", i+1, b.Name)
		}
		seen[b.Name] = true
		if err := b.validate(); err != nil {
			return fmt.Errorf("behaviour %.40q: %w", b.Name, err)
		}
	}
	return nil
}

func (b *Behaviour) validate() error {
	switch {
	case !(b.Share > 0 && b.Share <= 1e6):
		return fmt.Errorf("share is %v: give a number above 0", b.Share)
	case b.Fail < -4 || b.Fail > 0:
		return fmt.Errorf("fail is %d: give -1, -2, -3 or -4", b.Fail)
	case b.FailTimes < 0 || b.FailTimes > 0 && b.Fail == 0:
		return errors.New("fail_times wants fail, and is 1 or more")
	case b.HangAt < 0 || b.HangAt > 99:
		return fmt.Errorf("hang_at is %d: give 1 to 99 percent", b.HangAt)
	case b.Ignore < 0 || b.Ignore > 1000:
		return fmt.Errorf("ignore is %d: give 1 to 1000 notices", b.Ignore)
	case b.Percent < 0 || b.Percent > 100:
		return fmt.Errorf("percent is %d: give 1 to 100", b.Percent)
	case b.Flood < 0 || b.Flood > MaxFlood:
		return fmt.Errorf("flood is %d: give at most %d messages", b.Flood, MaxFlood)
	case b.Subs < 0 || b.Subs > MaxSubs:
		return fmt.Errorf("subs is %d: give at most %d", b.Subs, MaxSubs)
	case !(b.SubsFail >= 0 && b.SubsFail <= 1) || b.SubsFail > 0 && b.Subs == 0:
		return fmt.Errorf("subs_fail is %v: give a part of the subs, 0 to 1", b.SubsFail)
	case len(b.Modules) >= MaxModules:
		return fmt.Errorf("%d modules: give at most %d", len(b.Modules), MaxModules-1)
	case (b.OfflineAfter > 0 || b.Wave > 0) != (b.OfflineFor > 0):
		return errors.New("offline_for goes with offline_after or wave")
	case b.OfflineAfter > 0 && b.Wave > 0:
		return errors.New("offline_after and wave: give one of them")
	case b.Wave > 0 && b.Wave <= b.OfflineFor:
		return errors.New("wave must be longer than offline_for")
	}
	if b.Reports != "" {
		if err := ota.CheckVersion(b.Reports); err != nil {
			return fmt.Errorf("reports: %w", err)
		}
	}
	if odd := *b; b.Subs > 0 {
		odd.link()
		odd.Subs, odd.SubsFail = 0, 0
		if fmt.Sprint(odd) != fmt.Sprint(Behaviour{Client: b.Client}) {
			return errors.New("a gateway has subs, subs_fail, a link and absences, and is otherwise good")
		}
	}
	for _, m := range b.Modules {
		if err := ota.CheckModule(m); err != nil || m == ota.DefaultModule {
			return fmt.Errorf("module %.70q: give another name than default (%w)", m, err)
		}
	}
	return b.validateClient()
}

// link takes away what says nothing about what a device does with an update.
func (b *Behaviour) link() {
	b.Name, b.Share, b.Latency, b.Bandwidth, b.Reboot, b.Percent, b.Storm = "", 0, 0, 0, 0, 0, false
	b.OfflineAfter, b.OfflineFor, b.Wave = 0, 0, 0
}

// validateClient refuses what the real agent cannot be made to do.
func (b *Behaviour) validateClient() error {
	switch b.Client {
	case ClientSmall:
		return nil
	case ClientAgent:
	default:
		return fmt.Errorf("client is %.20q: give %s or %s", b.Client, ClientSmall, ClientAgent)
	}
	odd := *b
	odd.Name, odd.Share, odd.Client, odd.Reboot, odd.Bandwidth, odd.Fail, odd.FailTimes = "", 0, "", 0, 0, 0, 0
	if len(odd.Modules) > 0 {
		return errors.New("a real agent here has no modules")
	}
	odd.Modules = nil
	if fmt.Sprint(odd) != fmt.Sprint(Behaviour{}) {
		return errors.New("a real agent cannot be made to misbehave so: it has a bandwidth, and is good or fails (fail, fail_times)")
	}
	return nil
}
