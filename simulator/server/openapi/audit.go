package openapi

import (
	"context"

	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server/store"
)

const (
	auditPage    = 20
	maxAuditPage = 100
)

type auditList struct {
	head
	Total, PageSize, PageCount, CurrentPage int
	Data                                    struct{ AuditLogInfo []auditLine }
}

type auditLine struct {
	UtcTime                                                          string
	AccessKeyId, ActionName, Object, SourceIp, CallRequestId, Result string
}

// listAudit is ListAuditLog, which is ours: every changing call of the account, newest
// first. Optional: KeyId, ActionName, StartTime and EndTime (milliseconds since 1970; from
// and before), CurrentPage, PageSize.
func listAudit(p *reader) call {
	f := store.AuditFilter{
		Key: p.text("KeyId", maxText), Action: p.text("ActionName", maxText),
		From: readMoment(p, "StartTime"), Until: readMoment(p, "EndTime"),
	}
	pg := p.page(auditPage, maxAuditPage)
	return func(ctx context.Context, s session) (answer, error) {
		found, total, err := s.lists.Audit(ctx, f, pg.ofStore())
		if err != nil {
			return nil, err
		}
		a := &auditList{Total: total, PageSize: pg.Size, PageCount: pg.Count(total), CurrentPage: pg.Number}
		a.Data.AuditLogInfo = []auditLine{}
		for i := range found {
			a.Data.AuditLogInfo = append(a.Data.AuditLogInfo, lineOf(&found[i]))
		}
		return a, nil
	}
}

func lineOf(e *simulator.AuditEntry) auditLine {
	return auditLine{utc(e.At), e.Key, e.Action, e.Object, e.From, e.Request, e.Result}
}
