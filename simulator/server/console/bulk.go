package console

import (
	"slices"
	"time"

	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server/store"
)

// What is done to all tasks of a batch in some state is done in pages, each of them one
// command, for as long as a browser waits for an answer; then the page says how many are
// left, and the same button goes on.
const (
	bulkPage  = simulator.MaxTasks
	bulkTime  = 20 * time.Second
	bulkStuck = 1000 // so many that cannot be done, and it gives up
)

// bulk does something to the tasks of a batch in a state, which leaves them in another one.
// Those that are refused are passed over; the first refusal is given back when nothing
// could be done.
func (v *visit) bulk(job string, status simulator.TaskStatus, do func([]simulator.Task) error, one func(simulator.Task) error) (done, left int, err error) {
	v.turn.Lock() // two that read the same tasks would do it twice
	defer v.turn.Unlock()
	var refused error
	seen := map[string]bool{} // what was refused stays, and what fails at once comes again
	stuck := 0
	for begun := time.Now(); time.Since(begun) < bulkTime && stuck < bulkStuck; {
		list, total, err := v.Store.Tasks(v.r.Context(), store.TaskFilter{Job: job, Status: status}, store.Page{Number: 1, Size: bulkPage + stuck})
		if err != nil {
			return done, left, err
		}
		left, stuck = total, len(list)
		list = slices.DeleteFunc(list, func(t simulator.Task) bool { return seen[t.ID] })
		stuck -= len(list)
		if len(list) == 0 {
			break
		}
		list = list[:min(len(list), bulkPage)]
		for i := range list {
			seen[list[i].ID] = true
		}
		if no := do(list); no == nil {
			done, left = done+len(list), left-len(list)
			continue
		}
		for i := range list { // one of them is in the way: which?
			if no := one(list[i]); no == nil {
				done, left = done+1, left-1
			} else if refused == nil {
				refused = no
			}
		}
	}
	if done == 0 {
		return 0, left, refused
	}
	return done, left, nil
}

// retry starts the failed tasks of a batch anew.
func (v *visit) retry() error {
	j, err := v.batch()
	if err != nil {
		return err
	}
	done, left, err := v.bulk(j.ID, simulator.Failed, func(list []simulator.Task) error {
		_, err := change[[]simulator.Task](v, "ReupgradeOTATask", "JobId="+j.ID, simulator.ReupgradeTasks{Tasks: list})
		return err
	}, func(t simulator.Task) error { // not written down again
		_, err := answerOf[[]simulator.Task](v, simulator.As{Account: v.account, Command: simulator.ReupgradeTasks{Tasks: []simulator.Task{t}}})
		return err
	})
	if err != nil {
		return v.stay(err, link("batches", j.ID), v.batchPage)
	}
	v.sayBulk("retry", done, left)
	return v.to(link("batches", j.ID))
}

// confirm lets the tasks go that wait for a user.
func (v *visit) confirm() error {
	j, err := v.batch()
	if err != nil {
		return err
	}
	done, left, err := v.bulk(j.ID, simulator.Unconfirmed, func(list []simulator.Task) error {
		ids := make([]string, len(list))
		for i := range list {
			ids[i] = list[i].ID
		}
		_, err := change[[]simulator.Task](v, "ConfirmOTATask", "JobId="+j.ID, simulator.ConfirmTasks{Tasks: ids})
		return err
	}, func(t simulator.Task) error {
		_, err := answerOf[[]simulator.Task](v, simulator.As{Account: v.account, Command: simulator.ConfirmTasks{Tasks: []string{t.ID}}})
		return err
	})
	if err != nil {
		return v.stay(err, link("batches", j.ID), v.batchPage)
	}
	v.sayBulk("confirm", done, left)
	return v.to(link("batches", j.ID))
}

func (v *visit) sayBulk(what string, done, left int) {
	if left > 0 {
		v.say(what+".left", "n", done, "left", left)
		return
	}
	v.say(what+".done", "n", done)
}
