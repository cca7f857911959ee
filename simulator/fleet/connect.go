package fleet

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"time"

	"github.com/leapslot/ota/simulator/fleet/report"
)

// run plays the device from the moment it was due until it is connected and waits, which
// it does in a goroutine of its own: see watch.
func (d *device) run(ctx context.Context, due time.Time) {
	for ctx.Err() == nil {
		err := d.open(ctx, due)
		if err == nil {
			d.f.playing.Add(1)
			go d.watch(ctx)
			return
		}
		due = d.away(ctx, err)
	}
}

// watch waits for the cloud once, and does what comes. Work has a stack that has grown,
// and Go does not make one small again: so the next wait is a new goroutine's, which
// starts with the smallest stack there is, and this one ends. A device is one goroutine at
// any time, with next to nothing on its stack: that is what makes it small.
func (d *device) watch(ctx context.Context) {
	defer d.f.playing.Done()
	err := d.step(ctx, d.wait())
	if err == nil {
		d.f.playing.Add(1)
		go d.watch(ctx)
		return
	}
	d.run(ctx, d.away(ctx, err))
}

// away ends a connection, waits, and gives the time when the next one is due.
func (d *device) away(ctx context.Context, why error) time.Time {
	if d.conn != nil {
		if time.Since(d.f.began)-d.since > stable {
			d.tries = 0
		}
		d.hangUp(why)
	}
	if ctx.Err() != nil {
		return time.Time{}
	}
	pause := d.pause(why)
	due := time.Now().Add(pause)
	sleep(ctx, pause)
	return due
}

// sleep waits, and says whether ctx still goes on.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// pause is how long the device stays away after a session or an attempt ended so.
func (d *device) pause(err error) time.Duration {
	switch {
	case errors.Is(err, errReboot):
		d.tries = 0
		d.move(report.Rebooting)
		return time.Duration(d.b.Reboot)
	case errors.Is(err, errLeave):
		d.tries = 0
		d.move(report.Offline)
		return time.Duration(d.b.OfflineFor)
	case errors.Is(err, errAnew):
		d.tries = 0
		return 0
	case d.b.Storm && d.tries == 0:
		d.tries = 1
		return 0
	}
	s := d.f.scenario
	window := min(time.Duration(s.Backoff)<<min(d.tries, 20), time.Duration(s.BackoffMost))
	d.tries++
	if d.b.Storm {
		window = min(window, time.Second)
	}
	return time.Duration(rand.New(&d.luck).Int64N(int64(window) + 1)) // full jitter
}

// connect signs the device in.
func (d *device) connect(ctx context.Context, due time.Time) error {
	rec := d.f.rec
	switch d.state { // what is shown of these stays
	case report.Rebooting, report.Updated, report.Failed:
	default:
		d.move(report.Connecting)
	}
	select {
	case d.f.dialling <- struct{}{}:
		defer func() { <-d.f.dialling }()
	case <-ctx.Done():
		return ctx.Err()
	}
	began := time.Now()
	rec.Observe(report.Lateness, began.Sub(due))
	rec.Add(report.Connects, 1)
	err := d.dial(ctx, began)
	if err != nil {
		if d.lost.IsZero() && d.before {
			d.lost = began
		}
		var r refusal
		if errors.As(err, &r) {
			rec.Add(report.ConnectRefused, 1)
		} else if ctx.Err() == nil {
			rec.Add(report.ConnectFailures, 1)
		}
		d.f.missed(err)
		return err
	}
	now := time.Now()
	rec.Observe(report.Connect, now.Sub(due))
	rec.Add(report.Connected, 1)
	d.f.connectedIn(now.Sub(due))
	if d.before {
		rec.Add(report.Reconnects, 1)
	}
	if !d.lost.IsZero() {
		rec.Observe(report.Reconnect, now.Sub(d.lost))
		d.lost = time.Time{}
	}
	d.before = true
	return nil
}

// dial connects, and signs in.
func (d *device) dial(ctx context.Context, began time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, wireTimeout)
	defer cancel()
	if d.m.Secret == "" && d.f.cfg.Certificate == nil {
		if err := d.register(ctx); err != nil {
			return err
		}
		began = time.Now()
	}
	door, err := d.door()
	if err != nil {
		return err
	}
	conn, tcp, err := door.open(ctx, d.f.dial(d, d.f.target.host))
	if err != nil {
		return err
	}
	rec := d.f.rec
	rec.Observe(report.ConnectTCP, tcp.Sub(began))
	if d.f.target.tls != nil {
		rec.Observe(report.ConnectTLS, time.Since(tcp))
	}
	if !d.hold(conn) {
		conn.Close()
		return context.Canceled
	}
	login, err := d.login()
	if err == nil {
		asked := time.Now()
		_ = conn.SetDeadline(asked.Add(wireTimeout))
		if err = d.signIn(login); err == nil {
			rec.Observe(report.ConnectMQTT, time.Since(asked))
			_ = conn.SetDeadline(time.Time{})
			return nil
		}
	}
	d.letGo()
	return err
}

// hold makes a connection the device's, unless the run is over.
func (d *device) hold(c net.Conn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.f.closing.Load() {
		return false
	}
	d.conn = c
	d.f.sockets.Add(1)
	return true
}

func (d *device) letGo() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.conn != nil {
		d.conn.Close()
		d.f.sockets.Add(-1)
		d.drop()
	}
}

// hangUp ends a session.
func (d *device) hangUp(why error) {
	switch {
	case errors.Is(why, errLeave), errors.Is(why, errReboot), errors.Is(why, errAnew):
		_ = d.send(packetDisconnect)
	case !d.f.closing.Load():
		d.lost = time.Now()
		d.f.rec.Add(report.Disconnects, 1)
		d.f.log.Debug("connection lost", "device", d.m.Device, "err", why)
	}
	d.mail = nil // it comes again with the next connection
	d.letGo()
}

// dial is how a device makes connections to a host.
func (f *Fleet) dial(d *device, host string) dialFunc {
	if f.cfg.Dial != nil && (loopback(host) || host == f.target.host) {
		return f.cfg.Dial
	}
	return dialer(f.source(int(d.source), host), wireTimeout).DialContext
}

// cut ends the device's connection at the end of the run, without leaving its port to
// wait for a minute.
func (d *device) cut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.conn == nil {
		return
	}
	if c, ok := d.conn.(*net.TCPConn); ok {
		_ = c.SetLinger(0)
	}
	d.conn.Close()
}
