package console_test

import (
	"html"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

// at gives a time as a form writes it, in UTC.
func at(d time.Duration) string { return time.Now().UTC().Add(d).Format("2006-01-02T15:04") }

// rule is a form that is filled in and what is said of it: nothing, or a text at an input.
// The first word of its name is the rule of the platform.
type rule struct {
	name  string
	at    string // the input that the text stands at; "" is on top of the form
	pairs []string
	want  string // "" is that it is done; in English, where the Chinese page has another
}

// expect sends a form in both languages, and wants what is wrong with it to be said at the
// right input, in the page's language.
func (b *browser) expect(t *testing.T, form string, tc rule) {
	t.Helper()
	if tc.want == "" {
		if a := b.post(form, tc.pairs...); a.status != http.StatusSeeOther {
			t.Errorf("%d: %s", a.status, a.text())
		}
		return
	}
	chinese := b.post(form+"?lang=zh-CN", tc.pairs...)
	chinese.wrongAt(t, tc.at, "")
	english := b.post(form+"?lang=en", tc.pairs...)
	english.wrongAt(t, tc.at, tc.want)
}

// wrongAt wants a text at an input, or in Chinese when want is "".
func (a answered) wrongAt(t *testing.T, input, want string) {
	t.Helper()
	said, marked := "", true
	if input == "" {
		said = a.between(`<p class="alert" role="alert">`, "</p>")
	} else {
		said = a.between(`id="in-`+input+`-err">`, "</div>")
		marked = strings.Contains(a.body, `aria-invalid="true"`) || strings.Contains(a.body, `<fieldset`)
	}
	fits := strings.Contains(plain(said), plain(want))
	if want == "" {
		fits = hanzi.MatchString(said)
	}
	if a.status != http.StatusUnprocessableEntity || !fits || !marked {
		t.Errorf("%d, wanted at %q is %q, there stands %q on: %s", a.status, input, want, said, html.UnescapeString(a.text()))
	}
}

var hanzi = regexp.MustCompile(`\p{Han}`)

// between gives the text of the first part of a page between two marks.
func (a answered) between(from, to string) string {
	_, text, _ := strings.Cut(a.body, from)
	text, _, _ = strings.Cut(text, to)
	return html.UnescapeString(text)
}

// TestModuleForm is P8 to P11; TestProductAndDevices the rest of what is made by hand.
func TestModuleForm(t *testing.T) {
	w := serve(t)
	x := w.things("acme", 1)
	b := w.as("operator", "acme")
	with := func(pairs ...string) []string { return append([]string{"Product", x.product.Key}, pairs...) }
	for _, tc := range []rule{
		{"P9", "Name", with("Name", "m c u"), "module"},
		{"P9 empty", "Name", with(), "module"},
		{"P10", "Alias", with("Name", "mcu", "Alias", "abc"), "allowed are 4 to 64"},
		{"P11", "Desc", with("Name", "mcu", "Desc", strings.Repeat("字", 101)), "the description"},
		{"P9 to P11", "", with("Name", "mcu", "Alias", "motor", "Desc", strings.Repeat("字", 100)), ""},
		{"P9 unique", "Name", with("Name", "mcu"), "already"},
		{"P8 default", "Name", with("Name", "default"), "default"},
	} {
		t.Run(tc.name, func(t *testing.T) { b.expect(t, "modules/new", tc) })
	}
	edit := "modules/" + x.product.Key + "/mcu"
	b.expect(t, edit, rule{"P10", "Alias", []string{"Alias", "x"}, "allowed are 4 to 64"})
	b.must(b.post(edit, "Alias", "engine", "Desc", "new"))
	if page := b.get("modules?product=" + x.product.Key); !strings.Contains(page.text(), "mcu engine new") {
		t.Error(page.text())
	}
	b.must(b.post(edit + "/delete"))
}

// TestDevicesForm: devices by name, by file and by number; groups; disabling.
func TestDevicesForm(t *testing.T) {
	w := serve(t)
	x := w.things("acme", 1)
	b := w.as("operator", "acme")
	with := func(pairs ...string) []string { return append([]string{"Product", x.product.Key}, pairs...) }
	for _, tc := range []rule{
		{"nothing", "", with(), ""},
		{"a bad name", "Names", with("Names", "a b"), "Row 1:"},
		{"a name that is there", "Names", with("Names", "lamp-000000"), "lamp-000000"},
		{"no number", "Count", with("Count", "x"), "This is no whole number."},
		{"names", "", with("Names", "north-1\nnorth-2"), ""},
		{"a number", "", with("Count", "7"), ""},
	} {
		if tc.name == "nothing" {
			if a := b.post("devices/new", tc.pairs...); a.status != http.StatusUnprocessableEntity {
				t.Errorf("%s: %d %s", tc.name, a.status, a.text())
			}
			continue
		}
		t.Run(tc.name, func(t *testing.T) { b.expect(t, "devices/new", tc) })
	}
	file := b.send("devices/new?lang=zh-CN", "List", "d.csv", []byte("DeviceName\nnorth-3\na b\n"), with()...)
	if file.wrongAt(t, "List", ""); !file.says("第 3 行：") {
		t.Error(file.text())
	}
	b.get("?lang=en")
	if page := b.get("devices?product=" + x.product.Key + "&prefix=north"); !strings.Contains(page.text(), "1 to 2 of 2") {
		t.Error(page.text())
	}
	list := b.get("devices/export.csv?product=" + x.product.Key)
	if lines := strings.Split(strings.TrimSpace(list.body), "\n"); len(lines) != 11 || lines[0] != "product_key,device_name,device_secret" {
		t.Errorf("%d lines: %.200s", len(lines), list.body)
	}
	device := "devices/" + x.product.Key + "/north-1"
	b.must(b.post(device+"/disable", "Disabled", "1"))
	if page := b.get(device); !strings.Contains(page.text(), "disabled") {
		t.Error(page.text())
	}
	group := b.must(b.post("groups", "Name", "north_side"))
	b.must(b.post(group+"/devices", "Product", x.product.Key, "Names", "north-1\nnorth-2\nnobody"))
	if page := b.get(group); !strings.Contains(page.text(), "of 3 names 2 are devices") {
		t.Error(page.text())
	}
	b.must(b.post(group+"/devices", "Product", x.product.Key, "Names", "north-1", "Remove", "1"))
	b.must(b.post(group + "/delete"))
	b.must(b.post(device + "/delete"))
	if page := b.get(device); page.status != http.StatusNotFound {
		t.Errorf("a deleted device: %d", page.status)
	}
}

// TestFirstSteps: what a new cloud says on each page, in both languages, is what to do next.
func TestFirstSteps(t *testing.T) {
	w := serve(t)
	b := w.as("admin", "acme")
	for _, path := range []string{"", "ota", "modules", "versions", "security", "devices", "devices/new", "groups", "batches", "products", "packages/new", "audit", "settings", "password"} {
		for lang, want := range map[string]string{"en": `<html lang="en"`, "zh-CN": `<html lang="zh-CN"`} {
			if a := b.get(path + "?lang=" + lang); a.status != http.StatusOK || !strings.Contains(a.body, want) {
				t.Errorf("%s in %s: %d %.200s", path, lang, a.status, a.text())
			}
		}
	}
	if a := b.get("ota?lang=en"); !a.says("There is no product yet. Create one") {
		t.Error(a.text())
	}
	to := b.must(b.post("products/new", "Name", "路灯", "NodeType", "0"))
	b.must(b.post(strings.Replace(to, "products", "security", 1), "On", "true"))
	if a := b.get("security"); !strings.Contains(a.body, "BEGIN PUBLIC KEY") || strings.Contains(a.body, "PRIVATE") {
		t.Errorf("P7: %s", a.text())
	}
	b.expect(t, "products/new", rule{"taken", "Name", []string{"Name", "路灯", "NodeType", "0"}, "already"})
	if a := b.get("audit?action=UpdateProductOTASecurity"); !a.says("admin-acme user") {
		t.Error(a.text())
	}
}
