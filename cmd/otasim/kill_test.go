package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/leapslot/ota"
)

// lamp is a device that remembers what was acknowledged to it.
type lamp struct {
	dev    ota.Device
	secret string
	acked  int // the last version 1.N whose report was acknowledged
	tried  int // the last one that was sent
	notice chan ota.Notice
	runs2  bool // it has installed 2.0, whether the cloud knows it or not
}

// connect signs the lamp in; nil when the server is gone.
func (l *lamp) connect(addr string) mqtt.Client {
	login, err := ota.Credentials{Device: l.dev, Secret: l.secret}.Login()
	if err != nil {
		return nil
	}
	c := mqtt.NewClient(mqtt.NewClientOptions().AddBroker("tcp://" + addr).SetProtocolVersion(4).
		SetClientID(login.ClientID).SetUsername(login.Username).SetPassword(login.Password).
		SetAutoReconnect(false).SetOrderMatters(false).SetWriteTimeout(5 * time.Second).SetConnectTimeout(5 * time.Second).
		SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) {
			if n, _, err := ota.DecodeNotice(m.Payload()); err == nil {
				select {
				case l.notice <- n:
				default:
				}
			}
		}))
	if tok := c.Connect(); !tok.WaitTimeout(5*time.Second) || tok.Error() != nil {
		return nil
	}
	return c
}

// report publishes a version and says whether it was acknowledged.
func (l *lamp) report(c mqtt.Client, version string) bool {
	tok := c.Publish(ota.TopicInform.Of(l.dev), 1, false, ota.Inform{ID: "1", Version: version}.Encode())
	return tok.WaitTimeout(5*time.Second) && tok.Error() == nil && c.IsConnected()
}

const (
	lamps = 8
	kills = 5
)

// TestF4KillNine kills the real server with -9 under load, again and again. Whatever it
// acknowledged, to users by an answer and to devices by a PUBACK, is there afterwards.
// TestF3 is its second half: notices that were due are sent.
func TestF4KillNine(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := serve(t, dir)
	defer func() { s.kill() }()
	var product struct{ ProductKey string }
	s.call("CreateProduct", &product, "ProductName", "lamp")
	all := make([]*lamp, lamps)
	for i := range all {
		all[i] = &lamp{dev: ota.Device{ProductKey: product.ProductKey, Name: fmt.Sprint("lamp-", i)}, notice: make(chan ota.Notice, 100)}
		all[i].secret = register(t, s, all[i].dev)
	}
	made := map[string]string{} // devices registered under load, with their secrets
	for round := range kills {
		load(s, all, made, round)
		s.kill()
		s = serve(t, dir)
		for _, l := range all {
			checkVersion(t, s, l)
		}
		for name, secret := range made {
			var d struct{ Data struct{ DeviceSecret string } }
			s.call("QueryDeviceDetail", &d, "ProductKey", product.ProductKey, "DeviceName", name)
			if d.Data.DeviceSecret != secret {
				t.Errorf("device %s has secret %s after the kill, was given %s", name, d.Data.DeviceSecret, secret)
			}
		}
	}
	reports := 0
	for _, l := range all {
		reports += l.acked
	}
	t.Logf("%d kills: %d registrations and %d reports were acknowledged and all are there", kills, len(made), reports)
	if len(made) == 0 || reports == 0 {
		t.Error("the load did nothing")
	}
	s = rollOut(t, s, dir, product.ProductKey, all)
}

// load registers devices and reports versions until the server is killed at a random
// moment.
func load(s *served, all []*lamp, made map[string]string, round int) {
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ; i++ {
			name := fmt.Sprintf("load-%d-%d", round, i)
			var a struct{ Data struct{ DeviceSecret string } }
			if s.try("RegisterDevice", &a, "ProductKey", all[0].dev.ProductKey, "DeviceName", name) != nil {
				return
			}
			made[name] = a.Data.DeviceSecret
		}
	})
	for _, l := range all {
		wg.Go(func() {
			c := l.connect(s.mqtt)
			if c == nil {
				return
			}
			defer c.Disconnect(0)
			for {
				l.tried++
				if !l.report(c, "1."+strconv.Itoa(l.tried)) {
					return
				}
				l.acked = l.tried
			}
		})
	}
	time.Sleep(100*time.Millisecond + rand.N(300*time.Millisecond))
	_ = s.cmd.Process.Kill()
	wg.Wait()
}

// checkVersion: what the lamp last got acknowledged is stored, or something that it sent
// after that.
func checkVersion(t *testing.T, s *served, l *lamp) {
	t.Helper()
	raw := json.RawMessage{}
	s.call("ListOTAModuleVersionsByDevice", &raw, "ProductKey", l.dev.ProductKey, "DeviceName", l.dev.Name, "CurrentPage", "1", "PageSize", "10")
	got := 0
	if _, rest, ok := strings.Cut(string(raw), `"ModuleVersion":"1.`); ok {
		end, _, _ := strings.Cut(rest, `"`)
		got, _ = strconv.Atoi(end)
	}
	if got < l.acked || got > l.tried {
		t.Errorf("%s: stored is 1.%d, acknowledged was 1.%d, sent 1.%d: %s", l.dev.Name, got, l.acked, l.tried, raw)
	}
	l.tried, l.acked = max(l.tried, got), max(l.acked, got)
}

// rollOut makes a batch and kills the server at random moments until every lamp has
// its notice and has reported success.
func rollOut(t *testing.T, s *served, dir, product string, all []*lamp) *served {
	fw := newFirmware(t, s, product)
	var job struct{ Data struct{ JobId string } }
	params := []string{"ProductKey", product, "FirmwareId", fw, "TargetSelection", "SPECIFIC"}
	for i, l := range all {
		params = append(params, "TargetDeviceName."+strconv.Itoa(i+1), l.dev.Name)
	}
	s.call("CreateOTAStaticUpgradeJob", &job, params...)
	done := map[*lamp]bool{}
	for round := 0; len(done) < len(all); round++ {
		if round > 30 {
			t.Fatalf("%d of %d lamps are done after %d rounds", len(done), len(all), round)
		}
		upgrade(s, all, done, round)
		s.kill()
		s = serve(t, dir)
	}
	var tasks struct{ Total int }
	s.call("ListOTATaskByJob", &tasks, "JobId", job.Data.JobId, "TaskStatus", "SUCCEEDED", "CurrentPage", "1", "PageSize", "100")
	if tasks.Total != len(all) {
		t.Errorf("%d tasks succeeded, %d lamps were told that their report is stored", tasks.Total, len(all))
	}
	return s
}

// upgrade has the lamps that are not done wait for their notice, report progress and
// the new version, while the server is killed at a random moment.
func upgrade(s *served, all []*lamp, done map[*lamp]bool, round int) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, l := range all {
		if done[l] {
			continue
		}
		wg.Go(func() {
			for len(l.notice) > 0 { // of the time before the kill
				<-l.notice
			}
			c := l.connect(s.mqtt)
			if c == nil {
				return
			}
			defer c.Disconnect(0)
			if !l.runs2 && !l.install(c) {
				return
			}
			if l.report(c, "2.0") { // again at each boot
				mu.Lock()
				defer mu.Unlock()
				done[l] = true
			}
		})
	}
	time.Sleep(rand.N(time.Duration(5+5*round) * time.Millisecond))
	if round < 10 {
		_ = s.cmd.Process.Kill()
	}
	wg.Wait()
}

// install waits for the notice and reports progress.
func (l *lamp) install(c mqtt.Client) bool {
	for end := time.Now().Add(3 * time.Second); len(l.notice) == 0; time.Sleep(time.Millisecond) {
		if !c.IsConnected() || time.Now().After(end) {
			return false
		}
	}
	tok := c.Publish(ota.TopicProgress.Of(l.dev), 1, false, ota.Progress{ID: "1", Step: 50}.Encode())
	l.runs2 = tok.WaitTimeout(3*time.Second) && tok.Error() == nil && c.IsConnected()
	return l.runs2
}
