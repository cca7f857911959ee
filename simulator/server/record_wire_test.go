package server

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server/store"
)

// said gives what the history has of a device, the oldest first, a line for each entry.
func (c *cloud) said(d ota.Device) []string {
	c.t.Helper()
	list, _, err := c.history.Entries(c.t.Context(), store.EntryFilter{Device: d}, store.Page{Size: 1000})
	if err != nil {
		c.t.Fatal(err)
	}
	var out []string
	for i := len(list) - 1; i >= 0; i-- {
		e := &list[i]
		out = append(out, e.Kind.String()+" "+string(e.Payload))
	}
	return out
}

// wantSaid waits until the history of a device has these lines, in this order.
func (c *cloud) wantSaid(d ota.Device, want ...string) {
	c.t.Helper()
	var got []string
	for range 50 {
		got = c.said(d)
		left := want
		for _, line := range got {
			if len(left) > 0 && strings.HasPrefix(line, left[0]) {
				left = left[1:]
			}
		}
		if len(left) == 0 {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	c.t.Errorf("of %s there is\n%s\nwant, in this order,\n%s", d, strings.Join(got, "\n"), strings.Join(want, "\n"))
}

// unwritten looks for bytes that must be in no file of the history.
func (c *cloud) unwritten(secrets ...string) {
	c.t.Helper()
	files, err := filepath.Glob(filepath.Join(c.dir, HistoryFile) + "*")
	if err != nil || len(files) == 0 {
		c.t.Fatalf("%v, %v", files, err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			c.t.Fatal(err)
		}
		for _, s := range secrets {
			if bytes.Contains(b, []byte(s)) {
				c.t.Errorf("%s has %q in it", filepath.Base(f), s)
			}
		}
	}
}

// TestHistoryOfBlocks: a download over MQTT stands there request by request, without the
// file, and every message of a device comes in the order in which things came about.
func TestHistoryOfBlocks(t *testing.T) {
	c := open(t, t.TempDir()).run()
	defer c.stop()
	content := bytes.Repeat([]byte("BLOCKOFTHEFILE"), 100)
	c.overMQTT(content, "d1")
	d := c.connect("d1")
	_, s := d.stream()
	d.block(ota.BlockRequest{ID: "1", Stream: s, Offset: 0, Size: 1400, FileToken: "t0ken"})
	d.inform("1.0")
	d.progress(50)
	d.inform("2.0")
	d.off()
	c.wantSaid(d.dev, `task {"job":`, "connect ", `notice {"code":"1000"`, "block-ask ", `block {"code":200`, "inform ", "progress ",
		`task {"job":"j000000000002","status":"IN_PROGRESS"`, "inform ", `task {"job":"j000000000002","status":"SUCCEEDED"`, "disconnect goodbye")
	c.unwritten("BLOCKOFTHEFILE", "t0ken", c.do(simulator.FindDevice{Product: c.product, Name: "d1"}).(simulator.Device).Secret)
}

// TestHistoryOfGateways: a gateway's requests are there without the proofs of its
// sub-devices, and those have timelines of their own.
func TestHistoryOfGateways(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, t.TempDir()).run()
		p := newPlant(c, "s1")
		g := p.connectGateway("gw")
		p.good(p.ask(g, ota.TopicTopoAdd, "s1"))
		p.good(p.ask(g, ota.TopicLogin, "s1"))
		g.as(p.sub("s1")).inform("1.0")
		p.good(p.ask(g, ota.TopicLogout, "s1"))
		g.off()
		time.Sleep(time.Second)
		c.wantSaid(g.dev, "connect ", `gateway {"id":"5","version":"1.0","params"`, `gateway {"id":"5","code":200`, `gateway {"id":"5","params"`,
			`gateway {"id":"5","code":200`, `gateway {"id":"5","params"`, `gateway {"id":"5","code":200`, "disconnect goodbye")
		c.wantSaid(p.sub("s1"), `connect {"gateway":"gw"}`, "inform ", "disconnect left")
		login := ota.NewSubLogin(p.sub("s1"), c.do(simulator.FindDevice{Product: p.product, Name: "s1"}).(simulator.Device).Secret)
		c.stop()
		c.unwritten(login.Sign)
		if all := strings.Join(c.saidBy(t, g.dev), "\n"); !strings.Contains(all, `"sign":"•••"`) || strings.Contains(all, login.Sign) {
			t.Errorf("the gateway's requests: %s", all)
		}
	})
}

// saidBy is said, when the cloud has stopped.
func (c *cloud) saidBy(t *testing.T, d ota.Device) []string {
	t.Helper()
	h, _, err := store.OpenHistory(t.Context(), filepath.Join(c.dir, HistoryFile), store.HistoryLimits{Entries: 1000})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	return (&cloud{t: t, Server: &Server{history: h}}).said(d)
}

// TestHistoryOfRegistrations: that a device was given its secret is there, and the secret
// is not.
func TestHistoryOfRegistrations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, t.TempDir()).run()
		c.fill("d1")
		c.do(simulator.SetRules{Product: c.product, Rules: simulator.Rules{Registration: true}})
		got, err := newDoor(c).register("d1", false)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		c.wantSaid(got.Device, `register {"fresh":false}`)
		c.stop()
		c.unwritten(got.Secret)
	})
}

// TestHistorySurvives: what was recorded is there after the cloud was started again, and
// what is recorded then stands behind it.
func TestHistorySurvives(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir).run()
	c.fill("d1")
	d := c.connect("d1")
	d.inform("1.0")
	dev, product := d.dev, c.product
	d.off()
	c.stop()
	c = open(t, dir).run()
	defer c.stop()
	c.product = product
	d = c.connect("d1")
	d.inform("1.1")
	defer d.off()
	c.wantSaid(dev, "connect ", `inform {"id":"1","params":{"version":"1.0"`, "disconnect ", "connect ", `inform {"id":"1","params":{"version":"1.1"`)
}
