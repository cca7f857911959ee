package console

import (
	"slices"
	"strings"

	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server/store"
)

// heading is what a batch is, in a few words: its kind, and the package with its version.
func (v *visit) heading(j *simulator.Job, p *simulator.Package) string {
	kind := v.t("selection." + string(j.Selection))
	if j.Type == simulator.VerifyFirmware {
		kind = v.t("job.verify")
	}
	return kind + " · " + p.Name + " " + p.Version
}

// nameBatches says of tasks of many batches what each one's batch is.
func (v *visit) nameBatches(rows []taskRow) error {
	known := map[string]string{}
	for i := range rows {
		id := rows[i].Job
		if _, ok := known[id]; !ok {
			j, err := look[simulator.Job](v, simulator.FindJob{Job: id})
			if err != nil {
				return err
			}
			p, err := look[simulator.Package](v, simulator.FindPackage{Package: j.Package})
			if err != nil {
				return err
			}
			known[id] = v.heading(&j, &p)
		}
		rows[i].Batch = known[id]
	}
	return nil
}

// endedBy is who ended a batch by cancelling tasks of it, for those who may see the audit
// log. It is empty when that is not known, and when the batch has ended otherwise: tasks
// are cancelled for other reasons too, and a batch may go on after some of them were.
func (v *visit) endedBy(j *simulator.Job) (string, error) {
	if v.role < Admin {
		return "", nil
	}
	for _, action := range []string{"CancelOTATaskByJob", "CancelOTAStrategyByJob", "CancelOTATaskByDevice"} {
		f := store.AuditFilter{Account: v.account, Action: action, From: j.Ended, Until: j.Ended + 1}
		list, _, err := v.Store.Audit(v.r.Context(), f, store.Page{Number: 1, Size: maxAtOnce})
		if err != nil {
			return "", err
		}
		for _, e := range list {
			about := strings.FieldsFunc(e.Object, func(r rune) bool { return r == ' ' || r == '=' })
			if e.Result == simulator.AuditOK && slices.Contains(about, j.ID) {
				return v.auditRows([]simulator.AuditEntry{e})[0].Who, nil
			}
		}
	}
	return "", nil
}

// maxAtOnce is the most lines that the audit log is taken to have of one millisecond.
const maxAtOnce = 100
