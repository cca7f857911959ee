package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator/fleet"
	"github.com/leapslot/ota/simulator/fleet/report"
)

// jobIndexEnv is set in each pod of a Kubernetes Indexed Job, from 0.
const jobIndexEnv = "JOB_COMPLETION_INDEX"

// productSecretEnv keeps a secret off the command line.
const productSecretEnv = "OTASIM_PRODUCT_SECRET"

// fleetFlags are the flags of otasim fleet.
type fleetFlags struct {
	mqtt, devices, subs, shard, ramp, scenario string
	ca, certs, yes, productSecret, source      string
	seed                                       uint64
	duration, quiet                            time.Duration
	downloads, pushRate, most                  int
	dryRun, verbose                            bool
	prometheus                                 string
	cloud                                      askFlags
	out                                        outcome
}

// newFleetCommand makes `otasim fleet`: devices that are played.
func newFleetCommand() *cobra.Command {
	f := &fleetFlags{}
	cmd := &cobra.Command{
		Use:   "fleet --mqtt URL --devices FILE",
		Short: "Play a fleet of devices, and report how the cloud did",
		Long: `Plays the devices of a CSV (otasim devices create prints one): each signs in, reports
its versions, takes notices, downloads, verifies, says how far it is, restarts and reports
its new version. A scenario says which share of them misbehaves, and how.

Without --duration it ends when every device has had an update and nothing more happens.
Ctrl-C ends it and leaves the reports. Latency counts from when something was due. A run
whose generator was too slow is marked invalid.

--ramp says how devices are started: 500/s, step:100/s+100/s@10s, sine:300/s~200/s@1m, or
knee:100/s+100/s@10s,p99=1s,errors=1%, which grows until a limit breaks and says where.
A ramp is the whole fleet's, all shards together.

--shard 2/4 plays the second quarter. In a Kubernetes Indexed Job --shard 4 is enough:
` + jobIndexEnv + ` says which one. {shard} in the names of reports is its number; otasim
merge puts the JSON of all of them together.

A broker that is not on this machine wants --yes-load-test HOST.

` + outcomeHelp,
		Example: `  otasim fleet --mqtt mqtt://127.0.0.1:1883 --devices devices.csv --ramp 500/s --report out.html
  otasim fleet --mqtt mqtt://127.0.0.1:1883 --devices devices.csv --scenario mixed.toml --json out.json --threshold 'success>=99%'
  otasim fleet --mqtt mqtts://broker.example:8883 --ca ca.pem --devices devices.csv --shard 1/4 --yes-load-test broker.example --json 1.json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.mqtt, "mqtt", "", "URL of the broker, mqtt://HOST[:PORT] or mqtts://HOST[:PORT]")
	fl.StringVar(&f.devices, "devices", "", "CSV of the whole fleet: product_key,device_name,device_secret")
	fl.StringVar(&f.subs, "subs", "", "CSV of the devices behind gateways")
	fl.StringVar(&f.shard, "shard", "", "part of the fleet that this process plays, I/N from 1, or N with "+jobIndexEnv)
	fl.StringVar(&f.ramp, "ramp", "500/s", "how devices are started (see above)")
	fl.StringVar(&f.scenario, "scenario", "", "TOML file with behaviours (default: all do what they are told)")
	fl.Uint64Var(&f.seed, "seed", 0, "in place of the scenario's: the same seed gives the same fleet")
	fl.DurationVar(&f.duration, "duration", 0, "how long it takes (default: until all have settled)")
	fl.DurationVar(&f.quiet, "quiet", fleet.DefaultQuiet, "without --duration: how long nothing must happen at the end")
	fl.IntVar(&f.downloads, "downloads", fleet.DefaultDownloads, "most downloads at once")
	fl.IntVar(&f.pushRate, "push-rate", 0, "notices a minute that the batch was made with, to compare with")
	fl.IntVar(&f.most, "max-devices", fleet.MaxDevices, "most devices of the list that are played")
	fl.StringVar(&f.ca, "ca", "", "PEM file with what mqtts verifies the broker with (default: the system's)")
	fl.StringVar(&f.certs, "certs", "", "directory with DEVICE_NAME.pem, the certificate and key that each device signs in with over mqtts, in place of a secret")
	fl.StringVar(&f.productSecret, "product-secret", "", "secret of the product, which devices without one in the list register with over mqtts (or "+productSecretEnv+")")
	fl.StringVar(&f.source, "source", "", "addresses of this host that devices connect from, ADDR[,ADDR...] or a file of them (default: many of 127.0.x.y for a broker on loopback)")
	fl.StringVar(&f.yes, "yes-load-test", "", "HOST of the broker, when it is on another machine: the load is wanted there")
	fl.BoolVar(&f.dryRun, "dry-run", false, "only print what would be done")
	fl.BoolVarP(&f.verbose, "verbose", "v", false, "log what happens to each device")
	fl.StringVar(&f.prometheus, "prometheus", "", "serve the figures at http://ADDR/metrics while it runs")
	f.cloud.add(cmd)
	f.out.flags(cmd)
	return cmd
}

// run plays the fleet and writes the reports.
func (f *fleetFlags) run(ctx context.Context, out, errs io.Writer) error {
	cfg, err := f.config(errs)
	if err != nil {
		return err
	}
	if err := f.out.parse(); err != nil {
		return err
	}
	if err := f.cloud.check(); err != nil {
		return err
	}
	for _, name := range []*string{&f.out.report, &f.out.json, &f.out.junit} {
		*name = strings.ReplaceAll(*name, "{shard}", strconv.Itoa(cfg.Shard.Index+1))
	}
	rec := report.New(time.Now())
	cfg.Recorder = rec
	fl, err := fleet.New(cfg)
	if err != nil {
		return usagef("fleet: %v", err)
	}
	host, err := fleet.ReadHost()
	if err != nil {
		return fmt.Errorf("fleet: %w", err)
	}
	fmt.Fprintf(errs, "%s\n%s\n", f.plan(cfg, fl), host)
	if err := host.Check(fl.Connections(), cfg.Downloads, fl.Sources()); err != nil {
		return usagef("fleet: %v", err)
	}
	if f.dryRun {
		return nil
	}
	rec.SocketLimit(host.Sockets())
	rec.Describe(f.describe(cfg, ""))
	if f.pushRate > 0 {
		rec.PushLimit(float64(f.pushRate))
	}
	stop, err := f.live(rec, fl.Sockets, errs)
	if err != nil {
		return err
	}
	err = fl.Run(ctx)
	stop()
	if err != nil {
		return fmt.Errorf("fleet: %w", err)
	}
	if ctx.Err() != nil {
		rec.Note("the run was stopped before its end")
	}
	f.cloud.ask(ctx, fl, rec)
	rec.Describe(f.describe(cfg, fl.Knee()))
	return f.out.write(rec.Result(time.Now()), out)
}

// config reads the flags.
func (f *fleetFlags) config(errs io.Writer) (c fleet.Config, err error) {
	for name, v := range map[string]string{"mqtt": f.mqtt, "devices": f.devices} {
		if v == "" {
			return c, usagef("--%s is missing (see otasim fleet --help)", name)
		}
	}
	if f.productSecret == "" { // not as a default: --help would show it
		f.productSecret = os.Getenv(productSecretEnv)
	}
	level := slog.LevelWarn
	if f.verbose {
		level = slog.LevelDebug
	}
	c = fleet.Config{Duration: f.duration, Quiet: f.quiet, Downloads: f.downloads, PushRate: f.pushRate, ProductSecret: f.productSecret,
		Log: slog.New(slog.NewTextHandler(errs, &slog.HandlerOptions{Level: level}))}
	if f.certs != "" {
		c.Certificate = func(d ota.Device) (tls.Certificate, error) {
			name := filepath.Join(f.certs, d.Name+".pem") // a name has no slash
			return tls.LoadX509KeyPair(name, name)
		}
	}
	if err := f.target(&c); err != nil {
		return c, err
	}
	if f.source != "" {
		if c.Sources, err = fleet.ReadSources(f.source); err != nil {
			return c, usagef("--source: %v", err)
		}
	}
	if c.Ramp, err = fleet.ParseRamp(f.ramp); err != nil {
		return c, usagef("--ramp: %v", err)
	}
	if c.Shard, err = parseShard(f.shard, os.Getenv(jobIndexEnv)); err != nil {
		return c, usagef("--shard: %v", err)
	}
	if c.Scenario, err = f.readScenario(); err != nil {
		return c, err
	}
	if c.Members, err = fleet.ReadMembers(f.devices); err != nil {
		return c, fmt.Errorf("--devices: %w", err)
	}
	if f.most < 1 {
		return c, usagef("--max-devices is 1 or more, not %d", f.most)
	}
	c.Members = c.Members[:min(len(c.Members), f.most)]
	if f.subs != "" {
		if c.Subs, err = fleet.ReadMembers(f.subs); err != nil {
			return c, fmt.Errorf("--subs: %w", err)
		}
	}
	return c, nil
}

// target reads where the fleet goes, and refuses other machines that nobody has agreed to.
func (f *fleetFlags) target(c *fleet.Config) (err error) {
	conf := &tls.Config{}
	if f.ca != "" {
		if c.CA, err = os.ReadFile(f.ca); err != nil {
			return fmt.Errorf("--ca: %w", err)
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(c.CA) {
			return usagef("--ca: %s holds no certificate in PEM", f.ca)
		}
	}
	if c.Target, err = fleet.ParseTarget(f.mqtt, conf); err != nil {
		return usagef("--mqtt: %v", err)
	}
	if host := c.Target.Host(); !c.Target.Local() && f.yes != host {
		return usagef("%s is not this machine, and a fleet is a load: give --yes-load-test %s when it is yours to load, or you were asked to (--dry-run prints what would be done)", host, host)
	}
	return nil
}

func (f *fleetFlags) readScenario() (fleet.Scenario, error) {
	s := fleet.Good()
	if f.scenario != "" {
		file, err := os.Open(f.scenario)
		if err != nil {
			return s, fmt.Errorf("--scenario: %w", err)
		}
		defer file.Close()
		if s, err = fleet.ReadScenario(file); err != nil {
			return s, usagef("%s: %v", f.scenario, err)
		}
		if s.Name == "" {
			s.Name = strings.TrimSuffix(filepath.Base(f.scenario), ".toml")
		}
	}
	if f.seed != 0 {
		s.Seed = f.seed
	}
	return s, nil
}

// plan says what will be done.
func (f *fleetFlags) plan(c fleet.Config, fl *fleet.Fleet) string {
	end := "until all have settled"
	if f.duration > 0 {
		end = "for " + f.duration.String()
	}
	from := ""
	if len(c.Sources) > 0 {
		from = fmt.Sprintf(" from %d addresses", len(c.Sources))
	}
	return fmt.Sprintf("plays %d devices (%s)%s against %s, %s, at most %d downloads at once, %s",
		fl.Devices(), c.Scenario.Name, from, c.Target.Addr(), f.ramp, c.Downloads, end)
}

func (f *fleetFlags) describe(c fleet.Config, knee string) report.Run {
	host, _ := os.Hostname()
	return report.Run{Title: "Fleet", Scenario: c.Scenario.Name, Seed: c.Scenario.Seed, Endpoint: c.Target.Addr(), Ramp: f.ramp,
		Program: "otasim " + version, Knee: knee, Shard: c.Shard.String(), Host: host}
}

// parseShard reads I/N, or N with the index that Kubernetes gives.
func parseShard(text, index string) (s fleet.Shard, err error) {
	if text == "" {
		return s, nil
	}
	i, n, both := strings.Cut(text, "/")
	if !both {
		i, n = "", text
		k, err := strconv.Atoi(index)
		if err != nil {
			return s, fmt.Errorf("%q says how many there are and not which one this is: give I/N, such as 1/4 (%s is not set)", text, jobIndexEnv)
		}
		i = strconv.Itoa(k + 1)
	}
	s.Count, err = strconv.Atoi(n)
	k, err2 := strconv.Atoi(i)
	s.Index = k - 1
	if errors.Join(err, err2) != nil || s.Count < 1 || k < 1 || k > s.Count {
		return s, fmt.Errorf("%s of %s is no shard: give 1/N to N/N", i, n)
	}
	return s, nil
}
