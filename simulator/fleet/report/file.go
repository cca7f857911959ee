package report

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"
)

// The form of a result in a file. A reader refuses what it does not know.
const (
	fileFormat  = "otasim-fleet"
	fileVersion = 1
)

// fileResult is a Result as it stands in a file. Names are keys, so that a newer
// writer may add some: an unknown name is refused all the same, since a report that
// silently leaves something out is worse than none.
type fileResult struct {
	Format     string                 `json:"format"`
	Version    int                    `json:"version"`
	Valid      bool                   `json:"valid"`
	Invalid    []string               `json:"invalid,omitempty"`
	Notes      []string               `json:"notes,omitempty"`
	Marks      []Mark                 `json:"marks,omitempty"`
	Run        Run                    `json:"run"`
	Parts      []Part                 `json:"parts"`
	Began      time.Time              `json:"began"`
	Ended      time.Time              `json:"ended"`
	Devices    int64                  `json:"devices"`
	PushLimit  float64                `json:"push_limit,omitempty"`
	States     map[string]int64       `json:"states"`
	Counters   map[string]int64       `json:"counters"`
	Measures   map[string]fileMeasure `json:"measures"`
	Behaviours []fileOutcomes         `json:"behaviours"`
	Health     []Health               `json:"health"`
	Series     fileSeries             `json:"series"`
}

// fileMeasure has the figures for people and scripts, and the histogram that they
// come from in the V2 compressed form of HdrHistogram; only the latter, Max and
// Sum are read. Times are microseconds, speeds kB/s.
type fileMeasure struct {
	Count int64   `json:"count"`
	Mean  float64 `json:"mean"`
	P50   int64   `json:"p50"`
	P90   int64   `json:"p90"`
	P99   int64   `json:"p99"`
	P999  int64   `json:"p99_9"`
	Max   int64   `json:"max"`
	Sum   int64   `json:"sum"`
	HDR   string  `json:"hdr"`
}

type fileOutcomes struct {
	Behaviour string           `json:"behaviour"`
	Devices   int64            `json:"devices"`
	Expected  map[string]int64 `json:"expected"`
	Seen      map[string]int64 `json:"seen"`
}

type fileSeries struct {
	Step     int                `json:"step_seconds"`
	States   map[string][]int64 `json:"states"`
	Counters map[string][]int64 `json:"counters"`
	Trends   map[string][]trend `json:"trends"`
	CPU      []float64          `json:"cpu"`
	Sockets  []int64            `json:"sockets"`
	Memory   []int64            `json:"memory"`
}

// WriteJSON writes the result, so that Read gives the same one.
func (r *Result) WriteJSON(w io.Writer) error {
	f := fileResult{
		Format: fileFormat, Version: fileVersion, Valid: r.Valid(), Invalid: r.Invalid, Notes: r.Notes, Marks: r.Marks, Run: r.Run, Parts: r.Parts,
		Began: r.Began.UTC(), Ended: r.Ended.UTC(), Devices: r.Devices, PushLimit: r.PushLimit,
		States: keyed(stateNames[:], r.States[:]), Counters: keyed(counterNames[:], r.Counters[:]),
		Measures: map[string]fileMeasure{}, Behaviours: []fileOutcomes{}, Health: r.Health,
		Series: fileSeries{Step: r.series.step, CPU: r.series.cpu, Sockets: r.series.sockets, Memory: r.series.memory,
			States: map[string][]int64{}, Counters: map[string][]int64{}, Trends: map[string][]trend{}},
	}
	for m := range measures {
		h := r.Measures[m]
		if h.Count() == 0 {
			continue
		}
		code, err := h.counts.Encode(hdr.V2CompressedEncodingCookieBase)
		if err != nil {
			return fmt.Errorf("the histogram of %s cannot be written: %v", m, err)
		}
		f.Measures[m.String()] = fileMeasure{Count: h.Count(), Mean: h.Mean(), P50: h.At(50), P90: h.At(90), P99: h.At(99), P999: h.At(99.9),
			Max: h.max, Sum: h.sum, HDR: string(code)}
	}
	for _, b := range r.Behaviours {
		f.Behaviours = append(f.Behaviours, fileOutcomes{b.Behaviour, b.Devices, keyed(outcomeNames[:], b.Expected[:]), keyed(outcomeNames[:], b.Seen[:])})
	}
	for i, all := range r.series.states {
		f.Series.States[stateNames[i].key] = all
	}
	for i, all := range r.series.counters {
		if r.Counters[i] != 0 {
			f.Series.Counters[counterNames[i].key] = all
		}
	}
	for i, all := range r.series.trends {
		f.Series.Trends[trended[i].String()] = all
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(f)
}

// keyed leaves out what is 0.
func keyed(names []name, values []int64) map[string]int64 {
	out := map[string]int64{}
	for i, v := range values {
		if v != 0 {
			out[names[i].key] = v
		}
	}
	return out
}
