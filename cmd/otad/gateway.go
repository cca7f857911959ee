package main

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/agent"
	subs "github.com/leapslot/ota/agent/gateway"
)

// subsName is the directory of the sub-devices in the state directory.
const subsName = "subs"

// gatewayConfig is what stands behind this device when it is a gateway.
type gatewayConfig struct {
	Device []subConfig `toml:"device"`
}

type subConfig struct {
	ProductKey     string   `toml:"product_key"`
	DeviceName     string   `toml:"device_name"`
	Secret         string   `toml:"device_secret,omitempty" secret:"all"`
	SecretFile     string   `toml:"device_secret_file,omitempty"`
	Version        string   `toml:"version,omitempty"`
	VersionCommand []string `toml:"version_command,omitempty"`
	Install        []string `toml:"install"`
	Timeout        duration `toml:"timeout,omitempty"` // of install
}

const maxInstallTimeout = 24 * time.Hour

func (c *checker) gateway() {
	seen := map[ota.Device]bool{{ProductKey: c.Device.ProductKey, Name: c.Device.DeviceName}: true}
	if n := len(c.Gateway.Device); n > subs.MaxDevices {
		c.bad("gateway.device", "use another gateway for the rest", "%d sub-devices, the platform takes %d behind a gateway", n, subs.MaxDevices)
	}
	for i, d := range c.Gateway.Device {
		at := fmt.Sprintf("gateway.device.%d.", i)
		dev := ota.Device{ProductKey: d.ProductKey, Name: d.DeviceName}
		if err := dev.Validate(); err != nil {
			c.bad(at+"device_name", "copy product_key and device_name from the cloud's console", "%v", err)
		} else if seen[dev] {
			c.bad(at+"device_name", "name each sub-device once, and not the gateway", "%s is there twice", dev)
		}
		seen[dev] = true
		if (d.Secret == "") == (d.SecretFile == "") {
			c.bad(at+"device_secret_file", "set device_secret_file, or device_secret", "sub-device %s has no secret, or two", dev)
		}
		if (d.Version == "") == (len(d.VersionCommand) == 0) {
			c.bad(at+"version", "set one of version and version_command", "sub-device %s has no version, or two sources of it", dev)
		} else if err := ota.CheckVersion(d.Version); d.Version != "" && err != nil {
			c.bad(at+"version", "write it as the cloud's packages are numbered", "%v", err)
		}
		if len(d.VersionCommand) > 0 && d.VersionCommand[0] == "" {
			c.bad(at+"version_command", `write ["COMMAND", "ARGUMENT"]`, "the command is empty")
		}
		if len(d.Install) == 0 || d.Install[0] == "" {
			c.bad(at+"install", `write ["COMMAND", "ARGUMENT"]; the file of the package is its last argument`, "sub-device %s has no command that installs", dev)
		}
		if t := time.Duration(d.Timeout); t != 0 && (t < minTimeout || t > maxInstallTimeout) {
			c.bad(at+"timeout", `"10m" is usual`, "%s is not within 10ms and 24h", d.Timeout)
		}
	}
}

// newSubs makes what plays the sub-devices; nil when there are none.
func newSubs(p *parts, log *slog.Logger) (*subs.Gateway, error) {
	s := p.set
	if len(s.Gateway.Device) == 0 {
		return nil, nil
	}
	cfg := subs.Config{
		Gateway:   ota.Device{ProductKey: s.Device.ProductKey, Name: s.Device.DeviceName},
		Downloads: p.fetch, Trust: p.trust, Dir: filepath.Join(s.StateDir, subsName), Clock: p.clock, Log: log,
	}
	var names []ota.Device
	for i, d := range s.Gateway.Device {
		dev, err := d.device(fmt.Sprintf("gateway.device.%d.device_secret_file", i))
		if err != nil {
			return nil, err
		}
		cfg.Devices, names = append(cfg.Devices, dev), append(names, dev.Device)
	}
	var err error
	if cfg.Cloud, err = p.link.Gateway(names); err == nil {
		var g *subs.Gateway
		if g, err = subs.New(cfg); err == nil {
			return g, nil
		}
	}
	return nil, exitf(exitConfig, "gateway", "%w (correct [[gateway.device]] in %s)", err, s.file)
}

func (d subConfig) device(key string) (subs.Device, error) {
	dev := subs.Device{
		Device: ota.Device{ProductKey: d.ProductKey, Name: d.DeviceName}, Secret: d.Secret, Current: d.Version,
		Install: subs.Command{Argv: d.Install, Timeout: time.Duration(d.Timeout)}.Install,
	}
	if d.SecretFile != "" {
		b, err := optional(key, d.SecretFile)
		if err != nil {
			return dev, err
		}
		if dev.Secret = strings.TrimSpace(string(b)); dev.Secret == "" {
			return dev, exitf(exitConfig, key, "%s: it is empty (write the sub-device's secret into it)", d.SecretFile)
		}
	}
	if len(d.VersionCommand) > 0 {
		dev.Version = func(ctx context.Context) (string, error) { return subs.AskVersion(ctx, dev.Device, d.VersionCommand) }
	}
	return dev, nil
}

// playSubs plays the sub-devices until ctx ends. The gateway's own agent does not
// depend on it.
func (s *service) playSubs(ctx context.Context, p *parts) {
	if p.subs == nil {
		return
	}
	if err := p.subs.Run(ctx); err != nil {
		s.log.Error("the sub-devices are not updated", "err", err)
	}
}

// playing is an agent, and what plays the sub-devices beside it.
type playing struct {
	*agent.Agent
	subs *subs.Gateway
}

// SubDevices tells of the devices behind this one.
func (p playing) SubDevices() []subs.Status {
	if p.subs == nil {
		return nil
	}
	return p.subs.Status()
}

// maxSubRows bounds what people are shown; all of it is in the JSON.
const maxSubRows = 20

// subRows are the lines of a status that tell of sub-devices, those first with which
// something is the matter.
func subRows(all []subs.Status) (rows []string) {
	calm := 0
	for _, s := range all {
		what := ""
		switch {
		case s.Stage != "":
			what = fmt.Sprintf("%s to %s, %d %%", s.Stage, s.To, s.Percent)
		case s.Problem != "":
			what = s.Problem
		case s.Last != nil && s.Last.Step.Failed():
			what = fmt.Sprintf("%s: %s (%d): %s", s.Last.Version, s.Last.Step.Meaning(), int(s.Last.Step), s.Last.Reason)
		case !s.Online:
			what = "not logged in yet"
		default:
			calm++
			continue
		}
		if len(rows) < maxSubRows {
			rows = append(rows, fmt.Sprintf("%s/%s %s: %s", s.ProductKey, s.DeviceName, orUnknown(s.Version), what))
		}
	}
	return append(rows, fmt.Sprintf("%d of %d logged in and up to date", calm, len(all)))
}

// busy reports whether a sub-device is being updated.
func (p *parts) busy() bool { return p.subs != nil && p.subs.Busy() }
