package console_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server"
	"github.com/leapslot/ota/simulator/server/store"
)

// TestVersionsOverTime: the statistics have a past, in a table and as figures for the
// chart, up to now; what many versions share is counted together; and they are their
// account's alone.
func TestVersionsOverTime(t *testing.T) {
	w := serve(t)
	x := w.things("acme", 3)
	s, err := store.OpenSQLite(context.Background(), w.dir+"/"+server.DatabaseFile)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	now := simulator.At(time.Now())
	const hour = 3600_000
	count := func(version string, n int) simulator.VersionCount {
		return simulator.VersionCount{Module: "default", Version: version, Devices: n}
	}
	for _, sample := range []store.Sample{
		{At: now - 3000*hour, Counts: []simulator.VersionCount{count("0.9", 3)}},
		{At: now - 40*hour, Counts: []simulator.VersionCount{count("1.0", 3)}},
		{At: now - 2*hour, Counts: []simulator.VersionCount{count("1.0", 2), count("2.0", 1)}},
	} {
		if err := s.AddSample(t.Context(), x.product.Key, sample); err != nil {
			t.Fatal(err)
		}
	}
	d := w.connect(x.devices[0].Device)
	d.publish(ota.TopicInform, `{"id":"1","params":{"version":"2.0"}}`)
	b := w.as("viewer", "acme")
	page := b.get("versions?product=" + x.product.Key)
	for _, want := range []string{"Over time · default", "1.0 2.0", "Look back"} {
		if !strings.Contains(page.text(), want) {
			t.Errorf("the page has no %q: %s", want, page.text())
		}
	}
	var figures struct {
		Seconds []int64
		Lines   []struct {
			Label   string
			Color   int
			Devices []int
		}
		Zone string
	}
	read := func(query string) {
		t.Helper()
		figures.Lines, figures.Seconds = nil, nil
		a := b.get("versions/" + x.product.Key + "/history.json?" + query)
		if a.status != http.StatusOK {
			t.Fatalf("%d %s", a.status, a.body)
		}
		decode(t, a.body, &figures)
	}
	read("module=default&days=7")
	// Since a week ago: what held then, two samples, and now.
	if len(figures.Seconds) != 4 || len(figures.Lines) != 3 || figures.Zone != "UTC" {
		t.Fatalf("%+v", figures)
	}
	for i, want := range map[int][]int{0: {3, 0, 0, 0}, 1: {0, 3, 2, 0}, 2: {0, 0, 1, 1}} {
		if got := figures.Lines[i].Devices; len(got) != 4 || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] || got[3] != want[3] {
			t.Errorf("%s: %v, want %v", figures.Lines[i].Label, got, want)
		}
	}
	read("module=default&days=1")
	if len(figures.Seconds) != 3 || figures.Lines[0].Label != "1.0" {
		t.Errorf("of a day: %+v", figures)
	}
	read("module=nothing")
	if len(figures.Seconds) != 0 || len(figures.Lines) != 0 {
		t.Errorf("of no module: %+v", figures)
	}
	var many []simulator.VersionCount
	for _, v := range strings.Fields("a b c d e f g h i j k") {
		many = append(many, count(v, 2))
	}
	if err := s.AddSample(t.Context(), x.product.Key, store.Sample{At: now - hour, Counts: many}); err != nil {
		t.Fatal(err)
	}
	read("module=default")
	if last := figures.Lines[len(figures.Lines)-1]; len(figures.Lines) != 8 || last.Label != "others" {
		t.Errorf("of many versions there are %d lines, the last is %+v", len(figures.Lines), last)
	}
	stranger := w.as("admin", "other")
	for _, path := range []string{"versions?product=" + x.product.Key, "versions/" + x.product.Key + "/history.json?module=default"} {
		if a := stranger.get(path); a.status != http.StatusNotFound {
			t.Errorf("%s by a stranger: %d", path, a.status)
		}
	}
	if a := stranger.post("versions/" + x.product.Key + "/sample"); a.status != http.StatusNotFound {
		t.Errorf("a stranger's sample: %d", a.status)
	}
	if a := b.post("versions/" + x.product.Key + "/sample"); a.status != http.StatusForbidden {
		t.Errorf("a viewer's sample: %d", a.status)
	}
	operator := w.as("operator", "acme")
	operator.must(operator.post("versions/" + x.product.Key + "/sample"))
	list, err := s.Samples(t.Context(), x.product.Key, now)
	if err != nil || len(list) == 0 || len(list[len(list)-1].Counts) != 1 || list[len(list)-1].Counts[0] != count("2.0", 1) {
		t.Errorf("recorded when asked: %+v, %v", list, err)
	}
}
