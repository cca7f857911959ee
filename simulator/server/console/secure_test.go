package console_test

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"strings"
	"testing"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server/console"
)

// TestF10PasswordHashes: argon2id, with 19 MiB and two passes, and a salt of its own.
func TestF10PasswordHashes(t *testing.T) {
	one, err := console.HashPassword(password)
	if err != nil {
		t.Fatal(err)
	}
	two, _ := console.HashPassword(password)
	if !strings.HasPrefix(one, "$argon2id$v=19$m=19456,t=2,p=1$") || one == two {
		t.Errorf("%s and %s", one, two)
	}
	for _, wrong := range []string{"short", strings.Repeat("x", 257), "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"} {
		if _, err := console.HashPassword(wrong); err == nil {
			t.Errorf("%q can be a password", wrong)
		}
	}
}

// TestF10CookieFlags: the session's cookie is out of reach of scripts and of other sites,
// changes with each sign-in, and where the cloud is behind HTTPS never goes in the clear.
func TestF10CookieFlags(t *testing.T) {
	w := serve(t)
	w.user("alice", "admin", "acme")
	b := w.browser()
	var before string
	for range 2 {
		a := b.post("sign-in", "User", "alice", "Password", password)
		set := a.head.Get("Set-Cookie")
		token, _, _ := strings.Cut(set, ";")
		for _, want := range []string{"otasim_session=", "HttpOnly", "SameSite=Lax", "Path=/console/", "Max-Age=7200"} {
			if !strings.Contains(set, want) {
				t.Errorf("the cookie has no %s: %q", want, set)
			}
		}
		if strings.Contains(set, "Secure") || token == before {
			t.Errorf("over HTTP, after %q: %q", before, set)
		}
		before = token
	}
	if a := b.get(""); a.head.Get("Cache-Control") != "no-store" || a.head.Get("Referrer-Policy") != "same-origin" || a.head.Get("Cross-Origin-Opener-Policy") != "same-origin" {
		t.Errorf("%v", a.head)
	}
	behind := serveBehind(t, t.TempDir(), "https://cloud.example")
	behind.user("alice", "admin", "acme")
	if a := behind.browser().post("sign-in", "User", "alice", "Password", password); !strings.Contains(a.head.Get("Set-Cookie"), "; Secure") {
		t.Errorf("behind HTTPS: %q", a.head.Get("Set-Cookie"))
	}
}

// TestF10ExportedFormulas: what devices and users have written is never a formula in an
// exported list, whichever mark it begins with.
func TestF10ExportedFormulas(t *testing.T) {
	w := serve(t)
	x := w.things("acme", 6)
	job := w.cmd(simulator.CreateStaticJob{Package: x.usable.ID, Target: simulator.TargetAll}).(simulator.Job)
	for i, evil := range []string{"=cmd|' /C calc'!A0", "+1", "-1", "@x", "\t=1", "out of space"} {
		d := w.connect(x.devices[i].Device)
		d.receive()
		d.publish(ota.TopicProgress, fmt.Sprintf(`{"id":"1","params":{"step":"-2","desc":%q}}`, evil))
	}
	b := w.as("operator", "acme")
	for _, path := range []string{"batches/" + job.ID + "/tasks.csv", "batches/" + job.ID + "/progress.csv"} {
		rows, err := csv.NewReader(bytes.NewReader([]byte(b.get(path).body))).ReadAll()
		if err != nil || len(rows) < 3 {
			t.Fatalf("%v, %d rows", err, len(rows))
		}
		for _, row := range rows {
			for _, cell := range row {
				if cell != "" && strings.ContainsRune("=+@\t\r", rune(cell[0])) {
					t.Errorf("%s has %q", path, cell)
				}
			}
		}
	}
}
