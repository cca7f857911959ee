package server

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server/store"
)

// How records become entries of the history: in the writer's goroutine, where it takes
// nobody's time.

type downloadEntry struct {
	Method string `json:"method"`
	Range  string `json:"range,omitempty"`
	Status int    `json:"status"`
	Bytes  int64  `json:"bytes"`
	File   string `json:"file"`
}

type taskEntry struct {
	Job     string               `json:"job"`
	Status  simulator.TaskStatus `json:"status"`
	Phase   string               `json:"phase"`
	Attempt int                  `json:"attempt"`
	Step    int                  `json:"step"`
	Reason  string               `json:"reason,omitempty"`
	Source  string               `json:"from"`
	Version string               `json:"to"`
}

// entryKind sorts messages as people look for them.
func entryKind(k ota.TopicKind, down bool) store.EntryKind {
	switch k {
	case ota.TopicInform:
		return store.EntryInform
	case ota.TopicProgress:
		return store.EntryProgress
	case ota.TopicGet:
		return store.EntryAsk
	case ota.TopicUpgrade, ota.TopicGetReply:
		return store.EntryNotice
	case ota.TopicRequest:
		if down {
			return store.EntryNotice
		}
		return store.EntryAsk
	case ota.TopicDownload:
		return store.EntryBlockAsk
	case ota.TopicDownloadReply:
		return store.EntryBlock
	}
	return store.EntryGateway
}

// blockHead is the JSON in front of a block of a file (protocol section 6).
func blockHead(b []byte) []byte {
	const prefix = 2
	if len(b) < prefix {
		return nil
	}
	n := int(b[0])<<8 | int(b[1])
	return slices.Clone(b[prefix:min(prefix+n, len(b))]) // the block is not held
}

// entry makes the entry, without what nobody may read.
func (e *record) entry() store.Entry {
	out := store.Entry{At: e.at, Device: e.device, Kind: e.kind, Topic: e.topic, QoS: e.qos, Size: e.size, Task: e.task, Payload: e.payload}
	if e.more != nil {
		out.Payload, _ = json.Marshal(e.more) // all of them have a JSON
	} else if e.topic != 0 {
		out.Payload = redact(e.payload, e.kind == store.EntryGateway)
	}
	out.Payload = out.Payload[:min(len(out.Payload), store.MaxEntryPayload)]
	return out
}

func entryOf(t *simulator.Task) store.Entry {
	payload, _ := json.Marshal(taskEntry{t.Job, t.Status, t.Phase.String(), t.Attempt, t.Step, t.Reason, t.Source, t.Version})
	return store.Entry{At: t.Modified, Device: t.Device, Kind: store.EntryTask, Task: t.ID, Payload: payload}
}

// own remembers whose task it is.
func (r *scribe) own(t *simulator.Task) {
	if t.Phase == simulator.PhaseBegun || t.Phase == simulator.PhaseNotified {
		if len(r.owners) >= maxTasksKnown {
			clear(r.owners)
		}
		r.owners[t.ID] = t.Device
	}
}

// addressed finds the devices of downloads, of which only the task is known. One of a
// task that is not there any more is nobody's.
func (r *scribe) addressed(entries []store.Entry) []store.Entry {
	var unknown []string
	for i := range entries {
		if e := &entries[i]; e.Kind == store.EntryDownload {
			if _, ok := r.owners[e.Task]; !ok && !slices.Contains(unknown, e.Task) && len(unknown) < maxLookedUp {
				unknown = append(unknown, e.Task)
			}
		}
	}
	if len(unknown) > 0 {
		list, _, err := r.lists.Tasks(context.Background(), store.TaskFilter{IDs: unknown}, store.Page{Size: len(unknown)})
		if err != nil {
			r.log.Error("the history does not know whose downloads these are", "why", err.Error())
		}
		for i := range list {
			r.owners[list[i].ID] = list[i].Device
		}
	}
	for i := range entries {
		if e := &entries[i]; e.Kind == store.EntryDownload {
			e.Device = r.owners[e.Task]
		}
	}
	return slices.DeleteFunc(entries, func(e store.Entry) bool { return e.Device == ota.Device{} })
}

// maxLookedUp bounds the tasks that are looked up in one go.
const maxLookedUp = 500
