package console_test

import (
	"crypto/md5"
	"crypto/sha256"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/leapslot/ota/simulator"
)

func sha256Of(s string) [32]byte { return sha256.Sum256([]byte(s)) }
func md5Of(s string) [16]byte    { return md5.Sum([]byte(s)) }

// TestF5ConsoleAccounts: a user reaches nothing of another account, through any page and
// any form, and what is there is said not to be.
func TestF5ConsoleAccounts(t *testing.T) {
	w := serve(t)
	x := w.things("acme", 3)
	job := w.cmd(simulator.CreateStaticJob{Package: x.usable.ID, Target: simulator.TargetAll}).(simulator.Job)
	group := w.cmd(simulator.CreateGroup{Account: "acme", Name: "acme_group"}).(simulator.Group)
	w.cmd(simulator.CreateModule{Product: x.product.Key, Name: "mcu"})
	y := w.things("other", 3)
	b := w.as("admin", "other")
	key, device := x.product.Key, x.devices[0].Name
	for _, path := range []string{
		"products/" + key, "devices?product=" + key, "devices/export.csv?product=" + key, "devices/" + key + "/" + device, "modules?product=" + key,
		"versions?product=" + key, "modules/" + key + "/mcu", "packages/" + x.usable.ID, "packages/" + x.usable.ID + "/verify", "packages/" + x.usable.ID + "/batch",
		"packages/" + y.usable.ID + "/batch?clone=" + job.ID, "batches/" + job.ID, "batches/" + job.ID + "/tasks.csv", "batches/" + job.ID + "/progress.json",
		"batches/" + job.ID + "/events", "batches/" + job.ID + "/cancel", "groups/" + group.ID,
	} {
		if a := b.get(path); a.status != http.StatusNotFound {
			t.Errorf("GET %s: %d", path, a.status)
		}
	}
	for _, form := range [][]string{
		{"products/" + key + "/rules", "OneDynamic", "1"}, {"products/" + key + "/delete"}, {"security/" + key, "On", "true"},
		{"devices/new", "Product", key, "Names", "mine"}, {"devices/" + key + "/" + device + "/disable", "Disabled", "1"}, {"devices/" + key + "/" + device + "/delete"},
		{"modules/new", "Product", key, "Name", "mine"}, {"modules/" + key + "/mcu", "Alias", "mine"}, {"modules/" + key + "/mcu/delete"},
		{"packages/" + x.usable.ID, "Name", "mine"}, {"packages/" + x.usable.ID + "/delete"}, {"packages/" + x.fresh.ID + "/verify", "Devices", device},
		{"packages/" + x.usable.ID + "/batch", "Selection", "STATIC", "Target", "ALL"},
		{"packages/" + y.usable.ID + "/batch", "Selection", "STATIC", "Target", "GROUP", "Group", group.ID},
		{"packages/" + x.usable.ID + "/batch", "Selection", "STATIC", "Target", "ALL", "Preview", "1"},
		{"packages/" + y.usable.ID + "/batch", "List", "1", "FindGroup", group.ID}, {"packages/" + y.fresh.ID + "/verify", "List", "1", "FindGroup", group.ID},
		{"packages/" + x.usable.ID + "/batch", "AddAll", "1"}, {"batches/" + job.ID + "/pause"}, {"batches/" + job.ID + "/confirm"},
		{"batches/" + job.ID + "/cancel", "What", "all"}, {"batches/" + job.ID + "/retry"}, {"batches/" + job.ID + "/rate", "MaximumPerMinute", "10"},
		{"groups/" + group.ID + "/devices", "Product", y.product.Key, "Names", "lamp-000000"}, {"groups/" + group.ID + "/delete"},
		{"settings/users/remove", "User", "nobody"}, {"settings/keys/remove", "ID", "nobody"},
	} {
		a := b.post(form[0], form[1:]...)
		if a.status != http.StatusNotFound && a.status != http.StatusUnprocessableEntity {
			t.Errorf("POST %v: %d %s", form, a.status, a.text())
		}
		if strings.Contains(a.body, x.product.Name) || strings.Contains(a.body, "acme_group") {
			t.Errorf("POST %v tells what is another's", form)
		}
	}
	for _, list := range []string{"", "products", "ota", "batches", "groups", "audit", "settings", "security"} {
		a := b.get(list)
		if list == "audit" { // has what this user has asked for, in its own words
			a.body = strings.NewReplacer(job.ID, "", x.usable.ID, "").Replace(a.body)
		}
		if strings.Contains(a.body, x.product.Name) || strings.Contains(a.body, job.ID) || strings.Contains(a.body, "acme_group") || strings.Contains(a.body, x.usable.ID) {
			t.Errorf("%s lists what is another's", list)
		}
	}
	if j := w.cmd(simulator.FindJob{Job: job.ID}).(simulator.Job); j.Counts.Queued != 3 {
		t.Errorf("somebody else has changed the batch: %+v", j.Counts)
	}
}

// TestF5ConsoleRoles: what a role may not do it may not do by asking for it.
func TestF5ConsoleRoles(t *testing.T) {
	w := serve(t)
	x := w.things("acme", 2)
	job := w.cmd(simulator.CreateStaticJob{Package: x.usable.ID, Target: simulator.TargetAll}).(simulator.Job)
	viewer, operator := w.as("viewer", "acme"), w.as("operator", "acme")
	for _, path := range []string{"products/new", "products/" + x.product.Key + "/rules", "devices/new", "modules/new", "packages/" + x.usable.ID + "/batch", "packages/" + x.fresh.ID + "/verify", "batches/" + job.ID + "/cancel", "batches/" + job.ID + "/retry", "security/" + x.product.Key, "settings/keys"} {
		if a := viewer.post(path, "What", "all"); a.status != http.StatusForbidden {
			t.Errorf("a viewer posts %s: %d", path, a.status)
		}
	}
	for _, path := range []string{"security/" + x.product.Key, "products/" + x.product.Key + "/delete", "settings/keys", "settings/users", "settings/users/remove"} {
		if a := operator.post(path, "On", "true"); a.status != http.StatusForbidden {
			t.Errorf("an operator posts %s: %d", path, a.status)
		}
	}
	for _, path := range []string{"audit", "settings"} {
		if a := operator.get(path); a.status != http.StatusForbidden {
			t.Errorf("an operator reads %s: %d", path, a.status)
		}
	}
	secret := x.devices[0].Secret
	device := "devices/" + x.product.Key + "/" + x.devices[0].Name
	if a := viewer.get(device); a.status != http.StatusOK || strings.Contains(a.body, secret) {
		t.Errorf("%d: a viewer sees a secret", a.status)
	}
	if a := operator.get(device); !strings.Contains(a.body, secret) {
		t.Error("an operator does not see the device's secret")
	}
	if a := viewer.get("products/" + x.product.Key); strings.Contains(a.body, x.product.Secret) {
		t.Error("a viewer sees the product's secret")
	}
	if a := viewer.get("devices/export.csv?product=" + x.product.Key); a.status != http.StatusForbidden {
		t.Errorf("a viewer exports: %d", a.status)
	}
	admin := w.as("admin", "acme")
	if a := admin.get("audit"); !strings.Contains(a.text(), "forbidden: the role is viewer") {
		t.Errorf("what was forbidden is not written down: %s", a.text())
	}
}

// TestF10CrossSite: a form from another site is refused, and a page is in no frame.
func TestF10CrossSite(t *testing.T) {
	w := serve(t)
	b := w.as("admin", "acme")
	for _, from := range []map[string]string{
		{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "https://evil.example"}, {"Origin": "null"},
	} {
		r := b.request("POST", "products/new", strings.NewReader("Name=evil"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for k, v := range from {
			r.Header.Set(k, v)
		}
		if a := b.do(r); a.status != http.StatusForbidden {
			t.Errorf("%v: %d", from, a.status)
		}
	}
	if a := b.get("products"); strings.Contains(a.body, "evil") {
		t.Error("it was made all the same")
	}
	r := b.request("POST", "products/new", strings.NewReader("Name=own&NodeType=0"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	b.must(b.do(r))
	for _, path := range []string{"", "sign-in", "nowhere", "static/console.js"} {
		a := b.get(path)
		if p := a.head.Get("Content-Security-Policy"); !strings.Contains(p, "frame-ancestors 'none'") || !strings.Contains(p, "script-src 'self'") || strings.Contains(p, "unsafe") {
			t.Errorf("%s: %q", path, p)
		}
		if a.head.Get("X-Frame-Options") != "DENY" || a.head.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", path, a.head)
		}
	}
	fresh := w.browser()
	a := fresh.post("sign-in", "User", "admin-acme", "Password", password)
	if set := a.head.Get("Set-Cookie"); !strings.Contains(set, "HttpOnly") || !strings.Contains(set, "SameSite=Lax") || !strings.Contains(set, "Path=/console/") {
		t.Errorf("the cookie is %q", set)
	}
}

// TestF10HostileText: names and descriptions of every kind are text on every page.
func TestF10HostileText(t *testing.T) {
	const evil = `"><script>alert(1)</script><img src=x onerror=alert(1)>`
	w := serve(t)
	b := w.as("admin", "acme")
	product := w.cmd(simulator.CreateProduct{Account: "acme", Name: evil[:30], Desc: evil}).(simulator.Product)
	devices := w.cmd(simulator.RegisterDevices{Product: product.Key, Names: []string{"lamp-1"}, Nicknames: []string{evil}}).([]simulator.Device)
	w.cmd(simulator.CreateModule{Product: product.Key, Name: "mcu", Desc: evil})
	group := w.cmd(simulator.CreateGroup{Account: "acme", Name: "group", Desc: evil}).(simulator.Group)
	pack := w.cmd(simulator.CreatePackage{
		Product: product.Key, Name: "fw", Desc: evil, UDI: evil, Version: "2", SignMethod: "Md5",
		Files: []simulator.File{{Name: `<script>.bin`, Key: "k", Size: 1, MD5: strings.Repeat("0", 32)}},
	}).(simulator.Package)
	job := w.cmd(simulator.CreateStaticJob{Package: pack.ID, Target: simulator.TargetAll, Desc: evil, Tags: []simulator.Tag{{Key: "k", Value: evil}}}).(simulator.Job)
	bad := regexp.MustCompile(`<script>|<img src=x|onerror=alert\(1\)>`)
	for _, path := range []string{
		"", "products", "products/" + product.Key, "devices", devices0(devices), "modules", "modules/" + product.Key + "/mcu", "groups", "groups/" + group.ID, "ota", "versions", "security",
		"packages/new", "packages/" + pack.ID, "packages/" + pack.ID + "/verify", "packages/" + pack.ID + "/batch?clone=" + job.ID, "audit", "batches/" + job.ID + "/pause", devices0(devices) + "/timeline", "batches", "batches/" + job.ID, "batches/" + job.ID + "/cancel",
		"batches/" + job.ID + "?status=FAILED&reason=" + "%22%3E%3Cscript%3E", "devices?prefix=%22%3E%3Cscript%3E", "audit?key=%22%3E%3Cscript%3E", "sign-in?next=%22%3E%3Cscript%3E", "nowhere/%3Cscript%3E",
	} {
		a := b.get(path)
		if m := bad.FindString(a.body); m != "" {
			t.Errorf("%s: %q is on the page as it is", path, m)
		}
	}
	for _, form := range [][]string{
		{"products/new", "Name", evil}, {"devices/new", "Product", product.Key, "Names", evil}, {"modules/new", "Product", product.Key, "Name", evil},
		{"groups", "Name", evil}, {"settings/keys", "ID", evil, "Role", evil}, {"packages/" + pack.ID + "/batch", "Target", evil, "Sources", evil, "TagKey", evil, "TagValue", evil},
	} {
		if m := bad.FindString(b.post(form[0], form[1:]...).body); m != "" {
			t.Errorf("%v: %q is on the page as it is", form[0], m)
		}
	}
	if a := b.get("batches/" + job.ID + "/tasks.csv"); strings.Contains(a.body, "\n=") {
		t.Error("a formula is in the CSV")
	}
}

func devices0(d []simulator.Device) string { return "devices/" + d[0].ProductKey + "/" + d[0].Name }

// TestF10SessionFixation: a session that somebody else has put into the browser is not
// the one that is signed in; signing out ends it, and so does another password.
func TestF10SessionFixation(t *testing.T) {
	w := serve(t)
	w.user("alice", "admin", "acme")
	b := w.browser()
	b.Jar.SetCookies(b.request("GET", "", nil).URL, []*http.Cookie{{Name: "otasim_session", Value: "planted", Path: "/console/"}})
	b.must(b.post("sign-in", "User", "alice", "Password", password))
	thief := w.browser()
	thief.Jar.SetCookies(b.request("GET", "", nil).URL, []*http.Cookie{{Name: "otasim_session", Value: "planted", Path: "/console/"}})
	if a := thief.get(""); a.status != http.StatusSeeOther {
		t.Errorf("the planted session is signed in: %d", a.status)
	}
	if a := b.get(""); a.status != http.StatusOK {
		t.Fatalf("%d", a.status)
	}
	elsewhere := w.browser()
	elsewhere.must(elsewhere.post("sign-in", "User", "alice", "Password", password))
	elsewhere.must(elsewhere.post("password", "Old", password, "Password", "another long password"))
	if a := b.get(""); a.status != http.StatusSeeOther {
		t.Errorf("a session outlives the password: %d", a.status)
	}
	if a := elsewhere.get(""); a.status != http.StatusOK {
		t.Errorf("the one that has changed it is out: %d", a.status)
	}
	copied := w.browser()
	copied.Jar.SetCookies(b.request("GET", "", nil).URL, elsewhere.Jar.Cookies(b.request("GET", "", nil).URL))
	elsewhere.must(elsewhere.post("sign-out"))
	if a := copied.get(""); a.status != http.StatusSeeOther {
		t.Errorf("a session outlives signing out: %d", a.status)
	}
	if a := w.browser().post("sign-in", "User", "alice", "Password", "another long password", "Next", "https://evil.example/"); a.to != "/console/" {
		t.Errorf("sent on to %q", a.to)
	}
	if a := w.browser().post("sign-in", "User", "alice", "Password", "another long password", "Next", "/console//evil.example"); a.to != "/console/" {
		t.Errorf("sent on to %q", a.to)
	}
}

// TestF10BruteForce: guesses are few, for a name that is there and one that is not, and
// are answered alike.
func TestF10BruteForce(t *testing.T) {
	w := serve(t)
	w.user("alice", "admin", "acme")
	statuses := map[int]int{}
	for i := range 14 {
		name := "alice"
		if i%2 == 1 {
			name = "nobody"
		}
		a := w.browser().post("sign-in", "User", name, "Password", "guess guess guess")
		statuses[a.status]++
		if a.status == http.StatusUnprocessableEntity && !strings.Contains(a.text(), "The name or the password is wrong.") {
			t.Error(a.text())
		}
		if strings.Contains(a.body, "guess guess") {
			t.Error("the page says the password")
		}
	}
	if statuses[http.StatusTooManyRequests] < 3 || statuses[http.StatusUnprocessableEntity] > 11 {
		t.Errorf("%v", statuses)
	}
}

// TestFirstAdmin: with no user, who has an admin's access key makes the first one, and
// nobody does so twice.
func TestFirstAdmin(t *testing.T) {
	w := serve(t)
	b := w.browser()
	if a := b.get(""); a.status != http.StatusSeeOther {
		t.Fatalf("%d", a.status)
	}
	if a := b.get("sign-in"); a.to != "/console/first" {
		t.Fatalf("%d %s", a.status, a.to)
	}
	for _, tc := range []rule{
		{"a wrong key", "Key", []string{"Key", "id:guess", "User", "root", "Password", password}, "This is no administrator's access key"},
		{"no key", "Key", []string{"Key", "id", "User", "root", "Password", password}, "This is no administrator's access key"},
		{"a short password", "Password", []string{"Key", "id:secret", "User", "root", "Password", "short"}, "A password has 10 to 256 characters."},
		{"a bad name", "User", []string{"Key", "id:secret", "User", "r o", "Password", password}, "A user's name has 1 to 64"},
	} {
		b.post("first", tc.pairs...).wrongAt(t, tc.at, tc.want)
	}
	if to := b.must(b.post("first", "Key", "id:secret", "User", "root", "Password", password)); to != "/console/" {
		t.Errorf("sent to %s", to)
	}
	if a := b.get("settings"); a.status != http.StatusOK || !strings.Contains(a.text(), "Account acme") {
		t.Errorf("%d %s", a.status, a.text())
	}
	late := w.browser()
	late.post("first", "Key", "id:secret", "User", "late", "Password", password).wrongAt(t, "", "Somebody has made the first user in the meantime")
	if a := late.get("first"); a.to != "/console/sign-in" {
		t.Errorf("%d %s", a.status, a.to)
	}
}

// TestSettings: keys and users of the account.
func TestSettings(t *testing.T) {
	w := serve(t)
	b := w.as("admin", "acme")
	a := b.post("settings/keys", "ID", "ci", "Role", "operator", "Note", "the build server")
	if a.status != http.StatusOK || !strings.Contains(a.text(), "ci:") {
		t.Fatalf("%d %s", a.status, a.text())
	}
	for _, tc := range []rule{
		{"taken", "ID", []string{"ID", "ci", "Role", "admin"}, "There is an access key with this id already."},
		{"the server's own", "ID", []string{"ID", "id", "Role", "admin"}, "There is an access key with this id already."},
		{"a bad id", "ID", []string{"ID", "c i", "Role", "admin"}, "An id has 1 to 64"},
		{"no role", "Role", []string{"ID", "x", "Role", "king"}, "Choose one of the roles."},
	} {
		b.expect(t, "settings/keys", tc)
	}
	for _, tc := range []rule{
		{"a short password", "Password", []string{"User", "bob", "Role", "viewer", "Password", "short"}, "A password has 10 to 256"},
		{"no role", "Role", []string{"User", "bob", "Role", "king", "Password", password}, "alert"},
		{"good", "", []string{"User", "bob", "Role", "viewer", "Password", password}, ""},
		{"taken", "User", []string{"User", "bob", "Role", "viewer", "Password", password}, "There is a user with this name already."},
	} {
		if tc.want == "alert" {
			if a := b.post("settings/users", tc.pairs...); a.status != http.StatusUnprocessableEntity {
				t.Errorf("%s: %d", tc.name, a.status)
			}
			continue
		}
		b.expect(t, "settings/users", tc)
	}
	bob := w.browser()
	bob.must(bob.post("sign-in", "User", "bob", "Password", password))
	b.must(b.post("settings/users/remove", "User", "bob"))
	if a := bob.get(""); a.status != http.StatusSeeOther {
		t.Errorf("a removed user is still in: %d", a.status)
	}
	if a := b.post("settings/users/remove", "User", "admin-acme"); a.status != http.StatusUnprocessableEntity {
		t.Errorf("removing oneself: %d", a.status)
	}
	b.must(b.post("settings/keys/remove", "ID", "ci"))
	if a := b.get("audit"); !a.says("Delete an access key RemoveAccessKey") || !a.says("admin-acme user") || a.says("local command line Remove") {
		t.Error(a.text())
	}
}
