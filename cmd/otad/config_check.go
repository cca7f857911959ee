package main

import (
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/platform/files"
)

// checker collects what is wrong with settings that could be read.
type checker struct {
	*settings
	wrong problems
}

func (c *checker) bad(key, todo, format string, args ...any) {
	c.wrong = append(c.wrong, problem{Where: c.where(key), Key: key, Why: fmt.Sprintf(format, args...), Todo: todo})
}

// later refuses what this build does not know yet. It is recognised, so that
// nobody takes it for a mistake in writing.
func (c *checker) later(key, what, todo string) {
	c.bad(key, todo, "%s is not possible with this build", what)
}

// check gives all that is wrong. It looks at nothing but the settings: whether
// files and keys are there is seen by "otad run" and "otad doctor".
func check(s *settings) problems {
	c := &checker{settings: s}
	if s.StateDir == "" {
		c.bad("state_dir", "name a directory that survives a reboot and an update", "it is empty")
	}
	c.device()
	c.cloud()
	c.modules()
	c.slots()
	c.boot()
	c.health()
	c.download()
	c.trust()
	c.rest()
	c.gateway()
	return c.wrong
}

func (c *checker) device() {
	d := &c.Device
	if err := (ota.Device{ProductKey: d.ProductKey, Name: "x"}).Validate(); err != nil {
		c.bad("device.product_key", "copy it from the cloud's console", "%v", err)
	}
	if err := (ota.Device{ProductKey: "x", Name: d.DeviceName}).Validate(); err != nil {
		c.bad("device.device_name", "copy it from the cloud's console", "%v", err)
	}
	switch {
	case d.Credential != nil:
		c.later("device.credential", "a credential of systemd", "use device_secret_file")
	case d.TPM != nil:
		c.later("device.tpm", "a secret in a TPM", "use device_secret_file")
	case d.Secret != "" && d.SecretFile != "":
		c.bad("device.device_secret", "remove one of them", "device_secret and device_secret_file are both set")
	case d.Secret == "" && d.SecretFile == "":
		c.bad("device.device_secret_file", "set device_secret_file, or device_secret", "the device has no secret")
	}
	method := ota.HMACMethod(d.SignMethod)
	if !slices.Contains([]ota.HMACMethod{ota.HMACSHA256, ota.HMACSHA1, ota.HMACMD5}, method) {
		c.bad("device.sign_method", "leave it out for hmacsha256", "%q is not hmacsha256, hmacsha1 or hmacmd5", d.SignMethod)
	}
}

func (c *checker) cloud() {
	const todo = "write mqtts://HOST:PORT"
	u, err := url.Parse(c.Cloud.URL)
	switch {
	case c.Cloud.URL == "":
		c.bad("cloud.url", todo, "it is not set")
	case err != nil:
		c.bad("cloud.url", todo, "it is not a URL")
	case !slices.Contains([]string{"mqtt", "mqtts", "ws", "wss"}, u.Scheme):
		c.bad("cloud.url", todo, "the scheme %q is not mqtt, mqtts, ws or wss", u.Scheme)
	case u.Hostname() == "":
		c.bad("cloud.url", todo, "it names no host")
	case u.User != nil:
		c.bad("cloud.url", "remove it from the URL", "a user or password stands in it; a device signs in with its secret")
	case (u.Scheme == "mqtt" || u.Scheme == "ws") && c.Cloud.ClientCert != "":
		c.bad("cloud.client_cert", "use mqtts, or remove the certificate", "a certificate says nothing over %s", u.Scheme)
	}
	c.proxy("cloud.proxy", c.Cloud.Proxy, "environment", "http", "socks5")
	if (c.Cloud.ClientCert == "") != (c.Cloud.ClientKey == "") {
		c.bad("cloud.client_cert", "set both or none", "client_cert and client_key belong together")
	}
}

func (c *checker) modules() {
	seen, systems := map[string]bool{}, 0
	for i, m := range c.Module {
		at := fmt.Sprintf("module.%d.", i)
		if err := ota.CheckModule(m.Name); err != nil {
			c.bad(at+"name", `"default" is the whole firmware`, "%v", err)
		} else if seen[m.Name] {
			c.bad(at+"name", "give each module a name of its own", "module %q is there twice", m.Name)
		}
		seen[m.Name] = true
		switch m.Installer {
		case "", "ab":
			if systems++; systems == 2 {
				c.bad(at+"installer", `installer = "none" reports a version and upgrades nothing`, "two modules cannot live in the same two slots")
			}
		case "none", "files":
		case "file", "script":
			c.later(at+"installer", fmt.Sprintf("the installer %q", m.Installer), `use "ab", "files" or "none"`)
		default:
			c.bad(at+"installer", `use "ab", "files" or "none"`, "there is no installer %q", m.Installer)
		}
		c.folder(at, m)
		c.version(at, m)
	}
	if systems == 0 {
		c.bad("module", `write [[module]] with name = "default", installer = "ab" and version = "1.0.0"`, "no module lives in the slots")
	}
}

// folder checks what a module of files needs, and no other has.
func (c *checker) folder(at string, m moduleConfig) {
	if m.Installer != "files" {
		for key, set := range map[string]bool{"dir": m.Dir != "", "restart": m.Restart != nil} {
			if set {
				c.bad(at+key, `write installer = "files", or remove it`, "module %q does not live in a directory", m.Name)
			}
		}
		return
	}
	if !filepath.IsAbs(m.Dir) {
		c.bad(at+"dir", "name the directory that its releases are kept in, which nobody else writes to", "module %q has no directory (%q is no absolute path)", m.Name, m.Dir)
	}
	for i, other := range c.Module {
		if m.Dir != "" && other.Dir != "" && c.Module[i].Name != m.Name && sameFile(other.Dir, m.Dir) {
			c.bad(at+"dir", "give each module a directory of its own", "modules %q and %q share %s", m.Name, other.Name, m.Dir)
		}
	}
	if m.Restart != nil && (len(m.Restart) == 0 || m.Restart[0] == "") {
		c.bad(at+"restart", `write ["COMMAND", "ARGUMENT"]`, "the command is empty")
	}
}

func (c *checker) version(at string, m moduleConfig) {
	given := 0
	for _, set := range []bool{m.Version != "", m.VersionFile != "", len(m.VersionCommand) > 0} {
		if set {
			given++
		}
	}
	const todo = "set one of version, version_file and version_command"
	switch {
	case given == 0:
		c.bad(at+"version", todo, "module %q has no version", m.Name)
	case given > 1:
		c.bad(at+"version", todo, "module %q has %d sources of its version", m.Name, given)
	case m.Version != "":
		if err := ota.CheckVersion(m.Version); err != nil {
			c.bad(at+"version", "write it as the cloud's packages are numbered", "%v", err)
		}
	case m.VersionCommand != nil && m.VersionCommand[0] == "":
		c.bad(at+"version_command", `write ["COMMAND", "ARGUMENT"]`, "the command is empty")
	}
}

func (c *checker) slots() {
	s := &c.Slots
	switch s.Kind {
	case "files":
	case "block", "ubi":
		c.later("slots.kind", fmt.Sprintf("the kind %q", s.Kind), `use "files"`)
		return
	default:
		c.bad("slots.kind", `use "files"`, "there is no kind %q", s.Kind)
		return
	}
	if s.A == "" {
		c.bad("slots.a", "name the file of slot a", "it is not set")
	}
	if s.B == "" {
		c.bad("slots.b", "name the file of slot b", "it is not set")
	}
	if s.A != "" && sameFile(s.A, s.B) {
		c.bad("slots.b", "name two files", "both slots are %s", filepath.Clean(s.A))
	}
}

func (c *checker) boot() {
	b := &c.Boot
	switch b.Kind {
	case "files":
	case "uboot", "grub", "efi", "systemd-boot", "tryboot", "barebox", "script":
		c.later("boot.kind", fmt.Sprintf("the boot loader %q", b.Kind), `use "files"`)
		return
	default:
		c.bad("boot.kind", `use "files"`, "there is no boot loader %q", b.Kind)
		return
	}
	if b.Attempts < 1 || b.Attempts > files.MaxAttempts {
		c.bad("boot.attempts", "3 is usual", "%d is not within 1 and %d", b.Attempts, files.MaxAttempts)
	}
	for _, k := range []string{"boot.env_config", "boot.grubenv", "boot.script"} {
		if c.isSet(k) {
			c.bad(k, "remove it", `boot kind "files" has no such setting`)
		}
	}
	if c.isSet("reboot.command") {
		c.bad("reboot.command", "remove [reboot]", `with boot kind "files" the machine is never rebooted: otad exits with %d and its supervisor starts it again`, exitReboot)
	}
}

func (c *checker) health() {
	if t := time.Duration(c.Health.Timeout); t < minTimeout || t > maxHealthTimeout {
		c.bad("health.timeout", `"5m" is usual`, "%s is not within 10ms and 24h", c.Health.Timeout)
	}
	for i, cmd := range c.Health.Commands {
		if len(cmd) == 0 || cmd[0] == "" {
			c.bad("health.commands", `write [["COMMAND", "ARGUMENT"]]`, "command %d is empty", i+1)
		}
	}
	for _, u := range c.Health.Units {
		if u == "" || u[0] == '-' {
			c.bad("health.units", `write ["NAME.service"]`, "%q is not the name of a unit", u)
		}
	}
}

func (c *checker) download() {
	d := &c.Download
	if t := time.Duration(d.IdleTimeout); t < minTimeout || t > maxIdleTimeout {
		c.bad("download.idle_timeout", `"1m" is usual`, "%s is not within 10ms and 1h", d.IdleTimeout)
	}
	if d.Retries < 0 || d.Retries > maxRetries {
		c.bad("download.retries", "12 is usual, 0 is none", "%d is not within 0 and %d", d.Retries, maxRetries)
	}
	c.proxy("download.proxy", d.Proxy, "direct", "http", "https", "socks5")
}

// proxy wants a URL of one of the schemes, a word, or nothing.
func (c *checker) proxy(key, value, word string, schemes ...string) {
	if value == "" || value == word {
		return
	}
	if u, err := url.Parse(value); err != nil || u.Hostname() == "" || !slices.Contains(schemes, u.Scheme) {
		c.bad(key, fmt.Sprintf("write http://HOST:PORT or %q, or leave it out", word), "it is not a URL of the scheme %s with a host", strings.Join(schemes, ", "))
	}
}

func (c *checker) trust() {
	t := &c.Trust
	switch t.Require {
	case "digestsign":
		if t.Keys == "" {
			c.bad("trust.keys", "name the directory of the product's public keys", "signatures are required, and there is no key to check them with")
		}
	case "manifest":
		c.later("trust.require", "a signed manifest", `use "digestsign"`)
	case "digest":
	default:
		c.bad("trust.require", `use "digest" or "digestsign"`, "there is no %q", t.Require)
	}
	if t.PatchUnknownSource != "refuse" && t.PatchUnknownSource != "allow" {
		c.bad("trust.patch_unknown_source", `use "refuse" or "allow"`, "there is no %q", t.PatchUnknownSource)
	}
}

func (c *checker) rest() {
	if _, err := c.Log.slogLevel(); err != nil {
		c.bad("log.level", "use debug, info, warn or error", "%v", err)
	}
	switch n := len(c.API.Socket); {
	case n == 0:
		c.bad("api.socket", defaultSocket+" is usual", "it is empty")
	case n > maxSocketPath:
		c.bad("api.socket", "name a shorter path", "the path has %d bytes, the kernel takes %d", n, maxSocketPath)
	}
}

// sameFile reports whether two paths are written differently and mean the same.
func sameFile(a, b string) bool {
	if b == "" {
		return false
	}
	x, errA := filepath.Abs(a)
	y, errB := filepath.Abs(b)
	return errA == nil && errB == nil && x == y
}
