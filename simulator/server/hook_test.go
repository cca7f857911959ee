package server

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
)

var testHook = Webhook{Secret: "hooksecret"}

// receiver is an application that is told things. It answers with the status of answer,
// and counts what it has received.
type receiver struct {
	*httptest.Server
	t      *testing.T
	mu     sync.Mutex
	answer func(n int) int // of the n-th call; nil: 204
	calls  int
	got    []told
}

type told struct {
	ID      int64
	Topic   string
	Time    int64
	Payload map[string]any
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{t: t}
	r.Server = httptest.NewServer(http.HandlerFunc(r.receive))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) receive(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return
	}
	if want := testHook.Sign(req.Header.Get(HeaderTimestamp), body); req.Header.Get(HeaderSignature) != want {
		r.t.Errorf("signature %q, want %q", req.Header.Get(HeaderSignature), want)
	}
	if sec, err := strconv.ParseInt(req.Header.Get(HeaderTimestamp), 10, 64); err != nil || time.Since(time.Unix(sec, 0)).Abs() > time.Minute {
		r.t.Errorf("timestamp %d, %v", sec, err)
	}
	var e told
	if err := json.Unmarshal(body, &e); err != nil || req.Header.Get(HeaderEventID) != strconv.FormatInt(e.ID, 10) {
		r.t.Errorf("event %s of id %q: %v", body, req.Header.Get(HeaderEventID), err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls++
	status := http.StatusNoContent
	if r.answer != nil {
		status = r.answer(r.calls)
	}
	if status/100 == 2 || status == 0 { // 0: received, but the answer is lost
		r.got = append(r.got, e)
	}
	if status == 0 {
		panic(http.ErrAbortHandler)
	}
	w.WriteHeader(status)
}

// await waits for n events and gives them.
func (r *receiver) await(n int) []told {
	r.t.Helper()
	for end := time.Now().Add(15 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		r.mu.Lock()
		got := append([]told{}, r.got...)
		r.mu.Unlock()
		if len(got) >= n {
			return got
		}
		if time.Now().After(end) {
			r.t.Fatalf("%d events in 15 s, want %d: %+v", len(got), n, got)
		}
	}
}

func openHooked(t *testing.T, dir, url string) *cloud {
	t.Helper()
	s, err := New(t.Context(), Config{
		Dir: dir, PublicURL: "http://cloud.test", AccessKey: testKey, MaxPushRate: simulator.Unlimited,
		Webhook: Webhook{URL: url, Secret: testHook.Secret},
	})
	if err != nil {
		t.Fatal(err)
	}
	return &cloud{Server: s, t: t, dir: dir, ended: make(chan error, 1)}
}

// TestWebhook: an application is told of a whole update, in order, in the words of
// protocol section 9, and of nothing twice.
func TestWebhook(t *testing.T) {
	r := newReceiver(t)
	c := openHooked(t, t.TempDir(), r.URL+"/events").run()
	defer c.stop()
	p := c.fill("d1")
	d := c.connect("d1")
	defer d.off()
	d.inform("1.0")
	j := c.batch(p, nil)
	d.notice()
	d.progress(50)
	d.progress(-1)
	d.inform("2.0")
	got := r.await(5)
	iot := c.do(simulator.FindDevice{Product: c.product, Name: "d1"}).(simulator.Device)
	base := map[string]any{"iotId": iot.IotID(), "productKey": c.product, "deviceName": "d1"}
	merged := func(more map[string]any) map[string]any {
		for k, v := range base {
			more[k] = v
		}
		return more
	}
	device, job := "/"+c.product+"/d1/", "/"+c.product+"/"+p.ID+"/"+j.ID+"/ota/job/status"
	want := []told{
		{1, device + "ota/version/post", 0, merged(map[string]any{"moduleName": "default", "moduleVersion": "1.0"})},
		{2, job, 0, map[string]any{"productKey": c.product, "jobId": j.ID, "status": "IN_PROGRESS"}},
		{3, device + "ota/upgrade", 0, merged(map[string]any{"status": "FAILED", "srcVersion": "1.0", "destVersion": "2.0", "desc": "-1: why", "jobId": j.ID})},
		{4, job, 0, map[string]any{"productKey": c.product, "jobId": j.ID, "status": "COMPLETED"}},
		{5, device + "ota/version/post", 0, merged(map[string]any{"moduleName": "default", "moduleVersion": "2.0"})},
	}
	for i := range got {
		if got[i].Time == 0 {
			t.Errorf("event %d has no time", i)
		}
		got[i].Time = 0
		delete(got[i].Payload, "messageCreateTime")
		delete(got[i].Payload, "taskId")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +told):\n%s", diff)
	}
}

// TestWebhookRetries: refusals, lost answers and redirects are tried again with the same
// id; nothing is passed over and the order is kept.
func TestWebhookRetries(t *testing.T) {
	r := newReceiver(t)
	r.answer = func(n int) int {
		return map[int]int{1: 500, 2: 404, 4: 0, 6: 302}[n] | map[bool]int{true: 204}[n != 1 && n != 2 && n != 4 && n != 6]
	}
	c := openHooked(t, t.TempDir(), r.URL).run()
	defer c.stop()
	p := c.fill("d1")
	for range 4 {
		j := c.batch(p, nil)
		c.do(simulator.CancelTasksByJob{Job: j.ID, Queued: true})
	}
	got := r.await(9) // 8, and one whose answer was lost
	var ids []int64
	for _, e := range got {
		ids = append(ids, e.ID)
	}
	if diff := cmp.Diff([]int64{1, 2, 2, 3, 4, 5, 6, 7, 8}, ids); diff != "" {
		t.Errorf("(-want +told):\n%s", diff)
	}
}

// TestF3WebhookCrash: what was stored and not delivered when the server ended is
// delivered by the next one; a receiver that is away holds up nobody else.
func TestF3WebhookCrash(t *testing.T) {
	dir := t.TempDir()
	gone := httptest.NewServer(nil)
	gone.Close() // nobody listens there
	c := openHooked(t, dir, gone.URL).run()
	p := c.fill("d1")
	began := time.Now()
	for range 10 {
		j := c.batch(p, nil)
		c.do(simulator.CancelTasksByJob{Job: j.ID, Queued: true})
	}
	if d := time.Since(began); d > 5*time.Second {
		t.Errorf("the receiver is away and 20 commands take %v", d)
	}
	c.stop()
	if n, err := c.store.Queued(t.Context()); err == nil {
		t.Errorf("the store is open: %d wait", n)
	}
	r := newReceiver(t)
	c = openHooked(t, dir, r.URL).run()
	got := r.await(20)
	for i, e := range got {
		if e.ID != int64(i+1) {
			t.Fatalf("event %d has id %d", i, e.ID)
		}
	}
	c.stop()

	c = openHooked(t, dir, r.URL).run() // nothing of it is told again
	defer c.stop()
	c.product = p.Product
	c.do(simulator.RegisterDevices{Product: p.Product, Names: []string{"d2"}})
	d := c.connect("d2")
	defer d.off()
	d.publish(ota.TopicInform, ota.Inform{ID: "1", Version: "7"}.Encode())
	if got = r.await(21); got[20].ID != 21 || got[20].Payload["moduleVersion"] != "7" {
		t.Errorf("after the restart %+v", got[20:])
	}
}

func TestWebhookConfig(t *testing.T) {
	for _, w := range []Webhook{{URL: "ftp://x", Secret: "s"}, {URL: "http://", Secret: "s"}, {URL: "http://x/"}} {
		if s, err := New(t.Context(), Config{Dir: t.TempDir(), PublicURL: "http://cloud.test", AccessKey: testKey, Webhook: w}); err == nil {
			_ = s.Close()
			t.Errorf("%+v is accepted", w)
		}
	}
}
