package main

import (
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/platform/watchdog"
)

// checker collects what is wrong with settings that could be read.
type checker struct {
	*settings
	wrong problems
}

func (c *checker) bad(key, todo, format string, args ...any) {
	c.wrong = append(c.wrong, problem{Where: c.where(key), Key: key, Why: fmt.Sprintf(format, args...), Todo: todo})
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
	var given []string
	for _, k := range []string{"device_secret", "device_secret_file", "credential", "tpm", "token"} {
		if key, _ := find("device." + k); key.value(&c.config).String() != "" {
			given = append(given, k)
		}
	}
	switch {
	case len(given) == 0:
		c.bad("device.device_secret_file", "set device_secret_file, device_secret, credential, tpm or token", "the device has no secret")
	case len(given) == 2:
		c.bad("device."+given[0], "remove one of them", "%s are both set", strings.Join(given, " and "))
	case len(given) > 2:
		c.bad("device."+given[0], "leave one of them", "%s are set", strings.Join(given, " and "))
	case strings.ContainsAny(d.Credential, "/"):
		c.bad("device.credential", "write the ID of LoadCredential=ID:PATH", "%q is no name", d.Credential)
	case d.TPM+d.Token != "" && d.SignMethod != string(ota.HMACSHA256):
		c.bad("device.sign_method", "leave it out for hmacsha256", "a TPM and a token sign with hmacsha256")
	case d.Token != "" && (d.TokenLabel == "" || d.TokenPIN == ""):
		c.bad("device.token", "set token_label and token_pin_file", "a token is found by its label and wants its PIN")
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
	if c.Cloud.ClientKey == keyInTPM && c.Device.TPM == "" {
		c.bad("cloud.client_key", "set device.tpm", "the key is in the TPM, and none is configured")
	}
	if c.Cloud.ClientKey == keyInToken && c.Device.Token == "" {
		c.bad("cloud.client_key", "set device.token", "the key is in the token, and none is configured")
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
		case "none", "files", "file", "script":
		default:
			c.bad(at+"installer", `use "ab", "files", "file", "script" or "none"`, "there is no installer %q", m.Installer)
		}
		c.place(at, m)
		c.version(at, m)
	}
	if systems == 0 {
		c.bad("module", `write [[module]] with name = "default", installer = "ab" and version = "1.0.0"`, "no module lives in the slots")
	}
}

// place checks what the installer of a module needs, and others do not have.
func (c *checker) place(at string, m moduleConfig) {
	for key, of := range map[string]struct {
		installers string
		set        bool
	}{
		"dir": {"files", m.Dir != ""}, "path": {"file", m.Path != ""}, "script": {"script", m.Script != nil},
		"rollback": {"script", m.Rollback}, "timeout": {"script", m.Timeout != 0}, "restart": {"files file script", m.Restart != nil},
	} {
		if of.set && !slices.Contains(strings.Fields(of.installers), m.Installer) {
			c.bad(at+key, "remove it, or correct the installer", "module %q has an installer, %q, that has no such setting", m.Name, m.Installer)
		}
	}
	switch m.Installer {
	case "files":
		c.owns(at+"dir", m, m.Dir, "the directory that its releases are kept in")
	case "file":
		c.owns(at+"path", m, m.Path, "the file that is replaced")
	case "script":
		if len(m.Script) == 0 || m.Script[0] == "" {
			c.bad(at+"script", `write ["PROGRAM", "ARGUMENT"]`, "module %q has no program that installs it", m.Name)
		}
		if t := time.Duration(m.Timeout); t != 0 && (t < minTimeout || t > maxHealthTimeout) {
			c.bad(at+"timeout", `"10m" is usual`, "%s is not within 10ms and 24h", m.Timeout)
		}
	}
	if m.Restart != nil && (len(m.Restart) == 0 || m.Restart[0] == "") {
		c.bad(at+"restart", `write ["COMMAND", "ARGUMENT"]`, "the command is empty")
	}
}

// owns checks the place that a module has for itself.
func (c *checker) owns(key string, m moduleConfig, place, what string) {
	if !filepath.IsAbs(place) {
		c.bad(key, "name "+what+", which nobody else writes to", "module %q has no place (%q is no absolute path)", m.Name, place)
	}
	for _, other := range c.Module {
		for _, p := range []string{other.Dir, other.Path} {
			if place != "" && p != "" && other.Name != m.Name && sameFile(p, place) {
				c.bad(key, "give each module a place of its own", "modules %q and %q share %s", m.Name, other.Name, place)
			}
		}
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

func (c *checker) health() {
	if t := time.Duration(c.Health.WatchdogTimeout); t < watchdog.MinTimeout || t > watchdog.MaxTimeout {
		c.bad("health.watchdog_timeout", `"1m" is usual`, "%s is not within %v and %v", c.Health.WatchdogTimeout, watchdog.MinTimeout, watchdog.MaxTimeout)
	}
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
	case "digestsign", "manifest":
		if t.Keys == "" && (t.Roots == "" || t.Require == "digestsign") {
			c.bad("trust.keys", "name the directory of the product's public keys", "signatures are required, and there is no key to check them with")
		}
	case "digest":
	default:
		c.bad("trust.require", `use "digest", "digestsign" or "manifest"`, "there is no %q", t.Require)
	}
	if _, err := ota.ParseSignMethod(t.MinMethod); t.MinMethod != "" && err != nil {
		c.bad("trust.min_method", `"SHA256" refuses Md5`, "%v", err)
	}
	for key, n := range map[string]int{"trust.threshold": t.Threshold, "trust.list_threshold": t.ListThreshold} {
		if n < 0 || n > maxThreshold {
			c.bad(key, "1 is usual", "%d is not within 0 and %d", n, maxThreshold)
		}
	}
	switch {
	case t.Counter != "record" && t.Counter != "tpm":
		c.bad("trust.counter", `use "record" or "tpm"`, "there is no %q", t.Counter)
	case t.Counter == "tpm" && c.Device.TPM == "":
		c.bad("trust.counter", "set device.tpm", "the counter is in the TPM, and none is configured")
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
