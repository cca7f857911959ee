package openapi

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server/store"
)

const (
	taskPage       = 10
	maxTaskPage    = 100
	maxDeviceNames = 100
)

func taskStates() []string {
	return []string{
		string(simulator.Unconfirmed), string(simulator.Queued), string(simulator.Notified), string(simulator.InProgress),
		string(simulator.Succeeded), string(simulator.Failed), string(simulator.Canceled),
	}
}

type taskList struct {
	head
	Total, PageSize, PageCount, CurrentPage int
	Data                                    taskData
}

type taskData struct{ SimpleOTATaskInfo []taskInfo }

type taskInfo struct {
	TaskId, JobId, FirmwareId, ProductKey, ProductName, DeviceName, IotId string
	ModuleName, SrcVersion, DestVersion                                   string
	TaskStatus, Progress, TaskDesc, Timeout                               string
	UtcCreate, UtcModified                                                string
}

func listTasksByJob(p *reader) call {
	f := store.TaskFilter{
		Job:     p.need("JobId", maxID),
		Status:  simulator.TaskStatus(p.choice("TaskStatus", "", taskStates()...)),
		Devices: p.list("DeviceNames", maxDeviceNames, maxName),
	}
	pg := p.page(taskPage, maxTaskPage)
	return func(ctx context.Context, s session) (answer, error) {
		job, err := do[simulator.Job](ctx, s, simulator.FindJob{Job: f.Job})
		if err != nil {
			return nil, err
		}
		f.Product = job.Product
		found, total, err := s.lists.Tasks(ctx, f, pg.ofStore())
		if err != nil {
			return nil, err
		}
		a := &taskList{Total: total, PageSize: pg.Size, PageCount: pg.Count(total), CurrentPage: pg.Number}
		a.Data, err = s.tasks(ctx, found)
		return a, err
	}
}

// tasks describes tasks. Jobs, products and devices are asked for once each.
func (s session) tasks(ctx context.Context, found []simulator.Task) (taskData, error) {
	d := taskData{SimpleOTATaskInfo: []taskInfo{}}
	causes, err := do[[]simulator.Cause](ctx, s, simulator.FindCauses{Tasks: found})
	if err != nil {
		return d, err
	}
	jobs, products := map[string]simulator.Job{}, map[string]simulator.Product{}
	for i := range found {
		t := &found[i]
		job, err := once(ctx, s, jobs, t.Job, simulator.FindJob{Job: t.Job})
		if err != nil {
			return d, err
		}
		of, err := once(ctx, s, products, t.Device.ProductKey, simulator.FindProduct{Product: t.Device.ProductKey})
		if err != nil {
			return d, err
		}
		device, err := do[simulator.Device](ctx, s, simulator.FindDevice{Product: t.Device.ProductKey, Name: t.Device.Name})
		if refused := (*simulator.Error)(nil); err != nil && !errors.As(err, &refused) {
			return d, err
		}
		info := taskOf(t)
		if c := causes[i]; c != simulator.NotPending {
			info.TaskDesc = causeText(c, &job)
		}
		if info.ProductName = of.Name; err == nil { // the device of a task that has ended may be deleted
			info.IotId = device.IotID()
		}
		if m := job.Policy.TimeoutMinutes; m > 0 {
			info.Timeout = strconv.Itoa(m)
		}
		d.SimpleOTATaskInfo = append(d.SimpleOTATaskInfo, info)
	}
	return d, nil
}

// causeText says why a task is pending (P42).
func causeText(c simulator.Cause, j *simulator.Job) string {
	switch c {
	case simulator.DeviceOffline:
		return "the device is offline"
	case simulator.WaitingSchedule:
		return "scheduled for " + utc(j.Start)
	case simulator.WaitingAsk:
		return "waits for the device to ask"
	case simulator.RateLimited:
		return "waits for the push rate"
	}
	return string(c)
}

// once looks something up unless it is known already.
func once[T any](ctx context.Context, s session, known map[string]T, key string, cmd simulator.Command) (T, error) {
	if v, ok := known[key]; ok {
		return v, nil
	}
	v, err := do[T](ctx, s, cmd)
	if err == nil {
		known[key] = v
	}
	return v, err
}

func taskOf(t *simulator.Task) taskInfo {
	return taskInfo{
		TaskId: t.ID, JobId: t.Job, FirmwareId: t.Package, ProductKey: t.Device.ProductKey, DeviceName: t.Device.Name,
		ModuleName: t.Module, SrcVersion: t.Source, DestVersion: t.Version,
		TaskStatus: string(t.Status), Progress: fmt.Sprintf("%d.00", max(t.Step, 0)), TaskDesc: t.Reason,
		UtcCreate: utc(t.Created), UtcModified: utc(t.Modified),
	}
}

func listUnfinished(p *reader) call {
	which := readDevice(p)
	module := p.text("ModuleName", ota.MaxModuleLen)
	states := p.list("TaskStatusList", len(taskStates()), 32)
	if one := p.choice("TaskStatus", "", taskStates()...); one != "" {
		states = append(states, one)
	}
	for _, state := range states {
		if !slices.Contains(taskStates(), state) {
			p.fail(invalid("TaskStatusList", "has %q, which is no state of a task", shorten(state)))
		}
	}
	return func(ctx context.Context, s session) (answer, error) {
		device, err := which.find(ctx, s)
		if err != nil {
			return nil, err
		}
		f := store.TaskFilter{Product: device.ProductKey, Devices: []string{device.Name}, Module: module, Active: true}
		found, _, err := s.lists.Tasks(ctx, f, store.Page{Number: 1, Size: maxTaskPage})
		if err != nil {
			return nil, err
		}
		if len(states) > 0 {
			found = slices.DeleteFunc(found, func(t simulator.Task) bool { return !slices.Contains(states, string(t.Status)) })
		}
		d, err := s.tasks(ctx, found)
		if err != nil {
			return nil, err
		}
		return data(d), nil
	}
}

// cancelTasks cancels what it is told to, at least one of the five.
func cancelTasks(p *reader) call {
	cmd := simulator.CancelTasksByJob{
		Job:         p.need("JobId", maxID),
		Scheduled:   p.yes("CancelScheduledTask", false),
		Queued:      p.yes("CancelQueuedTask", false),
		Notified:    p.yes("CancelNotifiedTask", false),
		InProgress:  p.yes("CancelInProgressTask", false),
		Unconfirmed: p.yes("CancelUnconfirmedTask", false),
	}
	if !(cmd.Scheduled || cmd.Queued || cmd.Notified || cmd.InProgress || cmd.Unconfirmed) {
		p.fail(invalid("CancelQueuedTask", "or another of CancelScheduledTask, CancelNotifiedTask, CancelInProgressTask, CancelUnconfirmedTask must be true: there is nothing to cancel otherwise"))
	}
	return func(ctx context.Context, s session) (answer, error) {
		if _, err := do[simulator.Job](ctx, s, cmd); err != nil {
			return nil, err
		}
		return &done{}, nil
	}
}
