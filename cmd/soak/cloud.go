package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/leapslot/ota/simulator/server/openapi"
)

// key is the access key of the cloud that is soaked.
var key = openapi.Key{ID: "soak", Secret: "soaksecret"}

const (
	callTimeout = 20 * time.Second
	startLimit  = 30 * time.Second
	pageSize    = 100
)

// cloud is an otasim process that is killed and started again, at the same addresses.
type cloud struct {
	*openapi.Client
	program, dir, mqtt, http string

	mu   sync.Mutex
	cmd  *exec.Cmd
	logs *bytes.Buffer

	kills    int
	longest  time.Duration // of a start
	resident [][]int64     // bytes, of each life
}

func newCloud(program, dir string) (*cloud, error) {
	c := &cloud{program: program, dir: dir}
	for _, addr := range []*string{&c.mqtt, &c.http} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		*addr = l.Addr().String()
		l.Close()
	}
	var err error
	c.Client, err = openapi.NewClient("http://"+c.http, key, callTimeout)
	return c, err
}

// start starts the process and returns when it is ready.
func (c *cloud) start() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	began := time.Now()
	c.logs = &bytes.Buffer{}
	c.cmd = exec.Command(c.program, "serve", "--data", c.dir, "--mqtt", c.mqtt, "--http", c.http,
		"--access-key", key.ID+":"+key.Secret, "--max-push-rate", "unlimited")
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	c.cmd.Stderr = c.logs
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := c.cmd.Start(); err != nil {
		return err
	}
	slow := time.AfterFunc(startLimit, func() { _ = c.cmd.Process.Kill() })
	defer slow.Stop()
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if lines.Text() == "ready" {
			c.longest = max(c.longest, time.Since(began))
			c.resident = append(c.resident, nil)
			return nil
		}
	}
	_ = c.cmd.Wait()
	return fmt.Errorf("the cloud did not come up: %s", c.logs)
}

// kill is kill -9.
func (c *cloud) kill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
	c.kills++
}

// stop ends the process for good.
func (c *cloud) stop() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	return c.cmd.Wait()
}

// watch notes how much memory the process has.
func (c *cloud) watch() {
	c.mu.Lock()
	defer c.mu.Unlock()
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(c.cmd.Process.Pid), "status"))
	if err != nil || len(c.resident) == 0 {
		return
	}
	_, rest, _ := strings.Cut(string(b), "VmRSS:")
	if f := strings.Fields(rest); len(f) > 0 {
		if kib, err := strconv.ParseInt(f[0], 10, 64); err == nil {
			last := len(c.resident) - 1
			c.resident[last] = append(c.resident[last], kib<<10)
		}
	}
}

// ask calls an action.
func (c *cloud) ask(ctx context.Context, answer any, action string, params ...string) error {
	all := map[string]string{}
	for i := 0; i < len(params); i += 2 {
		all[params[i]] = params[i+1]
	}
	b, err := c.Call(ctx, action, all)
	if err != nil || answer == nil {
		return err
	}
	return json.Unmarshal(b, answer)
}

// insist calls an action until it is answered: the cloud may be killed in between.
func (c *cloud) insist(ctx context.Context, answer any, action string, params ...string) error {
	for {
		err := c.ask(ctx, answer, action, params...)
		var refused *openapi.CallError
		if err == nil || errors.As(err, &refused) || ctx.Err() != nil {
			return err
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// firmware uploads a small file and makes a package of it.
func (c *cloud) firmware(ctx context.Context, product, version string) (string, error) {
	var up struct{ Data openapi.UploadForm }
	if err := c.insist(ctx, &up, "GenerateOTAUploadURL", "FileSuffix", "bin"); err != nil {
		return "", err
	}
	content := strings.Repeat(version, 100)
	if err := openapi.Upload(ctx, up.Data, strings.NewReader(content), int64(len(content))); err != nil {
		return "", err
	}
	var made struct{ Data struct{ FirmwareId string } }
	err := c.ask(ctx, &made, "CreateOTAFirmware", "ProductKey", product, "FirmwareName", "fw-"+strconv.FormatInt(time.Now().UnixNano(), 36),
		"DestVersion", version, "FirmwareUrl", up.Data.FirmwareUrl, "NeedToVerify", "false")
	return made.Data.FirmwareId, err
}

// batch makes a batch of a package for all devices, or finds the one that was made when
// the answer was lost.
func (c *cloud) batch(ctx context.Context, product, firmware string) (string, error) {
	var made struct{ Data struct{ JobId string } }
	err := c.ask(ctx, &made, "CreateOTAStaticUpgradeJob", "ProductKey", product, "FirmwareId", firmware, "TargetSelection", "ALL",
		"OverwriteMode", "2", "RetryInterval", "0", "RetryCount", strconv.Itoa(retries), "MaximumPerMinute", "60000")
	var refused *openapi.CallError
	if err == nil || errors.As(err, &refused) {
		return made.Data.JobId, err
	}
	var list struct {
		Data struct{ SimpleOTAJobInfo []struct{ JobId string } }
	}
	if err := c.insist(ctx, &list, "ListOTAJobByFirmware", "FirmwareId", firmware, "CurrentPage", "1", "PageSize", "1"); err != nil {
		return "", err
	}
	if len(list.Data.SimpleOTAJobInfo) == 0 {
		return "", errors.New("the cloud was away")
	}
	return list.Data.SimpleOTAJobInfo[0].JobId, nil
}
