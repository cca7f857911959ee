package console_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/leapslot/ota/simulator"
)

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
		{"P27 all devices", "", static, ""},
		{"P25 a source that is the target", "Sources", with(static, "Sources", "2.0"), "2.0 is the target version"},
		{"P25 a source twice", "Sources", with(static, "OtherSources", "1.0 1.0"), "version 1.0 is named twice"},
		{"P25 a dynamic batch without", "Sources", []string{"Selection", "DYNAMIC", "Target", "ALL"}, "a dynamic batch needs the source versions"},
		{"P25 none matches", "Devices", with(static, "Sources", "9.9"), "no device matches"},
		{"P26 dynamic", "", dynamic, ""},
		{"P22 a second one", "Sources", dynamic, "cancel its strategy first"},
		{"P28 by hand", "", []string{"Selection", "STATIC", "Target", "SPECIFIC", "Devices", "lamp-000001\nlamp-000002"}, ""},
		{"P28 none", "Devices", []string{"Selection", "STATIC", "Target", "SPECIFIC"}, "which devices?"},
		{"P28 one that is not there", "Devices", []string{"Selection", "STATIC", "Target", "SPECIFIC", "Devices", "nobody"}, `has no device "nobody"`},
		{"P28 not dynamic", "Target", []string{"Selection", "DYNAMIC", "Target", "SPECIFIC", "Sources", "1.0"}, "A dynamic batch is for all devices or for a group."},
		{"P30 grey", "", []string{"Selection", "STATIC", "Target", "GRAY", "Gray", "10"}, ""},
		{"P30 no percentage", "Gray", []string{"Selection", "STATIC", "Target", "GRAY"}, "which percentage of the devices?"},
		{"P30 0 percent", "Gray", []string{"Selection", "STATIC", "Target", "GRAY", "Gray", "0"}, "allowed are 0.001 to 100 percent"},
		{"P30 not dynamic", "Target", []string{"Selection", "DYNAMIC", "Target", "GRAY", "Gray", "5", "Sources", "1.0"}, "A dynamic batch is for all devices or for a group."},
		{"P31 scheduled", "", with(later, "Start", at(time.Hour)), ""},
		{"P31 without a start", "Start", later, "Give a time."},
		{"P31 no time", "Start", with(later, "Start", "tomorrow"), "This is no time."},
		{"P32 too soon", "Start", with(later, "Start", at(2*time.Minute)), "the start is 5 minutes to 7 days from now"},
		{"P32 too late", "Start", with(later, "Start", at(7*24*time.Hour+2*time.Minute)), "the start is 5 minutes to 7 days from now"},
		{"P33 an end", "", with(later, "Start", at(time.Hour), "Finish", at(3*time.Hour)), ""},
		{"P33 too short", "Finish", with(later, "Start", at(time.Hour), "Finish", at(90*time.Minute)), "the end is 1 hour to 30 days after the start"},
		{"P33 too long", "Finish", with(later, "Start", at(time.Hour), "Finish", at(32*24*time.Hour)), "the end is 1 hour to 30 days after the start"},
		{"P34 the least", "", with(static, "MaximumPerMinute", "10"), ""},
		{"P34 too few", "MaximumPerMinute", with(static, "MaximumPerMinute", "9"), "allowed are 10 to 1000"},
		{"P34 too many", "MaximumPerMinute", with(static, "MaximumPerMinute", "1001"), "allowed are 10 to 1000"},
		{"P34 no number", "MaximumPerMinute", with(static, "MaximumPerMinute", "many"), "This is no whole number."},
		{"P34 a rate that grows", "", with(static, "Rate", "growing", "Base", "10", "Factor", "1.1", "GrowBy", "notified", "Notified", "1"), ""},
		{"P34 grows from nothing", "Base", with(static, "Rate", "growing"), "0 devices a minute to begin with"},
		{"P34 begins above its end", "Base", with(static, "MaximumPerMinute", "50", "Rate", "growing", "Base", "51", "Factor", "2", "Notified", "5"), "to the batch's maximum of 50"},
		{"P34 another factor", "Factor", with(static, "Rate", "growing", "Base", "10", "Factor", "5.1", "Notified", "5"), "allowed are 1.1 to 5"},
		{"P34 no step", "Notified", with(static, "Rate", "growing", "Base", "10", "Factor", "2"), "say after how many devices the rate grows"},
		{"P34 a step that is none", "Notified", with(static, "Rate", "growing", "Base", "10", "Factor", "2", "Notified", "x"), "This is no whole number."},
		{"another protocol", "DownloadProtocol", with(static, "DownloadProtocol", "FTP"), "is neither HTTPS nor MQTT"},
		{"P35 never", "", with(static, "Retry", "never", "RetryCount", "2"), ""},
		{"P35 at once", "", with(static, "Retry", "0", "RetryCount", "5"), ""},
		{"P35 another interval", "Retry", with(static, "Retry", "11", "RetryCount", "1"), "allowed are 0 10 30 60 1440 minutes"},
		{"P36 another count", "RetryCount", with(static, "Retry", "10", "RetryCount", "3"), "allowed are 1 2 5 times"},
		{"P37 a timeout", "", with(static, "TimeoutMinutes", "1440"), ""},
		{"P37 none below 1", "TimeoutMinutes", with(static, "TimeoutMinutes", "-1"), "allowed are 1 to 1440"},
		{"P37 too long", "TimeoutMinutes", with(static, "TimeoutMinutes", "1441"), "allowed are 1 to 1440"},
		{"P38 overwrite", "", with(static, "Overwrite", "2"), ""},
		{"P38 neither", "Overwrite", with(static, "Overwrite", "3"), "3 is neither 1"},
		{"P40 neither", "Mode", []string{"Selection", "DYNAMIC", "Target", "ALL", "Sources", "1.1", "Mode", "3"}, "3 is neither 1"},
		{"P40 newly reported", "", []string{"Selection", "DYNAMIC", "Target", "ALL", "Sources", "1.2", "Mode", "2"}, ""},
		{"P41 tags", "", with(static, "TagKey", "site", "TagValue", "north"), ""},
		{"P41 a key without a value", "Tags", with(static, "TagKey", "site", "TagValue", ""), "the value of \"site\" has 0 characters"},
		{"P41 the name of a field", "Tags", with(static, "TagKey", "url", "TagValue", "x"), "is the name of a field of the notice"},
		{"P41 a key of other letters", "Tags", with(static, "TagKey", "位置", "TagValue", "x"), "has not 1 to 30"},
		{"P41 a key twice", "Tags", with(static, "TagKey", "k", "TagValue", "x", "TagKey", "k", "TagValue", "y"), "is given twice"},
		{"P41 a long value", "Tags", with(static, "TagKey", "k", "TagValue", strings.Repeat("x", 1025)), "allowed are 1 to 1024"},
		{"P41 too many", "Tags", with(static, tags...), "11 tags, allowed are at most 10"},
		{"a long description", "Desc", with(static, "Desc", strings.Repeat("字", 101)), "the description"},
		{"no target", "Target", []string{"Selection", "STATIC", "Target", "SOME"}, "is none of all devices"},
		{"a group that is not there", "Group", []string{"Selection", "STATIC", "Target", "GROUP", "Group", "g1"}, "there is no group"},
	} {
		t.Run(tc.name, func(t *testing.T) { b.expect(t, form, tc) })
	}
	refused := b.post("packages/"+x.fresh.ID+"/batch", static...)
	if refused.status != http.StatusUnprocessableEntity || !refused.says("must succeed on a few devices") {
		t.Errorf("P17, of a package that is not verified: %d %s", refused.status, refused.text())
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
