package console_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server"
	"github.com/leapslot/ota/simulator/server/store"
)

// crowd is a cloud that has been at work for a while: devices in three versions, two batches of
// all of them, the first over and the second under way, and an audit log. The model makes
// it, so all of it could have happened.
type crowd struct {
	t       *testing.T
	cloud   *simulator.Cloud
	now     time.Time
	product simulator.Product
	group   simulator.Group
	devices []simulator.Device
	pack    simulator.Package // of the second batch
	diff    simulator.Package
	over    simulator.Job
	running simulator.Job
}

const crowdAccount = "acme"

// fill puts a crowd of so many devices into a server's folder, before the server opens it.
func fill(t *testing.T, dir string, devices int) *crowd {
	t.Helper()
	now := time.Now().Add(-3 * time.Hour)
	c := &crowd{t: t, cloud: simulator.New(simulator.Options{Random: rand.Reader, MaxPushRate: simulator.Unlimited}), now: now}
	c.things(devices)
	c.over = c.batch("2.0.0", func(n int) string {
		switch {
		case n%100 < 80:
			return "2.0.0"
		case n%100 < 98:
			return []string{"-1: not healthy", "-2: no route", "-3: digest", "-4: no space"}[n%4]
		}
		return ""
	})
	c.apply(simulator.CancelTasksByJob{Job: c.over.ID, Queued: true, Notified: true, InProgress: true})
	c.now = c.now.Add(time.Hour)
	c.running = c.batch("3.0.0", func(n int) string {
		switch {
		case n%100 < 20:
			return "3.0.0"
		case n%100 < 25:
			return fmt.Sprintf("-2: gave up at byte %d", n%7)
		}
		return ""
	})
	ch := c.cloud.Changes()
	for i := range devices {
		ch.Audit = append(ch.Audit, simulator.AuditEntry{
			At: simulator.At(now) + simulator.Stamp(i), Account: crowdAccount, Key: "user u" + fmt.Sprint(i%20), Action: "RegisterDevice",
			Object: "ProductKey=" + c.product.Key, From: "192.0.2.7", Request: fmt.Sprint(i), Result: simulator.AuditOK,
		})
	}
	st, err := store.OpenSQLite(context.Background(), dir+"/"+server.DatabaseFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Commit(context.Background(), ch); err != nil {
		t.Fatal(err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *crowd) apply(cmd simulator.Command) any {
	c.t.Helper()
	v, err := c.cloud.Apply(cmd, c.now)
	if err != nil {
		c.t.Fatal(err)
	}
	return v
}

func (c *crowd) happen(e simulator.Event) { c.cloud.Happen(e, c.now) }

// things makes what is there before any batch: 200 packages, 20 groups, and the devices, of
// which one in ten is offline and one in twenty has said nothing.
func (c *crowd) things(devices int) {
	c.product = c.apply(simulator.CreateProduct{Account: crowdAccount, Name: "lamp"}).(simulator.Product)
	for i := range 30 {
		c.apply(simulator.CreateProduct{Account: crowdAccount, Name: fmt.Sprintf("product %d", i)})
	}
	c.apply(simulator.CreateModule{Product: c.product.Key, Name: "driver", Alias: "driver"})
	names := make([]string, devices)
	for i := range names {
		names[i] = fmt.Sprintf("lamp-%06d", i)
	}
	c.devices = c.apply(simulator.RegisterDevices{Product: c.product.Key, Names: names}).([]simulator.Device)
	for i := range 20 {
		c.group = c.apply(simulator.CreateGroup{Account: crowdAccount, Name: fmt.Sprintf("group_%d", i)}).(simulator.Group)
	}
	members := make([]ota.Device, 0, devices/10)
	for i := range c.devices {
		d := c.devices[i].Device
		if i%10 == 0 {
			members = append(members, d)
		}
		if i%20 == 7 {
			continue
		}
		c.happen(simulator.Online{Device: d})
		c.happen(simulator.Informed{Device: d, Version: []string{"1.0.0", "1.0.0", "1.1.0"}[i%3]})
		if i%2 == 0 {
			c.happen(simulator.Informed{Device: d, Module: "driver", Version: "0.3"})
		}
		if i%10 == 3 {
			c.happen(simulator.Offline{Device: d})
		}
	}
	for part := range slices.Chunk(members, simulator.MaxGroupBatch) {
		c.apply(simulator.AddToGroup{Group: c.group.ID, Devices: part})
	}
	for i := range 200 {
		c.apply(c.image(fmt.Sprintf("0.%d", i), ""))
	}
	c.diff = c.apply(c.image("1.2.0", "1.1.0")).(simulator.Package)
}

func (c *crowd) image(version, source string) simulator.CreatePackage {
	return simulator.CreatePackage{
		Product: c.product.Key, Name: "fw-" + strings.ReplaceAll(version, ".", "-"), Version: version, Source: source, Diff: source != "", SignMethod: "Md5",
		Files: []simulator.File{{Name: "fw.bin", Key: "none", Size: 10, MD5: strings.Repeat("0", 32)}},
	}
}

// batch upgrades all devices to a version. how says what becomes of the nth of them that gets
// a notice: a version that it then reports, a failure, or nothing for now.
func (c *crowd) batch(version string, how func(n int) string) simulator.Job {
	c.pack = c.apply(c.image(version, "")).(simulator.Package)
	job := c.apply(simulator.CreateStaticJob{Package: c.pack.ID, Target: simulator.TargetAll, MaximumPerMinute: 50_000}).(simulator.Job)
	c.now = c.now.Add(time.Minute)
	for n := 0; ; c.now = c.now.Add(time.Second) {
		c.cloud.Tick(c.now)
		pushes := c.cloud.TakePushes()
		if len(pushes) == 0 {
			break
		}
		for i := range pushes {
			c.answer(pushes[i].Device, n, how)
			n++
		}
	}
	c.now = c.now.Add(40 * time.Minute)
	return job
}

func (c *crowd) answer(d ota.Device, n int, how func(n int) string) {
	if n%5 != 4 {
		c.happen(simulator.Progressed{Device: d, Step: 40})
	}
	switch end := how(n); {
	case strings.HasPrefix(end, "-"):
		c.happen(simulator.Progressed{Device: d, Step: -ota.Step(end[1] - '0'), Desc: end[4:]})
	case end != "":
		c.happen(simulator.Progressed{Device: d, Step: 100})
		c.happen(simulator.Informed{Device: d, Version: end})
	}
}
