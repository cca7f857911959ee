package console_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/leapslot/ota/simulator"
)

// TestRefusedButtonsStay: what a button on a page is refused for stands on that page, in
// both languages, and its links lead where they did. What is gone is an error's page, which
// leads to the others of its kind.
func TestRefusedButtonsStay(t *testing.T) {
	w := serve(t)
	x := w.things("acme", 2)
	b := w.as("admin", "acme")
	key := x.product.Key
	w.cmd(simulator.CreateModule{Product: key, Name: "mcu"})
	pack := simulator.CreatePackage{
		Product: key, Module: "mcu", Name: "mcu", Version: "2.0", SignMethod: "Md5",
		Files: []simulator.File{{Name: "fw.bin", Key: strings.Repeat("A", 26), Size: 10, MD5: strings.Repeat("0", 32)}},
	}
	w.cmd(pack)
	upper := w.cmd(simulator.CreateGroup{Account: "acme", Name: "upper"}).(simulator.Group)
	w.cmd(simulator.CreateGroup{Account: "acme", Name: "lower", Super: upper.ID})
	w.cmd(simulator.CreateStaticJob{Package: x.usable.ID, Target: simulator.TargetAll})
	for _, tc := range []struct{ page, button, en, zh string }{
		{"products/" + key, "products/" + key + "/delete", "The product has 2 devices: delete them first", "2"},
		{"modules/" + key + "/mcu", "modules/" + key + "/mcu/delete", "The module has packages", "模块"},
		{"packages/" + x.usable.ID, "packages/" + x.usable.ID + "/delete", "is not over: cancel it first", "尚未结束"},
		{"packages/" + x.usable.ID, "packages/" + x.usable.ID + "/patch", "A patch is made from one full package", ""},
		{"groups/" + upper.ID, "groups/" + upper.ID + "/delete", "stands in it: delete that first", "分组"},
		{"settings", "settings/users/remove", "You cannot remove yourself.", ""},
	} {
		for _, lang := range []string{"en", "zh-CN"} {
			page := b.get(tc.page + "?lang=" + lang)
			a := b.post(tc.button, "From", x.fresh.ID, "Name", "p", "User", "admin-acme")
			want := tc.en
			if lang != "en" {
				want = tc.zh
			}
			if a.status != http.StatusUnprocessableEntity || !a.says(want) || !strings.Contains(a.body, `<p class="alert" role="alert">`) {
				t.Errorf("%s in %s: %d %s", tc.button, lang, a.status, a.text())
			}
			if h := heading(a); h == "" || h != heading(page) {
				t.Errorf("%s: the heading is %q, of its page %q", tc.button, h, heading(page))
			}
			if !strings.Contains(a.body, "/console/"+tc.page+"?lang=en") || !strings.Contains(a.body, `data-here="/console/`+tc.page+`"`) {
				t.Errorf("%s: the page does not know its own address", tc.button)
			}
		}
	}
	b.get("?lang=en")
	for _, button := range []string{"settings/users/remove", "settings/keys/remove"} {
		if a := b.post(button, "User", "nobody", "ID", "nothing"); a.status != http.StatusNotFound || !a.says("Settings") || !a.says("there is no") {
			t.Errorf("%s of nobody: %d %s", button, a.status, a.text())
		}
	}
	gone := "devices/" + key + "/lamp-000001"
	b.must(b.post(gone + "/delete"))
	lists := []string{"devices", "ota", "groups", "products", "ota"}
	for i, button := range []string{gone + "/delete", "packages/none/delete", "groups/none/delete", "products/none/delete", "modules/" + key + "/none/delete"} {
		if a := b.post(button); a.status != http.StatusNotFound || heading(a) != "This did not work" || strings.Contains(a.body, "data-here") || !strings.Contains(a.body, `<p><a href="/console/`+lists[i]+`">`) {
			t.Errorf("%s, which is gone: %d %s", button, a.status, a.text())
		}
	}
}

// heading is the page's own.
func heading(a answered) string {
	_, after, _ := strings.Cut(a.body, "<h1>")
	text, _, _ := strings.Cut(after, "</h1>")
	return text
}
