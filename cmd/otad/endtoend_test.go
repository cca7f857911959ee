package main

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/leapslot/ota/agent"
)

const (
	endSlot  = 8 << 20
	stopTime = 5 * time.Second // that a stop may take
)

// waitVersion waits until the cloud has a version of the device.
func (c *town) waitVersion(g *gateway, version string) {
	c.t.Helper()
	within(c.t, slowest, "the cloud has version "+version+" of "+g.name, func() bool { return c.version(g.name) == version })
}

// waitDownload waits until a byte of the only download so far has come.
func (c *town) waitDownload() {
	c.t.Helper()
	within(c.t, slowest, "the download has begun", func() bool {
		s := c.road.seen()
		return len(s) == 1 && s[0].sent > 0
	})
}

// N25: without a broker at boot the agent stays up, and reports its version when
// the broker appears.
func TestN25BrokerAbsentAtBoot(t *testing.T) {
	t.Parallel()
	c := newTown(t, nil)
	g := c.newGateway("gw", nil, endSlot, "mqtt://"+c.mqtt, "")
	c.stop()
	g.on()
	within(t, slowest, "an attempt has failed", func() bool { return g.logged("no connection to the cloud") })
	if s, ok := g.status(); !ok || s.Online || s.Stage != agent.Idle {
		t.Errorf("without a broker: %+v, answered %v", s, ok)
	}
	c.open()
	c.waitVersion(g, "1.0.0")
	if n := g.counts(); n.boots != 1 {
		t.Errorf("otad was started %d times, wanted is once", n.boots)
	}
}

// N22: the broker is away while the update is installed, and when it is back the
// connection breaks with the report in it. The cloud says SUCCEEDED when it has
// the report, and not before.
func TestN22ReportLost(t *testing.T) {
	t.Parallel()
	c := newTown(t, nil)
	way := newRelay(t, c.mqtt)
	g := c.newGateway("gw", nil, endSlot, way.url(), "[health]\ncloud = false\n")
	g.on()
	c.waitVersion(g, "1.0.0")
	image := noise("2", 1<<20)
	c.road.slow(256 << 10)
	job := c.batch(g, "2.0.0", image)
	c.waitDownload()
	within(t, slowest, "the cloud knows", func() bool { return c.task(job).TaskStatus == "IN_PROGRESS" })
	way.cut()
	c.road.slow(0)
	within(t, slowest, "installed, with a report owed", func() bool {
		s, ok := g.status()
		return ok && s.Stage == agent.Idle && s.Version == "2.0.0" && s.Owed >= 2
	})
	if s := c.task(job); s.TaskStatus != "IN_PROGRESS" || c.version("gw") != "1.0.0" {
		t.Errorf("before the report arrived the cloud shows %+v and version %s", s, c.version("gw"))
	}
	judge, sent := first(lose, `"step":"100"`)
	way.on(judge)
	way.heal()
	within(t, slowest, "the report is sent and lost", func() bool { return sent() == 1 })
	if s := c.task(job); s.TaskStatus != "IN_PROGRESS" {
		t.Errorf("the report was lost and the cloud shows %+v", s)
	}
	if s, ok := g.status(); !ok || s.Owed < 2 {
		t.Errorf("the report was lost and the device owes %d messages (answered %v)", s.Owed, ok)
	}
	c.wantEnd(job, "SUCCEEDED")
	g.wantRuns(c, "2.0.0", "b", image)
	if n := g.counts(); sent() != 2 || n.boots != 2 || len(c.road.seen()) != 1 {
		t.Errorf("%d reports, %d starts, %d downloads; wanted are 2, 2, 1", sent(), n.boots, len(c.road.seen()))
	}
}

// N22: the cloud has the report, and the device never hears so: it is sent again
// and changes nothing.
func TestN22AcknowledgementLost(t *testing.T) {
	t.Parallel()
	c := newTown(t, nil)
	way := newRelay(t, c.mqtt)
	g := c.newGateway("gw", nil, endSlot, way.url(), "")
	g.on()
	c.waitVersion(g, "1.0.0")
	judge, sent := first(mute, `"step":"100"`)
	way.on(judge)
	image := noise("2", 1<<20)
	job := c.batch(g, "2.0.0", image)
	c.wantEnd(job, "SUCCEEDED")
	g.wantRuns(c, "2.0.0", "b", image)
	if s := c.task(job); s.TaskStatus != "SUCCEEDED" || sent() != 2 {
		t.Errorf("after %d reports the cloud shows %+v", sent(), s)
	}
}

// N23: the notice comes a second time while its package is being fetched.
func TestN23SameNoticeTwice(t *testing.T) {
	t.Parallel()
	c := newTown(t, nil)
	way := newRelay(t, c.mqtt)
	g := c.newGateway("gw", nil, endSlot, way.url(), "")
	g.on()
	c.waitVersion(g, "1.0.0")
	image := noise("2", 1<<20)
	c.road.slow(64 << 10)
	job := c.batch(g, "2.0.0", image)
	c.waitDownload()
	way.shake()
	const topic = "/ota/device/upgrade/"
	within(t, slowest, "the notice comes again", func() bool { _, notices := way.counts(topic); return notices == 2 })
	if s := c.road.seen(); s[0].sent == int64(len(image)) {
		t.Fatalf("the download was over before the notice came again: %+v", s)
	}
	c.road.slow(0)
	c.wantEnd(job, "SUCCEEDED")
	g.wantRuns(c, "2.0.0", "b", image)
	time.Sleep(300 * time.Millisecond) // for a second installation to begin, if there were one
	g.wantRuns(c, "2.0.0", "b", image)
	s := c.road.seen()
	if n := g.counts(); len(s) != 1 || s[0].start != 0 || s[0].sent != int64(len(image)) || n.reboots != 1 {
		t.Errorf("downloads %+v and %d reboots, wanted is one of each", s, n.reboots)
	}
}

// W11: stopped in the download by its supervisor, the agent ends cleanly and in
// time, and goes on at the next start.
func TestW11StoppedInDownload(t *testing.T) {
	t.Parallel()
	c := newTown(t, nil)
	g := c.newGateway("gw", nil, endSlot, "mqtt://"+c.mqtt, "")
	g.on()
	c.waitVersion(g, "1.0.0")
	image := noise("2", 6<<20)
	c.road.slow(1 << 20)
	job := c.batch(g, "2.0.0", image)
	for i, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		before := g.record().Update.Mark.In
		within(t, slowest, "a checkpoint", func() bool { return g.record().Update.Mark.In > before })
		code, took := g.end(sig)
		if code != exitOK || took > stopTime {
			t.Errorf("%v: exit code %d after %v, wanted is 0 within %v", sig, code, took, stopTime)
		}
		r := g.record()
		if r.Update.Stage != "fetch" {
			t.Fatalf("stopped at the stage %q, not in the download", r.Update.Stage)
		}
		g.on()
		within(t, slowest, "the download goes on", func() bool { return len(c.road.seen()) == i+2 })
		s := c.road.seen()[i+1]
		if s.start != r.Update.Mark.In || s.start == 0 {
			t.Errorf("%v: goes on at byte %d, the last checkpoint is %d", sig, s.start, r.Update.Mark.In)
		}
		t.Logf("%v: ended after %v, goes on at byte %d", sig, took.Round(time.Millisecond), s.start)
	}
	c.road.slow(0)
	c.wantEnd(job, "SUCCEEDED")
	g.wantRuns(c, "2.0.0", "b", image)
}

// trusting makes a device that wants packages to be signed with a key.
func (c *town) trusting(name string, key []byte) *gateway {
	c.t.Helper()
	dir := c.t.TempDir()
	mustWrite(c.t, dir+"/product.pem", key)
	g := c.newGateway(name, nil, endSlot, "mqtt://"+c.mqtt, fmt.Sprintf("[trust]\nkeys = %q\nrequire = \"digestsign\"\n", dir))
	g.on()
	c.waitVersion(g, "1.0.0")
	return g
}
