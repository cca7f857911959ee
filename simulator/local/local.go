// Package local runs otasim serve as a process of its own, on this machine's loopback,
// and calls its API: what a demo, a bench and a lab need of a real cloud.
//
// A process ends with the one that started it, even when that is killed.
package local

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/leapslot/ota/simulator/server/openapi"
)

// AccessKey is that of a cloud which Start has started, as flags want it.
const AccessKey = "local:local-secret"

// callTimeout bounds one call of the API: a batch of many devices takes its time.
const callTimeout = 5 * time.Minute

// Cloud is a cloud that runs. Its methods may be called by many goroutines, Stop once.
type Cloud struct {
	// MQTT, MQTTS and HTTP are where it listens, host:port; MQTTS is empty without --mqtts.
	MQTT, MQTTS, HTTP string

	api *openapi.Client
	cmd *exec.Cmd
}

// Start runs program (the path of otasim) with an access key and, unless the flags say
// otherwise, on free ports, and waits until it serves. What it logs goes to log.
func Start(program, data string, log io.Writer, flags ...string) (*Cloud, error) {
	c := &Cloud{cmd: exec.Command(program, append([]string{"serve", "--data", data,
		"--mqtt", "127.0.0.1:0", "--http", "127.0.0.1:0", "--access-key", AccessKey}, flags...)...)}
	c.cmd.Stderr = log
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("otasim: %w", err)
	}
	if err := c.ready(bufio.NewScanner(out)); err != nil {
		c.Stop()
		return nil, err
	}
	key, err := openapi.ParseKey(AccessKey)
	if err == nil {
		c.api, err = openapi.NewClient("http://"+c.HTTP, key, callTimeout)
	}
	if err != nil {
		c.Stop()
		return nil, err
	}
	return c, nil
}

// ready reads the addresses that otasim prints, up to the line that says it serves.
func (c *Cloud) ready(lines *bufio.Scanner) error {
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		switch name {
		case "mqtt":
			c.MQTT = value
		case "mqtts":
			c.MQTTS = value
		case "http":
			c.HTTP = value
		case "ready":
			return nil
		}
	}
	return errors.New("otasim ended before it was ready: its log says why")
}

// PID is the id of the process.
func (c *Cloud) PID() int { return c.cmd.Process.Pid }

// Stop asks the process to end, and waits for that.
func (c *Cloud) Stop() {
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	_ = c.cmd.Wait()
}

// Call makes one call of the cloud's API with parameters by name and value, and reads the
// members of its answer that answer has; nil: none. Errors are those of openapi.Client.
func (c *Cloud) Call(ctx context.Context, answer any, action string, params ...string) error {
	m := map[string]string{}
	for i := 0; i+1 < len(params); i += 2 {
		m[params[i]] = params[i+1]
	}
	raw, err := c.api.Call(ctx, action, m)
	if err != nil || answer == nil {
		return err
	}
	return json.Unmarshal(raw, answer)
}

// MakePackage uploads a file and makes a package of it with the parameters of
// CreateOTAFirmware, to which it adds the file's URL; it gives the package's id. The file
// goes to HTTP, whatever address the cloud tells its devices (--public-url).
func (c *Cloud) MakePackage(ctx context.Context, file string, params ...string) (id string, err error) {
	var form struct{ Data openapi.UploadForm }
	if err := c.Call(ctx, &form, "GenerateOTAUploadURL", "FileSuffix", "bin"); err != nil {
		return "", err
	}
	_, path, ok := strings.Cut(strings.TrimPrefix(form.Data.Host, "http://"), "/")
	if !ok {
		return "", fmt.Errorf("the cloud takes uploads at %q, which has no path", form.Data.Host)
	}
	form.Data.Host = "http://" + c.HTTP + "/" + path
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
	err = c.Call(ctx, &made, "CreateOTAFirmware", append(params, "FirmwareUrl", form.Data.FirmwareUrl)...)
	return made.Data.FirmwareId, err
}
