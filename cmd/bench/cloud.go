package main

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/leapslot/ota/simulator/local"
)

// cloud is otasim serve, a process of its own: the broker of the devices, and
// the server that packages come from.
type cloud struct {
	*local.Cloud
	log     bytes.Buffer
	product string
}

// openCloud starts one on free ports and an empty data folder, with a product.
func (b *bench) openCloud(ctx context.Context, name string) (*cloud, error) {
	c, err := b.startCloud(filepath.Join(b.dir, name))
	if err != nil {
		return nil, err
	}
	var product struct{ ProductKey string }
	if err := c.Call(ctx, &product, "CreateProduct", "ProductName", "bench", "NodeType", "1"); err != nil {
		c.Stop()
		return nil, fmt.Errorf("%w: %s", err, tail(c.log.String()))
	}
	c.product = product.ProductKey
	return c, nil
}

// startCloud starts one on free ports and a data folder that may be there.
func (b *bench) startCloud(data string, flags ...string) (*cloud, error) {
	c := &cloud{}
	var err error
	if c.Cloud, err = local.Start(filepath.Join(b.bin, "otasim"), data, &c.log, flags...); err != nil {
		return nil, fmt.Errorf("%w: %s", err, tail(c.log.String()))
	}
	return c, nil
}

// offer uploads a file, makes a package of it, and gives its id and the signed
// URL that it is downloaded from.
func (c *cloud) offer(ctx context.Context, file, version string) (id, url string, err error) {
	id, err = c.MakePackage(ctx, file, "ProductKey", c.product, "FirmwareName", "image", "DestVersion", version,
		"SignMethod", "SHA256", "NeedToVerify", "false")
	if err != nil {
		return "", "", err
	}
	var found struct{ FirmwareInfo struct{ FirmwareUrl string } }
	err = c.Call(ctx, &found, "QueryOTAFirmware", "FirmwareId", id)
	return id, found.FirmwareInfo.FirmwareUrl, err
}

// announce makes a static batch of one device.
func (c *cloud) announce(ctx context.Context, pkg, device string) error {
	var job struct{ Data struct{ JobId string } }
	return c.Call(ctx, &job, "CreateOTAStaticUpgradeJob", "ProductKey", c.product, "FirmwareId", pkg,
		"TargetSelection", "SPECIFIC", "TargetDeviceName.1", device, "TimeoutInMinutes", "5")
}

// hears waits until a device has reported a version.
func (c *cloud) hears(ctx context.Context, device, version string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		var list struct {
			Data struct {
				SimpleOTAModuleInfo []struct{ ModuleVersion string }
			}
		}
		if err := c.Call(ctx, &list, "ListOTAModuleVersionsByDevice", "ProductKey", c.product, "DeviceName", device,
			"CurrentPage", "1", "PageSize", "10"); err != nil {
			return err
		}
		for _, m := range list.Data.SimpleOTAModuleInfo {
			if m.ModuleVersion == version {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s did not report its version: %w", device, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// online makes sure that a device is connected.
func (c *cloud) online(ctx context.Context, device string) error {
	var found struct{ Data struct{ Status string } }
	if err := c.Call(ctx, &found, "GetDeviceStatus", "ProductKey", c.product, "DeviceName", device); err != nil {
		return err
	}
	if found.Data.Status != "ONLINE" {
		return fmt.Errorf("%s is %s, not ONLINE", device, found.Data.Status)
	}
	return nil
}
