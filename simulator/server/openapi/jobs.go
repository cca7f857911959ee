package openapi

import (
	"cmp"
	"context"
	"math"

	"github.com/leapslot/ota/simulator"
)

const (
	jobPage          = 10
	maxJobPage       = 200
	maxDeviceJobPage = 100
	maxGray          = 16 // characters of a percentage
	maxRetryInterval = 1440
	maxRetryCount    = 5
)

type jobMade struct{ JobId, UtcCreate string }

// delivery is how devices come to know of an update and get its files.
type delivery struct {
	protocol                         simulator.Protocol
	noPush, needConfirm, multiModule bool
}

func readDelivery(p *reader) delivery {
	return delivery{
		protocol:    simulator.Protocol(p.choice("DownloadProtocol", "", string(simulator.HTTPS), string(simulator.MQTT))),
		noPush:      !p.yes("NeedPush", true),
		needConfirm: p.yes("NeedConfirm", false),
		multiModule: p.yes("MultiModuleMode", false),
	}
}

func readTimeout(p *reader) int {
	return int(p.number("TimeoutInMinutes", 0, simulator.MinTimeout, simulator.MaxTimeout))
}

func createVerifyJob(p *reader) call {
	how := readDelivery(p)
	cmd := simulator.CreateVerifyJob{
		Package:        p.need("FirmwareId", maxID),
		Devices:        p.list("TargetDeviceName", maxListItems, maxText),
		TimeoutMinutes: readTimeout(p),
		Protocol:       how.protocol, NoPush: how.noPush, NeedConfirm: how.needConfirm,
		Tags: readTags(p),
	}
	if len(cmd.Devices) == 0 {
		p.fail(missing("TargetDeviceName"))
	}
	product := p.text("ProductKey", maxKey)
	return func(ctx context.Context, s session) (answer, error) { return s.makeJob(ctx, product, cmd.Package, cmd) }
}

func createStaticJob(p *reader) call {
	how := readDelivery(p)
	cmd := simulator.CreateStaticJob{
		Package:          p.need("FirmwareId", maxID),
		Target:           readTarget(p),
		Sources:          p.list("SrcVersion", simulator.MaxSourceVersions, maxText),
		Devices:          p.list("TargetDeviceName", maxListItems, maxText),
		TimeoutMinutes:   readTimeout(p),
		MaximumPerMinute: readRate(p),
		Overwrite:        readOverwrite(p),
		Tags:             readTags(p),
		Start:            readMoment(p, "ScheduleTime"),
		Finish:           readMoment(p, "ScheduleFinishTime"),
		Gray:             p.text("GrayPercent", maxGray),
		Protocol:         how.protocol, NoPush: how.noPush, NeedConfirm: how.needConfirm, MultiModule: how.multiModule,
	}
	cmd.Group = readGroup(p, cmd.Target == simulator.TargetGroup)
	cmd.RetryMinutes, cmd.RetryCount = readRetry(p)
	product, list := p.text("ProductKey", maxKey), p.text("DnListFileUrl", maxURL)
	if list != "" && (len(cmd.Devices) > 0 || cmd.Target != simulator.TargetSpecific) {
		p.fail(invalid("DnListFileUrl", "belongs to TargetSelection=%s, with no TargetDeviceName beside it", simulator.TargetSpecific))
	}
	return func(ctx context.Context, s session) (answer, error) {
		if list != "" {
			names, err := s.listed(ctx, list, cmd.Package)
			if err != nil {
				return nil, err
			}
			cmd.Devices = names
		}
		return s.makeJob(ctx, product, cmd.Package, cmd)
	}
}

func readRate(p *reader) int { return int(p.number("MaximumPerMinute", 0, 1, math.MaxInt32)) }

func readOverwrite(p *reader) simulator.OverwriteMode {
	const lo, hi = int64(simulator.KeepTask), int64(simulator.OverwriteTask)
	return simulator.OverwriteMode(p.number("OverwriteMode", lo, lo, hi))
}

// readGroup reads the group of a batch: there is one exactly when it is for a group.
func readGroup(p *reader, wanted bool) string {
	readGroupType(p)
	id := p.text("GroupId", maxID)
	switch {
	case wanted && id == "":
		p.fail(missing("GroupId"))
	case !wanted && (id != "" || p.has("GroupType")):
		p.fail(invalid("GroupId", "belongs to TargetSelection=%s", simulator.TargetGroup))
	}
	return id
}

func readTarget(p *reader) simulator.Target {
	const all = string(simulator.TargetAll)
	return simulator.Target(p.choice("TargetSelection", all, all, string(simulator.TargetSpecific), string(simulator.TargetGray), string(simulator.TargetGroup)))
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
	if err := s.checkProduct(ctx, product, pack); err != nil {
		return nil, err
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
	GroupId, GroupName, DownloadProtocol                        string
	BaseRatePerMinute                                           *int   `json:",omitempty" xml:",omitempty"` // what UpdateOTAJob sets; the official client does not know them
	IncrementFactor                                             string `json:",omitempty" xml:",omitempty"`
	NumberOfNotifiedDevices, NumberOfSucceedDevices             *int   `json:",omitempty" xml:",omitempty"`
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
		d := detailOf(&j, of.Version)
		if j.Group != "" {
			g, err := do[simulator.GroupDevices](ctx, s, simulator.FindGroup{Group: j.Group})
			if err == nil { // the group of a batch that is over may be gone
				d.GroupName = g.Name
			}
		}
		return data(d), nil
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
		DownloadProtocol: cmp.Or(string(j.Protocol), string(simulator.HTTPS)), GroupId: j.Group, Tags: tagsOf(j),
		NeedPush: !j.Policy.NoPush, NeedConfirm: j.Policy.NeedConfirm, MultiModuleMode: j.Policy.MultiModule,
	}
	if r := j.Policy.Rate; r.Base > 0 {
		d.BaseRatePerMinute, d.IncrementFactor = &r.Base, r.Factor
		d.NumberOfNotifiedDevices, d.NumberOfSucceedDevices = unless(0, r.Notified), unless(0, r.Succeeded)
	}
	if j.Policy.RetryCount > 0 {
		d.RetryInterval, d.RetryCount = &j.Policy.RetryMinutes, &j.Policy.RetryCount
	}
	d.SrcVersions.SrcVersion = append([]string{}, j.Sources...)
	return d
}
