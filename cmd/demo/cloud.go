package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/leapslot/ota/simulator/server/openapi"
)

// demo holds what runs.
type demo struct {
	dir    string
	bin    string
	screen *screen

	sim     *exec.Cmd
	mqtt    string
	api     *openapi.Client
	proxy   *proxy
	product string
	bench   *device // on which packages are verified
	gateway *device // which the batches update
	full    string  // the package's id
}

const accessKey = "demo:demo-secret"

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
	d.sim = exec.Command(filepath.Join(d.bin, "otasim"), "serve", "--data", filepath.Join(d.dir, "cloud"),
		"--mqtt", "127.0.0.1:0", "--http", "127.0.0.1:0", "--access-key", accessKey, "--public-url", d.proxy.url())
	d.sim.Stderr = log
	d.sim.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := d.sim.StdoutPipe()
	if err != nil {
		return err
	}
	if err := d.sim.Start(); err != nil {
		return fmt.Errorf("otasim: %w", err)
	}
	var http string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		switch name {
		case "mqtt":
			d.mqtt = value
		case "http":
			http = value
		case "ready":
			d.proxy.target = http
			d.screen.line("mqtt %s, http %s", d.mqtt, http)
			key, err := openapi.ParseKey(accessKey)
			if err != nil {
				return err
			}
			d.api, err = openapi.NewClient("http://"+http, key, 30*time.Second)
			return err
		}
	}
	return errors.New("otasim ended before it was ready: see otasim.log")
}

func (d *demo) stop() {
	for _, dev := range []*device{d.bench, d.gateway} {
		if dev != nil {
			dev.stop()
		}
	}
	if d.sim != nil && d.sim.Process != nil {
		d.sim.Process.Signal(syscall.SIGTERM)
		d.sim.Wait()
	}
	if d.proxy != nil {
		d.proxy.close()
	}
}

// call makes one call of the cloud API and reads the members of its answer that
// answer has.
func (d *demo) call(ctx context.Context, answer any, action string, params ...string) error {
	m := map[string]string{}
	for i := 0; i+1 < len(params); i += 2 {
		m[params[i]] = params[i+1]
	}
	raw, err := d.api.Call(ctx, action, m)
	if err != nil {
		return err
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(raw, answer)
}

// makePackage uploads a file and makes a package of it.
func (d *demo) makePackage(ctx context.Context, name, file, version string, more ...string) (id string, err error) {
	var form struct{ Data openapi.UploadForm }
	if err := d.call(ctx, &form, "GenerateOTAUploadURL", "FileSuffix", "bin"); err != nil {
		return "", err
	}
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if err := openapi.Upload(ctx, form.Data, f, info.Size()); err != nil {
		return "", err
	}
	var made struct{ Data struct{ FirmwareId string } }
	params := append([]string{"ProductKey", d.product, "FirmwareName", name, "DestVersion", version,
		"FirmwareUrl", form.Data.FirmwareUrl, "SignMethod", "SHA256"}, more...)
	err = d.call(ctx, &made, "CreateOTAFirmware", params...)
	return made.Data.FirmwareId, err
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
		if err := d.call(ctx, &list, "ListOTATaskByJob", "JobId", job, "PageSize", "10", "CurrentPage", "1"); err != nil {
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
