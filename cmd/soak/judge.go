package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/leapslot/ota"
)

// retries is how often a task is tried again.
const retries = 2

// job is a batch that was made.
type job struct {
	id, version string
	asked       time.Time // before the call
}

// task is one as the cloud tells it.
type task struct {
	DeviceName, TaskStatus, TaskDesc, DestVersion string
}

// tasks lists all tasks of a job, or those in one state.
func (c *cloud) tasks(ctx context.Context, id string) ([]task, error) {
	var all []task
	for page := 1; ; page++ {
		var list struct {
			Total int
			Data  struct{ SimpleOTATaskInfo []task }
		}
		err := c.insist(ctx, &list, "ListOTATaskByJob", "JobId", id, "CurrentPage", strconv.Itoa(page), "PageSize", strconv.Itoa(pageSize))
		if err != nil {
			return nil, err
		}
		all = append(all, list.Data.SimpleOTATaskInfo...)
		if len(all) >= list.Total || len(list.Data.SimpleOTATaskInfo) == 0 {
			return all, nil
		}
	}
}

// active counts the tasks of a job that have not ended.
func (c *cloud) active(ctx context.Context, id string) (int, error) {
	n := 0
	for _, status := range []string{"QUEUED", "NOTIFIED", "IN_PROGRESS"} {
		var list struct{ Total int }
		if err := c.insist(ctx, &list, "ListOTATaskByJob", "JobId", id, "TaskStatus", status, "CurrentPage", "1", "PageSize", "1"); err != nil {
			return 0, err
		}
		n += list.Total
	}
	return n, nil
}

// explain says what is wrong with a task, in the light of what its device has sent; ""
// when nothing is. last says that no batch was made after the task's.
func explain(t task, j job, d *device, last bool) string {
	reported, failures, began := false, 0, false
	for _, s := range d.history {
		switch {
		case s.at.Before(j.asked) && s.step < 1:
		case s.version == j.version:
			reported = true
		case s.version != "" || s.step.Failed():
			failures++
		case s.step >= 1:
			began = true // of this task or of one before it
		}
	}
	switch t.TaskStatus {
	case "SUCCEEDED":
		if !reported {
			return "succeeded, and the device never reported the version"
		}
	case "FAILED":
		if strings.Contains(t.TaskDesc, "another upgrade") {
			if !began {
				return "failed because of another upgrade, and the device never began one"
			}
		} else if failures <= retries {
			return fmt.Sprintf("failed (%s) although the device said only %d times that anything went wrong", t.TaskDesc, failures)
		}
	case "CANCELED":
		if last {
			return "was cancelled, by nobody"
		}
	default:
		return "has not ended: " + t.TaskStatus
	}
	return ""
}

// lost says which acknowledged report the cloud has forgotten; "" when none.
func lost(d *device, stored string) string {
	for i := len(d.history) - 1; i >= 0; i-- {
		s := d.history[i]
		switch {
		case s.version == "":
		case s.version == stored:
			return ""
		case s.acked:
			return fmt.Sprintf("the device's report of %s was acknowledged, the cloud knows %q", s.version, stored)
		}
	}
	return ""
}

// stored asks what version the cloud knows of a device.
func (c *cloud) stored(ctx context.Context, d ota.Device) (string, error) {
	var a struct {
		Data struct{ FirmwareVersion string }
	}
	err := c.insist(ctx, &a, "QueryDeviceDetail", "ProductKey", d.ProductKey, "DeviceName", d.Name)
	return a.Data.FirmwareVersion, err
}
