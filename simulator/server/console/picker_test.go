package console_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
)

var (
	offered = regexp.MustCompile(`type="checkbox" name="(?:Picked|Devices)" value="([^"]*)"( checked)?`)
	listed  = regexp.MustCompile(`(?s)<textarea id="in-Devices"[^>]*>(.*?)</textarea>`)
)

// picks gives the devices that a page's picker lists, those with a mark as "+name".
func (a answered) picks() string {
	var out []string
	for _, m := range offered.FindAllStringSubmatch(a.body, -1) {
		name := strings.TrimPrefix(m[1], "lamp-0000")
		if m[2] != "" {
			name = "+" + name
		}
		out = append(out, name)
	}
	return strings.Join(out, " ")
}

// chosen gives the names in the form's text.
func (a answered) chosen() string {
	m := listed.FindStringSubmatch(a.body)
	if m == nil {
		return ""
	}
	return strings.Join(strings.Fields(m[1]), " ")
}

// TestP28PickDevices: devices of a targeted batch are found by name and by group and marked
// page by page, with nothing but the form's buttons.
func TestP28PickDevices(t *testing.T) {
	w := serve(t)
	x := w.things("acme", 45)
	group := w.cmd(simulator.CreateGroup{Account: "acme", Name: "north"}).(simulator.Group)
	w.cmd(simulator.AddToGroup{Group: group.ID, Devices: []ota.Device{x.devices[7].Device, x.devices[30].Device}})
	b := w.as("operator", "acme")
	form := "packages/" + x.usable.ID + "/batch"
	post := func(more ...string) answered {
		t.Helper()
		a := b.post(form, append([]string{"Selection", "STATIC", "Target", "SPECIFIC", "Desc", "kept"}, more...)...)
		if a.status != http.StatusOK || !strings.Contains(a.body, `value="kept"`) {
			t.Fatalf("%d: what was filled in is not there any more: %s", a.status, a.text())
		}
		return a
	}
	if a := post("List", "1", "Find", "LAMP-00004"); a.picks() != "40 41 42 43 44" || !a.says("1 to 5 of 5") {
		t.Errorf("by name: %s", a.picks())
	}
	a := post("List", "1", "FindGroup", group.ID, "Devices", "lamp-000030")
	if a.picks() != "07 +30" {
		t.Errorf("by group: %s", a.picks())
	}
	// A name that was typed and is on the list without a mark was not taken out by anybody.
	if n := strings.Count(a.body, `name="Listed"`); n != 1 || !strings.Contains(a.body, `name="Listed" value="lamp-000030"`) {
		t.Errorf("%d devices can be unmarked, wanted is the one that has a mark", n)
	}
	a = post("FindPage", "3", "Listed", "lamp-000007", "Listed", "lamp-000030", "Picked", "lamp-000007", "Devices", "lamp-000030\nlamp-000001")
	if a.picks() != "40 41 42 43 44" || a.chosen() != "lamp-000001 lamp-000007" || !a.says("2 chosen") {
		t.Errorf("marked on one page, seen on another: %s; %s", a.picks(), a.chosen())
	}
	if a = post("AddAll", "1", "FindGroup", group.ID, "Devices", "lamp-000007"); a.chosen() != "lamp-000007 lamp-000030" {
		t.Errorf("all of a group: %s", a.chosen())
	}
	if a = post("AddAll", "1"); len(strings.Fields(a.chosen())) != 45 {
		t.Errorf("all: %s", a.chosen())
	}
	if a = post("Clear", "1", "Devices", "lamp-000007"); a.chosen() != "" {
		t.Errorf("none: %s", a.chosen())
	}
	if a = post("List", "1", "Find", "nobody"); a.picks() != "" || !a.says("No device that can be chosen fits.") {
		t.Errorf("nothing found: %s", a.picks())
	}
	to := b.must(b.post(form, "Selection", "STATIC", "Target", "SPECIFIC", "Listed", "lamp-000003", "Picked", "lamp-000003", "Devices", "lamp-000009, lamp-000009"))
	page := b.get(to)
	if !page.says("1 to 2 of 2") || !strings.Contains(page.body, "lamp-000003") || !strings.Contains(page.body, "lamp-000009") {
		t.Error(page.text())
	}
	clone := b.get(form + "?clone=" + to[strings.LastIndex(to, "/")+1:])
	if clone.chosen() != "lamp-000009 lamp-000003" {
		t.Errorf("the clone is for %q", clone.chosen())
	}
}

// TestP19PickForVerification: the same list, for the devices to try a package on; what was
// marked stays when something else is looked for.
func TestP19PickForVerification(t *testing.T) {
	w := serve(t)
	x := w.things("acme", 45)
	b := w.as("operator", "acme")
	form := "packages/" + x.fresh.ID + "/verify"
	a := b.post(form, "List", "1", "Find", "00004", "Devices", "lamp-000002", "Devices", "lamp-000041")
	if a.status != http.StatusOK || a.picks() != "+02 04 40 +41 42 43 44" {
		t.Errorf("%d %s", a.status, a.picks())
	}
	if a = b.post(form, "FindPage", "2"); a.status != http.StatusOK || !a.says("21 to 40 of 45") {
		t.Errorf("%d %s", a.status, a.text())
	}
	b.must(b.post(form, "Devices", "lamp-000002", "Devices", "lamp-000041", "Find", "00004"))
}

// TestP29RowsOfUnknownDevices: a file that names devices which are not there is refused by
// its rows, before anything is made.
func TestP29RowsOfUnknownDevices(t *testing.T) {
	w := serve(t)
	x := w.things("acme", 3)
	b := w.as("operator", "acme")
	rows := []string{"DeviceName", "lamp-000001"}
	for i := range 12 {
		rows = append(rows, fmt.Sprint("ghost-", i))
	}
	for lang, want := range map[string][]string{
		"en":    {`Row 3: the product has no device "ghost-0"`, `Row 12:`, "and 2 more rows"},
		"zh-CN": {`第 3 行：产品下没有设备"ghost-0"`, `第 12 行：`, "另有 2 行有误"},
	} {
		a := b.send("packages/"+x.usable.ID+"/batch?lang="+lang, "List", "d.csv", []byte(strings.Join(rows, "\n")), "Selection", "STATIC", "Target", "SPECIFIC")
		for _, text := range want {
			if a.status != http.StatusUnprocessableEntity || !a.says(text) {
				t.Errorf("%d: no %q in %s", a.status, text, a.text())
			}
		}
	}
	if list := b.get("batches"); strings.Contains(list.body, "/cancel") {
		t.Error("a batch was made all the same")
	}
}

// TestBatchOfEverything: a batch with every setting of later documents is made as the form
// says, shows it, and is cloned with it.
func TestBatchOfEverything(t *testing.T) {
	w := serve(t)
	x := w.things("acme", 3)
	b := w.as("operator", "acme")
	form := "packages/" + x.usable.ID + "/batch"
	all := []string{"Selection", "STATIC", "Target", "ALL", "MaximumPerMinute", "100", "Rate", "growing", "Base", "10", "Factor", "1.5", "GrowBy", "succeeded", "Notified", "200",
		"DownloadProtocol", "MQTT", "Push", "0", "NeedConfirm", "1", "MultiModule", "1"}
	to := b.must(b.post(form, all...))
	j := w.cmd(simulator.FindJob{Job: to[strings.LastIndex(to, "/")+1:]}).(simulator.Job)
	if j.Protocol != simulator.MQTT || !j.Policy.NoPush || !j.Policy.NeedConfirm || !j.Policy.MultiModule ||
		j.Policy.Rate != (simulator.VariableRate{Base: 10, Factor: "1.5", Succeeded: 200}) || j.Counts.Unconfirmed != 3 {
		t.Errorf("%+v", j)
	}
	page := b.get(to)
	for _, want := range []string{"10 a minute, times 1.5 each 200 devices that succeed", "MQTT", "Given when the device asks", "Devices wait until a user confirms"} {
		if !page.says(want) {
			t.Errorf("the page does not say %q: %s", want, page.text())
		}
	}
	clone := b.get(form + "?clone=" + j.ID)
	for _, want := range []string{`value="growing" checked`, `name="Base" type="number" value="10"`, `name="Factor" type="text" value="1.5"`, `value="succeeded" checked`,
		`name="Notified" type="number" value="200"`, `value="MQTT" checked`, `name="Push" value="0" checked`, `name="NeedConfirm" value="1" checked`, `name="MultiModule" value="1" checked`} {
		if !strings.Contains(clone.body, want) {
			t.Errorf("the clone has no %s", want)
		}
	}
	b.must(b.post(to + "/confirm"))
	if j = w.cmd(simulator.FindJob{Job: j.ID}).(simulator.Job); j.Counts.Unconfirmed != 0 || j.Counts.Queued != 3 {
		t.Errorf("after confirming: %+v", j.Counts)
	}
}
