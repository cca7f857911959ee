package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/leapslot/ota/agent"
	"github.com/leapslot/ota/agent/fetch"
	subs "github.com/leapslot/ota/agent/gateway"
	"github.com/leapslot/ota/agent/link"
	"github.com/leapslot/ota/verify"
)

// maxSecretFile bounds what is read of a secret, a key or a CA.
const maxSecretFile = 1 << 20

// parts are what settings come to, before an agent is made of them. They are
// made without a change outside, so that a reload can be refused.
type parts struct {
	set   *settings
	link  *link.Link
	fetch *fetch.Client
	trust *verify.Trust
	subs  *subs.Gateway // nil when there are none

	bundles agent.Policy   // what is wanted of a bundle
	counter verify.Counter // nil: the record's
	clock   func() time.Time
}

// assemble reads the files that the settings name. t is nil when no TPM is
// configured.
func assemble(s *settings, b build, t chip, log *slog.Logger) (*parts, error) {
	p := &parts{set: s, clock: b.clock(time.Now)}
	var err error
	if p.link, err = newLink(s, b, t, log); err != nil {
		return nil, err
	}
	if p.fetch, err = newFetch(s, b); err != nil {
		return nil, err
	}
	if p.trust, err = newTrust(s.StateDir, s.Trust, verify.KeyOptions{}); err != nil {
		return nil, err
	}
	if p.bundles, err = bundleTrust(p.trust); err != nil {
		return nil, err
	}
	if p.counter, err = newCounter(&s.config, t); err != nil {
		return nil, err
	}
	p.subs, err = newSubs(p, log)
	return p, err
}

func newLink(s *settings, b build, t chip, log *slog.Logger) (*link.Link, error) {
	c, err := credentials(s.Device, t)
	if err != nil {
		return nil, err
	}
	cfg := link.Config{URL: s.Cloud.URL, Proxy: s.Cloud.Proxy, Log: log, Now: b.clock(time.Now), Credentials: c}
	if strings.HasPrefix(s.Cloud.URL, "mqtts:") || strings.HasPrefix(s.Cloud.URL, "wss:") {
		if err := tlsFiles(s.Cloud, t, &cfg); err != nil {
			return nil, err
		}
	}
	l, err := link.New(cfg)
	if err != nil {
		return nil, exitf(exitConfig, "cloud", "%w (correct [cloud] or [device] in %s)", err, s.file)
	}
	return l, nil
}

// optional reads a file that a key names; an empty path is no file.
func optional(key, path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, exitf(exitConfig, key, "%s: %w (put the file there, readable for the service, or correct the path)", path, reasonOf(err))
	}
	defer f.Close()
	b, err := readAll(f)
	if err != nil {
		return nil, exitf(exitConfig, key, "%s: %w (name a file)", path, reasonOf(err))
	}
	return b, nil
}

func newFetch(s *settings, b build) (*fetch.Client, error) {
	d := s.Download
	opt := fetch.Options{
		UserAgent: "otad/" + b.Version, RateLimit: int64(d.RateLimit), LowSpeed: int64(d.LowSpeed),
		IdleTimeout: time.Duration(d.IdleTimeout), Retries: d.Retries, Proxy: d.Proxy,
		TLS: &tls.Config{Time: b.clock(time.Now)},
	}
	// In the configuration 0 switches off what is -1 here.
	if opt.LowSpeed == 0 {
		opt.LowSpeed = -1
	}
	if opt.Retries == 0 {
		opt.Retries = -1
	}
	ca, err := optional("cloud.ca_file", s.Cloud.CAFile)
	if err != nil {
		return nil, err
	}
	if ca != nil {
		// Packages often come from a host with an ordinary certificate, so the
		// system's list counts as well.
		if opt.TLS.RootCAs, err = x509.SystemCertPool(); err != nil {
			opt.TLS.RootCAs = x509.NewCertPool()
		}
		if !opt.TLS.RootCAs.AppendCertsFromPEM(ca) {
			return nil, exitf(exitConfig, "cloud.ca_file", "%s: there is no certificate in it (it must be PEM, with BEGIN CERTIFICATE)", s.Cloud.CAFile)
		}
	}
	c, err := fetch.New(opt)
	if err != nil {
		return nil, exitf(exitConfig, "download", "%w (correct [download] in %s)", err, s.file)
	}
	return c, nil
}

// newAgent makes the agent of the parts and the machine.
func newAgent(p *parts, m *machine, alive func(), log *slog.Logger) (*agent.Agent, error) {
	s := p.set
	running, err := m.boot.Running()
	if err != nil {
		return nil, exitf(exitConfig, "boot", "%w (see otad doctor)", err)
	}
	here := place{slot: running, path: s.Slots.A}
	if running == slotNames[1] {
		here.path = s.Slots.B
	}
	modules, err := agentModules(&s.config, here)
	if err != nil {
		return nil, err
	}
	cfg := agent.Config{
		Modules: modules, Cloud: p.link, Downloads: p.fetch, Slots: m.slots, Boot: m.boot,
		Power: m.power, Store: m.store, Spool: m.spool, Trust: p.trust, BootID: m.bootID,
		Product: s.Device.ProductKey, Clock: p.clock, Counter: p.counter, OpenBundle: openBundle, TrustBundles: p.bundles,
		Alive:       alive,
		HealthCloud: s.Health.Cloud, HealthTimeout: time.Duration(s.Health.Timeout),
		PatchUnknownSource: s.Trust.PatchUnknownSource == "allow", Log: log,
	}
	var a *agent.Agent
	here.module = s.system().Name
	cfg.Health = func(ctx context.Context) error {
		return healthCheck(ctx, s.Health, here.env(a.Status().Version))
	}
	if a, err = agent.New(cfg); err != nil {
		return nil, exitf(exitConfig, "run", "%w (see otad doctor)", err)
	}
	return a, nil
}
