package server

import (
	"strings"
	"testing"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
)

// sentTo remembers what was pushed.
type sentTo []string

func (s *sentTo) Push(d ota.Device, kind ota.TopicKind, payload []byte) error {
	what := "notice"
	if _, _, err := ota.DecodeNotice(payload); err != nil {
		what = err.Error()
	}
	*s = append(*s, d.Name+" "+what)
	return nil
}

// A message that its task has overtaken is not sent, and who asks is answered all the same.
func TestLateNotices(t *testing.T) {
	task := func(phase simulator.Phase, attempt int) simulator.Task {
		return simulator.Task{ID: "t1", Module: "default", Version: "2.0", Phase: phase, Attempt: attempt}
	}
	push := func(attempt int, reply ota.TopicKind) simulator.Push {
		return simulator.Push{
			Device: ota.Device{ProductKey: "a1", Name: "d1"}, Reply: simulator.Reply{ID: "7", Topic: reply}, Task: task(simulator.PhaseNotified, attempt),
			Package: simulator.Package{ID: "p1", SignMethod: ota.MD5, Files: []simulator.File{{Name: "a.bin", Key: "k", Size: 1, MD5: strings.Repeat("ab", 16)}}},
		}
	}
	other := push(1, 0)
	other.Device.Name, other.Task.ID = "d2", "t2"
	_, _, nothing := ota.DecodeNotice([]byte(`{"code":200,"data":{}}`))
	for name, tc := range map[string]struct {
		pushes []simulator.Push
		then   []simulator.Task // as later batches leave it
		want   string
	}{
		"nothing happened":          {[]simulator.Push{push(1, 0)}, nil, "d1 notice"},
		"progress":                  {[]simulator.Push{push(1, 0)}, []simulator.Task{task(simulator.PhaseBegun, 1)}, "d1 notice"},
		"it has ended":              {[]simulator.Push{push(1, 0)}, []simulator.Task{task(simulator.PhaseOver, 1)}, ""},
		"it waits for its retry":    {[]simulator.Push{push(1, 0)}, []simulator.Task{task(simulator.PhaseWaiting, 1)}, ""},
		"the next attempt":          {[]simulator.Push{push(1, 0), push(2, 0)}, []simulator.Task{task(simulator.PhaseWaiting, 1), task(simulator.PhaseNotified, 2)}, "d1 notice"},
		"another task goes on":      {[]simulator.Push{push(1, 0), other}, []simulator.Task{task(simulator.PhaseOver, 1)}, "d2 notice"},
		"who asks gets the notice":  {[]simulator.Push{push(1, ota.TopicGetReply)}, nil, "d1 notice"},
		"who asks hears of nothing": {[]simulator.Push{push(1, ota.TopicGetReply)}, []simulator.Task{task(simulator.PhaseOver, 1)}, "d1 " + nothing.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			var sent sentTo
			s := newSender(fixedLinks{}, newDiscard(), newMetrics())
			s.broker = &sent
			s.backlog.add(tc.pushes, nil)
			for _, changed := range tc.then {
				s.backlog.add(nil, []simulator.Task{changed})
			}
			close(s.backlog.unsent)
			s.run()
			if got := strings.Join(sent, ", "); got != tc.want {
				t.Errorf("sent: %q, want %q", got, tc.want)
			}
			if n := len(s.backlog.tasks); n > 0 {
				t.Errorf("%d tasks are still remembered", n)
			}
		})
	}
}

// A notice and the end of its task may be in one batch: a device's sign-in and its last word.
func TestLateNoticeOfTheSameBatch(t *testing.T) {
	b := newBacklog()
	p := simulator.Push{Task: simulator.Task{ID: "t1", Phase: simulator.PhaseBegun, Attempt: 1}}
	b.add([]simulator.Push{p}, []simulator.Task{{ID: "t1", Phase: simulator.PhaseOver, Attempt: 1}})
	late, err := b.send(&(<-b.unsent)[0], func() error {
		t.Error("the notice is sent")
		return nil
	})
	if !late || err != nil {
		t.Errorf("%v, %v", late, err)
	}
}
