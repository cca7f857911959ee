package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server/store"
)

// Limits of what is shown of a message.
const (
	maxGlance = 100 // characters of it in the list
	maxNested = 20  // levels of JSON that are written one below the other
)

// happening is an entry of the history as a page shows it.
type happening struct {
	store.Entry
	When     moment
	Way      string // up, down, or empty
	Name     string // of the topic
	Glance   string
	Text     string // the whole, when there is more
	Cut      bool   // more of it came than was kept
	Ending   bool   // Glance is a word of the catalog
	TaskURL  string // to this task's part of the timeline
	BatchURL string
	Status   simulator.TaskStatus // of a task
}

// timeline is what passed between a device and the cloud, the newest first.
func (v *visit) timeline() error {
	d, err := v.deviceHere()
	if err != nil {
		return err
	}
	product, err := v.product(d.ProductKey)
	if err != nil {
		return err
	}
	data := map[string]any{"Device": &d, "Product": product, "Kinds": store.EntryKinds()}
	if v.History == nil {
		data["Off"] = true
		return v.page("timeline", "timeline.title", data)
	}
	f, task, err := v.entryFilter(&d)
	if err != nil {
		return err
	}
	at := v.paged()
	// Asked first: what comes between the two is news to the page.
	latest, err := v.History.Latest(v.r.Context(), d.Device)
	if err != nil {
		return err
	}
	list, total, err := v.History.Entries(v.r.Context(), f, at)
	if err != nil {
		return err
	}
	rows := make([]happening, len(list))
	for i := range list {
		rows[i] = v.happening(&list[i])
	}
	lost, err := v.lost(list, d.Registered)
	if err != nil {
		return err
	}
	data["Rows"], data["Pager"], data["Kind"], data["Task"], data["Lost"], data["Latest"] = rows, v.pager(at, total), f.Kind.String(), task, lost, latest
	data["First"], data["Filtered"] = at.Number == 1, f.Kind != 0 || task != nil
	return v.page("timeline", "timeline.title", data)
}

// deviceHere is the device of the path, when the user may see it.
func (v *visit) deviceHere() (simulator.Device, error) {
	return look[simulator.Device](v, simulator.FindDevice{Product: v.r.PathValue("product"), Name: v.r.PathValue("name")})
}

// entryFilter reads the filter from the URL. With a task it is what happened to the
// device from its making to its end, but for what is known to be another task's. What a
// former device of that name did is not shown.
func (v *visit) entryFilter(d *simulator.Device) (store.EntryFilter, *simulator.Task, error) {
	q := v.r.URL.Query()
	f := store.EntryFilter{Device: d.Device, Kind: store.ParseEntryKind(q.Get("kind")), From: d.Registered}
	id := strings.TrimSpace(q.Get("task"))
	if id == "" {
		return f, nil, nil
	}
	found, _, err := v.Store.Tasks(v.r.Context(), store.TaskFilter{IDs: []string{id}, Product: d.ProductKey, Devices: []string{d.Name}}, store.Page{Size: 1})
	if err != nil {
		return f, nil, err
	}
	if len(found) == 0 {
		return f, nil, trouble(http.StatusNotFound, "timeline.task.none")
	}
	t := &found[0]
	f.Task, f.From = t.ID, max(t.Created, d.Registered)
	if !t.Status.Active() {
		f.Until = t.Modified
	}
	return f, t, nil
}

// lost is how many messages, of whatever device, were not recorded since the oldest
// entry that the page shows.
func (v *visit) lost(list []store.Entry, since simulator.Stamp) (int64, error) {
	if len(list) > 0 {
		since = list[len(list)-1].At
	}
	return v.History.Lost(v.r.Context(), since)
}

func (v *visit) happening(e *store.Entry) happening {
	h := happening{Entry: *e, When: v.moment(e.At)}
	h.When.Full = e.At.Time().In(v.zone).Format("2006-01-02 15:04:05.000")
	switch {
	case e.Up():
		h.Way = "up"
	case e.Down():
		h.Way = "down"
	}
	if e.Topic != 0 {
		h.Name = e.Topic.Of(e.Device)
	}
	h.Ending = e.Kind == store.EntryDisconnect
	if e.Task != "" {
		h.TaskURL = v.with("task", e.Task)
	}
	text := legible(e.Payload)
	h.Glance = glance(text)
	if whole := pretty(e.Payload, text); h.Glance != text || whole != text {
		h.Text = whole
	}
	h.say(v.pages.words(v.lang))
	h.Cut = e.Topic != 0 && e.Kind != store.EntryBlock && e.Size > store.MaxEntryPayload
	return h
}

// ours is what stands in the entries that are no messages, of which there are several kinds.
type ours struct {
	Job     string               `json:"job"`
	Status  simulator.TaskStatus `json:"-"`
	Said    json.RawMessage      `json:"status"` // of a task a word, of a download a number
	From    string               `json:"from"`
	To      string               `json:"to"`
	Attempt int                  `json:"attempt"`
	Reason  string               `json:"reason"`

	Method string `json:"method"`
	Range  string `json:"range"`

	Remote  string `json:"remote"`
	Gateway string `json:"gateway"`
}

// say puts an entry of our own in a few words. What cannot be read is shown as it is.
func (h *happening) say(words catalog) {
	var of ours
	switch h.Kind {
	case store.EntryTask, store.EntryDownload, store.EntryConnect:
		if json.Unmarshal(h.Payload, &of) != nil {
			return
		}
	}
	switch h.Kind {
	case store.EntryTask:
		_ = json.Unmarshal(of.Said, &of.Status) // a word that is none has no text
		h.BatchURL, h.Status = link("batches", of.Job), of.Status
		h.Glance = fmt.Sprintf("%s → %s · #%d %s", of.From, of.To, of.Attempt, words.reason(of.Reason))
	case store.EntryDownload:
		h.Glance = strings.Join(strings.Fields(fmt.Sprintf("%s %s → %s", of.Method, of.Range, of.Said)), " ")
	case store.EntryConnect:
		if h.Glance = of.Remote; of.Gateway != "" {
			h.Glance = of.Gateway
		}
	}
	h.Glance = glance(legible([]byte(h.Glance)))
}

// glance is the beginning of a text, in one line.
func glance(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if utf8.RuneCountInString(s) <= maxGlance {
		return s
	}
	return string([]rune(s)[:maxGlance]) + "…"
}

// legible writes bytes as text in which every character is seen: what would turn the
// text around, or is none, stands there by its number.
func legible(b []byte) string {
	var out strings.Builder
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&out, `\x%02x`, b[0])
		case r == '\n' || unicode.IsPrint(r):
			out.WriteRune(r)
		default:
			out.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		}
		b = b[n:]
	}
	return out.String()
}

// pretty writes JSON over several lines; anything else stays the text it is.
func pretty(b []byte, text string) string {
	var out bytes.Buffer
	if nested(b) > maxNested || json.Indent(&out, bytes.TrimRight(b, "\x00"), "", "  ") != nil {
		return text
	}
	return legible(out.Bytes())
}

// nested is how deep brackets stand in each other: to write them below one another takes
// room that grows with its square.
func nested(b []byte) (deepest int) {
	depth := 0
	for _, c := range b {
		switch c {
		case '{', '[':
			depth++
			deepest = max(deepest, depth)
		case '}', ']':
			depth--
		}
	}
	return deepest
}

// timelineEvents tells an open page that something was recorded.
func (v *visit) timelineEvents() error {
	if v.History == nil {
		return trouble(http.StatusNotFound, "timeline.off")
	}
	latest := func() (int64, error) { // of a device that is still the user's to see
		d, err := v.deviceHere()
		if err != nil {
			return 0, err
		}
		return v.History.Latest(v.r.Context(), d.Device)
	}
	known, err := latest()
	if err != nil {
		return err
	}
	return v.follow(known, latest)
}
