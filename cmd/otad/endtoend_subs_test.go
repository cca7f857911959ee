package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/leapslot/ota"
)

// newSub registers a device of the product c.product and gives the configuration that
// makes otad play it: install is a script that is given the file of the package.
func (c *town) newSub(g *gateway, name, install string) string {
	c.t.Helper()
	var made struct{ Data struct{ DeviceSecret string } }
	c.call(&made, "RegisterDevice", "ProductKey", c.product, "DeviceName", name)
	mustWrite(c.t, g.path(name+".secret"), []byte(made.Data.DeviceSecret+"\n"))
	mustWrite(c.t, g.path(name+".version"), []byte("1.0.0\n"))
	return fmt.Sprintf(`
[[gateway.device]]
product_key = %q
device_name = %q
device_secret_file = %q
version_command = ["cat", %q]
install = ["/bin/sh", "-e", "-c", %q, "install"]
timeout = "2s"
`, c.product, name, g.path(name+".secret"), g.path(name+".version"), install)
}

// A gateway updates itself and two sub-devices of another product. W9 and W4: it is
// killed in the download for one of them and goes on from there. W6: the command of
// the other one hangs, and is reported.
func TestSubDevices(t *testing.T) {
	t.Parallel()
	c := newTown(t, nil)
	g := c.newGateway("gw", nil, endSlot, "mqtt://"+c.mqtt, "")
	hubs := c.product
	var made struct{ ProductKey string }
	c.call(&made, "CreateProduct", "ProductName", "lamp", "NodeType", "0")
	c.product = made.ProductKey
	into := g.path("lamp.image")
	g.configure(c.newSub(g, "lamp", `cp "$1" "`+into+`"; echo "$OTAD_VERSION" > "`+g.path("lamp.version")+`"`) + c.newSub(g, "bell", "sleep 600"))
	g.on()
	for _, name := range []string{"lamp", "bell"} {
		within(t, slowest, "the cloud has the version of "+name, func() bool { return c.version(name) == "1.0.0" })
	}
	image := noise("lamp", 8<<20)
	c.road.slow(2 << 20)
	lamp := c.batch(&gateway{name: "lamp"}, "2.0.0", image)
	c.waitDownload()
	within(t, slowest, "the cloud knows how far it is", func() bool {
		p := c.task(lamp).Progress
		return strings.HasPrefix(p, "3") || strings.HasPrefix(p, "4") || strings.HasPrefix(p, "5")
	})
	g.kill()
	c.road.slow(0)
	c.wantEnd(lamp, "SUCCEEDED")
	if b, err := os.ReadFile(into); err != nil || !bytes.Equal(b, image) {
		t.Errorf("the lamp was given %d bytes, %v", len(b), err)
	}
	if s := c.road.seen(); len(s) != 2 || s[1].start < 1<<20 {
		t.Errorf("the downloads were %+v: the second one must go on", s)
	}
	bell := c.batch(&gateway{name: "bell"}, "3.0.0", image[:1<<20])
	if end := c.wantEnd(bell, "FAILED"); !strings.Contains(end.TaskDesc, "not done within 2s") {
		t.Errorf("the cloud was told %+v", end)
	}
	if v := c.version("bell"); v != "1.0.0" {
		t.Errorf("the bell is %s", v)
	}
	s := g.shown()
	if len(s.SubDevices) != 2 || s.SubDevices[0].Version != "2.0.0" || !s.SubDevices[1].Online || s.SubDevices[1].Last.Step != ota.StepWriteFailed {
		t.Errorf("status %+v", s.SubDevices)
	}
	var text strings.Builder
	if err := s.print(&text); err != nil || !strings.Contains(text.String(), "/bell 1.0.0: 3.0.0: ") || !strings.Contains(text.String(), "1 of 2 logged in and up to date") {
		t.Errorf("people are told (%v)\n%s", err, text.String())
	}
	c.product = hubs
	self := noise("2", 1<<20)
	c.wantEnd(c.batch(g, "2.0.0", self), "SUCCEEDED")
	g.wantRuns(c, "2.0.0", "b", self)
}

// shown is what `otad status` says.
func (g *gateway) shown() (s apiStatus) {
	g.t.Helper()
	out, err := exec.Command("otad", "status", "-o", "json", "-c", g.file).Output()
	if err == nil {
		err = json.Unmarshal(out, &s)
	}
	if err != nil {
		g.t.Errorf("otad status: %v: %s", err, out)
	}
	return s
}
