package report

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"
)

// Limits of a file that is read.
const (
	MaxFile       = 256 << 20 // bytes
	maxBehaviours = 1000
	maxParts      = 10_000
	maxText       = 4096           // bytes of one text
	maxCount      = int64(1) << 53 // of one counter, so that sums do not overflow and JSON keeps them
	maxHistogram  = 8 << 20        // bytes of a histogram in base64
	maxStep       = 86_400         // seconds of a bucket
	maxRun        = 400 * 24 * time.Hour
)

// ErrFile is in every error of Read: the file is not a result that can be used.
var ErrFile = errors.New("not a result of otasim fleet")

// Read reads what WriteJSON wrote. Every error is an ErrFile or one of the reader.
func Read(from io.Reader) (*Result, error) {
	limited := &io.LimitedReader{R: from, N: MaxFile + 1}
	d := json.NewDecoder(limited)
	d.DisallowUnknownFields()
	var f fileResult
	if err := d.Decode(&f); err != nil {
		if limited.N <= 0 {
			return nil, fmt.Errorf("%w: it is larger than %d MiB", ErrFile, MaxFile>>20)
		}
		return nil, fmt.Errorf("%w: %v", ErrFile, err)
	}
	if f.Format != fileFormat {
		return nil, fmt.Errorf("%w: its format is %.40q, not %q", ErrFile, f.Format, fileFormat)
	}
	if f.Version != fileVersion {
		return nil, fmt.Errorf("%w: it is of version %d, this program reads version %d (use the program that wrote it)", ErrFile, f.Version, fileVersion)
	}
	r, err := f.result()
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrFile, err)
	}
	return r, nil
}

func (f *fileResult) result() (*Result, error) {
	r := &Result{Run: f.Run, Parts: f.Parts, Began: f.Began, Ended: f.Ended, Devices: f.Devices, PushLimit: f.PushLimit,
		Invalid: f.Invalid, Notes: f.Notes, Marks: f.Marks, Health: f.Health}
	if err := f.bounds(); err != nil {
		return nil, err
	}
	if err := unkey(stateNames[:], f.States, r.States[:]); err != nil {
		return nil, fmt.Errorf("states: %v", err)
	}
	if err := unkey(counterNames[:], f.Counters, r.Counters[:]); err != nil {
		return nil, fmt.Errorf("counters: %v", err)
	}
	for key, m := range f.Measures {
		i, err := find(measureNames[:], key)
		if err != nil {
			return nil, fmt.Errorf("measures: %v", err)
		}
		if r.Measures[i], err = m.histogram(); err != nil {
			return nil, fmt.Errorf("measure %s: %v", key, err)
		}
	}
	for i := range r.Measures {
		if r.Measures[i] == nil {
			r.Measures[i] = &Histogram{}
		}
	}
	for _, b := range f.Behaviours {
		o := Outcomes{Behaviour: b.Behaviour, Devices: b.Devices}
		if err := errors.Join(unkey(outcomeNames[:], b.Expected, o.Expected[:]), unkey(outcomeNames[:], b.Seen, o.Seen[:])); err != nil {
			return nil, fmt.Errorf("behaviour %.40q: %v", b.Behaviour, err)
		}
		r.Behaviours = append(r.Behaviours, o)
	}
	var err error
	r.series, err = f.Series.series()
	return r, err
}

// bounds are those that types do not give.
func (f *fileResult) bounds() error {
	texts := []string{f.Run.Title, f.Run.Scenario, f.Run.Endpoint, f.Run.Ramp, f.Run.Program, f.Run.Knee}
	texts = append(append(texts, f.Invalid...), f.Notes...)
	for _, p := range f.Parts {
		texts = append(texts, p.ID, p.Shard, p.Host)
	}
	for _, b := range f.Behaviours {
		texts = append(texts, b.Behaviour)
	}
	for _, h := range f.Health {
		texts = append(texts, h.Shard, h.Host)
	}
	for _, m := range f.Marks {
		texts = append(texts, m.Text)
	}
	for _, t := range texts {
		if len(t) > maxText {
			return fmt.Errorf("a text has more than %d bytes", maxText)
		}
	}
	switch {
	case len(f.Parts) == 0 || len(f.Parts) > maxParts || len(f.Health) > maxParts:
		return fmt.Errorf("it must have 1 to %d parts", maxParts)
	case len(f.Behaviours) > maxBehaviours:
		return fmt.Errorf("it has more than %d behaviours", maxBehaviours)
	case len(f.Invalid) > maxParts || len(f.Notes) > maxParts || len(f.Marks) > maxParts:
		return errors.New("it has too many reasons, notes or marks")
	case f.Ended.Before(f.Began) || f.Ended.Sub(f.Began) > maxRun || f.Began.Year() < 1970 || f.Began.Year() > 9999:
		return errors.New("its times make no sense")
	case f.Devices < 0 || f.Devices > maxCount || f.PushLimit < 0 || f.PushLimit > float64(maxCount):
		return errors.New("its numbers make no sense")
	}
	for _, b := range f.Behaviours {
		if b.Devices < 0 || b.Devices > maxCount {
			return errors.New("a behaviour's devices make no sense")
		}
	}
	return nil
}

func unkey(names []name, from map[string]int64, to []int64) error {
	for key, v := range from {
		i, err := find(names, key)
		if err != nil {
			return err
		}
		if v < -maxCount || v > maxCount {
			return fmt.Errorf("%s is too large", key)
		}
		to[i] = v
	}
	return nil
}

func (m fileMeasure) histogram() (*Histogram, error) {
	if len(m.HDR) > maxHistogram {
		return nil, errors.New("the histogram is too large")
	}
	if _, err := base64.StdEncoding.DecodeString(m.HDR); err != nil {
		return nil, err
	}
	counts, err := hdr.Decode([]byte(m.HDR))
	if err != nil {
		return nil, err
	}
	if counts.LowestTrackableValue() != lowest || counts.HighestTrackableValue() != highest || counts.SignificantFigures() != digits {
		return nil, errors.New("the histogram has another geometry")
	}
	h := &Histogram{counts: counts, max: m.Max, sum: m.Sum}
	if n := counts.TotalCount(); n != m.Count || n <= 0 || n > maxCount || m.Max < 0 || m.Max > highest || m.Sum < 0 || m.Sum > maxCount {
		return nil, errors.New("the histogram does not fit its figures")
	}
	return h, nil
}

// series checks that all series are of one length.
func (f fileSeries) series() (series, error) {
	s := series{step: f.Step, cpu: f.CPU, sockets: f.Sockets, memory: f.Memory}
	n := len(f.CPU)
	if f.Step < 1 || f.Step > maxStep || f.Step&(f.Step-1) != 0 || n > maxBuckets || len(f.Sockets) != n || len(f.Memory) != n {
		return s, errors.New("the series make no sense")
	}
	for key, all := range f.States {
		i, err := find(stateNames[:], key)
		if err != nil {
			return s, fmt.Errorf("series: %v", err)
		}
		s.states[i] = all
	}
	for key, all := range f.Counters {
		i, err := find(counterNames[:], key)
		if err != nil {
			return s, fmt.Errorf("series: %v", err)
		}
		s.counters[i] = all
	}
	for i, m := range trended {
		s.trends[i] = f.Trends[m.String()]
	}
	return s, s.check(n)
}

func (s *series) check(n int) error {
	whole := func(all *[]int64) error {
		if *all == nil {
			*all = make([]int64, n)
		}
		if len(*all) != n {
			return errors.New("the series are not of one length")
		}
		for _, v := range *all {
			if v < 0 || v > maxCount {
				return errors.New("a series has a value that makes no sense")
			}
		}
		return nil
	}
	for i := range s.states {
		if err := whole(&s.states[i]); err != nil {
			return err
		}
	}
	for i := range s.counters {
		if err := whole(&s.counters[i]); err != nil {
			return err
		}
	}
	for i := range s.trends {
		if s.trends[i] == nil {
			s.trends[i] = make([]trend, n)
		}
		if len(s.trends[i]) != n {
			return errors.New("the trends are not of one length")
		}
		for _, t := range s.trends[i] {
			if !t.sound() {
				return errors.New("a trend makes no sense")
			}
		}
	}
	return errors.Join(whole(&s.sockets), whole(&s.memory))
}

// sound says whether the pairs are in order, known and of at least one value.
func (t trend) sound() bool {
	if len(t)%2 != 0 || len(t) > 2*trendSize {
		return false
	}
	for i := 0; i < len(t); i += 2 {
		if t[i] < 0 || t[i] >= trendSize || i > 0 && t[i] <= t[i-2] || t[i+1] <= 0 || t[i+1] > maxCount {
			return false
		}
	}
	return true
}
