package server

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/leapslot/ota/simulator/server/broker"
)

// metrics are what Prometheus sees. None has a label that a device can choose.
type metrics struct {
	registry *prometheus.Registry
	uplinks  *prometheus.CounterVec
	notices  *prometheus.CounterVec
	events   *prometheus.CounterVec
	blocks   *prometheus.CounterVec
	rows     prometheus.Histogram
	seconds  prometheus.Histogram
	failures prometheus.Counter
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		uplinks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "otasim_uplinks_total", Help: "Messages of devices, by topic, good or bad.",
		}, []string{"topic", "result"}),
		notices: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "otasim_notices_total", Help: "Notices and answers to devices: sent, offline, late, refused or impossible.",
		}, []string{"result"}),
		blocks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "otasim_blocks_total", Help: "Answers to devices that download over MQTT: sent, refused or lost.",
		}, []string{"result"}),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "otasim_events_total", Help: "Events for applications: delivered to the webhook, failed and to be tried again, or missed by those that are told over MQTT.",
		}, []string{"result"}),
		rows: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "otasim_save_rows", Help: "Rows stored in one transaction.", Buckets: prometheus.ExponentialBuckets(1, 4, 9),
		}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "otasim_save_seconds", Help: "Time of one transaction.", Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "otasim_save_failures_total", Help: "Transactions that failed and were taken back.",
		}),
	}
	m.registry.MustRegister(m.uplinks, m.notices, m.events, m.blocks, m.rows, m.seconds, m.failures,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) saved(rows int, d time.Duration, err error) {
	if err != nil {
		m.failures.Inc()
		return
	}
	m.rows.Observe(float64(rows))
	m.seconds.Observe(d.Seconds())
}

// watch adds the broker's counters.
func (m *metrics) watch(b *broker.Broker) {
	count := func(name, help string, value func(broker.Stats) int64) {
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help},
			func() float64 { return float64(value(b.Stats())) }))
	}
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "otasim_connections", Help: "Devices that are connected.",
	}, func() float64 { return float64(b.Stats().Connections) }))
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "otasim_sub_devices", Help: "Sub-devices that are logged in over their gateways.",
	}, func() float64 { return float64(b.Stats().SubDevices) }))
	count("otasim_registered_total", "Registrations of devices that were answered with credentials.", func(s broker.Stats) int64 { return s.Registered })
	count("otasim_limited_total", "Messages of sub-devices left out because they came too often.", func(s broker.Stats) int64 { return s.Limited })
	count("otasim_connects_total", "Sign-ins that were accepted.", func(s broker.Stats) int64 { return s.Accepted })
	count("otasim_refused_password_total", "Sign-ins with a wrong password.", func(s broker.Stats) int64 { return s.RefusedPassword })
	count("otasim_refused_unknown_total", "Sign-ins of unknown or disabled devices.", func(s broker.Stats) int64 { return s.RefusedUnknown })
	count("otasim_refused_other_total", "Sign-ins that were malformed or came at a bad time.", func(s broker.Stats) int64 {
		return s.RefusedMalformed + s.RefusedParameters + s.RefusedUnavailable
	})
	count("otasim_denied_total", "Publishes and subscriptions on topics of others.", func(s broker.Stats) int64 { return s.Denied })
	count("otasim_delayed_total", "Messages that had to wait for their device's rate.", func(s broker.Stats) int64 { return s.Delayed })
	count("otasim_pushed_total", "Messages written to devices.", func(s broker.Stats) int64 { return s.Pushed })
	count("otasim_dropped_total", "Messages to devices that were lost; the job sends them again.", func(s broker.Stats) int64 { return s.Dropped })
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}
