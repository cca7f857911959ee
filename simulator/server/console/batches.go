package console

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server/store"
)

// jobRow is a batch as lists show it.
type jobRow struct {
	simulator.Job
	PackageName, Version string
	States               []state
	Total, Done          int
}

func (v *visit) jobRows(jobs []simulator.Job) ([]jobRow, error) {
	rows := make([]jobRow, len(jobs))
	for i, j := range jobs {
		c := j.Counts
		rows[i] = jobRow{Job: j, States: statesOf(c), Total: c.Total(), Done: c.Total() - c.Active()}
		p, err := look[simulator.Package](v, simulator.FindPackage{Package: j.Package})
		if err != nil {
			return nil, err
		}
		rows[i].PackageName, rows[i].Version = p.Name, p.Version
	}
	return rows, nil
}

func jobStatuses() []simulator.JobStatus {
	return []simulator.JobStatus{simulator.JobPlanned, simulator.JobInProgress, simulator.JobCompleted, simulator.JobCanceled}
}

func (v *visit) batchesPage() error {
	products, err := v.products()
	if err != nil {
		return err
	}
	q := v.r.URL.Query()
	f := store.JobFilter{Account: v.account, Product: q.Get("product"), Status: simulator.JobStatus(q.Get("status"))}
	at := v.paged()
	jobs, total, err := v.Store.Jobs(v.r.Context(), f, at)
	if err != nil {
		return err
	}
	rows, err := v.jobRows(jobs)
	if err != nil {
		return err
	}
	return v.page("batches", "nav.batches", map[string]any{
		"Rows": rows, "Pager": v.pager(at, total), "Products": products, "Product": f.Product, "Status": string(f.Status), "Statuses": jobStatuses(),
	})
}

// taskRow is a task with why it is pending (P42).
type taskRow struct {
	simulator.Task
	Cause simulator.Cause
	Start simulator.Stamp // of its batch, where that is known
	Kind  string          // of a failure: a cancellation is none
	Batch string          // what its batch is, where that is not said above
}

func (v *visit) taskRows(tasks []simulator.Task, start simulator.Stamp) ([]taskRow, error) {
	causes, err := look[[]simulator.Cause](v, simulator.FindCauses{Tasks: tasks})
	if err != nil {
		return nil, err
	}
	rows := make([]taskRow, len(tasks))
	for i := range tasks {
		rows[i] = taskRow{Task: tasks[i], Cause: causes[i], Start: start}
		if tasks[i].Reason != "" && tasks[i].Status != simulator.Canceled {
			rows[i].Kind = failureKind(tasks[i].Step, tasks[i].Reason)
		}
	}
	return rows, nil
}

// failureKind sorts a failure: by the code that the device has reported, or by what the
// cloud has found.
func failureKind(step int, reason string) string {
	switch {
	case reason == simulator.ReasonTimeout:
		return "timeout"
	case reason == simulator.ReasonBusy:
		return "busy"
	case strings.HasPrefix(reason, "reported version "):
		return "version"
	case step < 0 && step >= -4:
		return strconv.Itoa(step)
	}
	return "other"
}

// failureRow is what a number of tasks failed with, and the way to them.
type failureRow struct {
	store.Failure
	Kind, URL string
}

// maxFailures is the most different reasons that a page lists.
const maxFailures = 30

func (v *visit) failures(j *simulator.Job) ([]failureRow, error) {
	if j.Counts.Failed == 0 {
		return nil, nil
	}
	list, err := v.Store.Failures(v.r.Context(), j.ID, maxFailures)
	if err != nil {
		return nil, err
	}
	rows := make([]failureRow, len(list))
	for i, f := range list {
		q := v.r.URL.Query()
		for _, name := range []string{"page", "lang", "device"} {
			q.Del(name)
		}
		q.Set("status", string(simulator.Failed))
		q.Set("step", strconv.Itoa(f.Step))
		q.Set("reason", f.Reason)
		rows[i] = failureRow{f, failureKind(f.Step, f.Reason), v.path() + "?" + q.Encode() + "#devices"}
	}
	return rows, nil
}

// taskFilter reads the filter of a batch's tasks from the URL.
func (v *visit) taskFilter(j *simulator.Job) store.TaskFilter {
	q := v.r.URL.Query()
	f := store.TaskFilter{Job: j.ID, Status: simulator.TaskStatus(q.Get("status"))}
	if f.Status == simulator.Failed {
		f.Reason = q.Get("reason")
		if n, err := strconv.Atoi(q.Get("step")); err == nil {
			f.Step = &n
		}
	}
	if name := strings.TrimSpace(q.Get("device")); name != "" {
		f.Product, f.Devices = j.Product, []string{name} // by the index of devices
	}
	return f
}

func (v *visit) batch() (simulator.Job, error) {
	return look[simulator.Job](v, simulator.FindJob{Job: v.r.PathValue("batch")})
}

// batchPage is a batch with its devices by state (P53).
func (v *visit) batchPage() error { return v.batchWith(nil) }

// batchWith is its page with the form of what can be changed of it; nil is as it is now.
func (v *visit) batchWith(change *form) error {
	j, err := v.batch()
	if err != nil {
		return err
	}
	if change == nil {
		change = v.blank("MaximumPerMinute", strconv.Itoa(j.Policy.MaximumPerMinute))
		if n := j.Policy.TimeoutMinutes; n > 0 {
			change.Values.Set("TimeoutMinutes", strconv.Itoa(n))
		}
	}
	p, err := look[simulator.Package](v, simulator.FindPackage{Package: j.Package})
	if err != nil {
		return err
	}
	at, f := v.paged(), v.taskFilter(&j)
	tasks, total, err := v.Store.Tasks(v.r.Context(), f, at)
	if err != nil {
		return err
	}
	rows, err := v.taskRows(tasks, j.Start)
	if err != nil {
		return err
	}
	failures, err := v.failures(&j)
	if err != nil {
		return err
	}
	rate, err := look[simulator.PushRate](v, simulator.FindPushRate{Job: j.ID})
	if err != nil {
		return err
	}
	states := statesOf(j.Counts)
	d := map[string]any{
		"Job": &j, "Package": &p, "States": states, "Total": j.Counts.Total(), "Active": j.Counts.Active(), "Tasks": rows, "Pager": v.pager(at, total),
		"Failures": failures, "Filter": f, "Device": strings.Join(f.Devices, ""), "Reason": f.Reason, "Rate": rate,
		"Scheduled": j.Status == simulator.JobPlanned, "Query": v.r.URL.RawQuery, "Over": j.Status.Over(),
		"CanCancel": j.Counts.Active() > 0 || j.Watching, "Change": change, "MinRate": simulator.MinPushRate, "MaxRate": v.MaxPushRate,
	}
	if j.Group != "" {
		if g, err := look[simulator.GroupDevices](v, simulator.FindGroup{Group: j.Group}); err == nil {
			d["GroupName"] = g.Name
		}
	}
	if j.Status.Over() && j.Counts.Canceled > 0 {
		if d["EndedBy"], err = v.endedBy(&j); err != nil {
			return err
		}
	}
	return v.pageTitled("batch", v.heading(&j, &p)+" · "+cmp.Or(j.Desc, j.ID), d)
}

// changeRate sets the push rate and the timeout of a batch that is not over (P34, P37).
func (v *visit) changeRate() error {
	f, err := v.filled()
	if err != nil {
		return err
	}
	j, err := v.batch()
	if err != nil {
		return err
	}
	cmd := simulator.UpdateJob{Job: j.ID}
	if n := f.number("MaximumPerMinute", j.Policy.MaximumPerMinute); n != j.Policy.MaximumPerMinute {
		cmd.MaximumPerMinute = &n
		if j.Policy.Rate.Base > n { // one that grows cannot grow to less than it begins with
			cmd.Rate = &simulator.VariableRate{}
		}
	}
	if _, given := f.Values["TimeoutMinutes"]; given {
		if n := f.number("TimeoutMinutes", 0); n != j.Policy.TimeoutMinutes {
			cmd.TimeoutMinutes = &n
		}
	}
	if f.ok() {
		if _, err = change[simulator.Job](v, "UpdateOTAJob", "JobId="+j.ID, cmd); err == nil {
			v.say("saved")
			return v.to(link("batches", j.ID))
		}
		if err := f.refused(err, "MaximumPerMinute", "TimeoutMinutes"); err != nil {
			return err
		}
	}
	v.status, v.at = http.StatusUnprocessableEntity, link("batches", j.ID)
	return v.batchWith(f)
}

func (v *visit) cancelPage() error {
	j, err := v.batch()
	if err != nil {
		return err
	}
	p, err := look[simulator.Package](v, simulator.FindPackage{Package: j.Package})
	if err != nil {
		return err
	}
	heading := v.heading(&j, &p)
	return v.pageTitled("cancel", v.t("cancel.title")+" · "+heading, map[string]any{
		"Heading": heading, "Job": &j, "Package": &p, "Form": v.blank("What", "default"), "Dynamic": j.Selection == simulator.Dynamic, "Scheduled": j.Status == simulator.JobPlanned, "States": statesOf(j.Counts),
	})
}

// cancel is P54 and P55: by default what has not begun, the schedule's tasks or the
// strategy; on request every unfinished task.
func (v *visit) cancel() error {
	f, err := v.filled()
	if err != nil {
		return err
	}
	j, err := v.batch()
	if err != nil {
		return err
	}
	what := f.text("What")
	if !slices.Contains([]string{"default", "all"}, what) {
		return trouble(http.StatusBadRequest, "error.form")
	}
	all := what == "all"
	if j.Selection == simulator.Dynamic {
		_, err = change[simulator.Job](v, "CancelOTAStrategyByJob", "JobId="+j.ID, simulator.CancelStrategyByJob{Job: j.ID, Tasks: all})
	} else {
		_, err = change[simulator.Job](v, "CancelOTATaskByJob", "JobId="+j.ID, simulator.CancelTasksByJob{
			Job: j.ID, Scheduled: true, Queued: all, Notified: all, InProgress: all, Unconfirmed: all,
		})
	}
	if err != nil {
		return v.stay(err, link("batches", j.ID), v.batchPage)
	}
	v.say("cancel.done")
	return v.to(link("batches", j.ID))
}
