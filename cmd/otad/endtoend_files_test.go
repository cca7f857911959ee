package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/leapslot/ota/simulator/server/openapi"
)

// batchOfFiles makes a package of several files for the module "app" and a batch
// of it for one device.
func (c *town) batchOfFiles(g *gateway, version string, names []string, files map[string][]byte) (job string) {
	c.t.Helper()
	params := []string{"ProductKey", c.product, "FirmwareName", "app-" + strings.ReplaceAll(version, ".", "_"), "ModuleName", "app",
		"DestVersion", version, "SignMethod", "SHA256", "NeedToVerify", "false"}
	for i, name := range names {
		var form struct{ Data openapi.UploadForm }
		c.call(&form, "GenerateOTAUploadURL", "FileSuffix", "bin")
		b := files[name]
		if err := openapi.Upload(context.Background(), form.Data, bytes.NewReader(b), int64(len(b))); err != nil {
			c.t.Fatal(err)
		}
		at := fmt.Sprintf("MultiFiles.%d.", i+1)
		params = append(params, at+"Name", name, at+"Url", form.Data.FirmwareUrl, at+"Size", fmt.Sprint(len(b)))
	}
	var made struct{ Data struct{ FirmwareId string } }
	c.call(&made, "CreateOTAFirmware", params...)
	var task struct{ Data struct{ JobId string } }
	c.call(&task, "CreateOTAStaticUpgradeJob", "ProductKey", c.product, "FirmwareId", made.Data.FirmwareId,
		"TargetSelection", "SPECIFIC", "TargetDeviceName.1", g.name)
	return task.Data.JobId
}

// moduleVersion is what the cloud has of a module of the device.
func (c *town) moduleVersion(g *gateway, module string) string {
	c.t.Helper()
	var list struct {
		Data struct {
			SimpleOTAModuleInfo []struct{ ModuleName, ModuleVersion string }
		}
	}
	c.call(&list, "ListOTAModuleVersionsByDevice", "ProductKey", c.product, "DeviceName", g.name, "CurrentPage", "1", "PageSize", "10")
	for _, m := range list.Data.SimpleOTAModuleInfo {
		if m.ModuleName == module {
			return m.ModuleVersion
		}
	}
	return ""
}

// wantFiles wants the current release to be these files and no others.
func (g *gateway) wantFiles(files map[string][]byte) {
	g.t.Helper()
	entries, err := os.ReadDir(g.path("app/current") + "/")
	if err != nil || len(entries) != len(files) {
		g.t.Errorf("%d files are there, wanted %d (%v)", len(entries), len(files), err)
	}
	for name, b := range files {
		if got, err := os.ReadFile(g.path("app/current/" + name)); err != nil || !bytes.Equal(got, b) {
			g.t.Errorf("%s is not as it was uploaded (%v)", name, err)
		}
	}
}

// A package of several files, all or none (I7): installed; killed in the middle and
// installed all the same; and one that its command finds sick, which is left again.
func TestEndToEndSeveralFiles(t *testing.T) {
	t.Parallel()
	c := newTown(t, nil)
	g := c.newGateway("gw", nil, endSlot, "mqtt://"+c.mqtt, "")
	g.configure(fmt.Sprintf("[[module]]\nname = \"app\"\ninstaller = \"files\"\ndir = %q\nversion = \"0\"\nrestart = [\"sh\", \"-c\", %q]\n",
		g.path("app"), `echo "$OTAD_MODULE $OTAD_VERSION" >> `+g.path("restarts")+`; ! grep -q SICK "$OTAD_DIR"/current/*`))
	var none struct{}
	c.call(&none, "CreateOTAModule", "ProductKey", c.product, "ModuleName", "app", "AliasName", "application")
	g.on()
	c.waitVersion(g, "1.0.0")
	within(t, slowest, "the module is reported", func() bool { return c.moduleVersion(g, "app") == "0" })

	first := map[string][]byte{"app.bin": noise("a", 700_000), "data.bin": noise("b", 300_000), "more.bin": noise("c", 5)}
	job := c.batchOfFiles(g, "1.1", []string{"app.bin", "data.bin", "more.bin"}, first)
	c.wantEnd(job, "SUCCEEDED")
	g.wantFiles(first)

	second := map[string][]byte{"app.bin": noise("d", 3<<20), "data.bin": noise("e", 3<<20)}
	c.road.slow(2 << 20)
	g.killAt("update begins", 1)
	job = c.batchOfFiles(g, "1.2", []string{"app.bin", "data.bin"}, second)
	within(t, slowest, "killed", func() bool { return g.counts().kills == 1 })
	g.wantFiles(first)
	c.road.slow(0)
	c.wantEnd(job, "SUCCEEDED")
	g.wantFiles(second)

	job = c.batchOfFiles(g, "1.3", []string{"app.bin", "data.bin"}, map[string][]byte{"app.bin": noise("f", 1000), "data.bin": []byte("SICK")})
	if task := c.wantEnd(job, "FAILED"); !strings.Contains(task.TaskDesc, "does not work with the new files") {
		t.Errorf("the cloud shows %+v", task)
	}
	g.wantFiles(second)
	within(t, slowest, "the old version is reported", func() bool { return c.moduleVersion(g, "app") == "1.2" })
	restarts, err := os.ReadFile(g.path("restarts"))
	if want := "app 1.1\napp 1.2\napp 1.3\napp 1.2\n"; err != nil || string(restarts) != want {
		t.Errorf("restarted: %q, %v; wanted %q", restarts, err, want)
	}
	if n := g.counts(); n.reboots != 0 {
		t.Errorf("%d reboots", n.reboots)
	}
}
