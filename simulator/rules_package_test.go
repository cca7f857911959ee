package simulator

import (
	"fmt"
	"strings"
	"testing"

	"github.com/leapslot/ota"
)

func TestP2PackagesOfAnAccount(t *testing.T) {
	w := newWorld(t, 0)
	for i := range MaxPackages {
		w.pkg(fmt.Sprint("p", i))
	}
	w.refused(w.full("another"), Limit, "Name", "at most 500")
	other := w.do(CreateProduct{Account: "you", Name: "lamp"}).(Product)
	cmd := w.full("another")
	cmd.Product = other.Key
	w.do(cmd) // another account has its own 500
}

func TestP3PackageFiles(t *testing.T) {
	w := newWorld(t, 0)
	for i, s := range []string{".bin", ".tar", ".gz", ".tar.gz", ".zip", ".gzip", ".BIN"} {
		cmd := w.full(fmt.Sprint("good", i))
		cmd.Files[0].Name = "fw" + s
		w.do(cmd)
	}
	for _, name := range []string{"fw.apk", "fw", ".bin", "", "fw.bin/..", "../fw.bin", "fw.bin\x00"} {
		cmd := w.full("bad")
		cmd.Files[0].Name = name
		w.refused(cmd, Invalid, "Files", "package file")
	}
	for _, size := range []int64{0, -1, MaxFileSize + 1} {
		cmd := w.full("bad")
		cmd.Files[0].Size = size
		w.refused(cmd, Invalid, "Files", "1,000 MB")
	}
	cmd := w.full("biggest")
	cmd.Files[0].Size = MaxFileSize
	w.do(cmd)
}

func TestP5PackageOfOneProduct(t *testing.T) {
	w := newWorld(t, 1)
	other := w.do(CreateProduct{Account: "me", Name: "switch"}).(Product)
	w.do(RegisterDevices{Product: other.Key, Names: []string{"x1"}})
	p := w.pkg("p")
	w.refused(CreateStaticJob{Package: p.ID, Target: TargetSpecific, Devices: []string{"x1"}}, NotFound, "Devices", "x1")
	if j := w.batch(p, nil); j.Counts.Total() != 1 {
		t.Errorf("%d tasks, want 1: the other product's devices are no concern of it", j.Counts.Total())
	}
}

func TestP8DefaultModule(t *testing.T) {
	w := newWorld(t, 1)
	mods := w.do(FindModules{w.product}).([]Module)
	if len(mods) != 1 || mods[0].Name != ota.DefaultModule {
		t.Fatalf("modules %v", mods)
	}
	if p := w.pkg("p"); p.Module != ota.DefaultModule {
		t.Errorf("package's module %q", p.Module)
	}
	cmd := w.full("q")
	cmd.Module = "MCU"
	w.refused(cmd, NotFound, "Module", "MCU")
	w.do(CreateModule{Product: w.product, Name: "MCU"})
	p := w.do(cmd).(Package)
	w.online("d1")
	w.batch(p, nil)
	w.inform("d1", "2.0") // of the default module
	w.wantTask("d1", Notified, PhaseNotified, 1)
	w.happen(Informed{w.dev("d1"), "MCU", "2.0"})
	if len(w.cloud.findDevice(w.dev("d1")).active) != 0 {
		t.Error("the report of the MCU's target version did not end the task")
	}
}

func TestP9ModuleName(t *testing.T) {
	w := newWorld(t, 0)
	w.do(CreateModule{Product: w.product, Name: "A.b_c-9"})
	w.refused(CreateModule{Product: w.product, Name: "A.b_c-9"}, Exists, "Name", "already")
	w.refused(CreateModule{Product: w.product, Name: "default"}, Exists, "Name", "already")
	w.refused(CreateModule{Product: w.product}, Missing, "Name", "needs")
	for _, s := range []string{"a b", "模块", strings.Repeat("a", 65)} {
		w.refused(CreateModule{Product: w.product, Name: s}, Invalid, "Name", "module")
	}
	w.do(CreateModule{Product: w.product, Name: strings.Repeat("a", 64)})
	other := w.do(CreateProduct{Account: "me", Name: "b"}).(Product)
	w.do(CreateModule{Product: other.Key, Name: "A.b_c-9"}) // unique in its product only
}

func TestP10P11AliasAndDescription(t *testing.T) {
	w := newWorld(t, 0)
	w.do(CreateModule{Product: w.product, Name: "m1", Alias: "abcd", Desc: strings.Repeat("描", 100)})
	w.refused(CreateModule{Product: w.product, Name: "m2", Alias: "abc"}, Invalid, "Alias", "4")
	w.refused(CreateModule{Product: w.product, Name: "m2", Desc: strings.Repeat("描", 101)}, Invalid, "Desc", "100")
}

func TestP12P14Versions(t *testing.T) {
	w := newWorld(t, 0)
	for _, tc := range []struct {
		diff            bool
		source, version string
		code            Code
		field           string
	}{
		{false, "", "", Missing, "Version"},
		{false, "", "1 0", Invalid, "Version"},
		{false, "", strings.Repeat("1", 65), Invalid, "Version"},
		{false, "1.0", "2.0", Invalid, "Source"},
		{true, "", "2.0", Missing, "Source"},
		{true, "2.0", "2.0", Invalid, "Source"},
		{true, "ä", "2.0", Invalid, "Source"},
	} {
		cmd := w.full("p")
		cmd.Diff, cmd.Source, cmd.Version = tc.diff, tc.source, tc.version
		w.refused(cmd, tc.code, tc.field, "")
	}
	cmd := w.full("p")
	cmd.Diff, cmd.Source, cmd.Version = true, "1.0", strings.Repeat("2", 64)
	w.do(cmd)
}

func TestP13PackageName(t *testing.T) {
	for _, s := range []string{"a", "9", "固件", "ファーム", "ひらがな", "漢字カナkana-_()1", "エー", strings.Repeat("包", 40)} {
		if err := CheckPackageName(s); err != nil {
			t.Errorf("%q: %v", s, err)
		}
	}
	for _, s := range []string{"", "-a", "(a", "_", "a b", "a.b", "ä", "펌웨어", "a\x00", "a\xff", strings.Repeat("包", 41)} {
		if CheckPackageName(s) == nil {
			t.Errorf("%q was accepted", s)
		}
	}
	w := newWorld(t, 0)
	w.pkg("firmware")
	w.refused(w.full("firmware"), Exists, "Name", "already")
	w.refused(w.full("-"), Invalid, "Name", "begins")
	w.refused(w.full(""), Missing, "Name", "needs")
}

func TestP15SignMethod(t *testing.T) {
	w := newWorld(t, 0)
	cmd := w.full("sha")
	cmd.SignMethod = ota.SHA256
	w.do(cmd)
	cmd = w.full("crc")
	cmd.SignMethod = "CRC32"
	w.refused(cmd, Invalid, "SignMethod", "SHA256")
	cmd = w.full("none")
	cmd.Files[0].MD5 = ""
	w.refused(cmd, Invalid, "Files", "MD5")
}

func TestP16Description(t *testing.T) {
	w := newWorld(t, 0)
	cmd := w.full("p")
	cmd.Desc = strings.Repeat("述", 101)
	w.refused(cmd, Invalid, "Desc", "100")
	cmd.Desc = strings.Repeat("述", 100)
	w.do(cmd)
}
