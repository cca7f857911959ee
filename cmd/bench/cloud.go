package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/leapslot/ota/simulator/server/openapi"
)

const accessKey = "bench:bench-secret"

// cloud is otasim serve, a process of its own: the broker of the devices, and
// the server that packages come from.
type cloud struct {
	cmd     *exec.Cmd
	log     bytes.Buffer
	mqtt    string
	mqtts   string // empty without --mqtts
	http    string // URL
	api     *openapi.Client
	product string
}

// openCloud starts one on free ports and an empty data folder, with a product.
func (b *bench) openCloud(ctx context.Context, name string) (*cloud, error) {
	c, err := b.startCloud(filepath.Join(b.dir, name))
	if err != nil {
		return nil, err
	}
	var product struct{ ProductKey string }
	if err := c.call(ctx, &product, "CreateProduct", "ProductName", "bench", "NodeType", "1"); err != nil {
		c.close()
		return nil, fmt.Errorf("%w: %s", err, tail(c.log.String()))
	}
	c.product = product.ProductKey
	return c, nil
}

// startCloud starts one on free ports and a data folder that may be there.
func (b *bench) startCloud(data string, flags ...string) (*cloud, error) {
	c := &cloud{cmd: exec.Command(filepath.Join(b.bin, "otasim"), append([]string{"serve", "--data", data,
		"--mqtt", "127.0.0.1:0", "--http", "127.0.0.1:0", "--access-key", accessKey}, flags...)...)}
	c.cmd.Stderr = &c.log
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	address := map[string]string{}
	for lines := bufio.NewScanner(out); address["ready"] == "" && lines.Scan(); {
		k, v, _ := strings.Cut(lines.Text(), " ")
		address[k] = v + " "
	}
	c.mqtt, c.mqtts = strings.TrimSpace(address["mqtt"]), strings.TrimSpace(address["mqtts"])
	c.http = "http://" + strings.TrimSpace(address["http"])
	key, err := openapi.ParseKey(accessKey)
	if err == nil && address["ready"] == "" {
		err = errors.New("otasim ended before it was ready")
	}
	if err == nil {
		c.api, err = openapi.NewClient(c.http, key, time.Minute)
	}
	if err != nil {
		c.close()
		return nil, fmt.Errorf("%w: %s", err, tail(c.log.String()))
	}
	return c, nil
}

func (c *cloud) close() {
	c.cmd.Process.Signal(syscall.SIGTERM)
	c.cmd.Wait()
}

// call makes one call of the cloud API.
func (c *cloud) call(ctx context.Context, answer any, action string, params ...string) error {
	m := map[string]string{}
	for i := 0; i+1 < len(params); i += 2 {
		m[params[i]] = params[i+1]
	}
	raw, err := c.api.Call(ctx, action, m)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, answer)
}

// offer uploads a file, makes a package of it, and gives its id and the signed
// URL that it is downloaded from.
func (c *cloud) offer(ctx context.Context, file, version string) (id, url string, err error) {
	var form struct{ Data openapi.UploadForm }
	if err := c.call(ctx, &form, "GenerateOTAUploadURL", "FileSuffix", "bin"); err != nil {
		return "", "", err
	}
	f, err := os.Open(file)
	if err != nil {
		return "", "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", "", err
	}
	if err := openapi.Upload(ctx, form.Data, f, info.Size()); err != nil {
		return "", "", err
	}
	var made struct{ Data struct{ FirmwareId string } }
	if err := c.call(ctx, &made, "CreateOTAFirmware", "ProductKey", c.product, "FirmwareName", "image", "DestVersion", version,
		"FirmwareUrl", form.Data.FirmwareUrl, "SignMethod", "SHA256", "NeedToVerify", "false"); err != nil {
		return "", "", err
	}
	id = made.Data.FirmwareId
	var found struct{ FirmwareInfo struct{ FirmwareUrl string } }
	err = c.call(ctx, &found, "QueryOTAFirmware", "FirmwareId", id)
	return id, found.FirmwareInfo.FirmwareUrl, err
}

// announce makes a static batch of one device.
func (c *cloud) announce(ctx context.Context, pkg, device string) error {
	var job struct{ Data struct{ JobId string } }
	return c.call(ctx, &job, "CreateOTAStaticUpgradeJob", "ProductKey", c.product, "FirmwareId", pkg,
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
		if err := c.call(ctx, &list, "ListOTAModuleVersionsByDevice", "ProductKey", c.product, "DeviceName", device,
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
	if err := c.call(ctx, &found, "GetDeviceStatus", "ProductKey", c.product, "DeviceName", device); err != nil {
		return err
	}
	if found.Data.Status != "ONLINE" {
		return fmt.Errorf("%s is %s, not ONLINE", device, found.Data.Status)
	}
	return nil
}
