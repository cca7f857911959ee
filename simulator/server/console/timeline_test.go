package console_test

import (
	"context"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server"
	"github.com/leapslot/ota/simulator/server/store"
)

// real makes a package with a file that is there.
func (w *world) real(b *browser, product string) simulator.Package {
	w.t.Helper()
	to := b.must(b.send("packages/new", "Files", "fw.bin", []byte(strings.Repeat("firmware", 512)),
		"Product", product, "Module", "default", "Name", "real", "Version", "2.0", "Diff", "0", "SignMethod", "Md5"))
	id := to[strings.LastIndexByte(to, '/')+1:]
	p := w.cmd(simulator.FindPackage{Package: id}).(simulator.Package)
	return p
}

// eventually waits until a page has all of these texts: the history is written a moment
// after what it is about.
func (b *browser) eventually(path string, texts ...string) answered {
	b.t.Helper()
	var a answered
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		a = b.get(path)
		missing := ""
		for _, s := range texts {
			if !strings.Contains(a.text(), s) {
				missing = s
			}
		}
		if missing == "" {
			return a
		}
		if time.Now().Add(100 * time.Millisecond).After(end) {
			b.t.Fatalf("%s: %d, no %q in %s", path, a.status, missing, a.text())
		}
	}
	return a
}

// inOrder fails unless the texts stand behind each other.
func inOrder(t *testing.T, text string, want ...string) {
	t.Helper()
	rest := text
	for _, s := range want {
		at := strings.Index(rest, s)
		if at < 0 {
			t.Fatalf("no %q, in this order %q, in %s", s, want, text)
		}
		rest = rest[at+len(s):]
	}
}

// TestTimeline: everything that a device and the cloud say to each other stands on its
// timeline, the newest first, without what lets somebody in; and what a device says is
// text, however it is made.
func TestTimeline(t *testing.T) {
	w := serve(t)
	x := w.things("acme", 3)
	b := w.as("operator", "acme")
	p := w.real(b, x.product.Key)
	dev := ota.Device{ProductKey: x.product.Key, Name: x.devices[0].Name}
	path := "devices/" + dev.ProductKey + "/" + dev.Name + "/timeline"
	if a := b.get(path); a.status != http.StatusOK || !strings.Contains(a.text(), "Nothing is recorded yet") {
		t.Fatalf("an empty one: %d %s", a.status, a.text())
	}
	d := w.connect(dev)
	d.publish(ota.TopicInform, `{"id":"7","params":{"version":"1.0"}}`)
	time.Sleep(20 * time.Millisecond) // times have milliseconds
	verify := w.cmd(simulator.CreateVerifyJob{Package: p.ID, Devices: []string{dev.Name}}).(simulator.Job)
	n, _, err := ota.DecodeNotice(d.receive().Payload())
	if err != nil {
		t.Fatal(err)
	}
	r, _ := http.NewRequest("GET", n.Files[0].URL, nil)
	r.Header.Set("Range", "bytes=0-99")
	resp, err := http.DefaultClient.Do(r)
	if err != nil || resp.StatusCode != http.StatusPartialContent {
		t.Fatalf("%+v %v", resp, err)
	}
	resp.Body.Close()
	d.publish(ota.TopicProgress, `{"id":"8","params":{"step":"35","desc":"<script>alert(1)</script>\u202eevil"}}`)
	d.publish(ota.TopicInform, `{"id":"9","params":{"version":"2.0","password":"hunter2","token":"let-me-in"}}`)
	time.Sleep(20 * time.Millisecond)
	d.publish(ota.TopicInform, "\x1b[31mno JSON at all\x00\xff")
	d.Disconnect(200)

	a := b.eventually(path, "The device said goodbye.")
	inOrder(t, a.text(), "Disconnected", `\x1b[31mno JSON at all\x00\xff`, "Task succeeded", "Version report", "2.0", "Task upgrading", "Progress", `\u202eevil`, "Download over HTTP", "bytes=0-99", "206", "Upgrade notice or answer", "Task pushed", "Version report", "1.0", "Connected", "keepAlive")
	secret := n.Files[0].URL[strings.LastIndexByte(n.Files[0].URL, '/')+1:]
	for _, s := range []string{secret, "hunter2", "let-me-in", "<script>alert", "\u202e", "\x1b", x.devices[0].Secret} {
		if strings.Contains(html.UnescapeString(a.body), s) && strings.Contains(a.body, s) {
			t.Errorf("the page has %q", s)
		}
	}
	for _, s := range []string{"•••", "/ota/device/upgrade/" + dev.ProductKey + "/" + dev.Name, "/ota/device/inform/", "&lt;script&gt;", n.Files[0].Sign} {
		if !strings.Contains(a.body, s) {
			t.Errorf("the page has no %q", s)
		}
	}
	w.neverWritten(secret, "hunter2", "let-me-in", x.devices[0].Secret)

	tasks, _ := b.taskOf(verify.ID)
	if a := b.get("devices/" + dev.ProductKey + "/" + dev.Name); !strings.Contains(a.body, `/timeline"`) || !strings.Contains(a.body, "/timeline?task="+tasks) {
		t.Error("the device's page has no way to it")
	}
	if a := b.get("batches/" + verify.ID); !strings.Contains(a.body, "/console/"+path+"?task="+tasks) {
		t.Error("the batch's tasks have no way to it")
	}
	if a := b.get(path + "?task=" + tasks); strings.Contains(a.text(), "goodbye") || strings.Contains(a.body, "{&#34;id&#34;:&#34;7&#34;") || !strings.Contains(a.text(), "Download over HTTP") {
		t.Errorf("of the task: %s", a.text())
	}
	if a := b.get(path + "?kind=download"); strings.Contains(a.text(), "Progress ↑") || !strings.Contains(a.text(), "1 to 1 of 1") || !strings.Contains(a.body, "100 B") {
		t.Errorf("downloads alone: %s", a.text())
	}
	if a := b.get(path + "?kind=gateway"); !strings.Contains(a.text(), "Nothing fits this filter") {
		t.Errorf("what never was: %s", a.text())
	}
	if a := b.get(path + "?lang=zh-CN"); !strings.Contains(a.text(), "上报进度") || !strings.Contains(a.text(), "设备主动断开") {
		t.Errorf("in Chinese: %s", a.text())
	}
	for _, wrong := range []string{path + "?task=t999999999999", "devices/" + dev.ProductKey + "/nobody/timeline"} {
		if a := b.get(wrong); a.status != http.StatusNotFound {
			t.Errorf("%s: %d", wrong, a.status)
		}
	}
}

// taskOf gives the one task of a batch, as its export names it.
func (b *browser) taskOf(job string) (id, device string) {
	b.t.Helper()
	lines := strings.Split(b.get("batches/"+job+"/tasks.csv").body, "\n")
	fields := strings.Split(lines[1], ",")
	return fields[0], fields[2]
}

// neverWritten looks for secrets in the files of the history.
func (w *world) neverWritten(secrets ...string) {
	w.t.Helper()
	files, err := filepath.Glob(filepath.Join(w.dir, server.HistoryFile) + "*")
	if err != nil || len(files) == 0 {
		w.t.Fatalf("the history's files: %v, %v", files, err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, s := range secrets {
			if strings.Contains(string(b), s) {
				w.t.Errorf("%s has %q in it", filepath.Base(f), s)
			}
		}
	}
}

// TestTimelineAccess: F5, another account's devices have no timeline; who may look may
// look; and what a device of the same name did before it was deleted is not shown.
func TestTimelineAccess(t *testing.T) {
	w := serve(t)
	x := w.things("acme", 2)
	dev := x.devices[0].Device
	path := "devices/" + dev.ProductKey + "/" + dev.Name + "/timeline"
	d := w.connect(dev)
	d.publish(ota.TopicInform, `{"id":"1","params":{"version":"of-acme"}}`)
	viewer, stranger := w.as("viewer", "acme"), w.as("admin", "other")
	viewer.eventually(path, "of-acme")
	for _, p := range []string{path, path + "/events"} {
		if a := stranger.get(p); a.status != http.StatusNotFound || strings.Contains(a.body, "of-acme") {
			t.Errorf("%s by a stranger: %d", p, a.status)
		}
		if a := w.browser().get(p); a.status != http.StatusSeeOther {
			t.Errorf("%s by nobody: %d", p, a.status)
		}
	}
	w.cmd(simulator.DeleteDevice{Product: dev.ProductKey, Name: dev.Name})
	viewer.eventually("devices?product=" + dev.ProductKey)
	time.Sleep(500 * time.Millisecond) // its end is written
	w.cmd(simulator.RegisterDevices{Product: dev.ProductKey, Names: []string{dev.Name}})
	if a := viewer.get(path); strings.Contains(a.text(), "of-acme") || !strings.Contains(a.text(), "Nothing is recorded yet") {
		t.Errorf("a new device of that name: %s", a.text())
	}
}

// TestTimelineLive: an open page hears of what is recorded, in a second or so.
func TestTimelineLive(t *testing.T) {
	w := serve(t)
	x := w.things("acme", 1)
	dev := x.devices[0].Device
	b := w.as("viewer", "acme")
	d := w.connect(dev)
	path := "devices/" + dev.ProductKey + "/" + dev.Name + "/timeline"
	a := b.eventually(path, "Connected")
	if !strings.Contains(a.body, `data-events="/console/`+path+`/events?since=`) {
		t.Errorf("the page does not listen: %s", a.body)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	news(ctx, t, b, path+"/events", func() { d.publish(ota.TopicInform, `{"id":"1","params":{"version":"1.0"}}`) })
}

// TestTimelinePages: a long one is paged, deep JSON stays small, and a long message is cut.
func TestTimelinePages(t *testing.T) {
	w := serve(t)
	x := w.things("acme", 1)
	dev := x.devices[0].Device
	b := w.as("viewer", "acme")
	d := w.connect(dev)
	for i := range 60 {
		d.publish(ota.TopicInform, fmt.Sprintf(`{"id":"%d","params":{"version":"1.%d"}}`, i, i))
	}
	deep := strings.Repeat("[", 4000)
	d.publish(ota.TopicInform, deep)
	long, _ := json.Marshal(map[string]string{"deviceSecret": strings.Repeat("s3cr3t", 20_000)})
	d.publish(ota.TopicInform, string(long))
	path := "devices/" + dev.ProductKey + "/" + dev.Name + "/timeline"
	a := b.eventually(path+"?kind=inform", "1 to 50 of 62")
	if len(a.body) > 200<<10 {
		t.Errorf("the page has %d bytes", len(a.body))
	}
	if !strings.Contains(a.text(), "Only its beginning was kept.") || strings.Contains(a.body, "s3cr3t") {
		t.Error("the long message is not cut, or its secret is shown")
	}
	w.neverWritten("s3cr3t")
	if a := b.get(path + "?kind=inform&page=2"); !strings.Contains(a.text(), "51 to 62 of 62") || strings.Contains(a.body, "data-events") {
		t.Errorf("the second page: %s", a.text())
	}
}

// TestTimelineSaysWhatIsMissing: what was not recorded is said where it is missed, and a
// cloud that keeps no history says so in place of an empty page.
func TestTimelineSaysWhatIsMissing(t *testing.T) {
	w := serve(t)
	x := w.things("acme", 1)
	dev := x.devices[0].Device
	b := w.as("viewer", "acme")
	path := "devices/" + dev.ProductKey + "/" + dev.Name + "/timeline"
	w.connect(dev)
	if a := b.eventually(path, "Connected"); strings.Contains(a.text(), "were not recorded") {
		t.Errorf("nothing is missing: %s", a.text())
	}
	h, _, err := store.OpenHistory(t.Context(), filepath.Join(w.dir, server.HistoryFile), store.HistoryLimits{Entries: 1000})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if err := h.Append(t.Context(), []store.Entry{{At: simulator.At(time.Now()), Kind: store.EntryLost, Size: 12345}}); err != nil {
		t.Fatal(err)
	}
	b.eventually(path, "12,345 messages of any device were not recorded")

	w = serveConfig(t, server.Config{Dir: t.TempDir(), History: -1})
	dev = w.things("acme", 1).devices[0].Device
	b = w.as("viewer", "acme")
	path = "devices/" + dev.ProductKey + "/" + dev.Name + "/timeline"
	if a := b.get(path); a.status != http.StatusOK || !strings.Contains(a.text(), "--history 0") || strings.Contains(a.body, "data-events") {
		t.Errorf("without a history: %d %s", a.status, a.text())
	}
	if a := b.get(path + "/events"); a.status != http.StatusNotFound {
		t.Errorf("events of nothing: %d", a.status)
	}
}
