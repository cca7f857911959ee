package server

import (
	"encoding/hex"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/verify"
)

// These tests run the real server, SQLite and all, and the real paho client over
// net.Pipe in virtual time.

func TestP1P4NoticeWithoutSubscribe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, t.TempDir()).run()
		defer c.stop()
		p := c.fill("d1", "d2")
		d1 := c.connect("d1")
		defer d1.off()
		c.batch(p, func(b *simulator.CreateStaticJob) { b.Tags = []simulator.Tag{{Key: "k", Value: "v"}} })
		n := d1.notice() // online: at once
		if n.Version != "2.0" || n.Files[0].Size != 10 || n.Tags["k"] != "v" || n.UDI != `{"a":1}` {
			t.Errorf("notice %+v", n)
		}
		if u := n.Files[0].URL; len(u) > ota.MaxEmittedURLLen || !strings.HasPrefix(u, "http://cloud.test/p/") {
			t.Errorf("URL %s of %d characters", u, len(u))
		}
		time.Sleep(48 * time.Hour)
		d2 := c.connect("d2") // offline: when it comes online
		defer d2.off()
		d2.notice()
		d1.nothing()
		d2.nothing()
	})
}

func TestOnceWithSubscribe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, t.TempDir()).run()
		defer c.stop()
		p := c.fill("d1")
		d := c.connect("d1")
		defer d.off()
		d.await(d.Subscribe(ota.TopicUpgrade.Of(d.dev), 1, nil))
		d.await(d.Subscribe("/ota/device/upgrade/"+c.product+"/+", 1, nil))
		c.batch(p, nil)
		d.notice()
		d.nothing()
	})
}

func TestAgainAfterReconnectWithFreshURL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, t.TempDir()).run()
		defer c.stop()
		j := c.batch(c.fill("d1"), nil)
		d := c.connect("d1")
		first := d.notice()
		d.off()
		time.Sleep(time.Hour)
		d = c.connect("d1")
		if again := d.notice(); !again.Same(first) || again.Files[0].URL == first.Files[0].URL {
			t.Errorf("first %+v\nagain %+v\nwant the same package with another URL", first, again)
		}
		d.progress(10)
		d.off()
		d = c.connect("d1")
		d.notice() // upgrading and unfinished
		c.wantCounts(j, simulator.Counts{InProgress: 1})
		d.inform("2.0")
		d.off()
		d = c.connect("d1")
		defer d.off()
		d.nothing()
		c.wantCounts(j, simulator.Counts{Succeeded: 1})
	})
}

func TestP45SuccessByVersionReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, t.TempDir()).run()
		defer c.stop()
		p := c.fill("d1")
		d := c.connect("d1")
		defer d.off()
		d.inform("1.0")
		j := c.batch(p, nil)
		d.notice()
		for _, step := range []ota.Step{0, 50, 100} {
			d.progress(step)
		}
		c.wantCounts(j, simulator.Counts{InProgress: 1})
		d.inform("2.0")
		c.wantCounts(j, simulator.Counts{Succeeded: 1})
	})
}

func TestP49P50FailureCodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, t.TempDir()).run()
		defer c.stop()
		p := c.fill("d1", "d2", "d3", "d4")
		j := c.batch(p, func(b *simulator.CreateStaticJob) { b.RetryCount, b.RetryMinutes = 1, 10 })
		for i, name := range []string{"d1", "d2", "d3", "d4"} {
			step := ota.Step(-1 - i)
			d := c.connect(name)
			d.notice()
			d.progress(20)
			d.progress(step)
			d.nothing()
			time.Sleep(10 * time.Minute)
			d.notice() // tried again
			d.progress(step)
			d.nothing()
			d.off()
			if got := c.counts(j); got.Failed != i+1 {
				t.Errorf("%s reported %s twice: %+v", name, step, got)
			}
		}
	})
}

func TestP37TimeoutInVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, t.TempDir()).run()
		defer c.stop()
		p := c.fill("d1")
		d := c.connect("d1")
		defer d.off()
		j := c.batch(p, func(b *simulator.CreateStaticJob) { b.TimeoutMinutes, b.RetryCount = 90, 5 })
		d.notice()
		time.Sleep(24 * time.Hour)
		d.progress(1)
		time.Sleep(90*time.Minute - time.Second)
		c.wantCounts(j, simulator.Counts{InProgress: 1})
		time.Sleep(2 * time.Second)
		c.wantCounts(j, simulator.Counts{Failed: 1})
		time.Sleep(48 * time.Hour)
		d.nothing() // P51: never retried
	})
}

func TestP34RateInVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, t.TempDir()).run()
		defer c.stop()
		names := []string{"d1", "d2", "d3", "d4", "d5", "d6", "d7", "d8", "d9", "d10", "d11", "d12"}
		p := c.fill(names...)
		for _, n := range names {
			defer c.connect(n).off()
		}
		j := c.batch(p, func(b *simulator.CreateStaticJob) { b.MaximumPerMinute = 10 })
		time.Sleep(59 * time.Second)
		c.wantCounts(j, simulator.Counts{Queued: 2, Notified: 10})
		time.Sleep(13 * time.Second)
		c.wantCounts(j, simulator.Counts{Notified: 12})
	})
}

func TestAskingIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, t.TempDir()).run()
		defer c.stop()
		p := c.fill("d1")
		d := c.connect("d1")
		defer d.off()
		d.publish(ota.TopicGet, []byte(`{"id":2, "params":{}}`)) // as the C SDK writes it
		if m := <-d.got; m.topic != ota.TopicGetReply.Of(d.dev) || string(m.payload) != `{"id":"2","code":200,"data":{},"message":"success"}` {
			t.Errorf("on %s: %s", m.topic, m.payload)
		}
		c.batch(p, nil)
		d.notice()
		for _, ask := range []struct {
			kind, on ota.TopicKind
			payload  string
		}{
			{ota.TopicGet, ota.TopicGetReply, `{"id":"7","version":"1.0","params":{"module":"default"},"method":"thing.ota.firmware.get"}`},
			{ota.TopicRequest, ota.TopicRequest, `{"id":7,"params":{"version":"1.0"}}`},
		} {
			d.publish(ask.kind, []byte(ask.payload))
			m := <-d.got
			if n, _, err := ota.DecodeNotice(m.payload); err != nil || n.Version != "2.0" || m.topic != ask.on.Of(d.dev) {
				t.Errorf("%s was answered on %s with %s (%v)", ask.payload, m.topic, m.payload, err)
			}
		}
	})
}

func TestP7SignedNotice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, t.TempDir()).run()
		defer c.stop()
		p := c.fill("d1")
		pr := c.do(simulator.SetSecureUpgrade{Product: c.product, On: true}).(simulator.Product)
		d := c.connect("d1")
		defer d.off()
		j := c.batch(p, nil)
		n := d.notice()
		pub, err := verify.ParsePublicKey(pr.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		digest, err := hex.DecodeString(n.Files[0].Sign)
		if err != nil {
			t.Fatal(err)
		}
		if err := verify.VerifyDigestSign(pub, n.SignMethod, digest, n.DigestSign); err != nil {
			t.Error(err)
		}
		// Off and on again: the key is the same, devices have it burnt in.
		c.do(simulator.SetSecureUpgrade{Product: c.product})
		c.do(simulator.CancelTasksByJob{Job: j.ID, Notified: true})
		c.batch(p, nil)
		if n := d.notice(); n.DigestSign != "" {
			t.Error("a signature with secure upgrade off")
		}
		again := c.do(simulator.SetSecureUpgrade{Product: c.product, On: true}).(simulator.Product)
		if string(again.PublicKey) != string(pr.PublicKey) {
			t.Error("the product's key pair changed")
		}
	})
}

// TestF3CrashBetweenSaveAndSend: the server dies when the notice is stored as sent and
// was not. The next one sends it.
func TestF3CrashBetweenSaveAndSend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		c := open(t, dir)
		c.sender.broker = deaf{} // what is sent is lost
		c.run()
		p := c.fill("d1")
		d := c.connect("d1")
		synctest.Wait() // the device has its CONNACK before the engine knows of it
		j := c.batch(p, nil)
		c.wantCounts(j, simulator.Counts{Notified: 1})
		d.nothing()
		product := c.product
		c.stop()

		c = open(t, dir).run()
		defer c.stop()
		c.product = product
		c.wantCounts(j, simulator.Counts{Notified: 1})
		d = c.connect("d1")
		defer d.off()
		d.notice()
		d.inform("2.0")
		c.wantCounts(j, simulator.Counts{Succeeded: 1})
	})
}

// deaf is a broker that loses everything.
type deaf struct{}

func (deaf) Push(ota.Device, ota.TopicKind, []byte) error { return nil }

func TestSetDeviceDisabledKicks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, t.TempDir()).run()
		defer c.stop()
		c.fill("d1")
		d := c.connect("d1")
		defer d.off()
		c.do(simulator.SetDeviceDisabled{Product: c.product, Name: "d1", Disabled: true})
		synctest.Wait()
		if d.IsConnected() {
			t.Error("a disabled device is still connected")
		}
		if got := c.do(simulator.FindDevice{Product: c.product, Name: "d1"}).(simulator.Device); got.Status() != "DISABLE" {
			t.Errorf("status %s", got.Status())
		}
	})
}

// TestF7BrokenDevice: 1,000 bad and useless messages from one device at once. Another
// one is served meanwhile, and what cannot be read is dropped.
func TestF7BrokenDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, t.TempDir()).run()
		defer c.stop()
		p := c.fill("bad", "good")
		bad, good := c.connect("bad"), c.connect("good")
		defer bad.off()
		defer good.off()
		flooded := make(chan time.Duration)
		start := time.Now()
		go func() {
			payloads := []string{"", "{", "null", "[]", `{"params":{}}`, `{"id":1,"params":{"step":"101"}}`, strings.Repeat("[", 5000), "\x00\xff", `{"id":1,"params":{"step":"5"}}`}
			for i := range 1000 {
				tok := bad.Publish([]ota.TopicKind{ota.TopicProgress, ota.TopicInform, ota.TopicGet, ota.TopicRequest, ota.TopicDownload}[i%5].Of(bad.dev), 1, false, payloads[i%len(payloads)])
				tok.Wait()
			}
			flooded <- time.Since(start)
		}()
		j := c.batch(p, nil)
		good.notice()
		good.progress(50)
		good.inform("2.0")
		if took := time.Since(start); took > time.Second {
			t.Errorf("the good device needed %v beside the bad one", took)
		}
		if took := <-flooded; took < 10*time.Second {
			t.Errorf("1,000 messages of one device were taken in %v", took)
		}
		if got := c.counts(j); got.Succeeded != 1 || got.Total() != 2 {
			t.Errorf("counts %+v", got)
		}
	})
}
