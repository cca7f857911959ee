package broker

import "sync/atomic"

// counters are the live form of Stats.
type counters struct {
	connections, subDevices, accepted, registered                                            atomic.Int64
	refusedMalformed, refusedParameters, refusedUnavailable, refusedPassword, refusedUnknown atomic.Int64
	kicked, uplinks, ignored, delayed, limited, denied, pushed, acked, dropped               atomic.Int64
}

// refused counts an answer to a CONNECT.
func (c *counters) refused(code byte) {
	switch code {
	case codeParameters:
		c.refusedParameters.Add(1)
	case codeUnavailable:
		c.refusedUnavailable.Add(1)
	case codePassword:
		c.refusedPassword.Add(1)
	case codeUnknown:
		c.refusedUnknown.Add(1)
	}
}

// Stats gives the counters. They are read one after the other while the broker
// runs on.
func (b *Broker) Stats() Stats {
	c := &b.count
	return Stats{
		Connections:        c.connections.Load(),
		SubDevices:         c.subDevices.Load(),
		Accepted:           c.accepted.Load(),
		Registered:         c.registered.Load(),
		RefusedMalformed:   c.refusedMalformed.Load(),
		RefusedParameters:  c.refusedParameters.Load(),
		RefusedUnavailable: c.refusedUnavailable.Load(),
		RefusedPassword:    c.refusedPassword.Load(),
		RefusedUnknown:     c.refusedUnknown.Load(),
		Kicked:             c.kicked.Load(),
		Uplinks:            c.uplinks.Load(),
		Ignored:            c.ignored.Load(),
		Delayed:            c.delayed.Load(),
		Limited:            c.limited.Load(),
		Denied:             c.denied.Load(),
		Pushed:             c.pushed.Load(),
		Acked:              c.acked.Load(),
		Dropped:            c.dropped.Load(),
	}
}
