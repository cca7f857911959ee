package report

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// The metrics, read from the recorder when they are asked for.
var (
	promDevices  = prometheus.NewDesc("otasim_fleet_devices", "Devices in each state.", []string{"state"}, nil)
	promEvents   = prometheus.NewDesc("otasim_fleet_events_total", "Events, as the report calls them; bytes too.", []string{"event"}, nil)
	promTook     = prometheus.NewDesc("otasim_fleet_seconds", "How long things took since the run began, from the time they were due.", []string{"measure"}, nil)
	promSpeed    = prometheus.NewDesc("otasim_fleet_download_bytes_per_second", "How fast single downloads were.", nil, nil)
	promOutcomes = prometheus.NewDesc("otasim_fleet_outcomes_total", "How updates ended.", []string{"behaviour", "outcome"}, nil)
	promExpected = prometheus.NewDesc("otasim_fleet_outcomes_expected", "How updates should end.", []string{"behaviour", "outcome"}, nil)
	promCPU      = prometheus.NewDesc("otasim_fleet_generator_cpu_seconds_total", "What the generator used of its processors.", nil, nil)
	promMemory   = prometheus.NewDesc("otasim_fleet_generator_memory_bytes", "The generator's resident memory.", nil, nil)
	promSockets  = prometheus.NewDesc("otasim_fleet_generator_sockets", "The generator's open sockets.", nil, nil)
	promLimit    = prometheus.NewDesc("otasim_fleet_push_limit", "Notices a minute that the cloud may push; absent when not known.", nil, nil)
	promInvalid  = prometheus.NewDesc("otasim_fleet_invalid", "1 when the generator was saturated and the run is invalid.", nil, nil)
)

// Metrics serves the recorder to Prometheus.
func (r *Recorder) Metrics() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector{r})
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
}

type collector struct{ r *Recorder }

// Describe announces the metrics.
func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{promDevices, promEvents, promTook, promSpeed, promOutcomes, promExpected, promCPU, promMemory, promSockets, promLimit, promInvalid} {
		ch <- d
	}
}

// Collect reads the recorder.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	send := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, kind, v, labels...)
	}
	for s := range states {
		send(promDevices, prometheus.GaugeValue, float64(c.r.In(s)), s.String())
	}
	for n := range counters {
		send(promEvents, prometheus.CounterValue, float64(c.r.Count(n)), n.String())
	}
	for m := range measures {
		h := c.r.histogram(m)
		if h.Count() == 0 {
			continue
		}
		if m == DownloadSpeed {
			ch <- prometheus.MustNewConstSummary(promSpeed, uint64(h.Count()), float64(h.sum)*1000, quantiles(h, 1000))
			continue
		}
		ch <- prometheus.MustNewConstSummary(promTook, uint64(h.Count()), float64(h.sum)/1e6, quantiles(h, 1e-6), m.String())
	}
	now := c.r.now()
	for _, b := range now.outcomes {
		for o := range outcomes {
			if b.Seen[o] != 0 || b.Expected[o] != 0 {
				send(promOutcomes, prometheus.CounterValue, float64(b.Seen[o]), legal(b.Behaviour), o.String())
				send(promExpected, prometheus.GaugeValue, float64(b.Expected[o]), legal(b.Behaviour), o.String())
			}
		}
	}
	send(promCPU, prometheus.CounterValue, now.sample.CPU.Seconds())
	send(promMemory, prometheus.GaugeValue, float64(now.sample.Memory))
	send(promSockets, prometheus.GaugeValue, float64(now.sample.Sockets))
	if now.pushLimit > 0 {
		send(promLimit, prometheus.GaugeValue, now.pushLimit)
	}
	send(promInvalid, prometheus.GaugeValue, float64(min(len(now.invalid), 1)))
}

func quantiles(h *Histogram, unit float64) map[float64]float64 {
	at := func(p float64) float64 { return float64(h.At(p)) * unit }
	return map[float64]float64{0.5: at(50), 0.9: at(90), 0.99: at(99), 0.999: at(99.9), 1: at(100)}
}

// glance is what of the recorder is not counted in shards.
type glance struct {
	run       Run
	devices   int64
	pushLimit float64
	pushed    int64 // in the last 60 s
	outcomes  []Outcomes
	invalid   []string
	sample    Sample
	cpu       float64
	health    Health
}

func (r *Recorder) now() glance {
	r.mu.Lock()
	defer r.mu.Unlock()
	g := glance{run: r.run, devices: r.devices, pushLimit: r.pushLimit, invalid: r.invalid[:len(r.invalid):len(r.invalid)],
		sample: r.sample, cpu: last(r.series.cpu), health: r.health}
	for _, b := range r.behaviours {
		g.outcomes = append(g.outcomes, b.outcomes())
	}
	g.pushed = r.series.lastMinute()
	return g
}
