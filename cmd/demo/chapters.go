package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
)

// startDevices registers a product with two devices and switches them on.
func (d *demo) startDevices(ctx context.Context) error {
	d.screen.chapter("A product and two devices: bench-1 verifies packages, gateway-1 is the fleet")
	var product struct{ ProductKey string }
	if err := d.cloud.Call(ctx, &product, "CreateProduct", "ProductName", "demo gateway", "NodeType", "1"); err != nil {
		return err
	}
	d.product = product.ProductKey
	for name, dev := range map[string]**device{"bench-1": &d.bench, "gateway-1": &d.gateway} {
		var registered struct{ Data struct{ DeviceSecret string } }
		err := d.cloud.Call(ctx, &registered, "RegisterDevice", "ProductKey", d.product, "DeviceName", name)
		if err != nil {
			return err
		}
		made, err := d.newDevice(name, registered.Data.DeviceSecret, d.image(factory))
		if err != nil {
			return err
		}
		*dev = made
		if err := made.start(0); err != nil {
			return err
		}
	}
	for _, dev := range []*device{d.bench, d.gateway} {
		if err := dev.runs(ctx, factory, "a"); err != nil {
			return err
		}
		if err := d.reported(ctx, dev, factory); err != nil {
			return err
		}
		d.screen.line("%s reports version %s", dev.name, factory)
	}
	return nil
}

// reported waits until the cloud has the device's version.
func (d *demo) reported(ctx context.Context, dev *device, version string) error {
	for {
		var list struct {
			Data struct {
				SimpleOTAModuleInfo []struct{ ModuleName, ModuleVersion string }
			}
		}
		if err := d.cloud.Call(ctx, &list, "ListOTAModuleVersionsByDevice", "ProductKey", d.product, "DeviceName", dev.name,
			"CurrentPage", "1", "PageSize", "10"); err != nil {
			return err
		}
		for _, m := range list.Data.SimpleOTAModuleInfo {
			if m.ModuleVersion == version {
				return nil
			}
		}
		if err := pause(ctx, dev); err != nil {
			return fmt.Errorf("version %s of %s was not reported: %w", version, dev.name, err)
		}
	}
}

func (d *demo) verification(ctx context.Context) error {
	d.screen.chapter("Version %s is verified on bench-1 (P17)", fullTo)
	var err error
	if d.full, err = d.makePackage(ctx, nameOf("full", fullTo), d.image(fullTo), fullTo); err != nil {
		return err
	}
	var job struct{ Data struct{ JobId string } }
	if err := d.cloud.Call(ctx, &job, "CreateOTAVerifyJob", "ProductKey", d.product, "FirmwareId", d.full,
		"TargetDeviceName.1", d.bench.name, "TimeoutInMinutes", "5"); err != nil {
		return err
	}
	return d.succeeds(ctx, d.bench, job.Data.JobId, fullTo, "b")
}

func (d *demo) fullImage(ctx context.Context) error {
	d.screen.chapter("A batch: the full image %s", fullTo)
	return d.batch(ctx, d.full, fullTo, "b")
}

func (d *demo) patch(ctx context.Context) error {
	d.screen.chapter("A batch: the patch from %s to %s", fullTo, patchTo)
	id, err := d.makePackage(ctx, nameOf("patch", patchTo), filepath.Join(d.dir, "patch.bin"), patchTo,
		"Type", "1", "SrcVersion", fullTo, "NeedToVerify", "false")
	if err != nil {
		return err
	}
	return d.batch(ctx, id, patchTo, "a")
}

func (d *demo) batch(ctx context.Context, pkg, version, slot string) error {
	job, err := d.makeJob(ctx, pkg)
	if err != nil {
		return err
	}
	return d.succeeds(ctx, d.gateway, job, version, slot)
}

// makeJob makes a static batch of gateway-1 alone.
func (d *demo) makeJob(ctx context.Context, pkg string) (string, error) {
	var job struct{ Data struct{ JobId string } }
	err := d.cloud.Call(ctx, &job, "CreateOTAStaticUpgradeJob", "ProductKey", d.product, "FirmwareId", pkg,
		"TargetSelection", "SPECIFIC", "TargetDeviceName.1", d.gateway.name, "TimeoutInMinutes", "5")
	return job.Data.JobId, err
}

func (d *demo) succeeds(ctx context.Context, dev *device, job, version, slot string) error {
	t, err := d.ended(ctx, dev, job)
	if err != nil {
		return err
	}
	d.screen.line("cloud: %s %s %s %s", dev.name, t.TaskStatus, t.Progress, t.TaskDesc)
	if t.TaskStatus != "SUCCEEDED" {
		return fmt.Errorf("the update to %s ended as %s: %s", version, t.TaskStatus, t.TaskDesc)
	}
	if err := dev.runs(ctx, version, slot); err != nil {
		return err
	}
	d.screen.line("device: %s runs version %s from slot %s", dev.name, version, slot)
	return nil
}

func (d *demo) cutDownload(ctx context.Context) error {
	d.screen.chapter("Failure: the download is cut for good (-2)")
	d.proxy.mode.Store(cutting)
	defer d.proxy.mode.Store(honest)
	return d.fails(ctx, "3.0.1", patchTo, "-2")
}

func (d *demo) flippedByte(ctx context.Context) error {
	d.screen.chapter("Failure: one byte of the package is another one (-3)")
	d.proxy.mode.Store(flipping)
	defer d.proxy.mode.Store(honest)
	return d.fails(ctx, "3.0.2", patchTo, "-3")
}

func (d *demo) writeError(ctx context.Context) error {
	d.screen.chapter("Failure: the slot cannot be written to its end (-4)")
	d.gateway.stop()
	if err := d.gateway.start(32 << 10); err != nil {
		return err
	}
	if err := d.fails(ctx, "3.0.3", patchTo, "-4"); err != nil {
		return err
	}
	d.gateway.stop()
	if err := d.gateway.start(0); err != nil {
		return err
	}
	return d.gateway.runs(ctx, patchTo, "a")
}

func (d *demo) unhealthy(ctx context.Context) error {
	d.screen.chapter("Failure: the new system starts, is not healthy, and is left (-1)")
	before := d.gateway.boots
	if err := d.fails(ctx, sickTo, sickTo, "-1"); err != nil {
		return err
	}
	d.screen.line("device: started %d times on the way", d.gateway.boots-before)
	return nil
}

// fails makes a package and a batch, and wants the cloud to see this code, and
// the device to run what it ran.
func (d *demo) fails(ctx context.Context, version, image, code string) error {
	id, err := d.makePackage(ctx, nameOf("package", version), d.image(image), version, "NeedToVerify", "false")
	if err != nil {
		return err
	}
	job, err := d.makeJob(ctx, id)
	if err != nil {
		return err
	}
	t, err := d.ended(ctx, d.gateway, job)
	if err != nil {
		return err
	}
	d.screen.line("cloud: %s %s: %s", t.DeviceName, t.TaskStatus, t.TaskDesc)
	if t.TaskStatus != "FAILED" || !strings.Contains(t.TaskDesc, code) {
		return fmt.Errorf("the cloud shows %s %q, wanted was FAILED with %s", t.TaskStatus, t.TaskDesc, code)
	}
	if err := d.gateway.runs(ctx, patchTo, "a"); err != nil {
		return err
	}
	d.screen.line("device: still runs version %s from slot a", patchTo)
	return nil
}

// nameOf is the name of a package, which may have no dots (P13).
func nameOf(what, version string) string {
	return what + "-" + strings.ReplaceAll(version, ".", "_")
}
