package openapi

import (
	"context"
	"slices"
	"strconv"

	"github.com/leapslot/ota/simulator"
)

// createDynamicJob makes a batch that goes on matching devices (P26). It is for a group
// when one is given, and else for the whole product.
func createDynamicJob(p *reader) call {
	how := readDelivery(p)
	const lo, hi = int64(simulator.AllMatching), int64(simulator.NewlyReported)
	cmd := simulator.CreateDynamicJob{
		Package:          p.need("FirmwareId", maxID),
		Sources:          p.list("SrcVersion", simulator.MaxSourceVersions, maxText),
		Mode:             simulator.DynamicMode(p.number("DynamicMode", lo, lo, hi)),
		Group:            readGroup(p, p.has("GroupId")),
		TimeoutMinutes:   readTimeout(p),
		MaximumPerMinute: readRate(p),
		Overwrite:        readOverwrite(p),
		Tags:             readTags(p),
		Protocol:         how.protocol, NoPush: how.noPush, NeedConfirm: how.needConfirm, MultiModule: how.multiModule,
	}
	cmd.RetryMinutes, cmd.RetryCount = readRetry(p)
	product := p.text("ProductKey", maxKey)
	return func(ctx context.Context, s session) (answer, error) { return s.makeJob(ctx, product, cmd.Package, cmd) }
}

func cancelStrategy(p *reader) call {
	return changed[simulator.Job](simulator.CancelStrategyByJob{Job: p.need("JobId", maxID)})
}

// fixed are the parameters of UpdateOTAJob that say again what a job was made with,
// which does not change.
type fixed struct {
	target, upgrade string
	sources         []string
	tags            []simulator.Tag
}

// updateJob changes a job's rate or timeout. A rate is constant (MaximumPerMinute) or
// variable: BaseRatePerMinute, multiplied by IncrementFactor each time so many devices
// were notified, or have succeeded.
func updateJob(p *reader) call {
	cmd := simulator.UpdateJob{Job: p.need("JobId", maxID), MaximumPerMinute: p.integer("MaximumPerMinute"), TimeoutMinutes: p.integer("TimeoutInMinutes")}
	if cmd.TimeoutMinutes != nil {
		readTimeout(p) // its bounds
	}
	cmd.Rate = readVariableRate(p, cmd.MaximumPerMinute != nil)
	again := fixed{
		target: p.text("TargetSelection", 16), upgrade: p.text("UpgradeType", 16),
		sources: p.list("SrcVersionList", simulator.MaxSourceVersions, maxText), tags: readObjects(p, "Tags"),
	}
	return func(ctx context.Context, s session) (answer, error) {
		j, err := do[simulator.Job](ctx, s, simulator.FindJob{Job: cmd.Job})
		if err != nil {
			return nil, err
		}
		if f := again.differs(&j); f != nil {
			return nil, f
		}
		if cmd.MaximumPerMinute == nil && cmd.Rate == nil && cmd.TimeoutMinutes == nil {
			return &done{}, nil
		}
		if _, err := do[simulator.Job](ctx, s, cmd); err != nil {
			return nil, err
		}
		return &done{}, nil
	}
}

// readVariableRate gives a variable rate, its zero value when only a constant one is
// given, or nil.
func readVariableRate(p *reader, constant bool) *simulator.VariableRate {
	const base = "BaseRatePerMinute"
	names := []string{"IncrementFactor", "NumberOfNotifiedDevices", "NumberOfSucceedDevices"}
	if !p.has(base) {
		for _, name := range names {
			if p.has(name) {
				p.fail(missing(base))
			}
		}
		if constant {
			return &simulator.VariableRate{}
		}
		return nil
	}
	r := &simulator.VariableRate{Factor: p.need("IncrementFactor", 8)}
	for name, to := range map[string]*int{base: &r.Base, names[1]: &r.Notified, names[2]: &r.Succeeded} {
		if n := p.integer(name); n != nil {
			if *to = *n; *n < 1 {
				p.fail(invalid(name, "is %d, it has to be at least 1", *n))
			}
		}
	}
	return r
}

// integer reads a number whose bounds the model knows; nil when absent.
func (p *reader) integer(name string) *int {
	if !p.has(name) {
		return nil
	}
	const most = 1 << 30
	n := int(p.number(name, 0, -most, most))
	return &n
}

// differs says what a job was made otherwise with.
func (f fixed) differs(j *simulator.Job) *Fault {
	const text = "is fixed when a job is made: this one has %v"
	switch {
	case f.target != "" && f.target != string(j.Target):
		return invalid("TargetSelection", text, j.Target)
	case f.upgrade != "" && f.upgrade != string(j.Selection):
		return invalid("UpgradeType", text, j.Selection)
	case f.sources != nil && !slices.Equal(f.sources, j.Sources):
		return invalid("SrcVersionList", text, j.Sources)
	case f.tags != nil && !slices.Equal(f.tags, j.Tags):
		return invalid("Tags", text, tagsOf(j).OtaTagDTO)
	}
	return nil
}

func readTags(p *reader) []simulator.Tag { return readObjects(p, "Tag") }

// readObjects reads keys and values (P41).
func readObjects(p *reader, name string) []simulator.Tag {
	var tags []simulator.Tag
	for i := range min(p.objects(name, simulator.MaxTags, "Key", "Value"), simulator.MaxTags) {
		item := name + "." + strconv.Itoa(i+1) + "."
		tags = append(tags, simulator.Tag{Key: p.need(item+"Key", maxText), Value: p.need(item+"Value", maxValueLen)})
	}
	return tags
}
