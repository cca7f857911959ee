package console_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/leapslot/ota/diff"
	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server/packages"
)

// TestP12PatchOfTwoPackages: a diff package is made of two full ones, and gives the new
// image when it is applied to the old one.
func TestP12PatchOfTwoPackages(t *testing.T) {
	w := serve(t)
	x := w.things("acme", 1)
	b := w.as("operator", "acme")
	old := make([]byte, 200_000)
	rng := rand.NewChaCha8([32]byte{1})
	_, _ = rng.Read(old)
	next := bytes.Clone(old)
	copy(next[50_000:], "changed here")
	ids := []string{}
	for i, image := range [][]byte{old, next} {
		version := []string{"1.0", "1.1"}[i]
		to := b.must(b.send("packages/new", "Files", "fw.bin", image, "Product", x.product.Key, "Module", "default", "Name", "v"+version[:1]+version[2:], "Version", version, "Diff", "0", "SignMethod", "SHA256"))
		ids = append(ids, to[strings.LastIndex(to, "/")+1:])
	}
	if page := b.get("packages/" + ids[1]); !strings.Contains(page.body, `<option value="`+ids[0]+`">`) {
		t.Errorf("the page does not offer it: %s", page.text())
	}
	to := b.must(b.post("packages/"+ids[1]+"/patch", "From", ids[0], "Name", "patch"))
	made := w.cmd(simulator.FindPackage{Package: to[strings.LastIndex(to, "/")+1:]}).(simulator.Package)
	if !made.Diff || made.Source != "1.0" || made.Version != "1.1" || made.Size() > 10_000 || made.Status != simulator.Unverified {
		t.Errorf("%+v", made)
	}
	files, err := packages.Open(packages.Config{Dir: w.dir + "/packages", BaseURL: w.url})
	if err != nil {
		t.Fatal(err)
	}
	file, err := files.OpenFile(made.Files[0].Key)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	r, err := diff.NewReader(bytes.NewReader(old), int64(len(old)), file, made.Size())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, next) {
		t.Errorf("%v, %d bytes", err, len(got))
	}
	if page := b.get(to); !regexp.MustCompile(`The diff package has .*, the full one 195\.3 KB`).MatchString(page.text()) {
		t.Error(page.text())
	}
	for _, from := range []string{ids[1], x.usable.ID + "x", made.ID} {
		if a := b.post("packages/"+ids[1]+"/patch", "From", from, "Name", "again"); a.status != http.StatusUnprocessableEntity && a.status != http.StatusNotFound {
			t.Errorf("from %s: %d", from, a.status)
		}
	}
	if a := b.post("packages/"+ids[1]+"/patch", "From", ids[0], "Name", "patch"); a.status != http.StatusUnprocessableEntity || !a.says("there is a package named") {
		t.Errorf("the same name: %d %s", a.status, a.text())
	}
	stranger := w.as("operator", "other")
	if a := stranger.post("packages/"+ids[1]+"/patch", "From", ids[0], "Name", "mine"); a.status != http.StatusNotFound {
		t.Errorf("F5: %d", a.status)
	}
}
