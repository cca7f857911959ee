package console

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server/store"
)

// How often a page that is open looks for news, and says that it is still there.
const (
	newsEvery  = time.Second
	aliveEvery = 20 * time.Second
)

// events tells an open page of a batch that there is news of it.
func (v *visit) events() error {
	j, err := v.batch()
	if err != nil {
		return err
	}
	return v.follow(j.Revision, func() (int64, error) {
		next, err := v.batch()
		return next.Revision, err
	})
}

// news tells any other open page that something was stored since it was made.
func (v *visit) news() error {
	return v.follow(v.News(), func() (int64, error) { return v.News(), nil })
}

// follow tells an open page each time that a number has changed (server-sent events). What
// is new the page asks for as any other: there is one way to see it.
func (v *visit) follow(known int64, look func() (int64, error)) error {
	select {
	case v.streams <- struct{}{}:
		defer func() { <-v.streams }()
	default:
		return trouble(http.StatusServiceUnavailable, "error.busy")
	}
	v.w.Header().Set("Content-Type", "text/event-stream")
	out := http.NewResponseController(v.w)
	_ = out.SetWriteDeadline(time.Time{})
	fmt.Fprintf(v.w, "retry: 5000\n\n")
	// What has come since the page was made is news too.
	if since, err := strconv.ParseInt(v.r.URL.Query().Get("since"), 10, 64); err == nil {
		known = since
	}
	tick := time.NewTicker(newsEvery)
	defer tick.Stop()
	for last := time.Now(); ; {
		if err := out.Flush(); err != nil {
			return nil // the page is closed
		}
		select {
		case <-v.r.Context().Done():
			return nil
		case <-v.stopped:
			return nil
		case now := <-tick.C:
			next, err := look()
			switch {
			case err != nil:
				return nil // deleted, or the server stops: the browser asks again
			case next != known:
				fmt.Fprintf(v.w, "event: news\ndata: %d\n\n", next)
				known, last = next, now
			case now.Sub(last) > aliveEvery:
				if v.signedIn() != nil || v.role == Nobody {
					return nil
				}
				fmt.Fprint(v.w, ": alive\n\n")
				last = now
			}
		}
	}
}

// maxPoints is the most points of a chart.
const maxPoints = 300

// curve is how many tasks had ended in each state by when.
type curve struct {
	Seconds                     []int64 `json:"seconds"`
	Succeeded, Failed, Canceled []int
	Total                       int
	Zone                        string
	Names                       []string // of the three and of time, in the user's language
}

// curveOf is how a batch has come to where it is.
func (v *visit) curveOf(j *simulator.Job) (*curve, error) {
	until := simulator.At(v.Now())
	if j.Ended != 0 {
		until = j.Ended
	}
	span := max(int64(until-j.Created)/maxPoints, 1000)
	ended, err := v.Store.EndedTasks(v.r.Context(), j.ID, span)
	if err != nil {
		return nil, err
	}
	c := &curve{Total: j.Counts.Total(), Zone: v.zone.String()}
	// It begins with nothing ended, a second early: a batch may be over in its first.
	c.add(j.Created/1000-1, store.Ended{})
	for _, e := range ended {
		c.add(max(e.At, j.Created)/1000, e)
	}
	c.add(until/1000, store.Ended{})
	return c, nil
}

// progress is the batch's progress over time, for its chart.
func (v *visit) progress() error {
	j, err := v.batch()
	if err != nil {
		return err
	}
	c, err := v.curveOf(&j)
	if err != nil {
		return err
	}
	for _, s := range []simulator.TaskStatus{simulator.Succeeded, simulator.Failed, simulator.Canceled} {
		c.Names = append(c.Names, v.t("task."+string(s)))
	}
	c.Names = append(c.Names, v.t("time"))
	v.w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(v.w).Encode(c)
}

// progressTable is the same for who has no chart.
func (v *visit) progressTable() error {
	j, err := v.batch()
	if err != nil {
		return err
	}
	c, err := v.curveOf(&j)
	if err != nil {
		return err
	}
	v.download("progress-" + j.ID + ".csv")
	out := csv.NewWriter(v.w)
	defer out.Flush()
	_ = out.Write([]string{"time", "succeeded", "failed", "canceled", "total"})
	for i, at := range c.Seconds {
		_ = out.Write([]string{iso(simulator.Stamp(at * 1000)), strconv.Itoa(c.Succeeded[i]), strconv.Itoa(c.Failed[i]), strconv.Itoa(c.Canceled[i]), strconv.Itoa(c.Total)})
	}
	return nil
}

func (c *curve) add(at simulator.Stamp, e store.Ended) {
	if n := len(c.Seconds); n == 0 || c.Seconds[n-1] != int64(at) {
		last := func(of []int) int {
			if n == 0 {
				return 0
			}
			return of[n-1]
		}
		c.Seconds = append(c.Seconds, int64(at))
		c.Succeeded, c.Failed, c.Canceled = append(c.Succeeded, last(c.Succeeded)), append(c.Failed, last(c.Failed)), append(c.Canceled, last(c.Canceled))
	}
	n := len(c.Seconds) - 1
	switch e.Status {
	case simulator.Succeeded:
		c.Succeeded[n] += e.Tasks
	case simulator.Failed:
		c.Failed[n] += e.Tasks
	case simulator.Canceled:
		c.Canceled[n] += e.Tasks
	}
}

// exportTasks gives the tasks that the page's filter selects.
func (v *visit) exportTasks() error {
	j, err := v.batch()
	if err != nil {
		return err
	}
	f := v.taskFilter(&j)
	v.download("batch-" + j.ID + ".csv")
	out := csv.NewWriter(v.w)
	defer out.Flush()
	_ = out.Write([]string{"task", "product_key", "device_name", "module", "source", "version", "status", "attempt", "step", "reason", "modified", "next_retry"})
	for page := 1; ; page++ {
		list, total, err := v.Store.Tasks(v.r.Context(), f, store.Page{Number: page, Size: exportPage})
		if err != nil {
			return v.broken(err)
		}
		for i := range list {
			t := &list[i]
			_ = out.Write([]string{
				t.ID, t.Device.ProductKey, t.Device.Name, t.Module, cell(t.Source), t.Version, string(t.Status), strconv.Itoa(t.Attempt), strconv.Itoa(t.Step),
				cell(t.Reason), iso(t.Modified), iso(t.RetryAt),
			})
		}
		if page*exportPage >= total || len(list) == 0 {
			return nil
		}
	}
}

func iso(at simulator.Stamp) string {
	if at == 0 {
		return ""
	}
	return at.Time().Format(time.RFC3339)
}
