package console_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server"
	"github.com/leapslot/ota/simulator/server/console"
	"github.com/leapslot/ota/simulator/server/openapi"
	"github.com/leapslot/ota/simulator/server/store"
)

// world is a whole server on a real socket, with its real store.
type world struct {
	t      *testing.T
	server *server.Server
	dir    string
	url    string
}

func serve(t *testing.T) *world { return serveWith(t, t.TempDir()) }

func serveWith(t *testing.T, dir string) *world {
	t.Helper()
	return serveBehind(t, dir, "")
}

// serveBehind has a server that is reached at another URL than its own, as behind a proxy.
func serveBehind(t *testing.T, dir, public string) *world {
	t.Helper()
	return serveConfig(t, server.Config{Dir: dir, PublicURL: public})
}

// serveConfig serves with a configuration, to which the access key is added, and the URL
// where there is none.
func serveConfig(t *testing.T, config server.Config) *world {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, dir: config.Dir, url: "http://" + l.Addr().String()}
	ctx, stop := context.WithCancel(context.Background())
	config.PublicURL, config.AccessKey = cmp.Or(config.PublicURL, w.url), openapi.Key{ID: "id", Secret: "secret", Account: "acme"}
	if w.server, err = server.New(ctx, config); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- w.server.Run(ctx, nil, []net.Listener{l}) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := w.server.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

const password = "correct horse battery"

// user adds a user to the store, as otasim user does beside the server.
func (w *world) user(name, role, account string) {
	w.t.Helper()
	hash, err := console.HashPassword(password)
	if err != nil {
		w.t.Fatal(err)
	}
	s, err := store.OpenSQLite(context.Background(), w.dir+"/"+server.DatabaseFile)
	if err != nil {
		w.t.Fatal(err)
	}
	defer s.Close()
	if err := s.AddUser(context.Background(), store.User{Name: name, Role: role, Account: account, Hash: hash, Created: 1}); err != nil {
		w.t.Fatal(err)
	}
}

// browser is somebody's browser: it keeps cookies and follows no redirect by itself.
type browser struct {
	*world
	http.Client
}

func (w *world) browser() *browser {
	jar, _ := cookiejar.New(nil)
	return &browser{w, http.Client{Jar: jar, Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// as signs a new user of an account in.
func (w *world) as(role, account string) *browser {
	w.t.Helper()
	name := role + "-" + account
	w.user(name, role, account)
	b := w.browser()
	if a := b.post("sign-in", "User", name, "Password", password); a.status != http.StatusSeeOther || a.to != console.Root {
		w.t.Fatalf("signing in as %s: %+v", name, a)
	}
	return b
}

// answered is an answer as far as tests look at it.
type answered struct {
	status int
	to     string // of a redirect
	head   http.Header
	body   string
}

var tags = regexp.MustCompile(`<[^>]*>`)

// text is the page without its tags.
func (a answered) text() string {
	return strings.Join(strings.Fields(tags.ReplaceAllString(a.body, " ")), " ")
}

// says reports whether a page says something: marks of quotation, capitals and the marks
// between thousands are the language's own.
func (a answered) says(want string) bool {
	return strings.Contains(plain(html.UnescapeString(a.text())), plain(want))
}

func plain(s string) string {
	return strings.ToLower(thousands.ReplaceAllString(strings.NewReplacer("“", `"`, "”", `"`).Replace(s), "$1$2"))
}

var thousands = regexp.MustCompile(`(\d),(\d)`)

func (b *browser) do(r *http.Request) answered {
	b.t.Helper()
	resp, err := b.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return answered{resp.StatusCode, resp.Header.Get("Location"), resp.Header, string(body)}
}

func (b *browser) request(method, path string, body io.Reader) *http.Request {
	b.t.Helper()
	if !strings.HasPrefix(path, "/") {
		path = console.Root + path
	}
	r, err := http.NewRequest(method, b.url+path, body)
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

func (b *browser) get(path string) answered {
	b.t.Helper()
	return b.do(b.request("GET", path, nil))
}

func (b *browser) post(path string, pairs ...string) answered {
	b.t.Helper()
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	r := b.request("POST", path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.do(r)
}

// send posts a form with a file, as its last part.
func (b *browser) send(path, field, file string, content []byte, pairs ...string) answered {
	b.t.Helper()
	var body bytes.Buffer
	m := multipart.NewWriter(&body)
	for i := 0; i < len(pairs); i += 2 {
		_ = m.WriteField(pairs[i], pairs[i+1])
	}
	part, err := m.CreateFormFile(field, file)
	if err != nil {
		b.t.Fatal(err)
	}
	_, _ = part.Write(content)
	m.Close()
	r := b.request("POST", path, &body)
	r.Header.Set("Content-Type", m.FormDataContentType())
	return b.do(r)
}

// must fails the test unless something was done and the browser sent on.
func (b *browser) must(a answered) string {
	b.t.Helper()
	if a.status != http.StatusSeeOther {
		b.t.Fatalf("%d, wanted is a redirect:\n%s", a.status, a.text())
	}
	return a.to
}

// cmd carries a command out, as nobody in particular.
func (w *world) cmd(cmd simulator.Command) any {
	w.t.Helper()
	v, err := w.server.Do(context.Background(), cmd)
	if err != nil {
		w.t.Fatal(err)
	}
	return v
}

// things are what most tests need: a product with devices and a package that is usable.
type things struct {
	product simulator.Product
	devices []simulator.Device
	usable  simulator.Package // needs no verification
	fresh   simulator.Package // has not been verified
}

func (w *world) things(account string, devices int) things {
	w.t.Helper()
	var x things
	x.product = w.cmd(simulator.CreateProduct{Account: account, Name: "lamp of " + account}).(simulator.Product)
	names := make([]string, devices)
	for i := range names {
		names[i] = fmt.Sprintf("lamp-%06d", i)
	}
	x.devices = w.cmd(simulator.RegisterDevices{Product: x.product.Key, Names: names}).([]simulator.Device)
	pack := simulator.CreatePackage{
		Product: x.product.Key, Name: "fw-" + account, Version: "2.0", SignMethod: "Md5",
		Files: []simulator.File{{Name: "fw.bin", Key: strings.Repeat("A", 26), Size: 10, MD5: strings.Repeat("0", 32)}},
	}
	x.usable = w.cmd(pack).(simulator.Package)
	pack.Name, pack.NeedToVerify = "new-"+account, true
	x.fresh = w.cmd(pack).(simulator.Package)
	return x
}

func decode(t *testing.T, text string, to any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), to); err != nil {
		t.Fatalf("%v in %.200s", err, text)
	}
}
