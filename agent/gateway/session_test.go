package gateway

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leapslot/ota"
)

// A sub-device that is refused is tried rarely, and comes in when it was set right.
func TestLoginRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, lamp, bell)
		w.topo[lamp] = true
		w.code[lamp] = ota.GatewayDisabled
		g := w.start()
		w.settle(time.Hour)
		n := 0
		w.locked(func() { n = len(w.logins) })
		if n < 6 || n > 20 {
			t.Errorf("%d logins in an hour", n)
		}
		if st := g.Status(); st[0].Online || !strings.Contains(st[0].Problem, "522") || !st[1].Online {
			t.Errorf("status %+v", st)
		}
		w.locked(func() { w.code[lamp] = 0 })
		w.settle(MaxRefused)
		if !g.Status()[0].Online {
			t.Error("it is not logged in again")
		}
	})
}

// Two gateways that throw each other's sub-device off must not make a storm.
func TestThrownOutAgainAndAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, lamp)
		w.start()
		for range 3600 {
			w.settle(time.Second)
			if w.online(lamp) {
				w.throwOut(lamp, ota.GatewayReplaced)
			}
		}
		if n := len(w.got("lamp login")); n < 30 || n > 150 {
			t.Errorf("%d logins in an hour", n)
		}
	})
}

// The answer to a login is lost: it is asked for again.
func TestLoginIsNotAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, lamp)
		w.lost = 3
		g := w.start()
		w.settle(5 * time.Minute)
		if !g.Status()[0].Online {
			t.Errorf("status %+v", g.Status())
		}
	})
}

// N22: thrown out while it is updated, it is logged in again, and how the update
// ended is told then. The notice that the cloud sends at that login is not taken for
// a new one.
func TestN22OutcomeIsOwedOverASession(t *testing.T) {
	for name, fails := range map[string]bool{"done": false, "failed": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, lamp)
				w.install = func(_ context.Context, u Update) error {
					time.Sleep(10 * time.Minute)
					w.locked(func() { w.code[lamp] = ota.GatewayBusy }) // for a while
					w.throwOut(lamp, ota.GatewayReplaced)
					if fails {
						return errors.New("no")
					}
					w.mu.Lock()
					defer w.mu.Unlock()
					w.version[u.Device] = u.Version
					return nil
				}
				w.start()
				w.settle(time.Second)
				w.wants(lamp, nil)
				w.settle(20 * time.Minute)
				if s := w.state(lamp); s != "" {
					t.Fatalf("the task is %q before the sub-device is back", s)
				}
				w.locked(func() { w.code[lamp] = 0 })
				w.settle(10 * time.Minute)
				if n := len(w.installed()); n != 1 {
					t.Errorf("installed %d times", n)
				}
				if fails {
					w.wantFailed(lamp, ota.StepWriteFailed, "no")
				} else if s := w.state(lamp); s != "succeeded" || len(w.got("lamp progress 100")) != 1 {
					t.Errorf("the task is %q, the cloud got %q", s, w.got("lamp"))
				}
			})
		})
	}
}

// Messages are lost around the end of an update: it is told until the cloud knows.
func TestN22OutcomeIsToldUntilConfirmed(t *testing.T) {
	for lost := 1; lost <= 5; lost++ {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, lamp)
			w.start()
			w.settle(time.Second)
			w.locked(func() {
				w.install = func(_ context.Context, u Update) error {
					w.locked(func() { w.version[u.Device], w.deaf = u.Version, lost })
					return nil
				}
			})
			w.wants(lamp, nil)
			w.settle(10 * time.Minute)
			if s := w.state(lamp); s != "succeeded" || len(w.installed()) != 1 {
				t.Errorf("%d messages lost: the task is %q, the cloud got %q", lost, s, w.got("lamp"))
			}
		})
	}
}

// One at a time, in the order in which they were wanted; one that fails does not
// touch the other.
func TestOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, lamp, bell)
		busy := 0
		w.install = func(_ context.Context, u Update) error {
			if busy++; busy > 1 {
				t.Error("two at a time")
			}
			time.Sleep(time.Minute)
			busy--
			if u.Device == bell {
				return errors.New("no")
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			w.version[u.Device] = u.Version
			return nil
		}
		w.start()
		w.settle(time.Second)
		w.wants(bell, nil)
		w.settle(time.Millisecond)
		w.wants(lamp, nil)
		w.settle(30 * time.Second)
		w.throwOut(lamp, ota.GatewayReplaced) // sessions are seen to all the while
		w.settle(25 * time.Second)
		if !w.online(lamp) {
			t.Error("not logged in again while another one is updated")
		}
		w.settle(time.Hour)
		w.wantFailed(bell, ota.StepWriteFailed, "no")
		if s := w.state(lamp); s != "succeeded" {
			t.Errorf("the task is %q", s)
		}
		all := w.installed()
		if len(all) != 2 || all[0].Device != bell {
			t.Errorf("installed %+v", all)
		}
	})
}

// Many sub-devices come in few at a time, and each tells its version.
func TestManySubDevices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var devices []ota.Device
		for _, a := range "abcdefghij" {
			for _, b := range "0123456789" {
				devices = append(devices, ota.Device{ProductKey: "sub", Name: string(a) + string(b)})
			}
		}
		w := newWorld(t, devices...)
		g := w.start()
		w.settle(10 * time.Second)
		for _, st := range g.Status() {
			if !st.Online || st.Version != oldVersion || len(w.got(st.DeviceName+" inform")) != 1 {
				t.Fatalf("%+v", st)
			}
		}
	})
}

// A cloud that talks nonsense does no harm.
func TestNonsense(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, lamp)
		w.start()
		w.settle(time.Second)
		w.mu.Lock()
		for _, d := range []ota.Device{hub, lamp, bell, {}} {
			for _, kind := range []ota.TopicKind{ota.TopicUpgrade, ota.TopicGetReply, ota.TopicLoginReply, ota.TopicTopoAddReply, ota.TopicError, ota.TopicRequest} {
				for _, p := range []string{"", "{", "[]", "null", `{"id":"1","code":200,"data":{}}`, `{"code":521,"data":[{"productKey":"x","deviceName":"y"}]}`, `{"code":"1000","data":{"version":"3","size":-1}}`} {
					w.send(d, kind, []byte(p))
				}
			}
		}
		w.mu.Unlock()
		w.settle(10 * time.Minute)
		w.wants(lamp, nil)
		w.settle(time.Minute)
		if s := w.state(lamp); s != "succeeded" {
			t.Errorf("the task is %q", s)
		}
	})
}

func TestConfigIsChecked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, lamp)
		for name, edit := range map[string]func(c *Config){
			"no cloud":     func(c *Config) { c.Cloud = nil },
			"no name":      func(c *Config) { c.Gateway.Name = "" },
			"itself":       func(c *Config) { c.Gateway = lamp },
			"twice":        func(c *Config) { c.Devices = append(c.Devices, c.Devices[0]) },
			"no secret":    func(c *Config) { c.Devices[0].Secret = "" },
			"no installer": func(c *Config) { c.Devices[0].Install = nil },
			"no version":   func(c *Config) { c.Devices[0].Version = nil },
			"too many":     func(c *Config) { c.Devices = make([]Device, MaxDevices+1) },
			"negative":     func(c *Config) { c.Later = -1 },
		} {
			c := w.cfg
			c.Devices = slices.Clone(c.Devices)
			edit(&c)
			if _, err := New(c); err == nil {
				t.Errorf("%s: no error", name)
			}
		}
	})
}
