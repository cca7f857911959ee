package openapi

import (
	"context"

	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server/store"
)

type jobList struct {
	head
	Total, PageSize, PageCount, CurrentPage int
	Data                                    struct{ SimpleOTAJobInfo []jobInfo }
}

type jobInfo struct {
	JobId, ProductKey, FirmwareId                      string
	JobStatus, JobType, SelectionType, TargetSelection string
	UtcCreate, UtcModified, UtcStartTime, UtcEndTime   string
	Tags                                               jobTags
}

func listJobsByFirmware(p *reader) call {
	id := p.need("FirmwareId", maxID)
	pg := p.page(jobPage, maxJobPage)
	return func(ctx context.Context, s session) (answer, error) {
		if _, err := do[simulator.Package](ctx, s, simulator.FindPackage{Package: id}); err != nil {
			return nil, err
		}
		return s.jobs(ctx, store.JobFilter{Package: id}, pg)
	}
}

// listJobsByDevice lists the jobs that have a task of a device, of one package when it
// is given.
func listJobsByDevice(p *reader) call {
	which := oneDevice{product: p.need("ProductKey", maxKey), name: p.need("DeviceName", maxName)}
	id := p.text("FirmwareId", maxID)
	pg := p.page(jobPage, maxDeviceJobPage)
	return func(ctx context.Context, s session) (answer, error) {
		if _, err := which.find(ctx, s); err != nil {
			return nil, err
		}
		if err := s.checkProduct(ctx, which.product, id); id != "" && err != nil {
			return nil, err
		}
		return s.jobs(ctx, store.JobFilter{Product: which.product, Device: which.name, Package: id}, pg)
	}
}

func (s session) jobs(ctx context.Context, f store.JobFilter, pg page) (answer, error) {
	found, total, err := s.lists.Jobs(ctx, f, pg.ofStore())
	if err != nil {
		return nil, err
	}
	a := &jobList{Total: total, PageSize: pg.Size, PageCount: pg.Count(total), CurrentPage: pg.Number}
	a.Data.SimpleOTAJobInfo = []jobInfo{}
	for i := range found {
		d := detailOf(&found[i], "")
		a.Data.SimpleOTAJobInfo = append(a.Data.SimpleOTAJobInfo, jobInfo{
			d.JobId, d.ProductKey, d.FirmwareId, d.JobStatus, d.JobType, d.SelectionType, d.TargetSelection,
			d.UtcCreate, d.UtcModified, d.UtcStartTime, d.UtcEndTime, d.Tags,
		})
	}
	return a, nil
}
