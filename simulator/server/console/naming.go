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

// maxCancels is the most lines of the audit log in which who cancelled a batch is looked for.
const maxCancels = 100

// canceledBy is who cancelled a batch's tasks last, for those who may see the audit log;
// it is empty when that is not known.
func (v *visit) canceledBy(j *simulator.Job) (string, error) {
	if v.role < Admin {
		return "", nil
	}
	for _, action := range []string{"CancelOTATaskByJob", "CancelOTAStrategyByJob"} {
		f := store.AuditFilter{Account: v.account, Action: action, From: j.Created}
		list, _, err := v.Store.Audit(v.r.Context(), f, store.Page{Number: 1, Size: maxCancels})
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
