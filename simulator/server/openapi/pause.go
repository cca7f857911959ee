package openapi

import (
	"context"

	"github.com/leapslot/ota/simulator"
)

// Pausing a job is our addition: the platform has no word for it. The actions stand
// apart from the platform's, whose parameters and answers they leave as they are.

// pauseActions are the rows of the table about pauses.
func pauseActions() []action {
	fields := names{"Job": "JobId", "StopPercent": "FailurePercent", "StopLeast": "LeastEnded"}
	return []action{
		{name: "PauseOTAJob", room: roomOTA, changes: true, fields: fields, bind: pauseJob},
		{name: "ResumeOTAJob", room: roomOTA, changes: true, fields: fields, bind: resumeJob},
		{name: "UpdateOTAJobStop", room: roomOTA, changes: true, fields: fields, bind: updateStop},
		{name: "QueryOTAJobPause", room: roomOTA, fields: fields, bind: queryPause},
	}
}

func pauseJob(p *reader) call {
	return changed[simulator.Job](simulator.PauseJob{Job: p.need("JobId", maxID)})
}

func resumeJob(p *reader) call {
	return changed[simulator.Job](simulator.ResumeJob{Job: p.need("JobId", maxID)})
}

// updateStop sets or, with FailurePercent 0, ends that failures pause the job.
func updateStop(p *reader) call {
	const most = 1 << 30 // the model knows the bounds
	cmd := simulator.SetJobStop{Job: p.need("JobId", maxID)}
	p.need("FailurePercent", 16)
	cmd.Stop.Percent = int(p.number("FailurePercent", 0, 0, most))
	if cmd.Stop.Percent > 0 {
		cmd.Stop.Least = int(p.number("LeastEnded", simulator.DefaultStopLeast, 0, most))
	}
	return changed[simulator.Job](cmd)
}

type jobPause struct {
	JobId                      string
	Paused                     bool
	Reason, UtcPaused          string // of a pause: user or failures, and since when
	EndedTasks, FailedTasks    int    // since the job began or was resumed
	FailurePercent, LeastEnded int    // 0: failures never pause it
}

func queryPause(p *reader) call {
	id := p.need("JobId", maxID)
	return func(ctx context.Context, s session) (answer, error) {
		j, err := do[simulator.Job](ctx, s, simulator.FindJob{Job: id})
		if err != nil {
			return nil, err
		}
		return data(jobPause{
			JobId: j.ID, Paused: j.Pause.On(), Reason: string(j.Pause.Why), UtcPaused: utc(j.Pause.At),
			EndedTasks: j.Tried.Ended, FailedTasks: j.Tried.Failed, FailurePercent: j.Policy.Stop.Percent, LeastEnded: j.Policy.Stop.Least,
		}), nil
	}
}
