package report

import (
	"bytes"
	"os"
	"testing"
)

// TestPage writes a realistic run as a page; OTASIM_REPORT keeps it for a look.
func TestPage(t *testing.T) {
	r := townResult(6000)
	limits := []Threshold{}
	for _, s := range []string{"connect.p99<500ms", "notice_to_success.p99<20s", "success>=90%", "push_rate<=1000", "disconnects<=0"} {
		l, err := ParseThreshold(s)
		if err != nil {
			t.Fatal(err)
		}
		limits = append(limits, l)
	}
	var b bytes.Buffer
	if err := r.WriteHTML(&b, r.Judge(limits)); err != nil {
		t.Fatal(err)
	}
	if to := os.Getenv("OTASIM_REPORT"); to != "" {
		if err := os.WriteFile(to, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var text bytes.Buffer
	if err := r.WriteText(&text, r.Judge(limits)); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes\n%s", b.Len(), text.String())
}
