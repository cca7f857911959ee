package main

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/leapslot/ota/simulator/server/openapi"
)

// batchOverMQTT makes a batch as batch does, with the file to be fetched over MQTT.
func (c *town) batchOverMQTT(g *gateway, version string, pkg []byte, more ...string) (job string) {
	c.t.Helper()
	var form struct{ Data openapi.UploadForm }
	c.call(&form, "GenerateOTAUploadURL", "FileSuffix", "bin")
	if err := openapi.Upload(context.Background(), form.Data, bytes.NewReader(pkg), int64(len(pkg))); err != nil {
		c.t.Fatal(err)
	}
	var made struct{ Data struct{ FirmwareId string } }
	c.call(&made, "CreateOTAFirmware", append([]string{"ProductKey", c.product, "FirmwareName", g.name + "-" + strings.ReplaceAll(version, ".", "_"),
		"DestVersion", version, "FirmwareUrl", form.Data.FirmwareUrl, "SignMethod", "SHA256", "NeedToVerify", "false"}, more...)...)
	var task struct{ Data struct{ JobId string } }
	c.call(&task, "CreateOTAStaticUpgradeJob", "ProductKey", c.product, "FirmwareId", made.Data.FirmwareId,
		"TargetSelection", "SPECIFIC", "TargetDeviceName.1", g.name, "DownloadProtocol", "MQTT")
	return task.Data.JobId
}

// asks is where a device asks for blocks; it subscribes to almost the same once a
// connection.
const asks = "/thing/file/download"

// A full image and then a patch come over MQTT, through a connection that breaks
// and a process that is killed in the middle; not a byte comes over HTTP.
func TestEndToEndMQTT(t *testing.T) {
	t.Parallel()
	c := newTown(t, nil)
	way := newRelay(t, c.mqtt)
	g := c.newGateway("gw", nil, endSlot, way.url(), "")
	g.on()
	c.waitVersion(g, "1.0.0")
	image := noise("2", 3<<20)
	n := 0
	way.on(func(b []byte) verdict { // the relay's lock is held
		if n += bytes.Count(b, []byte(asks)); n >= 6 && n < 100 {
			n = 100 // once
			return lose
		}
		if n >= 106 && n < 1000 {
			n = 1000
			go g.kill()
		}
		return forward
	})
	job := c.batchOverMQTT(g, "2.0.0", image)
	c.wantEnd(job, "SUCCEEDED")
	g.wantRuns(c, "2.0.0", "b", image)
	if got := g.counts(); got.kills != 1 || got.reboots != 1 {
		t.Errorf("%+v, wanted are one kill and one reboot", got)
	}
	if opened, _ := way.counts(asks); opened < 3 {
		t.Errorf("%d connections: none was broken", opened)
	}
	next := bytes.Clone(image)
	copy(next[100_000:], noise("3", 30_000))
	job = c.batchOverMQTT(g, "3.0.0", patchOf(t, image, next), "Type", "1", "SrcVersion", "2.0.0")
	c.wantEnd(job, "SUCCEEDED")
	g.wantRuns(c, "3.0.0", "a", next)
	if s := c.road.seen(); len(s) != 0 {
		t.Errorf("over HTTP came %+v", s)
	}
}
