package server

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server/broker"
	"github.com/leapslot/ota/simulator/server/store"
)

// TestRedact: what lets somebody in is taken out, whole or cut, however it is written;
// everything else stays as it is.
func TestRedact(t *testing.T) {
	for name, tc := range map[string]struct {
		in, want string
		gateway  bool
	}{
		"nothing":      {`{"id":"1","params":{"step":"35"}}`, `{"id":"1","params":{"step":"35"}}`, false},
		"digests stay": {`{"sign":"93230c3bde42","md5":"93","digestsign":"A4WOP"}`, `{"sign":"93230c3bde42","md5":"93","digestsign":"A4WOP"}`, false},
		"secret":       {`{"deviceSecret":"abc","x":1}`, `{"deviceSecret":"•••","x":1}`, false},
		"any case":     {`{"DEVICEsecret" : "abc", "Password":"p\"q"}`, `{"DEVICEsecret":"•••","Password":"•••"}`, false},
		"number":       {`{"token":12345}`, `{"token":"•••"}`, false},
		"escaped":      {`{"device\u0053ecret":"abc"}`, `{"deviceSecret":"•••"}`, false},
		"cut":          {`{"a":1,"password":"abcdef`, `{"a":1,"password":"•••"`, false},
		"no JSON":      {`log "password":"abc", and more`, `log "password":"•••", and more`, false},
		"gateway":      {`{"params":[{"sign":"AB","signmethod":"x"}]}`, `{"params":[{"sign":"•••","signmethod":"x"}]}`, true},
		"our URL":      {`{"url":"http://h:80/p/FILE/t5/tag/t01/SIGNATURE","v":"2"}`, `{"url":"http://h:80/p/FILE/t5/tag/t01/•••","v":"2"}`, false},
		"a query":      {`{"url":"https://u:pw@h/a/b.bin?auth_key=xyz#f"}`, `{"url":"https://•••@h/a/b.bin?•••"}`, false},
		"two":          {`a http://h/p/a/SIG b HTTPS://h/p/a/SIG`, `a http://h/p/a/••• b HTTPS://h/p/a/•••`, false},
		"no scheme":    {`://h/p/a/SIG`, `://h/p/a/•••`, false},
	} {
		if got := string(redact([]byte(tc.in), tc.gateway)); got != tc.want {
			t.Errorf("%s: %s\n got %s\nwant %s", name, tc.in, got, tc.want)
		}
	}
}

// FuzzRedact: nothing panics, and a secret in a JSON object is out of it afterwards.
func FuzzRedact(f *testing.F) {
	for _, s := range []string{"", `"`, `\`, "a\x00b", "://", "http://x/p/", "\xff", "}", "•"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, key, around string) {
		const secret = "XQ7ZsecretZ7QX"
		if strings.Contains(around+key, "XQ7Z") {
			t.Skip("the secret is in what is around it")
		}
		b, err := json.Marshal(map[string]any{"a" + key: around, "deviceSecret": secret, "z": []any{map[string]string{"password": secret}}, "url": "http://h/p/f/e/t/" + secret})
		if err != nil {
			t.Fatal(err)
		}
		for _, cut := range []int{len(b), len(b) / 2} {
			if got := string(redact(b[:cut], false)); strings.Contains(got, secret) {
				t.Errorf("%s\nis %s", b[:cut], got)
			}
		}
		redact([]byte(around), true)
	})
}

func newTestScribe(t *testing.T) (*scribe, *store.History) {
	t.Helper()
	dir := t.TempDir()
	h, _, err := store.OpenHistory(t.Context(), filepath.Join(dir, HistoryFile), store.HistoryLimits{Entries: 100_000})
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.OpenSQLite(t.Context(), filepath.Join(dir, DatabaseFile))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close(); s.Close() })
	return newScribe(h, s, newClock(1, 0), slog.New(slog.DiscardHandler), newMetrics()), h
}

// TestHistoryNeverWaits: with nobody to write it down a message is told in no time, and
// what had no room is counted and written down as lost.
func TestHistoryNeverWaits(t *testing.T) {
	r, h := newTestScribe(t)
	d := ota.Device{ProductKey: "p", Name: "d"}
	const more = 777
	begun := time.Now()
	for range maxRecords + more {
		r.Passed(broker.Passed{Device: d, Kind: ota.TopicInform, Payload: []byte("{}")})
	}
	r.stored([]simulator.Task{{ID: "t", Device: d}, {ID: "u", Device: d}})
	if took := time.Since(begun); took > 2*time.Second {
		t.Errorf("it took %v", took)
	}
	r.flush()
	if n, err := h.Lost(t.Context(), 0); n != more+2 || err != nil {
		t.Errorf("%d were lost, %v; want %d", n, err, more+2)
	}
	r.full.Store(0)
	r.stored(make([]simulator.Task, maxRecordedTasks+1)) // more than are ever held
	r.flush()
	if n, err := h.Lost(t.Context(), 0); n != more+2+maxRecordedTasks+1 || err != nil {
		t.Errorf("%d were lost in all, %v", n, err)
	}
	if _, n, err := h.Entries(t.Context(), store.EntryFilter{Device: d}, store.Page{}); n != maxRecords || err != nil {
		t.Errorf("%d are written, %v", n, err)
	}
}

// TestHistoryRate: for long no more than so many a second are written, whatever comes.
func TestHistoryRate(t *testing.T) {
	r, h := newTestScribe(t)
	d := ota.Device{ProductKey: "p", Name: "d"}
	const rounds = 20
	for range rounds {
		for range maxRecords {
			r.Passed(broker.Passed{Device: d, Kind: ota.TopicInform})
		}
		r.flush()
	}
	const sent = rounds * maxRecords
	_, n, err := h.Entries(t.Context(), store.EntryFilter{Device: d}, store.Page{})
	if err != nil {
		t.Fatal(err)
	}
	lost, err := h.Lost(t.Context(), 0)
	if err != nil || lost+int64(n)+r.lost.Load() != sent {
		t.Errorf("%d were lost of %d, and %d written, %v", lost, sent, n, err)
	}
	if n > recordBurst+5*recordRate {
		t.Errorf("%d are written at once", n)
	}
}

// TestHistoryEndings: how a connection ended is told apart.
func TestHistoryEndings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, t.TempDir()).run()
		c.fill("goodbye", "replaced", "kicked")
		c.connect("goodbye").off()
		first := c.connect("replaced")
		synctest.Wait() // it has its CONNACK a moment before it is online
		c.connect("replaced").off()
		kicked := c.connect("kicked")
		synctest.Wait()
		c.do(simulator.SetDeviceDisabled{Product: c.product, Name: "kicked", Disabled: true})
		time.Sleep(time.Second)
		for name, want := range map[string]string{"goodbye": "goodbye", "kicked": "kicked", "replaced": "goodbye replaced"} {
			list, _, err := c.history.Entries(t.Context(), store.EntryFilter{Device: ota.Device{ProductKey: c.product, Name: name}, Kind: store.EntryDisconnect}, store.Page{})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, e := range list {
				got = append(got, string(e.Payload))
			}
			if strings.Join(got, " ") != want {
				t.Errorf("%s: ended by %q, want %q", name, got, want)
			}
		}
		first.off()
		kicked.off()
		c.stop()
	})
}

// TestHistoryOff: a cloud that is to keep none has no file of it and works; one that was
// kept stays where it is.
func TestHistoryOff(t *testing.T) {
	dir := t.TempDir()
	s, err := New(t.Context(), Config{Dir: dir, PublicURL: "http://cloud.test", AccessKey: testKey, History: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := os.Stat(filepath.Join(dir, HistoryFile)); err == nil {
		t.Error("there is a file all the same")
	}
	if s.witness() != nil || s.pastOf() != nil {
		t.Error("somebody keeps a record")
	}
}
