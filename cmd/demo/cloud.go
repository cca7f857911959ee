package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/leapslot/ota/simulator/local"
)

// demo holds what runs.
type demo struct {
	dir    string
	bin    string
	screen *screen

	cloud   *local.Cloud
	proxy   *proxy
	product string
	bench   *device // on which packages are verified
	gateway *device // which the batches update
	full    string  // the package's id
}

// openCloud starts the simulator on free ports and an empty data folder.
func (d *demo) openCloud(ctx context.Context) error {
	d.screen.chapter("The cloud: otasim serve, on an empty data folder")
	var err error
	if d.proxy, err = newProxy(); err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(d.dir, "otasim.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	d.cloud, err = local.Start(filepath.Join(d.bin, "otasim"), filepath.Join(d.dir, "cloud"), log, "--public-url", d.proxy.url())
	if err != nil {
		return fmt.Errorf("%w (otasim.log)", err)
	}
	d.proxy.target = d.cloud.HTTP
	d.screen.line("mqtt %s, http %s", d.cloud.MQTT, d.cloud.HTTP)
	return nil
}

func (d *demo) stop() {
	for _, dev := range []*device{d.bench, d.gateway} {
		if dev != nil {
			dev.stop()
		}
	}
	if d.cloud != nil {
		d.cloud.Stop()
	}
	if d.proxy != nil {
		d.proxy.close()
	}
}

// makePackage uploads a file and makes a package of it.
func (d *demo) makePackage(ctx context.Context, name, file, version string, more ...string) (id string, err error) {
	return d.cloud.MakePackage(ctx, file, append([]string{"ProductKey", d.product, "FirmwareName", name, "DestVersion", version,
		"SignMethod", "SHA256"}, more...)...)
}

// task is what the cloud shows of a device's part in a job.
type task struct {
	DeviceName string
	TaskStatus string
	TaskDesc   string
	Progress   string
}

// ended waits until the cloud calls the device's task of the job over, and
// shows how it gets there.
func (d *demo) ended(ctx context.Context, dev *device, job string) (task, error) {
	defer d.screen.endBar()
	for {
		var list struct {
			Data struct{ SimpleOTATaskInfo []task }
		}
		if err := d.cloud.Call(ctx, &list, "ListOTATaskByJob", "JobId", job, "PageSize", "10", "CurrentPage", "1"); err != nil {
			return task{}, err
		}
		for _, t := range list.Data.SimpleOTATaskInfo {
			switch t.TaskStatus {
			case "SUCCEEDED", "FAILED", "CANCELED":
				return t, nil
			}
			stage, percent := dev.stage(ctx)
			d.screen.bar(stage, percent, t.TaskStatus)
		}
		select {
		case <-ctx.Done():
			return task{}, fmt.Errorf("job %s is not over: %w", job, ctx.Err())
		case err := <-dev.failed:
			return task{}, err
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func freePort() (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") }
