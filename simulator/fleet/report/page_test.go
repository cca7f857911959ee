package report

import (
	"bytes"
	"encoding/xml"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"
)

var (
	update = flag.Bool("update", false, "write the golden files anew")
	keep   = flag.String("keep", "", "a file in which TestPage keeps its page, for a look at it")
)

func thresholds(t *testing.T, all ...string) []Threshold {
	t.Helper()
	var out []Threshold
	for _, s := range all {
		l, err := ParseThreshold(s)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, l)
	}
	return out
}

// golden compares with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got; -update writes it anew):\n%s", name, diff)
	}
}

// small is a run of a few seconds with one of everything, in whole numbers.
func small() *Result {
	r := New(start)
	r.health.Cores = 2
	r.Describe(Run{Title: "Four lamps", Scenario: "lamps.toml", Seed: 7, Endpoint: "mqtt://127.0.0.1:1883", Ramp: "1/s", Program: "otasim 1.0", Host: "bench"})
	r.PushLimit(60)
	r.SocketLimit(100)
	r.Devices(4)
	good, bad := r.Behaviour("good"), r.Behaviour("download fails")
	good.Devices(3)
	good.Expect(Succeeded, 3)
	bad.Devices(1)
	bad.Expect(DownloadFailed, 1)
	r.Mark(start.Add(2*time.Second), "the broker restarts")
	r.Note("devices are of two kinds")
	tick := func(second int) {
		r.Tick(start.Add(time.Duration(second)*time.Second), Sample{CPU: time.Duration(second) * 200 * time.Millisecond, Memory: 20_000_000, Sockets: 4, Goroutines: 9})
	}
	for i := range 4 {
		r.Move(Waiting, Online)
		r.Add(Connects, 1)
		r.Add(Connected, 1)
		r.Observe(Connect, time.Duration(i+1)*4*time.Millisecond)
		r.Observe(ConnectTCP, time.Duration(i+1)*time.Millisecond)
		r.Observe(Lateness, time.Millisecond)
		tick(i + 1)
	}
	for i := range 4 {
		r.Add(NoticesPushed, 1)
		r.Add(Bytes, 500_000)
		r.Observe(NoticeToByte, 10*time.Millisecond)
		if i == 3 {
			bad.Ended(DownloadFailed)
			r.Move(Online, Failed)
			r.Add(BytesWasted, 500_000)
		} else {
			good.Ended(Succeeded)
			r.Move(Online, Updated)
			r.Transferred(500_000, 250*time.Millisecond)
			r.Observe(NoticeToSuccess, time.Duration(i+1)*time.Second)
		}
		tick(i + 5)
	}
	return r.Result(start.Add(8 * time.Second))
}

// TestGolden shows a small result in each of its forms.
func TestGolden(t *testing.T) {
	r := small()
	verdicts := r.Judge(thresholds(t, "connect.p99<10ms", "success>=75%", "download_speed.p50>=1.5MB/s", "push_rate<=60"))
	var text, junit, page bytes.Buffer
	if err := r.WriteText(&text, verdicts); err != nil {
		t.Fatal(err)
	}
	if err := r.WriteJUnit(&junit, verdicts); err != nil {
		t.Fatal(err)
	}
	if err := r.WriteHTML(&page, verdicts); err != nil {
		t.Fatal(err)
	}
	golden(t, "small.txt", text.Bytes())
	golden(t, "small.xml", junit.Bytes())
	// The style is in a file of its own already, and what the mouse shows is in the tables too.
	short := regexp.MustCompile(`(?s)<path class="slice".*?</path>`).ReplaceAllString(strings.Replace(page.String(), pageStyle, "", 1), "")
	golden(t, "small.html", []byte(strings.ReplaceAll(short, "><", ">\n<")))
	if page.Len() > 100_000 {
		t.Errorf("the page has %d bytes", page.Len())
	}
}

// TestPage writes a realistic run as a page: well formed, complete, and with a
// title, a description and a table for each plot.
func TestPage(t *testing.T) {
	r := townResult(6000)
	var b bytes.Buffer
	if err := r.WriteHTML(&b, r.Judge(thresholds(t, "connect.p99<500ms", "notice_to_success.p99<20s", "success>=90%", "push_rate<=1000", "disconnects<=0"))); err != nil {
		t.Fatal(err)
	}
	if *keep != "" {
		if err := os.WriteFile(*keep, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if b.Len() > 400_000 {
		t.Errorf("the page has %d bytes", b.Len())
	}
	count := tags(t, b.Bytes())
	if n := count[`svg role="img"`]; n != 11 || count["desc"] != n || count["details"] != n {
		t.Errorf("%d plots, %d descriptions, %d tables of figures", n, count["desc"], count["details"])
	}
	for _, want := range []string{"1 of 5 broken", grouped(r.Total().Seen[Succeeded]), "the broker restarts", "limit 1,000/min", "-3 verification failed", "mqtts://127.0.0.1:8883"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing", want)
		}
	}
	if strings.Contains(b.String(), "NaN") || strings.Contains(b.String(), "Inf") {
		t.Error("a figure is no number")
	}
}

// tags counts elements, and checks that each one that begins also ends and that
// nothing comes from elsewhere or runs.
func tags(t *testing.T, page []byte) map[string]int {
	t.Helper()
	count, open := map[string]int{}, []string{}
	void := map[string]bool{"meta": true, "link": true}
	for z := html.NewTokenizer(bytes.NewReader(page)); ; {
		switch kind := z.Next(); kind {
		case html.ErrorToken:
			if z.Err() != io.EOF || len(open) > 0 {
				t.Errorf("%v, still open: %v", z.Err(), open)
			}
			return count
		case html.StartTagToken, html.SelfClosingTagToken:
			tag := z.Token()
			count[tag.Data]++
			for _, a := range tag.Attr {
				if a.Key == "role" {
					count[tag.Data+` role="`+a.Val+`"`]++
				}
				if strings.HasPrefix(a.Key, "on") || a.Key == "src" || a.Key == "href" && a.Val != "data:," {
					t.Errorf("<%s> has %s=%q", tag.Data, a.Key, a.Val)
				}
			}
			if tag.Data == "script" || tag.Data == "iframe" || tag.Data == "object" {
				t.Errorf("the page has <%s>", tag.Data)
			}
			if kind == html.StartTagToken && !void[tag.Data] {
				open = append(open, tag.Data)
			}
		case html.EndTagToken:
			tag := z.Token().Data
			if len(open) == 0 || open[len(open)-1] != tag {
				t.Fatalf("</%s> ends %v", tag, open)
			}
			open = open[:len(open)-1]
		}
	}
}

// TestPageEscapes every text that comes from a user, an endpoint or another machine.
func TestPageEscapes(t *testing.T) {
	const bad = `"><script>alert(1)</script><img src=x onerror=alert(1)>'` + "\x1b[2J\u202e"
	r := New(start)
	r.Describe(Run{Title: bad, Scenario: bad, Endpoint: bad, Ramp: bad, Program: bad, Knee: bad, Shard: bad, Host: bad})
	r.Devices(1)
	r.Invalid(bad)
	r.Note(bad)
	r.Mark(start.Add(time.Second), bad)
	b := r.Behaviour(bad)
	b.Devices(1)
	b.Expect(Succeeded, 1)
	r.Observe(Connect, time.Second)
	r.Tick(start.Add(2*time.Second), Sample{})
	result := r.Result(start.Add(2 * time.Second))
	var page, text, junit bytes.Buffer
	if err := result.WriteHTML(&page, append(result.Judge(nil), Verdict{What: bad, Got: bad})); err != nil {
		t.Fatal(err)
	}
	if n := tags(t, page.Bytes())["img"]; n != 0 {
		t.Errorf("%d pictures", n)
	}
	if err := result.WriteText(&text, result.Judge(nil)); err != nil {
		t.Fatal(err)
	}
	if err := result.WriteJUnit(&junit, result.Judge(nil)); err != nil {
		t.Fatal(err)
	}
	for _, form := range []*bytes.Buffer{&page, &text, &junit} {
		if strings.ContainsAny(form.String(), "\x1b\u202e") {
			at := strings.IndexAny(form.String(), "\x1b\u202e")
			t.Errorf("a control character came through: %q", form.String()[max(at-200, 0):at+1])
		}
	}
	if err := xml.Unmarshal(junit.Bytes(), new(junitSuites)); err != nil {
		t.Error(err)
	}
}

// TestInvalidComesFirst in every form.
func TestInvalidComesFirst(t *testing.T) {
	r := New(start)
	r.Invalid("all ports were used up")
	result := r.Result(start.Add(time.Second))
	var page, text, junit, file bytes.Buffer
	for _, err := range []error{result.WriteHTML(&page, nil), result.WriteText(&text, nil), result.WriteJUnit(&junit, nil), result.WriteJSON(&file)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if !regexp.MustCompile(`(?s)<header>.*This run is invalid.*all ports were used up.*</header>`).MatchString(page.String()) {
		t.Error("the page does not begin with it")
	}
	if !strings.HasPrefix(text.String(), "INVALID") || !strings.Contains(text.String(), "  * all ports were used up\n") {
		t.Errorf("the text begins %.80q", text.String())
	}
	if !strings.Contains(junit.String(), `errors="1"`) || !strings.Contains(junit.String(), `<error message="all ports were used up">`) {
		t.Error(junit.String())
	}
	if !strings.Contains(file.String(), `"valid":false,"invalid":["all ports were used up"]`) {
		t.Errorf("the file begins %.120q", file.String())
	}
}

// TestSaturation: a generator that has no processor left, is late, or has no
// socket left says so.
func TestSaturation(t *testing.T) {
	busy := New(start)
	busy.health.Cores = 2
	for i := range 10 {
		busy.Tick(start.Add(time.Duration(i+1)*time.Second), Sample{CPU: time.Duration(i) * 1950 * time.Millisecond})
		if got := busy.Result(start.Add(time.Duration(i+1) * time.Second)).Valid(); got != (i < 5) {
			t.Errorf("after %d busy seconds valid is %v", i, got)
		}
	}
	pauses := New(start)
	pauses.health.Cores = 1
	var used time.Duration
	for i := range 30 {
		if i%4 != 0 {
			used += time.Second
		}
		pauses.Tick(start.Add(time.Duration(i+1)*time.Second), Sample{CPU: used})
	}
	if got := pauses.Result(start.Add(30 * time.Second)); !got.Valid() || got.Health[0].CPUMax != 1 {
		t.Errorf("three busy seconds at a time: %q, at most %v", got.Invalid, got.Health[0].CPUMax)
	}
	late := New(start)
	for i := range 200 {
		late.Observe(Lateness, time.Duration(i/197)*time.Second)
	}
	if got := late.Result(start.Add(time.Second)); got.Valid() || !strings.Contains(got.Invalid[0], "the generator was late: 1 % of what was due began more than 1s after its time") {
		t.Errorf("late: %q", got.Invalid)
	}
	stall := New(start)
	for i := range 3600 { // seconds, of which six are bad: a sixth of a percent
		for range 50 {
			stall.Observe(Lateness, time.Duration(1+99*b2i(i >= 1000 && i < 1006))*time.Millisecond)
		}
		stall.Tick(start.Add(time.Duration(i+1)*time.Second), Sample{})
		if got := stall.now().invalid; len(got) > 0 != (i >= 1004) {
			t.Fatalf("after %d s: %q", i+1, got)
		}
	}
	if got := stall.Result(start.Add(time.Hour)).Invalid; len(got) != 1 || !strings.Contains(got[0], "late for 5 s on end") {
		t.Errorf("a stall: %q", got)
	}
	full := New(start)
	full.SocketLimit(10)
	full.Tick(start.Add(time.Second), Sample{Sockets: 10})
	if got := full.Result(start.Add(time.Second)); got.Valid() || !strings.Contains(got.Invalid[0], "sockets (10;") {
		t.Errorf("sockets: %q", got.Invalid)
	}
}
