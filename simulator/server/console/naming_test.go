package console_test

import (
	"strings"
	"testing"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
)

func title(a answered) string {
	_, after, _ := strings.Cut(a.body, "<title>")
	text, _, _ := strings.Cut(after, "</title>")
	return text
}

// TestBatchesAreToldApart: two batches of a version have titles and headings of their own,
// a device's upgrades say what they are, and so do the pages of pausing and cancelling.
func TestBatchesAreToldApart(t *testing.T) {
	w := serve(t)
	x := w.things("acme", 3)
	b := w.as("operator", "acme")
	one := w.cmd(simulator.CreateStaticJob{Package: x.usable.ID, Target: simulator.TargetSpecific, Devices: []string{"lamp-000000"}}).(simulator.Job)
	two := w.cmd(simulator.CreateStaticJob{Package: x.usable.ID, Target: simulator.TargetSpecific, Devices: []string{"lamp-000001"}, Desc: "the <north>"}).(simulator.Job)
	trial := w.cmd(simulator.CreateVerifyJob{Package: x.fresh.ID, Devices: []string{"lamp-000002"}}).(simulator.Job)
	for path, want := range map[string]string{
		"batches/" + one.ID + "?lang=en": "Static batch · fw-acme 2.0 · " + one.ID, "batches/" + two.ID + "?lang=en": "Static batch · fw-acme 2.0 · the &lt;north&gt;",
		"batches/" + trial.ID + "?lang=en": "Verification · new-acme 2.0 · " + trial.ID, "batches/" + trial.ID + "?lang=zh-CN": " · new-acme 2.0 · " + trial.ID,
	} {
		if a := b.get(path); !strings.Contains(title(a), want) || !strings.Contains(heading(a), want) {
			t.Errorf("%s: title %q, heading %q, wanted is %q", path, title(a), heading(a), want)
		}
	}
	b.get("?lang=en")
	for _, page := range []string{"cancel", "pause"} {
		a := b.get("batches/" + one.ID + "/" + page)
		if !a.says("Static batch · fw-acme 2.0") || !a.says("2.0 · "+map[string]string{"cancel": "targeted · 1 device", "pause": "1 device"}[page]) || a.says("1 devices") || !strings.Contains(title(a), "fw-acme 2.0") {
			t.Errorf("%s, titled %q: %s", page, title(a), a.text())
		}
	}
	for device, want := range map[string]string{"lamp-000000": "Static batch · fw-acme 2.0", "lamp-000002": "Verification · new-acme 2.0"} {
		if a := b.get("devices/" + x.product.Key + "/" + device); !a.says(want) {
			t.Errorf("the upgrades of %s have no %q: %s", device, want, a.text())
		}
	}
}

// TestCancelledIsNoFailure: a cancelled task has a reason in the page's language and no kind
// of failure; a batch that was cancelled after a device had failed says so, and tells an
// administrator by whom.
func TestCancelledIsNoFailure(t *testing.T) {
	w := serve(t)
	x := w.things("acme", 3)
	operator, admin := w.as("operator", "acme"), w.as("admin", "acme")
	other := w.cmd(simulator.CreateStaticJob{Package: x.usable.ID, Target: simulator.TargetSpecific, Devices: []string{"lamp-000002"}}).(simulator.Job)
	operator.must(operator.post("batches/"+other.ID+"/cancel", "What", "all"))
	job := w.cmd(simulator.CreateStaticJob{Package: x.usable.ID, Target: simulator.TargetAll}).(simulator.Job)
	w.fails(ota.Device{ProductKey: x.product.Key, Name: "lamp-000000"})
	w.cmd(simulator.DeleteDevice{Product: x.product.Key, Name: "lamp-000002"})
	if a := operator.get("batches/" + job.ID); a.says("1 cancelled") && !a.says("in progress") {
		t.Errorf("while it goes on: %s", a.text())
	}
	operator.must(operator.post("batches/"+job.ID+"/cancel", "What", "all"))
	for _, tc := range []struct {
		b          *browser
		lang, want string
		not        string
	}{
		{operator, "en", "completed · 2 cancelled", "by operator-acme"}, {admin, "en", "completed · 2 cancelled · ended by operator-acme", "canceled"},
		{admin, "zh-CN", "已取消 2 台 · 由 operator-acme 终止", "canceled"},
	} {
		if a := tc.b.get("batches/" + job.ID + "?lang=" + tc.lang); !a.says(tc.want) || a.says(tc.not) || !a.says("66.7 %") || a.says(" 0.0 %") {
			t.Errorf("the batch in %s has no %q, or has %q: %s", tc.lang, tc.want, tc.not, a.text())
		}
	}
	for _, tc := range []struct{ lang, user, deleted, other string }{
		{"en", "cancelled by a user", "the device was deleted", "other"}, {"zh-CN", "用户已取消", "设备已被删除", "其他"},
	} {
		a := operator.get("batches/" + job.ID + "?status=CANCELED&lang=" + tc.lang)
		_, list, _ := strings.Cut(a.body, `id="live-tasks"`)
		if a.body = list; !a.says(tc.user) || !a.says(tc.deleted) || a.says(tc.other) {
			t.Errorf("cancelled tasks in %s: %s", tc.lang, a.text())
		}
	}
	if a := operator.get("batches?lang=en"); !a.says("1 failed · 2 cancelled") {
		t.Errorf("the list of batches: %s", a.text())
	}
}

// TestProductsByName: products to choose from stand by their names; with none, creating one
// is the first step.
func TestProductsByName(t *testing.T) {
	w := serve(t)
	b := w.as("operator", "acme")
	a := b.get("?lang=en")
	if !strings.Contains(a.body, `class="button first" href="/console/products/new"`) || strings.Count(a.body, "button first") != 1 {
		t.Error("the first step with nothing there is to create a product, and nothing else")
	}
	for _, name := range []string{"beta", "Gamma", "alpha"} {
		w.cmd(simulator.CreateProduct{Account: "acme", Name: name})
	}
	for _, path := range []string{"ota", "batches", "devices", "devices/new", "packages/new", "modules", "versions"} {
		a := b.get(path).body
		first, second, third := strings.Index(a, ">alpha"), strings.Index(a, ">beta"), strings.Index(a, ">Gamma")
		if first < 0 || second < first || third < second {
			t.Errorf("%s: alpha at %d, beta at %d, Gamma at %d", path, first, second, third)
		}
	}
}

// TestRolesOfKeysAreWords: the list of access keys names roles in the page's language.
func TestRolesOfKeysAreWords(t *testing.T) {
	w := serve(t)
	b := w.as("admin", "acme")
	b.post("settings/keys", "ID", "ci", "Role", "read-only")
	b.post("settings/keys", "ID", "boss", "Role", "admin")
	for lang, want := range map[string][]string{"en": {"Read-only", "Administrator"}, "zh-CN": {"只读", "管理员"}} {
		if a := b.get("settings?lang=" + lang); a.says("not in this list") != (lang == "en") {
			t.Errorf("the keys in %s, of the one that is not listed: %s", lang, a.text())
		}
		for _, word := range want {
			if a := b.get("settings?lang=" + lang); !strings.Contains(a.body, "<td>"+word+"</td>") {
				t.Errorf("the keys in %s have no role %q: %s", lang, word, a.text())
			}
		}
	}
}
