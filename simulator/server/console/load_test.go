package console_test

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leapslot/ota/simulator"
)

// pageTable is the variable that names the file which the times of the pages are written to
// (make bench-console).
const pageTable = "CONSOLE_PAGES"

// timed is a page, or what a form is answered with, and how long it took.
type timed struct {
	what, path    string
	form          []string // sent with POST when there is one
	want          string   // on the page
	middle, worst time.Duration
	bytes         int
}

// crowdPages are every list and every filter of it, and the pages that count devices.
func crowdPages(c *crowd, last string) []*timed {
	key, over, running, group := c.product.Key, "batches/"+c.over.ID, "batches/"+c.running.ID, "groups/"+c.group.ID
	batch := "packages/" + c.pack.ID + "/batch"
	preview := func(more ...string) []string {
		return append([]string{"Selection", "STATIC", "MaximumPerMinute", "10", "Preview", "1"}, more...)
	}
	return []*timed{
		{what: "overview", path: ""},
		{what: "products", path: "products"},
		{what: "a product", path: "products/" + key, want: "000"},
		{what: "devices", path: "devices?product=" + key, want: "lamp-000000"},
		{what: "devices, the middle page", path: "devices?product=" + key + "&page=1000"},
		{what: "devices, the last page", path: "devices?product=" + key + "&page=" + last, want: c.devices[len(c.devices)-1].Name},
		{what: "devices whose names begin so", path: "devices?product=" + key + "&prefix=lamp-01", want: "lamp-01"},
		{what: "devices, no such name", path: "devices?product=" + key + "&prefix=none"},
		{what: "a device", path: "devices/" + key + "/lamp-015000", want: "lamp-015000"},
		{what: "groups", path: "groups"},
		{what: "a group of 10,000", path: group},
		{what: "a group, its last page", path: group + "?page=200"},
		{what: "packages", path: "ota"},
		{what: "packages of a product and version", path: "ota?product=" + key + "&version=0.7"},
		{what: "a package with its batches", path: "packages/" + c.pack.ID},
		{what: "modules", path: "modules?product=" + key},
		{what: "shares of versions", path: "versions?product=" + key, want: "2.0.0"},
		{what: "shares of versions, a module", path: "versions?product=" + key + "&module=driver", want: "0.3"},
		{what: "secure upgrade", path: "security"},
		{what: "batches", path: "batches"},
		{what: "batches in progress", path: "batches?status=IN_PROGRESS&product=" + key},
		{what: "a batch that is over", path: over, want: "fw-2-0-0"},
		{what: "a batch under way", path: running, want: "000"},
		{what: "a batch, the middle page", path: running + "?page=1000"},
		{what: "a batch, the last page", path: running + "?page=" + last},
		{what: "a batch, pending", path: running + "?status=QUEUED"},
		{what: "a batch, pushed", path: running + "?status=NOTIFIED"},
		{what: "a batch, upgrading, a late page", path: running + "?status=IN_PROGRESS&page=500"},
		{what: "a batch, succeeded, a late page", path: over + "?status=SUCCEEDED&page=1000"},
		{what: "a batch, failed", path: over + "?status=FAILED"},
		{what: "a batch, cancelled", path: over + "?status=CANCELED"},
		{what: "a batch, failed so", path: over + "?status=FAILED&step=-2&reason=-2%3A+no+route"},
		{what: "a batch, one device", path: running + "?device=lamp-015000", want: "lamp-015000"},
		{what: "a batch's chart, over", path: over + "/progress.json"},
		{what: "a batch's chart, under way", path: running + "/progress.json"},
		{what: "cancelling a batch", path: running + "/cancel"},
		{what: "the form of a verification", path: "packages/" + c.pack.ID + "/verify"},
		{what: "the form of a batch", path: batch},
		{what: "a preview for all devices", path: batch, form: preview("Target", "ALL"), want: "figure"},
		{what: "a preview for a version", path: batch, form: preview("Target", "ALL", "Sources", "1.0.0"), want: "figure"},
		{what: "a preview for a part", path: batch, form: preview("Target", "GRAY", "Gray", "5"), want: "figure"},
		{what: "a preview for a group", path: batch, form: preview("Target", "GROUP", "Group", c.group.ID), want: "figure"},
		{what: "a preview for 10,000 named devices", path: batch, form: preview("Target", "SPECIFIC", "Devices", strings.Join(c.names(simulator.MaxTargets), "\n")), want: "figure"},
		{what: "devices to pick, by name and group", path: batch, form: []string{"Selection", "STATIC", "Target", "SPECIFIC", "List", "1", "Find", "00099", "FindGroup", c.group.ID}, want: "lamp-"},
		{what: "audit log", path: "audit"},
		{what: "audit log, a late page", path: "audit?page=1000"},
		{what: "audit log, one user", path: "audit?key=user+u7"},
		{what: "audit log, an action", path: "audit?action=RegisterDevice"},
		{what: "settings", path: "settings"},
	}
}

func (c *crowd) names(n int) []string {
	var out []string
	for _, d := range c.devices[:min(n, len(c.devices))] {
		out = append(out, d.Name)
	}
	return out
}

// take asks for the page a few times.
func (p *timed) take(t *testing.T, b *browser, times int) {
	t.Helper()
	var all []time.Duration
	for range times {
		start := time.Now()
		var a answered
		if p.form == nil {
			a = b.get(p.path)
		} else {
			a = b.post(p.path, p.form...)
		}
		all = append(all, time.Since(start))
		if a.status != 200 || !strings.Contains(a.body, p.want) {
			t.Fatalf("%s, %s: %d, wanted is %q in %.2000s", p.what, p.path, a.status, p.want, a.text())
		}
		p.bytes = len(a.body)
	}
	slices.Sort(all)
	p.middle, p.worst = all[len(all)/2], all[len(all)-1]
}

// TestLargeBatchPages: every list and filter of a cloud with 20,000 devices, two batches of
// all of them and as many lines of audit log takes less than 100 ms, whatever else runs on the
// machine. make bench-console does it with 100,000 and writes down how long.
func TestLargeBatchPages(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: so many devices take several seconds to make")
	}
	devices, times, limit := 20_000, 5, 100*time.Millisecond
	if os.Getenv(pageTable) != "" {
		devices, times = 100_000, 20
	}
	dir := t.TempDir()
	c := fill(t, dir, devices)
	w := serveWith(t, dir)
	b := w.as("admin", crowdAccount)
	pages := crowdPages(c, fmt.Sprint(devices/50))
	for _, p := range pages {
		p.take(t, b, times)
		t.Logf("%6.1f ms, at worst %6.1f ms, %4d kB  %s", ms(p.middle), ms(p.worst), p.bytes/1000, p.what)
		if p.middle > limit {
			t.Errorf("%s (%s) takes %v", p.what, p.path, p.middle)
		}
	}
	csv := b.get("batches/" + c.over.ID + "/tasks.csv?status=FAILED")
	if n := strings.Count(csv.body, "\n"); n < devices/10 {
		t.Errorf("the export has %d lines", n)
	}
	if to := os.Getenv(pageTable); to != "" {
		if err := os.WriteFile(to, []byte(tableOf(pages)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func tableOf(pages []*timed) string {
	var s strings.Builder
	fmt.Fprintf(&s, `# How long the console's pages take

Written by `+"`make bench-console`"+`: each page is asked for 20 times over HTTP from the server that makes it, on %d processors
(%s/%s, %s). There are 100,000 devices with their versions, a batch of 100,000 tasks that is over and another one under way,
201 packages, 31 products, 20 groups of which one has 10,000 devices, and an audit log of 100,000 lines. What is promised is
100 ms for every page.

| page | ms, middle | ms, slowest | kB |
|---|--:|--:|--:|
`, runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version())
	for _, p := range pages {
		fmt.Fprintf(&s, "| %s | %.1f | %.1f | %d |\n", p.what, ms(p.middle), ms(p.worst), (p.bytes+500)/1000)
	}
	return s.String()
}
