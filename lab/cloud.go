//go:build lab

package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/leapslot/ota/simulator/local"
)

// cloud is an otasim on this machine's loopback, which a guest sees as 10.0.2.2.
type cloud struct {
	*local.Cloud
	port string // of MQTT
}

const hostForVMs = "10.0.2.2"

// openCloud starts the simulator with an empty data folder, once for all
// scenarios: each of them makes a product of its own.
func (l *lab) openCloud(ctx context.Context) (*cloud, error) {
	if l.cloud != nil {
		return l.cloud, nil
	}
	sim, err := l.build(ctx, "otasim", hostArch, "lab")
	if err != nil {
		return nil, err
	}
	if err := os.RemoveAll(l.path("cloud")); err != nil {
		return nil, err
	}
	log, err := os.Create(l.path("otasim.log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	web, err := freePort()
	if err != nil {
		return nil, err
	}
	c := &cloud{}
	if c.Cloud, err = local.Start(sim, l.path("cloud"), log, "--http", "127.0.0.1:"+web, "--public-url", "http://"+net.JoinHostPort(hostForVMs, web)); err != nil {
		return nil, fmt.Errorf("%w (%s)", err, log.Name())
	}
	if _, c.port, err = net.SplitHostPort(c.MQTT); err != nil {
		return nil, err
	}
	l.cloud = c
	return c, nil
}

// freePort is a port that was free a moment ago: the public address has to be
// known before the simulator listens.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

// identity is a registered device of a product of its own.
type identity struct {
	product, name, secret string
}

func (c *cloud) register(ctx context.Context, name string) (id identity, err error) {
	var product struct{ ProductKey string }
	if err := c.Call(ctx, &product, "CreateProduct", "ProductName", "lab "+name, "NodeType", "1"); err != nil {
		return id, err
	}
	var device struct{ Data struct{ DeviceSecret string } }
	err = c.Call(ctx, &device, "RegisterDevice", "ProductKey", product.ProductKey, "DeviceName", name)
	return identity{product.ProductKey, name, device.Data.DeviceSecret}, err
}

// secure switches secure upgrade on and gives the key that packages are signed
// with from now on.
func (c *cloud) secure(ctx context.Context, product string) (pem string, err error) {
	var answer struct{ Data struct{ PublicKey string } }
	err = c.Call(ctx, &answer, "UpdateProductOTASecurity", "ProductKey", product, "Enable", "true")
	return answer.Data.PublicKey, err
}

// offer uploads a file, makes a package of it and a batch for the one device,
// and gives the batch.
func (c *cloud) offer(ctx context.Context, id identity, file, version string, more ...string) (job string, err error) {
	params := append([]string{"ProductKey", id.product, "FirmwareName", id.name + "-" + strings.ReplaceAll(version, ".", "_"), "DestVersion", version,
		"SignMethod", "SHA256", "NeedToVerify", "false"}, more...)
	pkg, err := c.MakePackage(ctx, file, params...)
	if err != nil {
		return "", err
	}
	var made struct{ Data struct{ JobId string } }
	err = c.Call(ctx, &made, "CreateOTAStaticUpgradeJob", "ProductKey", id.product, "FirmwareId", pkg,
		"TargetSelection", "SPECIFIC", "TargetDeviceName.1", id.name, "TimeoutInMinutes", "60")
	return made.Data.JobId, err
}

// task is what the cloud shows of a device's part in a batch.
type task struct {
	TaskStatus string
	TaskDesc   string
	Progress   string
}

func (t task) String() string {
	if t.TaskStatus == "SUCCEEDED" {
		return t.TaskStatus
	}
	return t.TaskStatus + " " + t.TaskDesc
}

// reported asks until the cloud has been told of a version by the device. A
// patch is only offered to devices that run its source.
func (c *cloud) reported(ctx context.Context, id identity) error {
	return poll(ctx, "the device "+id.name+" has not told its version", func() (bool, error) {
		var list struct {
			Data struct {
				SimpleOTAModuleInfo []struct{ ModuleVersion string }
			}
		}
		err := c.Call(ctx, &list, "ListOTAModuleVersionsByDevice", "ProductKey", id.product, "DeviceName", id.name, "CurrentPage", "1", "PageSize", "10")
		return len(list.Data.SimpleOTAModuleInfo) > 0, err
	})
}

// ended asks until the cloud calls the task over.
func (c *cloud) ended(ctx context.Context, job string) (end task, err error) {
	err = poll(ctx, "the cloud does not call batch "+job+" over", func() (bool, error) {
		var list struct {
			Data struct{ SimpleOTATaskInfo []task }
		}
		if err := c.Call(ctx, &list, "ListOTATaskByJob", "JobId", job, "PageSize", "10", "CurrentPage", "1"); err != nil {
			return false, err
		}
		for _, t := range list.Data.SimpleOTATaskInfo {
			switch t.TaskStatus {
			case "SUCCEEDED", "FAILED", "CANCELED":
				end = t
				return true, nil
			}
		}
		return false, nil
	})
	return end, err
}

// poll asks again and again: the API has nothing to wait on. What the console
// has shown already is on its way to the cloud, so this takes a moment only.
func poll(ctx context.Context, otherwise string, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, ceiling, fmt.Errorf("%s within %v", otherwise, ceiling))
	defer cancel()
	again := time.NewTicker(200 * time.Millisecond)
	defer again.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-again.C:
		}
	}
}
