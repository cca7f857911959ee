package simulator

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/leapslot/ota"
)

// town is a world driven at random, with what it has to remember to judge it.
type town struct {
	*world
	rt       *rapid.T
	informed map[string]bool // device, module and version that were reported
	pushedAt map[string][]int64
	ended    map[string]Task
	revived  map[string]bool // in this batch
	modular  bool            // tasks of several modules were allowed at some time
	jobs     []string
	packages []string

	log   []input // what was committed
	batch []input // what was not yet
}

// input is a call from outside. Of a batch that was undone only who came and went is
// left, and the Undo.
type input struct {
	at  time.Time
	cmd Command
	ev  Event
	end string // undo, commit or tick
}

const townDevices = 6

func newTown(rt *rapid.T, t *testing.T) *town {
	w := newWorld(t, townDevices)
	w.do(CreateModule{Product: w.product, Name: "mcu"})
	return &town{
		world: w, rt: rt, informed: map[string]bool{}, pushedAt: map[string][]int64{}, ended: map[string]Task{},
		revived: map[string]bool{},
	}
}

func (w *town) device() string {
	return "d" + itoa(rapid.IntRange(1, townDevices).Draw(w.rt, "device"))
}

func (w *town) module() string {
	return rapid.SampledFrom([]string{"default", "default", "mcu"}).Draw(w.rt, "module")
}

func (w *town) happen(e Event) {
	w.batch = append(w.batch, input{at: w.now, ev: e})
	w.cloud.Happen(e, w.now)
}

func (w *town) tick() {
	w.batch = append(w.batch, input{at: w.now, end: "tick"})
	w.cloud.Tick(w.now)
}

// act does something at random, without committing it.
func (w *town) act() {
	switch rapid.IntRange(0, 17).Draw(w.rt, "act") {
	case 0:
		cmd := w.full(fmt.Sprint("p", rapid.IntRange(0, 99).Draw(w.rt, "name")))
		cmd.Version = rapid.SampledFrom([]string{"2.0", "3.0"}).Draw(w.rt, "version")
		cmd.NeedToVerify = rapid.IntRange(0, 3).Draw(w.rt, "verify") == 0
		cmd.Module = w.module()
		w.apply(cmd)
	case 1, 2:
		if len(w.packages) > 0 {
			w.apply(w.anyBatch())
		}
	case 3:
		if len(w.packages) > 0 {
			w.apply(CreateVerifyJob{Package: w.anyPackage(), Devices: []string{w.device()}, TimeoutMinutes: rapid.IntRange(0, 3).Draw(w.rt, "timeout")})
		}
	case 4:
		if len(w.jobs) > 0 {
			w.apply(CancelTasksByJob{
				Job:    w.anyJob(),
				Queued: rapid.Bool().Draw(w.rt, "queued"), Notified: rapid.Bool().Draw(w.rt, "notified"), InProgress: true,
			})
		}
	case 5, 6:
		w.happen(Online{w.dev(w.device())})
	case 7:
		w.happen(Offline{w.dev(w.device())})
	case 8, 12:
		name, module, v := w.device(), w.module(), rapid.SampledFrom([]string{"1.0", "2.0", "3.0", "0.1"}).Draw(w.rt, "version")
		w.informed[name+" "+module+" "+v] = true
		w.happen(Informed{w.dev(name), module, v})
	case 9, 10:
		step := ota.Step(rapid.SampledFrom([]int{-5, -1, 0, 50, 100}).Draw(w.rt, "step"))
		w.happen(Progressed{w.dev(w.device()), w.module(), step, ""})
	case 11:
		w.happen(Asked{Device: w.dev(w.device()), Module: w.module(), Reply: Reply{ota.TopicGetReply, "1"}})
	case 13, 14:
		if len(w.packages) > 0 {
			w.apply(w.anyDynamic())
		}
	default:
		w.actLater()
	}
}

func (w *town) actLater() {
	switch rapid.IntRange(0, 14).Draw(w.rt, "later") {
	case 12:
		if len(w.jobs) > 0 {
			w.apply(PauseJob{w.anyJob()})
		}
	case 13:
		if len(w.jobs) > 0 {
			w.apply(ResumeJob{w.anyJob()})
		}
	case 14:
		if len(w.jobs) > 0 {
			w.apply(SetJobStop{w.anyJob(), FailureStop{rapid.IntRange(1, 99).Draw(w.rt, "percent"), rapid.IntRange(1, 3).Draw(w.rt, "least")}})
		}

	case 0, 5:
		r := Rules{
			OneDynamic: rapid.Bool().Draw(w.rt, "one"), NeedProgress: rapid.Bool().Draw(w.rt, "both"),
			TaskPerModule: rapid.Bool().Draw(w.rt, "modular"), TolerateSource: rapid.Bool().Draw(w.rt, "source"),
			TimeoutOnce: rapid.Bool().Draw(w.rt, "once"), NowLimits: rapid.Bool().Draw(w.rt, "now"),
		}
		w.modular = w.modular || r.TaskPerModule
		w.apply(SetRules{w.product, r})
	case 1, 6:
		if len(w.jobs) > 0 {
			w.apply(CancelStrategyByJob{Job: w.anyJob(), Tasks: rapid.Bool().Draw(w.rt, "full")})
		}
	case 2, 7:
		if len(w.jobs) > 0 {
			w.apply(UpdateJob{Job: w.anyJob(), TimeoutMinutes: pointer(rapid.IntRange(0, 3).Draw(w.rt, "timeout"))})
		}
	case 3, 8:
		for _, t := range w.cloud.state().Tasks {
			if t.Status == Unconfirmed && rapid.Bool().Draw(w.rt, "confirm") {
				w.apply(ConfirmTasks{[]string{t.ID}})
			}
		}
	case 4, 9:
		for i := int64(1); i <= w.cloud.sequence; i++ {
			t, ok := w.ended[formatID('t', i)]
			if ok && rapid.IntRange(0, 2).Draw(w.rt, "revive") == 0 && w.apply(ReupgradeTasks{[]Task{t}}) {
				w.revived[t.ID] = true
			}
		}
	case 10:
		if w.device() == "d1" { // seldom
			w.apply(DeleteDevice{w.product, w.device()})
		}
	case 11:
		if len(w.packages) > 0 {
			w.apply(DeletePackage{w.anyPackage()})
		}
	}
}

func (w *town) anyPackage() string { return rapid.SampledFrom(w.packages).Draw(w.rt, "package") }
func (w *town) anyJob() string     { return rapid.SampledFrom(w.jobs).Draw(w.rt, "job") }

func (w *town) anyBatch() Command {
	cmd := CreateStaticJob{
		Package: w.anyPackage(), Target: TargetAll,
		TimeoutMinutes:   rapid.IntRange(0, 3).Draw(w.rt, "timeout"),
		MaximumPerMinute: 10,
		Overwrite:        OverwriteMode(rapid.IntRange(1, 2).Draw(w.rt, "overwrite")),
		MultiModule:      rapid.IntRange(0, 4).Draw(w.rt, "multi") == 0,
		NeedConfirm:      rapid.IntRange(0, 4).Draw(w.rt, "confirm") == 0,
		NoPush:           rapid.IntRange(0, 4).Draw(w.rt, "ask") == 0,
	}
	w.modular = w.modular || cmd.MultiModule
	if rapid.Bool().Draw(w.rt, "retry") {
		cmd.RetryCount = rapid.SampledFrom(RetryCounts()).Draw(w.rt, "count")
		cmd.RetryMinutes = rapid.SampledFrom([]int{0, 10}).Draw(w.rt, "interval")
	}
	switch rapid.IntRange(0, 6).Draw(w.rt, "kind") {
	case 0:
		cmd.Start = At(w.now.Add(10 * time.Minute))
		cmd.Finish = cmd.Start.Add(time.Hour)
	case 1:
		cmd.Target, cmd.Gray = TargetGray, "50"
	case 2:
		cmd.MaximumPerMinute, cmd.Rate = 20, VariableRate{Base: 10, Factor: "1.5", Notified: 2}
	}
	return cmd
}

func (w *town) anyDynamic() Command {
	return CreateDynamicJob{
		Package: w.anyPackage(), Sources: []string{rapid.SampledFrom([]string{"1.0", "2.0", "0.1"}).Draw(w.rt, "source")},
		Mode:             DynamicMode(rapid.IntRange(1, 2).Draw(w.rt, "mode")),
		TimeoutMinutes:   rapid.IntRange(0, 3).Draw(w.rt, "timeout"),
		RetryCount:       rapid.SampledFrom([]int{0, 1}).Draw(w.rt, "count"),
		MaximumPerMinute: 10,
		Overwrite:        OverwriteMode(rapid.IntRange(1, 2).Draw(w.rt, "overwrite")),
	}
}

// apply remembers what was made; a refused command must have changed nothing.
func (w *town) apply(cmd Command) bool {
	before := w.cloud.Changes().Rows()
	w.batch = append(w.batch, input{at: w.now, cmd: cmd})
	v, err := w.cloud.Apply(cmd, w.now)
	if err != nil {
		if after := w.cloud.Changes().Rows(); after != before {
			w.rt.Fatalf("%T was refused (%v) and changed %d rows", cmd, err, after-before)
		}
		return false
	}
	switch v := v.(type) {
	case Package:
		w.packages = append(w.packages, v.ID)
	case Job:
		if !slices.Contains(w.jobs, v.ID) {
			w.jobs = append(w.jobs, v.ID)
		}
	}
	return true
}
