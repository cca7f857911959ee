package fleet

import (
	"context"
	"crypto/tls"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/fleet/report"
	"github.com/leapslot/ota/simulator/server/broker"
)

// TestTLS is a fleet, real agents among it, over TLS.
func TestTLS(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ca, addr, _ := w.openTLS()
	members := w.register(w.product, 20)
	job := w.batch(w.product, w.firmware(w.product, "2.0.0", 10_000))
	target, err := ParseTarget("mqtts://"+addr, trusting(ca))
	if err != nil {
		t.Fatal(err)
	}
	f := w.fleet(members, func(c *Config) { c.Target, c.CA = target, ca }, Behaviour{Share: 9}, Behaviour{Client: ClientAgent})
	r := w.run(f)
	if n := w.agree(f, job, w.product)[report.Succeeded]; n != 20 {
		t.Errorf("%d of 20 succeeded", n)
	}
	if r.Measures[report.ConnectTLS].Count() == 0 {
		t.Error("no handshake was measured")
	}
}

// TestRegistration is devices that know only their product's secret.
func TestRegistration(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ca, addr, _ := w.openTLS()
	members := w.register(w.product, 10)
	for i := range members {
		members[i].Secret = ""
	}
	w.do(simulator.SetRules{Product: w.product, Rules: simulator.Rules{Registration: true}})
	secret := w.do(simulator.FindProduct{Product: w.product}).(simulator.Product).Secret
	job := w.batch(w.product, w.firmware(w.product, "2.0.0", 10_000))
	target, err := ParseTarget("mqtts://"+addr, trusting(ca))
	if err != nil {
		t.Fatal(err)
	}
	f := w.fleet(members, func(c *Config) { c.Target, c.ProductSecret = target, secret }, Behaviour{})
	w.run(f)
	if n := w.agree(f, job, w.product)[report.Succeeded]; n != 10 {
		t.Errorf("%d of 10 succeeded", n)
	}
	members[0].Secret = ""
	if _, err := New(Config{Target: target, Members: members, Scenario: Good(), Recorder: report.New(time.Now())}); err == nil {
		t.Error("devices without any secret are played")
	}
}

// TestCertificates is devices that sign in with a certificate, at first without knowing
// what they are called.
func TestCertificates(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ca, addr, issue := w.openTLS()
	members := w.register(w.product, 10)
	for i := range members {
		members[i].Secret = ""
	}
	job := w.batch(w.product, w.firmware(w.product, "2.0.0", 10_000))
	target, err := ParseTarget("mqtts://"+addr, trusting(ca))
	if err != nil {
		t.Fatal(err)
	}
	f := w.fleet(members, func(c *Config) {
		c.Target = target
		c.Certificate = func(d ota.Device) (tls.Certificate, error) { return issue(d.Name + "&" + d.ProductKey), nil }
	}, Behaviour{})
	w.run(f)
	if n := w.agree(f, job, w.product)[report.Succeeded]; n != 10 {
		t.Errorf("%d of 10 succeeded", n)
	}
}

// TestUntrusted: a broker that the fleet has no reason to trust is not talked to.
func TestUntrusted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, cert, key := certificate(t)
	other, _, _ := certificate(t)
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	l := tls.NewListener(listen(t), &tls.Config{Certificates: []tls.Certificate{pair}})
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.(*tls.Conn).HandshakeContext(t.Context())
			c.Close()
		}
	}()
	target, err := ParseTarget("mqtts://"+l.Addr().String(), trusting(other))
	if err != nil {
		t.Fatal(err)
	}
	f := w.fleet(w.register(w.product, 3), func(c *Config) { c.Target, c.Duration = target, time.Second }, Behaviour{})
	r := w.run2(f)
	if r.Counters[report.Connected] != 0 || r.Counters[report.ConnectFailures] == 0 {
		t.Errorf("%d connected, %d failed", r.Counters[report.Connected], r.Counters[report.ConnectFailures])
	}
}

// TestSigned: with a key in the scenario, packages that are not signed with it fail with
// -3, for small clients and for real agents.
func TestSigned(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	signed := w.newProduct(0)
	key := w.do(simulator.SetSecureUpgrade{Product: signed, On: true}).(simulator.Product).PublicKey
	for product, want := range map[string]report.Outcome{signed: report.Succeeded, w.product: report.VerifyFailed} {
		members := w.register(product, 6)
		job := w.batch(product, w.firmware(product, "2.0.0", 10_000))
		f := w.fleet(members, func(c *Config) { c.Scenario.Key = string(key) }, Behaviour{Share: 2}, Behaviour{Client: ClientAgent})
		w.run(f)
		if seen := w.agree(f, job, product); seen[want] != 6 {
			t.Errorf("the fleet saw %v, wanted are 6 times %v", seen, want)
		}
	}
}

// TestN27StormAndPatience: the broker comes back, and devices with a backoff come back
// spread over their window; those of a storm come at once.
func TestN27StormAndPatience(t *testing.T) {
	w := newWorld(t)
	members := w.register(w.product, 200)
	f := w.fleet(members, func(c *Config) {
		c.Duration, c.Scenario.Backoff, c.Scenario.BackoffMost = 5*time.Second, Duration(2*time.Second), Duration(2*time.Second)
	}, Behaviour{Name: "patient"}, Behaviour{Name: "storm", Storm: true})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	for f.rec.Count(report.Versions) < 200 {
		time.Sleep(time.Millisecond)
	}
	for _, m := range members {
		w.server.Broker().Kick(m.Device)
	}
	at := time.Now()
	half := time.Duration(0)
	for f.rec.Count(report.Reconnects) < 200 && time.Since(at) < 4*time.Second {
		if half == 0 && f.rec.Count(report.Reconnects) >= 100 {
			half = time.Since(at)
		}
		time.Sleep(time.Millisecond)
	}
	if took := time.Since(at); f.rec.Count(report.Reconnects) != 200 || half > time.Second || took < 1500*time.Millisecond {
		t.Errorf("%d of 200 were back after %v, half of them after %v", f.rec.Count(report.Reconnects), took, half)
	}
	cancel()
	<-done
}

// TestKnee finds where a broker breaks that takes its time from the 150th connection on.
func TestKnee(t *testing.T) {
	t.Parallel()
	l := listen(t)
	defer l.Close()
	go func() {
		for i := 0; ; i++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				buf := make([]byte, 512)
				if _, err := c.Read(buf); err != nil {
					return
				}
				if i > 150 {
					time.Sleep(400 * time.Millisecond)
				}
				_, _ = c.Write([]byte{packetConnack, 2, 0, 0})
				_, _ = c.Read(buf)
			}()
		}
	}()
	members := make([]Member, 5000)
	for i := range members {
		members[i] = Member{Device: ota.Device{ProductKey: "p", Name: "d" + strings.Repeat("x", i%5) + string(rune('a'+i%26))}, Secret: "s"}
	}
	target, err := ParseTarget("mqtt://"+l.Addr().String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	ramp, err := ParseRamp("knee:50/s+50/s@1s,p99=200ms")
	if err != nil {
		t.Fatal(err)
	}
	f, err := New(Config{Target: target, Members: members, Scenario: Good(), Ramp: ramp, Recorder: report.New(time.Now())})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := f.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if k := f.Knee(); !strings.Contains(k, "99th percentile of connecting") || ctx.Err() != nil {
		t.Errorf("knee: %q, %v", k, ctx.Err())
	}
	if n := f.rec.Count(report.Connects); n > 1000 {
		t.Errorf("it went on to %d connections", n)
	}
}

// TestSameSeed: two runs with one seed are of the same devices that misbehave.
func TestSameSeed(t *testing.T) {
	w := newWorld(t)
	members := w.register(w.product, 60)
	ends := func() (out []string) {
		f := w.fleet(members, nil, Behaviour{Name: "good", Share: 3}, Behaviour{Name: "bad", Fail: -2})
		for _, e := range f.Endings() {
			out = append(out, e.Name+e.Behaviour)
		}
		return out
	}
	if one, two := ends(), ends(); !slices.Equal(one, two) {
		t.Errorf("%v\n%v", one, two)
	}
}

// TestStaysOnThisMachine: a fleet on loopback downloads nothing from elsewhere.
func TestStaysOnThisMachine(t *testing.T) {
	d := &device{f: &Fleet{target: Target{host: "127.0.0.1"}}, b: &trait{}}
	u := &update{notice: ota.Notice{Files: []ota.File{{URL: "http://192.0.2.1/x", Size: 1}}}}
	if err := d.once(t.Context(), u); err == nil || !strings.Contains(err.Error(), "another machine") {
		t.Errorf("it went there: %v", err)
	}
}

// openTLS opens a door of the broker over TLS, and gives its address, what to trust, and
// who makes certificates of devices.
func (w *world) openTLS() (ca []byte, addr string, issue func(name string) tls.Certificate) {
	w.t.Helper()
	ca, cert, key := certificate(w.t)
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		w.t.Fatal(err)
	}
	config, err := broker.TLSOptions{Certificate: pair, DeviceCAs: trusting(ca).RootCAs}.Config()
	if err != nil {
		w.t.Fatal(err)
	}
	door := tls.NewListener(listen(w.t), config)
	served := make(chan error, 1)
	go func() { served <- w.server.Broker().Serve(door) }()
	w.t.Cleanup(func() { door.Close(); <-served })
	return ca, door.Addr().String(), func(name string) tls.Certificate { return issueFor(w.t, pair, name) }
}

// run2 plays a fleet of which not all can settle.
func (w *world) run2(f *Fleet) *report.Result {
	w.t.Helper()
	if err := f.Run(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	return f.rec.Result(time.Now())
}
