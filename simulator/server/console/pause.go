package console

import (
	"net/http"
	"strconv"

	"github.com/leapslot/ota/simulator"
)

// Pausing is our addition to the platform: the pages say so.

// stop reads when failures pause a batch; no percentage is never.
func (f *form) stop() simulator.FailureStop {
	s := simulator.FailureStop{Percent: f.number("StopPercent", 0)}
	if s.Percent != 0 {
		s.Least = f.number("StopLeast", simulator.DefaultStopLeast)
	}
	return s
}

// pausePage asks whether to pause the batch, or to have it go on, and has the form of
// when it pauses itself.
func (v *visit) pausePage() error {
	j, err := v.batch()
	if err != nil {
		return err
	}
	f := v.blank()
	if s := j.Policy.Stop; s.Percent > 0 {
		f = v.blank("StopPercent", strconv.Itoa(s.Percent), "StopLeast", strconv.Itoa(s.Least))
	}
	return v.pauseForm(&j, f)
}

func (v *visit) pauseForm(j *simulator.Job, f *form) error {
	if j.Status.Over() {
		return trouble(http.StatusConflict, "pause.over")
	}
	title := "pause.title"
	if j.Pause.On() {
		title = "resume.title"
	}
	p, err := look[simulator.Package](v, simulator.FindPackage{Package: j.Package})
	if err != nil {
		return err
	}
	heading := v.heading(j, &p)
	return v.pageTitled("pause", v.t(title)+" · "+heading, map[string]any{"Heading": heading, "Job": j, "Form": f, "States": statesOf(j.Counts)})
}

func (v *visit) pause() error {
	id := v.r.PathValue("batch")
	if _, err := change[simulator.Job](v, "PauseOTAJob", "JobId="+id, simulator.PauseJob{Job: id}); err != nil {
		return v.stay(err, link("batches", id), v.batchPage)
	}
	v.say("pause.done")
	return v.to(link("batches", id))
}

func (v *visit) resume() error {
	id := v.r.PathValue("batch")
	if _, err := change[simulator.Job](v, "ResumeOTAJob", "JobId="+id, simulator.ResumeJob{Job: id}); err != nil {
		return v.stay(err, link("batches", id), v.batchPage)
	}
	v.say("resume.done")
	return v.to(link("batches", id))
}

// changeStop changes when failures pause the batch.
func (v *visit) changeStop() error {
	f, err := v.filled()
	if err != nil {
		return err
	}
	id, stop := v.r.PathValue("batch"), f.stop()
	if f.ok() {
		_, err := change[simulator.Job](v, "UpdateOTAJobStop", "JobId="+id, simulator.SetJobStop{Job: id, Stop: stop})
		if err == nil {
			v.say("saved")
			return v.to(link("batches", id))
		}
		if err := f.refused(err, "StopPercent", "StopLeast"); err != nil {
			return err
		}
	}
	j, err := v.batch()
	if err != nil {
		return err
	}
	v.status, v.at = http.StatusUnprocessableEntity, link("batches", id, "pause")
	return v.pauseForm(&j, f)
}
