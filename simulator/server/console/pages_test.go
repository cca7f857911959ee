package console_test

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
)

// everyPage is a page of each kind, of a cloud that has some of everything.
func (w *world) everyPage(x things) []string {
	w.t.Helper()
	w.cmd(simulator.CreateModule{Product: x.product.Key, Name: "mcu"})
	group := w.cmd(simulator.CreateGroup{Account: "acme", Name: "north"}).(simulator.Group)
	w.cmd(simulator.AddToGroup{Group: group.ID, Devices: []ota.Device{x.devices[0].Device}})
	static := w.cmd(simulator.CreateStaticJob{Package: x.usable.ID, Target: simulator.TargetAll, NeedConfirm: true}).(simulator.Job)
	dynamic := w.cmd(simulator.CreateDynamicJob{Package: x.usable.ID, Sources: []string{"0.9"}}).(simulator.Job)
	device := "devices/" + x.product.Key + "/" + x.devices[0].Name
	return []string{
		"", "ota", "modules", "modules/new", "modules/" + x.product.Key + "/mcu", "versions", "security", "packages/new", "packages/" + x.usable.ID, "packages/" + x.fresh.ID,
		"packages/" + x.fresh.ID + "/verify", "packages/" + x.usable.ID + "/batch", "batches", "batches/" + static.ID, "batches/" + static.ID + "/cancel", "batches/" + static.ID + "/pause",
		"batches/" + dynamic.ID, "batches/" + dynamic.ID + "/cancel", "devices", "devices/new", device, device + "/timeline", "groups", "groups/" + group.ID, "products", "products/new",
		"products/" + x.product.Key, "audit", "settings", "password", "nowhere",
	}
}

var (
	forms    = regexp.MustCompile(`(?s)<form[^>]*>.*?</form>`)
	controls = regexp.MustCompile(`<(?:input|select|textarea)\b[^>]*>`)
	idOf     = regexp.MustCompile(`\sid="([^"]*)"`)
	nameOf   = regexp.MustCompile(`\sname="([^"]*)"`)
	labelled = regexp.MustCompile(`<label[^>]*\sfor="([^"]*)"`)
	wrapped  = regexp.MustCompile(`(?s)<label class="choice">.*?</label>`)
	toggles  = regexp.MustCompile(`<(?:button|a)\b[^>]*>(?s:(.*?))</(?:button|a)>`)
	pointed  = regexp.MustCompile(`aria-(?:describedby|labelledby)="([^"]*)"`)
)

// TestPagesForKeyboardAndReader: on every page, in both languages, the first thing that the
// keyboard reaches leads to the content, there is one heading of the page, ids are there
// once and what points to them points to something, every input has a label, and every
// button and link says what it does.
func TestPagesForKeyboardAndReader(t *testing.T) {
	w := serve(t)
	x := w.things("acme", 3)
	b := w.as("admin", "acme")
	for _, path := range w.everyPage(x) {
		for _, lang := range []string{"en", "zh-CN"} {
			a := b.get(path + "?lang=" + lang)
			if a.status != http.StatusOK && path != "nowhere" {
				t.Fatalf("%s: %d", path, a.status)
			}
			body, _ := strings.CutPrefix(a.body[strings.Index(a.body, "<body"):], "")
			if at := strings.Index(body, "<a "); at < 0 || !strings.HasPrefix(body[at:], `<a class="skip" href="#main">`) || !strings.Contains(body, `<main id="main"`) {
				t.Errorf("%s: the first link does not skip to the content", path)
			}
			if n := strings.Count(body, "<h1"); n != 1 {
				t.Errorf("%s has %d headings of the page", path, n)
			}
			if strings.Contains(body, "tabindex=\"1") || strings.Contains(body, "autofocus") {
				t.Errorf("%s has an order of its own", path)
			}
			ids := map[string]int{}
			for _, m := range idOf.FindAllStringSubmatch(body, -1) {
				if ids[m[1]]++; ids[m[1]] == 2 {
					t.Errorf("%s has the id %q twice", path, m[1])
				}
			}
			for _, m := range pointed.FindAllStringSubmatch(body, -1) {
				for _, id := range strings.Fields(m[1]) {
					if ids[id] == 0 {
						t.Errorf("%s points to %q, which is not there", path, id)
					}
				}
			}
			labels := map[string]bool{}
			for _, m := range labelled.FindAllStringSubmatch(body, -1) {
				labels[m[1]] = true
			}
			for _, c := range controls.FindAllString(wrapped.ReplaceAllString(body, ""), -1) {
				id := idOf.FindStringSubmatch(c)
				if !strings.Contains(c, `type="hidden"`) && !strings.Contains(c, "aria-label=") && (id == nil || !labels[id[1]]) {
					t.Errorf("%s: %s has no label", path, c)
				}
			}
			for _, m := range toggles.FindAllStringSubmatch(body, -1) {
				if strings.TrimSpace(tags.ReplaceAllString(m[1], "")) == "" {
					t.Errorf("%s: %s says nothing", path, m[0])
				}
			}
		}
	}
}

// TestFormsWithoutScript: every form says where it goes and how, and has a button; nothing
// that changes something is behind a link or a script alone.
func TestFormsWithoutScript(t *testing.T) {
	w := serve(t)
	x := w.things("acme", 3)
	b := w.as("admin", "acme")
	count := 0
	for _, path := range w.everyPage(x) {
		page := b.get(path)
		for _, form := range forms.FindAllString(page.body, -1) {
			count++
			open := form[:strings.Index(form, ">")+1]
			if !strings.Contains(open, ` action="/console/`) || !strings.Contains(open, ` method="`) || !strings.Contains(form, "<button") {
				t.Errorf("%s has a form that needs a script: %s", path, open)
			}
			if strings.Contains(form, `type="file"`) && !strings.Contains(open, `enctype="multipart/form-data"`) {
				t.Errorf("%s has a form that does not send its file: %s", path, open)
			}
			var names []string
			for _, c := range controls.FindAllString(form, -1) {
				if m := nameOf.FindStringSubmatch(c); m != nil {
					names = append(names, m[1])
				}
			}
			slices.Sort(names)
			if m := regexp.MustCompile(`hx-include|hx-get|hx-delete|hx-put`).FindString(form); m != "" {
				t.Errorf("%s has %s with the inputs %v", path, m, slices.Compact(names))
			}
		}
		for _, m := range regexp.MustCompile(`<[a-z]+\b[^>]*\shidden[^>]*>`).FindAllString(page.body, -1) {
			if !strings.Contains(m, "data-copy") && !strings.HasPrefix(m, "<div class=\"err\"") && !strings.HasPrefix(m, "<progress") {
				t.Errorf("%s hides %s until a script comes", path, m)
			}
		}
	}
	if count < 60 {
		t.Errorf("only %d forms were looked at", count)
	}
}

// TestEmptyStatesSayWhatIsNext: where there is nothing yet there is one way on, and only
// one to create the same thing.
func TestEmptyStatesSayWhatIsNext(t *testing.T) {
	w := serve(t)
	b := w.as("operator", "acme")
	for _, path := range []string{"ota", "modules", "versions", "devices", "products", "security"} {
		if n := strings.Count(b.get(path).body, `href="/console/products/new"`); n != 1 {
			t.Errorf("with no product %s has %d links to create one", path, n)
		}
	}
	x := w.things("acme", 1)
	empty := w.cmd(simulator.CreateProduct{Account: "acme", Name: "empty"}).(simulator.Product).Key
	if page := b.get("devices?product=" + empty); strings.Count(page.body, `href="/console/devices/new`) != 1 || !page.says("The product has no devices yet.") {
		t.Errorf("with no device: %s", page.text())
	}
	if page := b.get("packages/" + x.fresh.ID); !page.says("Verify it on a few devices first") || strings.Contains(page.body, x.fresh.ID+`/batch"`) {
		t.Errorf("a package that is not verified: %s", page.text())
	}
	if page := b.get("packages/" + x.usable.ID); strings.Count(page.body, x.usable.ID+`/batch"`) != 2 { // on top, and where the batches would be
		t.Errorf("a package without batches: %s", page.text())
	}
	for path, want := range map[string]string{"batches": `href="/console/ota"`, "groups": `<form method="post" action="/console/groups"`, "devices?product=" + x.product.Key + "&prefix=zz": "No device"} {
		if page := b.get(path); !strings.Contains(page.body, want) {
			t.Errorf("%s: no %s in %s", path, want, page.text())
		}
	}
}
