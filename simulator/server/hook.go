package server

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server/store"
)

// Webhook is where applications are told what happens (protocol section 9, at the end).
//
// Each event is one POST of {"id", "topic", "time", "payload"}; a 2xx answer is its
// receipt. Events are stored with the change that they tell of, sent one after the other
// in the order of their ids, and sent until they are received: after a crash, or an
// answer that was lost, again with the same id. Ids have no gap, unless so many events
// waited that the oldest were dropped (store.MaxEvents). An event that is not received
// holds those behind it.
//
// HeaderSignature is "v1=" and the hexadecimal HMAC-SHA256, under the secret, of
// HeaderTimestamp (seconds since 1970), a full stop and the body.
type Webhook struct {
	URL    string // http or https; empty: none
	Secret string
}

// Headers of a call of the webhook.
const (
	HeaderEventID   = "X-Ota-Event-Id"
	HeaderTimestamp = "X-Ota-Timestamp"
	HeaderSignature = "X-Ota-Signature"
)

// Limits of the webhook.
const (
	hookBatch      = 100 // events read from the store at once
	hookTimeout    = 10 * time.Second
	hookFirstRetry = 200 * time.Millisecond
	hookLastRetry  = time.Minute
	hookLook       = 30 * time.Second // between looks when nothing is known to wait
)

// Sign gives the signature of a body that is sent at a time.
func (w Webhook) Sign(seconds string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(w.Secret))
	mac.Write([]byte(seconds + "."))
	mac.Write(body)
	return "v1=" + hex.EncodeToString(mac.Sum(nil))
}

func (w Webhook) check() error {
	if w.URL == "" {
		return nil
	}
	u, err := url.Parse(w.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("%w: the webhook is http://HOST/... or https://HOST/..., not %q", ErrConfig, w.URL)
	}
	if w.Secret == "" {
		return fmt.Errorf("%w: the webhook needs a secret that its calls are signed with", ErrConfig)
	}
	return nil
}

// hook delivers events.
type hook struct {
	Webhook
	store   store.Outbox
	log     *slog.Logger
	metrics *metrics
	client  *http.Client
	wake    chan struct{} // of one: something is there
}

func newHook(w Webhook, st store.Outbox, log *slog.Logger, m *metrics) *hook {
	return &hook{
		Webhook: w, store: st, log: log, metrics: m, wake: make(chan struct{}, 1),
		client: &http.Client{
			Timeout:       hookTimeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// told says that there is something to deliver. It never waits.
func (h *hook) told() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// run delivers until ctx ends. done is the last event that was received, also when the
// store could not be told.
func (h *hook) run(ctx context.Context) {
	defer h.client.CloseIdleConnections()
	var done int64
	pause := time.Duration(0)
	for ctx.Err() == nil {
		n, last, err := h.round(ctx, done)
		done = max(done, last)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			pause = min(max(2*pause, hookFirstRetry), hookLastRetry)
			h.log.Warn("the webhook has not received an event; trying again", "after", done, "why", err.Error(), "in", pause)
			h.metrics.events.WithLabelValues("failed").Inc()
			h.sleep(ctx, pause/2+rand.N(pause/2+1), nil)
		case n == 0:
			pause = 0
			h.sleep(ctx, hookLook, h.wake)
		default:
			pause = 0
		}
	}
}

func (h *hook) sleep(ctx context.Context, d time.Duration, wake <-chan struct{}) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-wake:
	case <-ctx.Done():
	}
}

// round delivers what waits after the event done, up to a batch, and says how many there
// were and which was the last that was received.
func (h *hook) round(ctx context.Context, done int64) (n int, last int64, err error) {
	list, err := h.store.Events(ctx, hookBatch)
	if err != nil {
		return 0, done, err
	}
	last = done
	for i := range list {
		if list[i].ID <= done {
			continue
		}
		if err = h.post(ctx, &list[i]); err != nil {
			break
		}
		last = list[i].ID
		h.metrics.events.WithLabelValues("delivered").Inc()
	}
	if len(list) > 0 && last >= list[0].ID {
		// Also when the server is being stopped: what was received is not sent again.
		if gone := h.store.Delivered(context.WithoutCancel(ctx), last); gone != nil && err == nil {
			err = gone
		}
	}
	return len(list), last, err
}

// post sends one event.
func (h *hook) post(ctx context.Context, e *store.Waiting) error {
	body, err := json.Marshal(struct {
		ID      int64           `json:"id"`
		Topic   string          `json:"topic"`
		Time    simulator.Stamp `json:"time"`
		Payload json.RawMessage `json:"payload"`
	}{e.ID, e.Topic, e.At, e.Body})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	seconds := strconv.FormatInt(time.Now().Unix(), 10)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(HeaderEventID, strconv.FormatInt(e.ID, 10))
	req.Header.Set(HeaderTimestamp, seconds)
	req.Header.Set(HeaderSignature, h.Sign(seconds, body))
	resp, err := h.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection is used again
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("event %d was answered with HTTP status %d", e.ID, resp.StatusCode)
	}
	return nil
}
