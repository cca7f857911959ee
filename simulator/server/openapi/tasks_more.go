package openapi

import (
	"context"
	"slices"

	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server/store"
)

// maxTaskIDs is the most tasks that are confirmed or started anew at once.
const maxTaskIDs = 100

func cancelByDevice(p *reader) call {
	cmd := simulator.CancelTasksByDevice{
		Product: p.need("ProductKey", maxKey),
		Package: p.need("FirmwareId", maxID),
		Job:     p.text("JobId", maxID),
		Devices: p.list("DeviceName", simulator.MaxCancelDevices, maxName),
	}
	if len(cmd.Devices) == 0 {
		p.fail(missing("DeviceName"))
	}
	return changed[int](cmd)
}

// readTaskIDs reads which tasks are meant, each once.
func readTaskIDs(p *reader) []string {
	ids := p.list("TaskId", maxTaskIDs, maxID)
	if len(ids) == 0 {
		p.fail(missing("TaskId"))
	}
	for i, id := range ids {
		if slices.Contains(ids[:i], id) {
			p.fail(invalid("TaskId", "has %q twice", id))
		}
	}
	return ids
}

func confirmTasks(p *reader) call {
	return changed[[]simulator.Task](simulator.ConfirmTasks{Tasks: readTaskIDs(p)})
}

// reupgradeTasks starts failed and cancelled tasks anew. What has ended is in the store
// alone, so it is read there; nobody else may start it anew until that is stored.
func reupgradeTasks(p *reader) call {
	job, ids := p.text("JobId", maxID), readTaskIDs(p)
	return func(ctx context.Context, s session) (answer, error) {
		if job != "" {
			if _, err := do[simulator.Job](ctx, s, simulator.FindJob{Job: job}); err != nil {
				return nil, err
			}
		}
		s.turn.Lock()
		defer s.turn.Unlock()
		found, _, err := s.lists.Tasks(ctx, store.TaskFilter{IDs: ids}, store.Page{Number: 1, Size: maxTaskIDs})
		if err != nil {
			return nil, err
		}
		byID := make(map[string]simulator.Task, len(found))
		for _, t := range found {
			byID[t.ID] = t
		}
		cmd := simulator.ReupgradeTasks{Tasks: make([]simulator.Task, 0, len(ids))}
		for _, id := range ids {
			t, ok := byID[id]
			if !ok {
				return nil, business(codeNoTask, "TaskId: there is no task %q", shorten(id))
			}
			if job != "" && t.Job != job {
				return nil, invalid("TaskId", "has the task %s, which is of job %s", id, t.Job)
			}
			cmd.Tasks = append(cmd.Tasks, t)
		}
		if _, err := do[[]simulator.Task](ctx, s, cmd); err != nil {
			return nil, err
		}
		return &done{}, nil
	}
}
