package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// firstVersion is what a device runs, and nextVersion what it is updated to.
const (
	firstVersion = "1.0.0"
	nextVersion  = "2.0.0"
)

// device is the folder of one otad: its configuration, its state and its slots.
type device struct{ name, dir, config, spare string }

// newDevice registers a device and makes its folder: it runs from a slot of one
// page, and its spare slot is a file that is not there yet.
func (b *bench) newDevice(ctx context.Context, c *cloud, name string) (*device, error) {
	var registered struct{ Data struct{ DeviceSecret string } }
	if err := c.Call(ctx, &registered, "RegisterDevice", "ProductKey", c.product, "DeviceName", name); err != nil {
		return nil, err
	}
	d := &device{name: name, dir: filepath.Join(b.dir, name)}
	d.config, d.spare = filepath.Join(d.dir, "config.toml"), filepath.Join(d.dir, "slot-b.img")
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(d.dir, "slot-a.img"), make([]byte, 4096), 0o600); err != nil {
		return nil, err
	}
	return d, os.WriteFile(d.config, fmt.Appendf(nil, `
state_dir = "%[1]s/state"

[device]
product_key = "%[2]s"
device_name = "%[3]s"
device_secret = "%[4]s"

[cloud]
url = "mqtt://%[5]s"

[[module]]
name = "default"
installer = "ab"
version = "%[6]s"

[slots]
kind = "files"
a = "%[1]s/slot-a.img"
b = "%[1]s/slot-b.img"
size = "%[7]dMiB"

[boot]
kind = "files"
dir = "%[1]s/state"

[trust]
require = "digest"

[api]
socket = "%[1]s/api.sock"
`, d.dir, c.product, name, registered.Data.DeviceSecret, c.MQTT, firstVersion, updateSize>>20), 0o600)
}
