package console_test

import (
	"bytes"
	"context"
	"fmt"
	"html"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/leapslot/ota/simulator"
)

// at gives a time as a form writes it, in UTC.
func at(d time.Duration) string { return time.Now().UTC().Add(d).Format("2006-01-02T15:04") }

// rule is a form that is filled in and what is said of it: nothing, or a text on the page.
type rule struct {
	name  string
	pairs []string
	want  string // "" is that it is done
}

// TestBatchFormRules plays every field and rule of the batch form (P21 to P41), right and
// wrong, and compares the page with the model's own words.
func TestBatchFormRules(t *testing.T) {
	w := serve(t)
	x := w.things("acme", 30)
	b := w.as("operator", "acme")
	form := "packages/" + x.usable.ID + "/batch"
	static := []string{"Selection", "STATIC", "Target", "ALL"}
	with := func(base []string, more ...string) []string { return append(append([]string{}, base...), more...) }
	dynamic := []string{"Selection", "DYNAMIC", "Target", "ALL", "Sources", "1.0"}
	later := with(static, "When", "later")
	tags := []string{}
	for i := range 11 {
		tags = append(tags, "TagKey", fmt.Sprint("k", i), "TagValue", "v")
	}
	for _, tc := range []rule{
		{"P27 all devices", static, ""},
		{"P25 a source that is the target", with(static, "Sources", "2.0"), "2.0 is the target version"},
		{"P25 a source twice", with(static, "OtherSources", "1.0 1.0"), "version 1.0 is named twice"},
		{"P25 a dynamic batch without", []string{"Selection", "DYNAMIC", "Target", "ALL"}, "a dynamic batch needs the source versions"},
		{"P25 none matches", with(static, "Sources", "9.9"), "no device matches"},
		{"P26 dynamic", dynamic, ""},
		{"P22 a second one", dynamic, "cancel its strategy first"},
		{"P28 by hand", []string{"Selection", "STATIC", "Target", "SPECIFIC", "Devices", "lamp-000001\nlamp-000002"}, ""},
		{"P28 none", []string{"Selection", "STATIC", "Target", "SPECIFIC"}, "which devices?"},
		{"P28 one that is not there", []string{"Selection", "STATIC", "Target", "SPECIFIC", "Devices", "nobody"}, `has no device "nobody"`},
		{"P28 not dynamic", []string{"Selection", "DYNAMIC", "Target", "SPECIFIC", "Sources", "1.0"}, "A dynamic batch is for all devices or for a group."},
		{"P30 grey", []string{"Selection", "STATIC", "Target", "GRAY", "Gray", "10"}, ""},
		{"P30 no percentage", []string{"Selection", "STATIC", "Target", "GRAY"}, "which percentage of the devices?"},
		{"P30 0 percent", []string{"Selection", "STATIC", "Target", "GRAY", "Gray", "0"}, "allowed are 0.001 to 100 percent"},
		{"P30 not dynamic", []string{"Selection", "DYNAMIC", "Target", "GRAY", "Gray", "5", "Sources", "1.0"}, "A dynamic batch is for all devices or for a group."},
		{"P31 scheduled", with(later, "Start", at(time.Hour)), ""},
		{"P31 without a start", later, "Give a time."},
		{"P31 no time", with(later, "Start", "tomorrow"), "This is no time."},
		{"P32 too soon", with(later, "Start", at(2*time.Minute)), "the start is 5 minutes to 7 days from now"},
		{"P32 too late", with(later, "Start", at(7*24*time.Hour+2*time.Minute)), "the start is 5 minutes to 7 days from now"},
		{"P33 an end", with(later, "Start", at(time.Hour), "Finish", at(3*time.Hour)), ""},
		{"P33 too short", with(later, "Start", at(time.Hour), "Finish", at(90*time.Minute)), "the end is 1 hour to 30 days after the start"},
		{"P33 too long", with(later, "Start", at(time.Hour), "Finish", at(32*24*time.Hour)), "the end is 1 hour to 30 days after the start"},
		{"P34 the least", with(static, "MaximumPerMinute", "10"), ""},
		{"P34 too few", with(static, "MaximumPerMinute", "9"), "allowed are 10 to 1000"},
		{"P34 too many", with(static, "MaximumPerMinute", "1001"), "allowed are 10 to 1000"},
		{"P34 no number", with(static, "MaximumPerMinute", "many"), "This is no whole number."},
		{"P35 never", with(static, "Retry", "never", "RetryCount", "2"), ""},
		{"P35 at once", with(static, "Retry", "0", "RetryCount", "5"), ""},
		{"P35 another interval", with(static, "Retry", "11", "RetryCount", "1"), "allowed are 0 10 30 60 1440 minutes"},
		{"P36 another count", with(static, "Retry", "10", "RetryCount", "3"), "allowed are 1 2 5 times"},
		{"P37 a timeout", with(static, "TimeoutMinutes", "1440"), ""},
		{"P37 none below 1", with(static, "TimeoutMinutes", "-1"), "allowed are 1 to 1440"},
		{"P37 too long", with(static, "TimeoutMinutes", "1441"), "allowed are 1 to 1440"},
		{"P38 overwrite", with(static, "Overwrite", "2"), ""},
		{"P38 neither", with(static, "Overwrite", "3"), "3 is neither 1"},
		{"P40 neither", []string{"Selection", "DYNAMIC", "Target", "ALL", "Sources", "1.1", "Mode", "3"}, "3 is neither 1"},
		{"P40 newly reported", []string{"Selection", "DYNAMIC", "Target", "ALL", "Sources", "1.2", "Mode", "2"}, ""},
		{"P41 tags", with(static, "TagKey", "site", "TagValue", "north"), ""},
		{"P41 a key without a value", with(static, "TagKey", "site", "TagValue", ""), "the value of \"site\" has 0 characters"},
		{"P41 the name of a field", with(static, "TagKey", "url", "TagValue", "x"), "is the name of a field of the notice"},
		{"P41 too many", with(static, tags...), "11 tags, allowed are at most 10"},
		{"a long description", with(static, "Desc", strings.Repeat("字", 101)), "the description"},
		{"no target", []string{"Selection", "STATIC", "Target", "SOME"}, "is none of all devices"},
		{"a group that is not there", []string{"Selection", "STATIC", "Target", "GROUP", "Group", "g1"}, "there is no group"},
	} {
		t.Run(tc.name, func(t *testing.T) { b.expect(t, form, tc) })
	}
	refused := b.post("packages/"+x.fresh.ID+"/batch", static...)
	if refused.status != http.StatusUnprocessableEntity || !refused.says("must succeed on a few devices") {
		t.Errorf("P17, of a package that is not verified: %d %s", refused.status, refused.text())
	}
}

func (b *browser) expect(t *testing.T, form string, tc rule) {
	t.Helper()
	a := b.post(form, tc.pairs...)
	if tc.want == "" {
		if a.status != http.StatusSeeOther {
			t.Errorf("%d: %s", a.status, a.text())
		}
		return
	}
	if a.status != http.StatusUnprocessableEntity || !a.says(tc.want) {
		t.Errorf("%d, wanted is %q in: %s", a.status, tc.want, html.UnescapeString(a.text()))
	}
	if !strings.Contains(a.body, `class="err"`) && !strings.Contains(a.body, `role="alert"`) {
		t.Error("nothing is marked")
	}
}

// TestP29 : a batch for the devices of a file, with errors by rows, and the template.
func TestP29BatchFile(t *testing.T) {
	w := serve(t)
	x := w.things("acme", 5)
	b := w.as("operator", "acme")
	form := "packages/" + x.usable.ID + "/batch"
	pairs := []string{"Selection", "STATIC", "Target", "SPECIFIC"}
	wrong := b.send(form, "List", "d.csv", []byte("DeviceName\nlamp-000001\nla mp\nlamp-000001\n"), pairs...)
	for _, want := range []string{"Row 3:", "Row 4:", "stands in row 2 already"} {
		if wrong.status != http.StatusUnprocessableEntity || !wrong.says(want) {
			t.Errorf("%d, wanted is %q in %s", wrong.status, want, wrong.text())
		}
	}
	long := strings.Builder{}
	for i := range simulator.MaxTargets + 1 {
		fmt.Fprintf(&long, "d-%d\n", i)
	}
	if a := b.send(form, "List", "d.csv", []byte(long.String()), pairs...); a.status != http.StatusUnprocessableEntity || !a.says("more than 10000 devices") {
		t.Errorf("10,001 records: %d %.300s", a.status, a.text())
	}
	to := b.must(b.send(form, "List", "d.csv", []byte("\ufeffDeviceName\r\nlamp-000001\r\nlamp-000003\r\n"), pairs...))
	if a := b.get(to); !strings.Contains(a.body, "lamp-000003") || strings.Contains(a.body, "lamp-000002") {
		t.Error(a.text())
	}
	if a := b.get("devices/template.csv"); !strings.HasPrefix(a.body, "\ufeffDeviceName") || !strings.Contains(a.head.Get("Content-Disposition"), "attachment") {
		t.Errorf("%q %v", a.body, a.head)
	}
}

// TestPreview: the numbers before a batch is made are those of the batch.
func TestPreview(t *testing.T) {
	w := serve(t)
	x := w.things("acme", 40)
	b := w.as("operator", "acme")
	form := "packages/" + x.usable.ID + "/batch"
	a := b.post(form, "Selection", "STATIC", "Target", "GRAY", "Gray", "25", "MaximumPerMinute", "10", "Preview", "1")
	for _, want := range []string{">10</span>devices get a task", "1 min at 10 a minute", "Why the others of 40"} {
		if a.status != http.StatusOK || !strings.Contains(a.body, want) {
			t.Errorf("%d, wanted is %q in %s", a.status, want, a.text())
		}
	}
	if a := b.post(form, "Selection", "STATIC", "Target", "GRAY", "Gray", "x", "Preview", "1"); a.status != http.StatusOK || !a.says("allowed are 0.001 to 100 percent") {
		t.Errorf("%d %s", a.status, a.text())
	}
	if list := b.get("batches"); strings.Contains(list.body, "/cancel") {
		t.Error("looking has made a batch")
	}
	to := b.must(b.post(form, "Selection", "STATIC", "Target", "GRAY", "Gray", "25", "Retry", "10", "RetryCount", "5", "TagKey", "site", "TagValue", "north"))
	again := b.get("packages/" + x.usable.ID + "/batch?clone=" + to[strings.LastIndex(to, "/")+1:])
	for _, want := range []string{`value="GRAY" checked`, `name="Gray" type="text" value="25"`, `value="10" selected`, `value="5" selected`, `value="north"`} {
		if !strings.Contains(again.body, want) {
			t.Errorf("the clone has no %s", want)
		}
	}
}

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
		{"P5", good("Product", "a1nothing"), "there is no product"},
		{"P12 no source", good("Diff", "1"), "a diff package needs a source version"},
		{"P12 the same version", good("Diff", "1", "Source", "3.0"), "source and target version are both 3.0"},
		{"P13", good("Name", "(x)"), "a package's name begins with"},
		{"P13 too long", good("Name", strings.Repeat("长", 41)), "1 to 40 characters"},
		{"P13 empty", good("Name", ""), "a package needs a name"},
		{"P13 taken", good("Name", "fw-acme"), "there is a package named"},
		{"P14", good("Version", "v 1"), "version"},
		{"P14 empty", good("Version", ""), "a package needs a version"},
		{"P15", good("SignMethod", "CRC"), "is neither Md5 nor SHA256"},
		{"P16", good("Desc", strings.Repeat("长", 101)), "the description"},
		{"the module", good("Module", "none"), "the product has no module"},
	} {
		a := b.send("packages/new", "Files", "fw.bin", []byte("firmware"), tc.pairs...)
		if a.status != http.StatusUnprocessableEntity || !a.says(tc.want) {
			t.Errorf("%s: %d, wanted is %q in %s", tc.name, a.status, tc.want, a.text())
		}
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
		{"P19 none", nil, "which devices?"},
		{"P17 too many", eleven, "a verification has at most 10"},
		{"P18 another version", []string{"Devices", "lamp-000001", "Sources", "1.0"}, "is none of the source versions"},
		{"P20", []string{"Devices", "lamp-000001", "TimeoutMinutes", "1441"}, "allowed are 1 to 1440"},
		{"P20 no number", []string{"Devices", "lamp-000001", "TimeoutMinutes", "1h"}, "This is no whole number."},
		{"P19", []string{"Devices", "lamp-000001", "Devices", "lamp-000002", "TimeoutMinutes", "60"}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) { b.expect(t, form, tc) })
	}
	if page := b.get("packages/" + x.fresh.ID); !strings.Contains(page.text(), "being verified") {
		t.Error(page.text())
	}
}

// TestModuleForm is P8 to P11; TestProductAndDevices the rest of what is made by hand.
func TestModuleForm(t *testing.T) {
	w := serve(t)
	x := w.things("acme", 1)
	b := w.as("operator", "acme")
	with := func(pairs ...string) []string { return append([]string{"Product", x.product.Key}, pairs...) }
	for _, tc := range []rule{
		{"P9", with("Name", "m c u"), "module"},
		{"P9 empty", with(), "module"},
		{"P10", with("Name", "mcu", "Alias", "abc"), "allowed are 4 to 64"},
		{"P11", with("Name", "mcu", "Desc", strings.Repeat("字", 101)), "the description"},
		{"P9 to P11", with("Name", "mcu", "Alias", "motor", "Desc", strings.Repeat("字", 100)), ""},
		{"P9 unique", with("Name", "mcu"), "already"},
		{"P8 default", with("Name", "default"), "default"},
	} {
		t.Run(tc.name, func(t *testing.T) { b.expect(t, "modules/new", tc) })
	}
	edit := "modules/" + x.product.Key + "/mcu"
	b.expect(t, edit, rule{"P10", []string{"Alias", "x"}, "allowed are 4 to 64"})
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
		{"nothing", with(), ""},
		{"a bad name", with("Names", "a b"), "Row 1:"},
		{"a name that is there", with("Names", "lamp-000000"), "lamp-000000"},
		{"no number", with("Count", "x"), "This is no whole number."},
		{"names", with("Names", "north-1\nnorth-2"), ""},
		{"a number", with("Count", "7"), ""},
	} {
		if tc.name == "nothing" {
			if a := b.post("devices/new", tc.pairs...); a.status != http.StatusUnprocessableEntity {
				t.Errorf("%s: %d %s", tc.name, a.status, a.text())
			}
			continue
		}
		t.Run(tc.name, func(t *testing.T) { b.expect(t, "devices/new", tc) })
	}
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

// TestP54P55CancelDialogs: what is cancelled by default, and on request.
func TestP54P55CancelDialogs(t *testing.T) {
	w := serve(t)
	x := w.things("acme", 10)
	b := w.as("operator", "acme")
	form := "packages/" + x.usable.ID + "/batch"
	counts := func(path string) simulator.Counts {
		t.Helper()
		v, err := w.server.Do(context.Background(), simulator.FindJob{Job: path[strings.LastIndex(path, "/")+1:]})
		if err != nil {
			t.Fatal(err)
		}
		return v.(simulator.Job).Counts
	}
	now := b.must(b.post(form, "Selection", "STATIC", "Target", "ALL"))
	if page := b.get(now + "/cancel"); !strings.Contains(page.text(), "nothing would be cancelled") {
		t.Error(page.text())
	}
	b.must(b.post(now+"/cancel", "What", "default"))
	if c := counts(now); c.Queued != 10 {
		t.Errorf("P54 by default only scheduled tasks are cancelled: %+v", c)
	}
	b.must(b.post(now+"/cancel", "What", "all"))
	if c := counts(now); c.Canceled != 10 {
		t.Errorf("P54 on request all: %+v", c)
	}
	planned := b.must(b.post(form, "Selection", "STATIC", "Target", "ALL", "When", "later", "Start", at(time.Hour)))
	if page := b.get(planned); !strings.Contains(page.text(), "pending (scheduled: ") {
		t.Errorf("P42: %s", page.text())
	}
	b.must(b.post(planned+"/cancel", "What", "default"))
	if c := counts(planned); c.Canceled != 10 {
		t.Errorf("P54 scheduled tasks are cancelled by default: %+v", c)
	}
	w.cmd(simulator.CreateStaticJob{Package: x.usable.ID, Target: simulator.TargetSpecific, Devices: []string{"lamp-000001"}})
	dyn := b.must(b.post(form, "Selection", "DYNAMIC", "Target", "ALL", "OtherSources", "1.0"))
	b.must(b.post(dyn+"/cancel", "What", "default"))
	if page := b.get(dyn); strings.Contains(page.text(), "strategy on") {
		t.Errorf("P55 by default the strategy: %s", page.text())
	}
	if a := b.post(dyn+"/cancel", "What", "some"); a.status != http.StatusBadRequest {
		t.Errorf("another word: %d", a.status)
	}
	if page := b.get("batches?status=CANCELED"); !strings.Contains(page.body, now) {
		t.Error("the cancelled batch is not listed as such")
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
	b.expect(t, "products/new", rule{"taken", []string{"Name", "路灯", "NodeType", "0"}, "already"})
	if a := b.get("audit?action=UpdateProductOTASecurity"); !a.says("admin-acme user") {
		t.Error(a.text())
	}
}

// TestFailuresOpenTheirDevices: reasons by code lead to the devices behind them, and a
// retry starts them anew.
func TestFailuresOpenTheirDevices(t *testing.T) {
	w := serve(t)
	x := w.things("acme", 4)
	busy := w.cmd(simulator.CreateStaticJob{Package: x.usable.ID, Target: simulator.TargetSpecific, Devices: []string{"lamp-000001", "lamp-000002"}}).(simulator.Job)
	b := w.as("operator", "acme")
	to := b.must(b.post("packages/"+x.usable.ID+"/batch", "Selection", "STATIC", "Target", "ALL"))
	page := b.get(to)
	_, href, ok := strings.Cut(page.body, `<td class="num"><a href="`)
	href, _, _ = strings.Cut(href, `"`)
	if !ok || !strings.Contains(page.text(), "Busy with another upgrade") {
		t.Fatal(page.text())
	}
	behind := b.get(strings.TrimSuffix(html.UnescapeString(href), "#devices"))
	if !strings.Contains(behind.text(), "1 to 2 of 2") || strings.Contains(behind.body, "lamp-000003") {
		t.Errorf("%s: %s", href, behind.text())
	}
	csv := b.get(to + "/tasks.csv?status=FAILED")
	if n := bytes.Count([]byte(csv.body), []byte("\n")); n != 3 {
		t.Errorf("%d lines of %s", n, csv.body)
	}
	if a := b.post(to + "/retry"); a.status != http.StatusUnprocessableEntity {
		t.Errorf("while they are busy: %d", a.status)
	}
	b.must(b.post("batches/"+busy.ID+"/cancel", "What", "all"))
	b.must(b.post(to + "/retry"))
	if page := b.get(to); !strings.Contains(page.text(), "1 to 4 of 4") || strings.Contains(page.text(), "What failed") {
		t.Error(page.text())
	}
	b.must(b.post(to+"/rate", "MaximumPerMinute", strconv.Itoa(simulator.MinPushRate)))
	var curve struct {
		Total           int
		Seconds, Failed []int
	}
	decode(t, b.get(to+"/progress.json").body, &curve)
	if curve.Total != 4 || len(curve.Seconds) < 2 || curve.Failed[0] != 0 { // a line, also in the first second
		t.Errorf("%+v", curve)
	}
}
