package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/verify"
)

// shelf is a world whose module "app" lives in a folder, in three files.
type shelf struct {
	*world
	old, new map[string][]byte
	sick     bool     // the new files do not work
	loses    bool     // a cut garbles what was not synced
	started  []string // versions that were taken up
}

func appFile(seed int64) []byte {
	b := make([]byte, 20_000+seed)
	if seed == 5 { // large enough for a checkpoint
		b = make([]byte, 300_000)
	}
	rand.New(rand.NewSource(seed)).Read(b)
	return b
}

func newShelf(t *testing.T) *shelf {
	t.Helper()
	s := &shelf{world: newWorld(t, []byte("unused"), nil, false)}
	s.old = map[string][]byte{"a.bin": appFile(1), "b.bin": appFile(2), "old only": appFile(3)}
	s.new = map[string][]byte{"a.bin": appFile(4), "b.bin": appFile(5), "c.bin": appFile(6)}
	s.put(oldVersion, s.old)
	s.announceFiles("a.bin", "b.bin", "c.bin")
	s.bad = func(w http.ResponseWriter, r *http.Request) bool {
		name := strings.TrimPrefix(r.URL.Path, "/")
		w.Header().Set("ETag", `"`+name+`"`)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(s.new[name]))
		return true
	}
	s.change = func(c *Config) {
		c.Modules = append(c.Modules, Module{Name: "app", Version: "0", Folder: s.folder(), Restart: s.restart})
	}
	return s
}

func (s *shelf) folder() *Folder {
	f, err := NewFolder(s.path("app"))
	if err != nil {
		s.t.Fatal(err)
	}
	f.in.before = s.cut.effect
	return f
}

// put makes a release without an agent.
func (s *shelf) put(version string, files map[string][]byte) {
	s.t.Helper()
	f := s.folder()
	f.in.before = nil
	if err := f.in.begin(); err != nil {
		s.t.Fatal(err)
	}
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(s.path("app"), incomingName, name), b, 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
	if err := errors.Join(f.release(version), f.use(version)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *shelf) announceFiles(names ...string) {
	s.notice = ota.Notice{ID: 1, Module: "app", Version: newVersion, SignMethod: ota.SHA256}
	for _, name := range names {
		h, _ := verify.NewDigest(ota.SHA256)
		h.Write(s.new[name])
		s.notice.Files = append(s.notice.Files, ota.File{Name: name, Size: int64(len(s.new[name])), URL: s.server.URL + "/" + name, Sign: fmt.Sprintf("%x", h.Sum(nil))})
	}
}

// restart is the user of the files: it opens what is current.
func (s *shelf) restart(_ context.Context, version string) error {
	s.cut.effect("restart")
	s.started = append(s.started, version)
	if s.sick && version == newVersion {
		return errors.New("the application does not start")
	}
	return nil
}

// seen is which of the two releases somebody sees who opens current now (I7).
func (s *shelf) seen() string {
	s.t.Helper()
	is := func(want map[string][]byte) bool {
		entries, err := os.ReadDir(s.path("app") + "/" + currentName)
		if err != nil || len(entries) != len(want) {
			return false
		}
		for name, b := range want {
			got, err := os.ReadFile(s.path("app") + "/" + currentName + "/" + name)
			if err != nil || !bytes.Equal(got, b) {
				return false
			}
		}
		return true
	}
	switch {
	case is(s.old):
		return "old"
	case is(s.new):
		return "new"
	}
	s.t.Errorf("neither the old files nor the new ones are there, whole; the cloud heard %v", s.cloud.heard())
	return "neither"
}

func (s *shelf) liveSeen() {
	s.t.Helper()
	for again := true; again; {
		again = s.boot()
		s.seen()
		if again && s.loses {
			s.lose()
		}
		if s.boots > 40 {
			s.t.Fatalf("after %d boots it is still not over; the cloud heard %v", s.boots, s.cloud.heard())
		}
	}
}

// lose garbles what has come and that the record does not call safe.
func (s *shelf) lose() {
	rec, err := loadRecord(s.store())
	if err != nil || rec.Update == nil || rec.Update.Stage != Fetch {
		return
	}
	begin := int64(0)
	for _, f := range rec.Update.Notice.Files {
		path := filepath.Join(s.path("app"), incomingName, f.Name)
		st, err := os.Stat(path)
		if safe := max(rec.Update.Mark.In-begin, 0); err == nil && st.Size() > safe {
			file, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				s.t.Fatal(err)
			}
			_, werr := file.WriteAt(make([]byte, st.Size()-safe), safe)
			if err := errors.Join(werr, file.Close()); err != nil {
				s.t.Fatal(err)
			}
		}
		begin += f.Size
	}
}

// want says how it ended.
func (s *shelf) want(heard, seen, what string) {
	s.t.Helper()
	if got := fmt.Sprint(s.cloud.heard()); got != heard {
		s.t.Errorf("%s: the cloud heard %s, wanted %s (all: %s)", what, got, heard, s.cloud.all())
	}
	s.rests(seen, what)
}

// rests wants one release, and nothing else, to be there.
func (s *shelf) rests(seen, what string) {
	s.t.Helper()
	if got := s.seen(); got != seen {
		s.t.Errorf("%s: the %s files are there, wanted are the %s ones", what, got, seen)
	}
	version := map[string]string{"old": oldVersion, "new": newVersion}[seen]
	var names []string
	for _, dir := range []string{"", releasesName} {
		entries, err := os.ReadDir(filepath.Join(s.path("app"), dir))
		if err != nil {
			s.t.Fatal(err)
		}
		for _, e := range entries {
			names = append(names, e.Name())
		}
	}
	if !slices.Equal(names, []string{currentName, releasesName, releaseStart + version}) && !slices.Equal(names, []string{currentName, incomingName, releasesName, releaseStart + version}) {
		s.t.Errorf("%s: in the folder are %q", what, names)
	}
}

func TestSeveralFiles(t *testing.T) {
	s := newShelf(t)
	s.liveSeen()
	s.want("[1.0.0 100 2.0.0]", "new", "undisturbed")
	if fmt.Sprint(s.started) != "[2.0.0]" || s.boots != 1 {
		t.Errorf("taken up were %v, in %d boots", s.started, s.boots)
	}
	if names := s.cloud.all(); !strings.Contains(names, "0 ") {
		t.Errorf("the cloud heard %s", names)
	}
}

// One bad file of several: none of them is installed (I7).
func TestI7OneBadFile(t *testing.T) {
	for bad := range 3 {
		s := newShelf(t)
		name := s.notice.Files[bad].Name
		s.new[name] = bytes.Clone(s.new[name])
		s.new[name][len(s.new[name])/2] ^= 1
		s.liveSeen()
		s.want("[1.0.0 -3]", "old", name)
	}
}

// A file that cannot be had, and one of another length.
func TestI7MissingFile(t *testing.T) {
	s := newShelf(t)
	serve := s.bad
	s.bad = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/c.bin" {
			http.NotFound(w, r)
			return true
		}
		return serve(w, r)
	}
	s.liveSeen()
	s.want("[1.0.0 -2]", "old", "404")
	s = newShelf(t)
	s.new["b.bin"] = s.new["b.bin"][:1000]
	s.liveSeen()
	s.want("[1.0.0 -2]", "old", "short")
}

// Files that do not work are left again, and the old ones taken up.
func TestI7SickFiles(t *testing.T) {
	s := newShelf(t)
	s.sick = true
	s.liveSeen()
	s.want("[1.0.0 -1]", "old", "sick")
	if fmt.Sprint(s.started) != "[2.0.0 1.0.0]" {
		t.Errorf("taken up were %v", s.started)
	}
}

// The first release of all: there is none to return to.
func TestFolderFirstRelease(t *testing.T) {
	for _, sick := range []bool{false, true} {
		s := newShelf(t)
		s.sick = sick
		if err := os.RemoveAll(s.path("app")); err != nil {
			t.Fatal(err)
		}
		s.live()
		want, has := "100", newVersion
		if sick {
			want, has = "-1", ""
		}
		heard := s.cloud.heard()
		if v, err := s.folder().Version(); v != has || err != nil || !slices.Contains(heard, want) {
			t.Errorf("sick %v: version %q, %v; the cloud heard %v", sick, v, err, heard)
		}
		if fmt.Sprint(s.started) != "[2.0.0]" {
			t.Errorf("taken up were %v", s.started)
		}
		if !sick {
			s.rests("new", "first")
		} else if e, err := os.ReadDir(s.path("app/releases")); err != nil || len(e) != 0 {
			t.Errorf("left are %v, %v", e, err)
		}
	}
}

// A package of one file is called as its module is, over HTTP and over MQTT.
func TestFolderOneFile(t *testing.T) {
	for _, over := range []string{"http", "mqtt"} {
		s := newShelf(t)
		content := s.new["a.bin"]
		s.announceFiles("a.bin")
		s.notice.Files[0].Name = ""
		if over == "mqtt" {
			s.notice.Stream, s.notice.Files[0].URL, s.pkg = &ota.Stream{ID: 7, FileID: 1}, "", content
		}
		s.new = map[string][]byte{"a.bin": content, "app": content}
		delete(s.new, "a.bin")
		serve := s.bad
		s.bad = func(w http.ResponseWriter, r *http.Request) bool { r.URL.Path = "/app"; return serve(w, r) }
		s.liveSeen()
		s.want("[1.0.0 100 2.0.0]", "new", over)
	}
}

// Names that lead elsewhere, or are there twice, and patches are refused (I3).
func TestI3FolderNames(t *testing.T) {
	for _, name := range []string{"..", ".", "", "b.bin"} {
		s := newShelf(t)
		s.notice.Files[0].Name = name
		s.liveSeen()
		s.want("[1.0.0 -1]", "old", name)
	}
	s := newShelf(t)
	s.announceFiles("a.bin")
	s.notice.IsDiff = true
	s.liveSeen()
	s.want("[1.0.0 -1]", "old", "patch")
	// A version that looks like a way up is only a version.
	s = newShelf(t)
	s.put("..", s.old)
	if v, err := s.folder().Version(); v != ".." || err != nil {
		t.Errorf("%q, %v", v, err)
	}
	for _, to := range []string{"/etc", "releases", "releases/v-", "releases/v-a/../../..", "releases/" + strings.Repeat("v", 200)} {
		os.Remove(s.path("app/current"))
		if err := os.Symlink(to, s.path("app/current")); err != nil {
			t.Fatal(err)
		}
		if v, err := s.folder().Version(); err == nil {
			t.Errorf("a link to %s is version %q", to, v)
		}
	}
}

// A power cut before each outside effect: whoever opens the folder sees all of the
// old files or all of the new ones, always, and what is said is what happened.
func TestPowerCutFiles(t *testing.T) {
	points := 0
	for _, sick := range []bool{false, true} {
		heard, end := "100", "new"
		if sick {
			heard, end = "-1", "old"
		}
		whole := newShelf(t)
		whole.sick = sick
		whole.liveSeen()
		n := whole.cut.n
		for k := 1; k <= 2*n; k++ {
			points++
			s := newShelf(t)
			s.sick = sick
			s.cut.k = (k + 1) / 2
			s.loses = k%2 == 0
			s.liveSeen()
			what := fmt.Sprintf("sick %v, cut %d of %d (loses %v)", sick, s.cut.k, n, s.loses)
			s.rests(end, what)
			if got := s.cloud.heard(); !slices.Contains(got, heard) || slices.Contains(got, newVersion) == sick {
				t.Errorf("%s: the cloud heard %v", what, got)
			}
		}
	}
	t.Logf("%d cut points", points)
}

// After a cut no byte before the last checkpoint is fetched again (W9).
func TestW9FilesResume(t *testing.T) {
	s := newShelf(t)
	serve := s.bad
	asked := 0
	s.bad = func(w http.ResponseWriter, r *http.Request) bool {
		if asked++; asked == 3 {
			s.cut.cutNow.Store(true)
		}
		return serve(w, r)
	}
	s.boot()
	s.ranges = nil
	s.liveSeen()
	s.rests("new", "cut in the third file")
	if asked > 4 {
		t.Errorf("%d requests: whole files were fetched again", asked)
	}
}

// A folder that is no longer configured: the update ends, and says so.
func TestFolderGone(t *testing.T) {
	s := newShelf(t)
	s.cut.k = 12
	s.boot()
	s.change = nil
	s.live()
	if got := s.cloud.heard(); !slices.Contains(got, "-1") || slices.Contains(got, newVersion) {
		t.Errorf("the cloud heard %s", got)
	}
	s.seen()
}

func TestFolderConfig(t *testing.T) {
	s := newShelf(t)
	m := s.machine()
	if _, err := m.PowerOn(); err != nil {
		t.Fatal(err)
	}
	c := s.config(m, "boot")
	c.Modules[1].ReportOnly = true
	if _, err := New(c); err == nil || !strings.Contains(err.Error(), "never upgraded") {
		t.Errorf("%v", err)
	}
	c.Modules = c.Modules[1:]
	c.Modules[0].ReportOnly = false
	if _, err := New(c); err == nil || !strings.Contains(err.Error(), "exactly one") {
		t.Errorf("only a folder: %v", err)
	}
	if _, err := NewFolder(s.path("a.img")); err == nil {
		t.Error("a file is no folder")
	}
}
