package console_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/leapslot/ota/simulator"
)

// TestPackageForm is P2, P3, P5 and P12 to P16, with a file each time; one that was sent
// need not be sent again.
func TestPackageForm(t *testing.T) {
	w := serve(t)
	x := w.things("acme", 1)
	b := w.as("operator", "acme")
	good := func(more ...string) []string {
		base := map[string]string{"Product": x.product.Key, "Module": "default", "Name": "固件_1", "Version": "3.0", "Diff": "0", "SignMethod": "SHA256"}
		for i := 0; i < len(more); i += 2 {
			base[more[i]] = more[i+1]
		}
		var out []string
		for k, v := range base {
			out = append(out, k, v)
		}
		return out
	}
	if a := b.send("packages/new", "Files", "fw.exe", []byte("firmware"), good()...); a.status != http.StatusUnprocessableEntity || !a.says("a package file ends in .bin") {
		t.Errorf("P3: %d %s", a.status, a.text())
	}
	for _, tc := range []rule{
		{"P5", "Product", good("Product", "a1nothing"), "there is no product"},
		{"P12 no source", "Source", good("Diff", "1"), "a diff package needs a source version"},
		{"P12 the same version", "Source", good("Diff", "1", "Source", "3.0"), "source and target version are both 3.0"},
		{"P13", "Name", good("Name", "(x)"), "a package's name begins with"},
		{"P13 too long", "Name", good("Name", strings.Repeat("长", 41)), "1 to 40 characters"},
		{"P13 empty", "Name", good("Name", ""), "a package needs a name"},
		{"P13 taken", "Name", good("Name", "fw-acme"), "there is a package named"},
		{"P14", "Version", good("Version", "v 1"), "version"},
		{"P14 empty", "Version", good("Version", ""), "a package needs a version"},
		{"P15", "SignMethod", good("SignMethod", "CRC"), "is neither Md5 nor SHA256"},
		{"P16", "Desc", good("Desc", strings.Repeat("长", 101)), "the description"},
		{"the module", "Module", good("Module", "none"), "the product has no module"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b.send("packages/new?lang=zh-CN", "Files", "fw.bin", []byte("firmware"), tc.pairs...).wrongAt(t, tc.at, "")
			b.send("packages/new?lang=en", "Files", "fw.bin", []byte("firmware"), tc.pairs...).wrongAt(t, tc.at, tc.want)
		})
	}
	if a := b.send("packages/new", "Files", "fw.bin", nil, good()...); a.status != http.StatusUnprocessableEntity || !a.says("the file is empty") {
		t.Errorf("an empty file: %d %s", a.status, a.text())
	}
	if a := b.send("packages/new", "Other", "", nil, good()...); a.status != http.StatusUnprocessableEntity || !a.says("1 to") {
		t.Errorf("no file: %d %s", a.status, a.text())
	}
	kept := b.send("packages/new", "Files", "fw.tar.gz", []byte("firmware"), good("Version", "v 1")...)
	_, id, _ := strings.Cut(kept.body, `name="File" value="`)
	id, _, _ = strings.Cut(id, `"`)
	to := b.must(b.send("packages/new", "Other", "", nil, good("File", id)...))
	page := b.get(to)
	for _, want := range []string{"fw.tar.gz", fmt.Sprintf("%x", sha256Of("firmware")), fmt.Sprintf("%x", md5Of("firmware")), "not verified"} {
		if !strings.Contains(page.body, want) {
			t.Errorf("no %s on %s", want, page.text())
		}
	}
	for i := range simulator.MaxPackages - 3 { // three are there
		w.cmd(simulator.CreatePackage{
			Product: x.product.Key, Name: fmt.Sprint("filler", i), Version: "1", SignMethod: "Md5", Files: []simulator.File{{Name: "fw.bin", Key: "none", Size: 10, MD5: strings.Repeat("0", 32)}},
		})
	}
	b.send("packages/new?lang=zh-CN", "Files", "fw.bin", []byte("firmware"), good("Name", "one-more")...).wrongAt(t, "Name", "")
	b.send("packages/new?lang=en", "Files", "fw.bin", []byte("firmware"), good("Name", "one-more")...).wrongAt(t, "Name", "500 packages already, allowed are at most 500") // P2
	other := w.as("operator", "other")
	y := w.things("other", 1)
	if a := other.send("packages/new", "Other", "", nil, "Product", y.product.Key, "Name", "stolen", "Version", "1", "Diff", "0", "SignMethod", "Md5", "File", id); a.status != http.StatusUnprocessableEntity {
		t.Errorf("F5, somebody else's upload: %d %s", a.status, a.text())
	}
}

// TestVerifyForm is P17 to P20.
func TestVerifyForm(t *testing.T) {
	w := serve(t)
	x := w.things("acme", 12)
	b := w.as("operator", "acme")
	form := "packages/" + x.fresh.ID + "/verify"
	eleven := []string{}
	for _, d := range x.devices[:11] {
		eleven = append(eleven, "Devices", d.Name)
	}
	for _, tc := range []rule{
		{"P19 none", "Devices", nil, "which devices?"},
		{"P17 too many", "Devices", eleven, "a verification has at most 10"},
		{"P18 another version", "Devices", []string{"Devices", "lamp-000001", "Sources", "1.0"}, "is none of the source versions"},
		{"P20", "TimeoutMinutes", []string{"Devices", "lamp-000001", "TimeoutMinutes", "1441"}, "allowed are 1 to 1440"},
		{"P20 no number", "TimeoutMinutes", []string{"Devices", "lamp-000001", "TimeoutMinutes", "1h"}, "This is no whole number."},
		{"P19", "", []string{"Devices", "lamp-000001", "Devices", "lamp-000002", "TimeoutMinutes", "60"}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) { b.expect(t, form, tc) })
	}
	if page := b.get("packages/" + x.fresh.ID); !strings.Contains(page.text(), "being verified") {
		t.Error(page.text())
	}
}
