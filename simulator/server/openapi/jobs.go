package openapi

import (
	"context"
	"math"
	"strconv"

	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server/store"
)

const (
	jobPage          = 10
	maxJobPage       = 200
	downloadHTTPS    = "HTTPS"
	maxRetryInterval = 1440
	maxRetryCount    = 5
)

type jobMade struct{ JobId, UtcCreate string }

// readDelivery refuses the ways of giving an update to devices that are not built
// yet; their usual values are accepted.
func readDelivery(p *reader) {
	usual := map[string]bool{"NeedPush": true, "NeedConfirm": false, "MultiModuleMode": false}
	for name, want := range usual {
		if p.yes(name, want) != want {
			p.later(name)
		}
	}
	if p.choice("DownloadProtocol", downloadHTTPS, downloadHTTPS, "MQTT") != downloadHTTPS {
		p.later("DownloadProtocol")
	}
}

func readTags(p *reader) []simulator.Tag {
	var tags []simulator.Tag
	for i := range min(p.objects("Tag", simulator.MaxTags, "Key", "Value"), simulator.MaxTags) {
		item := "Tag." + strconv.Itoa(i+1) + "."
		tags = append(tags, simulator.Tag{Key: p.need(item+"Key", maxText), Value: p.need(item+"Value", maxValueLen)})
	}
	return tags
}

func readTimeout(p *reader) int {
	return int(p.number("TimeoutInMinutes", 0, simulator.MinTimeout, simulator.MaxTimeout))
}

func createVerifyJob(p *reader) call {
	readDelivery(p)
	p.later("Tag")
	cmd := simulator.CreateVerifyJob{
		Package:        p.need("FirmwareId", maxID),
		Devices:        p.list("TargetDeviceName", maxListItems, maxText),
		TimeoutMinutes: readTimeout(p),
	}
	if len(cmd.Devices) == 0 {
		p.fail(missing("TargetDeviceName"))
	}
	product := p.text("ProductKey", maxKey)
	return func(ctx context.Context, s session) (answer, error) { return s.makeJob(ctx, product, cmd.Package, cmd) }
}

func createStaticJob(p *reader) call {
	readDelivery(p)
	p.later("GroupType", "GroupId", "DnListFileUrl", "GrayPercent")
	cmd := simulator.CreateStaticJob{
		Package:          p.need("FirmwareId", maxID),
		Target:           readTarget(p),
		Sources:          p.list("SrcVersion", simulator.MaxSourceVersions, maxText),
		Devices:          p.list("TargetDeviceName", maxListItems, maxText),
		TimeoutMinutes:   readTimeout(p),
		MaximumPerMinute: int(p.number("MaximumPerMinute", 0, 1, math.MaxInt32)),
		Overwrite:        simulator.OverwriteMode(p.number("OverwriteMode", int64(simulator.KeepTask), int64(simulator.KeepTask), int64(simulator.OverwriteTask))),
		Tags:             readTags(p),
		Start:            readMoment(p, "ScheduleTime"),
		Finish:           readMoment(p, "ScheduleFinishTime"),
	}
	cmd.RetryMinutes, cmd.RetryCount = readRetry(p)
	product := p.text("ProductKey", maxKey)
	return func(ctx context.Context, s session) (answer, error) { return s.makeJob(ctx, product, cmd.Package, cmd) }
}

func readTarget(p *reader) simulator.Target {
	const all, some = string(simulator.TargetAll), string(simulator.TargetSpecific)
	t := p.choice("TargetSelection", all, all, some, string(simulator.TargetGray), string(simulator.TargetGroup))
	if t != all && t != some {
		p.fail(business(codeLater, "TargetSelection: %s is not supported by this version of the simulator", t))
	}
	return simulator.Target(t)
}

// readMoment reads milliseconds since 1970, 13 digits; absent is never.
func readMoment(p *reader, name string) simulator.Stamp {
	return simulator.Stamp(p.number(name, 0, 1e12, 1e13-1))
}

// readRetry: an absent interval means never, 0 at once (protocol section 9).
func readRetry(p *reader) (minutes, count int) {
	if p.has("RetryInterval") != p.has("RetryCount") {
		p.fail(invalid("RetryInterval", "and RetryCount come together: how long to wait, and how often to try again"))
	}
	minutes = int(p.number("RetryInterval", 0, 0, maxRetryInterval))
	return minutes, int(p.number("RetryCount", 0, 1, maxRetryCount))
}

// makeJob makes a job of a package, which must be the product's when one is named.
func (s session) makeJob(ctx context.Context, product, pack string, cmd simulator.Command) (answer, error) {
	if product != "" {
		found, err := do[simulator.Package](ctx, s, simulator.FindPackage{Package: pack})
		if err != nil {
			return nil, err
		}
		if found.Product != product {
			return nil, invalid("ProductKey", "is %q, but the package is one of the product %s", product, found.Product)
		}
	}
	made, err := do[simulator.Job](ctx, s, cmd)
	if err != nil {
		return nil, err
	}
	return data(jobMade{made.ID, utc(made.Created)}), nil
}

// jobDetail: absent numbers are settings that the job does not have.
type jobDetail struct {
	JobId, ProductKey, FirmwareId, DestVersion                  string
	JobStatus, JobType, SelectionType, TargetSelection, JobDesc string
	UtcCreate, UtcModified, UtcStartTime, UtcEndTime            string
	UtcScheduleTime, UtcScheduleFinishTime, GrayPercent         string
	RetryInterval, RetryCount, TimeoutInMinutes                 *int `json:",omitempty" xml:",omitempty"`
	MaximumPerMinute, OverwriteMode, DynamicMode                *int `json:",omitempty" xml:",omitempty"`
	DownloadProtocol                                            string
	NeedPush, NeedConfirm, MultiModuleMode                      bool
	SrcVersions                                                 struct{ SrcVersion []string }
	Tags                                                        jobTags
}

type jobTags struct{ OtaTagDTO []jobTag }

type jobTag struct{ Key, Value string }

func tagsOf(j *simulator.Job) jobTags {
	t := jobTags{OtaTagDTO: []jobTag{}}
	for _, tag := range j.Tags {
		t.OtaTagDTO = append(t.OtaTagDTO, jobTag(tag))
	}
	return t
}

// unless gives a setting, or nothing when it is at the value that stands for none.
func unless(none, n int) *int {
	if n == none {
		return nil
	}
	return &n
}

func queryJob(p *reader) call {
	id := p.need("JobId", maxID)
	return func(ctx context.Context, s session) (answer, error) {
		j, err := do[simulator.Job](ctx, s, simulator.FindJob{Job: id})
		if err != nil {
			return nil, err
		}
		of, err := do[simulator.Package](ctx, s, simulator.FindPackage{Package: j.Package})
		if err != nil {
			return nil, err
		}
		return data(detailOf(&j, of.Version)), nil
	}
}

func detailOf(j *simulator.Job, version string) jobDetail {
	d := jobDetail{
		JobId: j.ID, ProductKey: j.Product, FirmwareId: j.Package, DestVersion: version,
		JobStatus: string(j.Status), JobType: string(j.Type), SelectionType: string(j.Selection), TargetSelection: string(j.Target), JobDesc: j.Desc,
		UtcCreate: utc(j.Created), UtcModified: utc(j.Modified), UtcStartTime: utc(max(j.Created, j.Start)), UtcEndTime: utc(j.Ended),
		UtcScheduleTime: utc(j.Start), UtcScheduleFinishTime: utc(j.Finish), GrayPercent: j.Gray,
		TimeoutInMinutes: unless(0, j.Policy.TimeoutMinutes), MaximumPerMinute: unless(0, j.Policy.MaximumPerMinute),
		OverwriteMode: unless(0, int(j.Policy.Overwrite)), DynamicMode: unless(0, j.Dynamic),
		DownloadProtocol: downloadHTTPS, NeedPush: true, Tags: tagsOf(j),
	}
	if j.Policy.RetryCount > 0 {
		d.RetryInterval, d.RetryCount = &j.Policy.RetryMinutes, &j.Policy.RetryCount
	}
	d.SrcVersions.SrcVersion = append([]string{}, j.Sources...)
	return d
}

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
		found, total, err := s.lists.Jobs(ctx, store.JobFilter{Package: id}, pg.ofStore())
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
}
