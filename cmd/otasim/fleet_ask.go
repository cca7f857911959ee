package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator/fleet"
	"github.com/leapslot/ota/simulator/fleet/report"
	"github.com/leapslot/ota/simulator/server/openapi"
)

const (
	askTimeout = 5 * time.Minute // of all questions at the end of a run
	askPage    = 100             // tasks of one answer, the most there are
)

// askFlags are for what only the cloud's API can tell: which updates it has given up.
type askFlags struct {
	endpoint, accessKey string
	jobs                []string
	client              *openapi.Client
}

func (f *askFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringArrayVar(&f.jobs, "job", nil, "id of a batch, which the API is asked about at the end: what it gave up is counted as a timeout; may be repeated")
	fl.StringVar(&f.endpoint, "endpoint", os.Getenv(endpointEnv), "with --job: URL of the cloud API (or "+endpointEnv+")")
	fl.StringVar(&f.accessKey, "access-key", "", "with --job: access key, ID:SECRET (or "+accessKeyEnv+")")
}

// check makes the client, before anything is played.
func (f *askFlags) check() error {
	if len(f.jobs) == 0 {
		return nil
	}
	if f.accessKey == "" { // not as a default: --help would show it
		f.accessKey = os.Getenv(accessKeyEnv)
	}
	key, err := openapi.ParseKey(f.accessKey)
	if err != nil {
		return usagef("fleet: --job: %v (give --access-key ID:SECRET or set %s)", err, accessKeyEnv)
	}
	if f.client, err = openapi.NewClient(f.endpoint, key, callTimeout); err != nil {
		return usagef("fleet: --job: %v (give --endpoint URL or set %s)", err, endpointEnv)
	}
	return nil
}

// ask asks the cloud what it has given up, also after Ctrl-C. A report without the answer
// is better than none: it says so.
func (f *askFlags) ask(ctx context.Context, fl *fleet.Fleet, rec *report.Recorder) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTimeout)
	defer cancel()
	late := map[ota.Device]bool{}
	for _, job := range f.jobs {
		if err := f.timeouts(ctx, job, late); err != nil {
			rec.Note(fmt.Sprintf("the cloud was asked which updates of batch %.64s it has given up, in vain: %v", job, err))
		}
	}
	fl.GaveUp(late)
}

// timeouts finds the devices whose task of a batch has failed since its time was up.
func (f *askFlags) timeouts(ctx context.Context, job string, late map[ota.Device]bool) error {
	for page, pages := 1, 1; page <= pages; page++ {
		raw, err := f.client.Call(ctx, "ListOTATaskByJob", map[string]string{"JobId": job, "TaskStatus": "FAILED",
			"CurrentPage": strconv.Itoa(page), "PageSize": strconv.Itoa(askPage)})
		if err != nil {
			return err
		}
		var list struct {
			Total int
			Data  struct {
				SimpleOTATaskInfo []struct{ ProductKey, DeviceName, TaskDesc string }
			}
		}
		if err := json.Unmarshal(raw, &list); err != nil {
			return fmt.Errorf("an answer of the API that is not understood: %w", err)
		}
		for _, t := range list.Data.SimpleOTATaskInfo {
			if strings.Contains(strings.ToLower(t.TaskDesc), "timeout") {
				late[ota.Device{ProductKey: t.ProductKey, Name: t.DeviceName}] = true
			}
		}
		pages = min((list.Total+askPage-1)/askPage, fleet.MaxDevices/askPage)
	}
	return nil
}
