package main

import (
	"path/filepath"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/agent"
	"github.com/leapslot/ota/agent/fetch"
	"github.com/leapslot/ota/platform/files"
)

const (
	defaultFile   = "/etc/otad/config.toml"
	defaultSocket = "/run/otad/api.sock"
	defaultState  = "/var/lib/otad"
)

// config is the whole configuration. The toml tags are the names that users
// write; the table of keys (keys.go), the environment and "config show" are
// made from them. A field with a secret tag is never printed.
type config struct {
	StateDir string         `toml:"state_dir"`
	Device   deviceConfig   `toml:"device"`
	Cloud    cloudConfig    `toml:"cloud"`
	Module   []moduleConfig `toml:"module"`
	Slots    slotsConfig    `toml:"slots"`
	Boot     bootConfig     `toml:"boot"`
	Health   healthConfig   `toml:"health"`
	Download downloadConfig `toml:"download"`
	Trust    trustConfig    `toml:"trust"`
	Reboot   rebootConfig   `toml:"reboot"`
	Log      logConfig      `toml:"log"`
	API      apiConfig      `toml:"api"`
	Gateway  gatewayConfig  `toml:"gateway"`
}

type deviceConfig struct {
	ProductKey string `toml:"product_key"`
	DeviceName string `toml:"device_name"`
	Secret     string `toml:"device_secret" secret:"all"`
	SecretFile string `toml:"device_secret_file"`
	SignMethod string `toml:"sign_method"`
	Credential string `toml:"credential"`  // name of a credential of systemd
	Token      string `toml:"token"`       // module of a PKCS#11 token that holds the secret
	TokenLabel string `toml:"token_label"` // of the token
	TokenPIN   string `toml:"token_pin_file"`
	TPM        string `toml:"tpm"` // device node, or unix socket, of the TPM that holds the secret
}

type cloudConfig struct {
	URL        string `toml:"url"`
	CAFile     string `toml:"ca_file"`
	ClientCert string `toml:"client_cert"`
	ClientKey  string `toml:"client_key"`
	Proxy      string `toml:"proxy" secret:"url"`
}

type moduleConfig struct {
	Name           string   `toml:"name"`
	Installer      string   `toml:"installer,omitempty"`
	Dir            string   `toml:"dir,omitempty"`      // of the installer "files"
	Path           string   `toml:"path,omitempty"`     // of the installer "file"
	Script         []string `toml:"script,omitempty"`   // of the installer "script"
	Rollback       bool     `toml:"rollback,omitempty"` // the script knows the verb
	Timeout        duration `toml:"timeout,omitempty"`  // of one run of the script
	Restart        []string `toml:"restart,omitempty"`  // of all three
	Version        string   `toml:"version,omitempty"`
	VersionFile    string   `toml:"version_file,omitempty"`
	VersionCommand []string `toml:"version_command,omitempty"`
}

type slotsConfig struct {
	Kind   string `toml:"kind"`
	A      string `toml:"a"`
	B      string `toml:"b"`
	Size   size   `toml:"size"`   // of ordinary files that do not exist yet; of a device, the least
	Direct bool   `toml:"direct"` // past the page cache; of a device
}

type bootConfig struct {
	Kind        string `toml:"kind"`
	Attempts    int    `toml:"attempts"`
	Dir         string `toml:"dir"`
	EnvConfig   string `toml:"env_config"`
	Environment string `toml:"environment"` // of "uboot": the text of a new environment, to mend with
	Grubenv     string `toml:"grubenv"`
	Script      string `toml:"script"`
	Autoboot    string `toml:"autoboot"`   // of "tryboot"
	Entries     string `toml:"entries"`    // of "systemd-boot"
	Initrd      string `toml:"initrd"`     // of "systemd-boot"
	State       string `toml:"state"`      // of "barebox"
	StateNode   string `toml:"state_node"` // of "barebox"
	Partition   string `toml:"partition"`  // of "efi": PARTUUID; {slot} stands for a or b here and below
	Loader      string `toml:"loader"`     // of "efi": the file there
	Arguments   string `toml:"arguments"`  // of "efi" and "systemd-boot": the kernel's command line
}

type healthConfig struct {
	Watchdog        string     `toml:"watchdog"` // device node
	WatchdogTimeout duration   `toml:"watchdog_timeout"`
	Timeout         duration   `toml:"timeout"`
	Cloud           bool       `toml:"cloud"`
	Commands        [][]string `toml:"commands"`
	Units           []string   `toml:"units"`
}

type downloadConfig struct {
	RateLimit   size     `toml:"rate_limit"` // bytes a second, 0 is none
	LowSpeed    size     `toml:"low_speed"`  // bytes a second, 0 is none
	IdleTimeout duration `toml:"idle_timeout"`
	Retries     int      `toml:"retries"`
	Proxy       string   `toml:"proxy" secret:"url"`
}

type trustConfig struct {
	Keys               string `toml:"keys"`
	Require            string `toml:"require"`
	PatchUnknownSource string `toml:"patch_unknown_source"`
	MinMethod          string `toml:"min_method"`
	Roots              string `toml:"roots"`
	Threshold          int    `toml:"threshold"`
	ListThreshold      int    `toml:"list_threshold"`
	Counter            string `toml:"counter"`
}

type rebootConfig struct {
	Command []string `toml:"command"`
	Timeout duration `toml:"timeout"`
}

type logConfig struct {
	Level string `toml:"level"`
}

type apiConfig struct {
	Socket string `toml:"socket"`
}

// defaults is what counts for a key that is set nowhere.
func defaults() config {
	return config{
		StateDir: defaultState,
		Device:   deviceConfig{SignMethod: string(ota.HMACSHA256)},
		Slots:    slotsConfig{Kind: "files", Direct: true},
		Boot:     bootConfig{Kind: "files", Attempts: files.DefaultAttempts},
		Health:   healthConfig{Timeout: duration(agent.DefaultHealthTimeout), Cloud: true, WatchdogTimeout: duration(time.Minute)},
		Download: downloadConfig{LowSpeed: fetch.DefaultLowSpeed, IdleTimeout: duration(fetch.DefaultIdleTimeout), Retries: fetch.DefaultRetries},
		Trust:    trustConfig{PatchUnknownSource: "refuse"},
		Reboot:   rebootConfig{Timeout: duration(time.Minute)},
		Log:      logConfig{Level: "info"},
		API:      apiConfig{Socket: defaultSocket},
	}
}

// Bounds of what is configured.
const (
	minTimeout       = 10 * time.Millisecond // a number without a unit is in nanoseconds, and surely meant something else
	maxHealthTimeout = 24 * time.Hour
	maxIdleTimeout   = time.Hour
	maxRetries       = 1000
	maxSocketPath    = 107 // what the kernel takes
	maxThreshold     = 16  // signatures
)

// complete fills in the defaults that depend on other keys. Without a word about
// it a signature is wanted as soon as there are keys to check it with.
func (c *config) complete() {
	if c.Boot.Dir == "" && c.Boot.Kind == "files" {
		c.Boot.Dir = filepath.Join(c.StateDir, "boot")
	}
	if c.Boot.StateNode == "" && c.Boot.Kind == "barebox" {
		c.Boot.StateNode = "/proc/device-tree/state"
	}
	if c.Trust.Counter == "" {
		c.Trust.Counter = "record"
		if c.Device.TPM != "" {
			c.Trust.Counter = "tpm"
		}
	}
	if c.Trust.Require == "" {
		c.Trust.Require = "digest"
		if c.Trust.Keys != "" {
			c.Trust.Require = "digestsign"
		}
	}
}
