package console

import (
	"strconv"
	"strings"
	"time"

	"github.com/leapslot/ota/simulator"
)

// batch reads the form: a dynamic batch when it says so, else a static one. What an input
// that does not apply holds is not read, as it is not shown.
func (f *form) batch(id string) (*simulator.CreateStaticJob, *simulator.CreateDynamicJob) {
	retryMinutes, retryCount := f.retry()
	s := &simulator.CreateStaticJob{
		Package: id, Target: simulator.Target(f.text("Target")), TimeoutMinutes: f.number("TimeoutMinutes", 0),
		RetryMinutes: retryMinutes, RetryCount: retryCount, MaximumPerMinute: f.number("MaximumPerMinute", 0),
		Overwrite: simulator.OverwriteMode(f.number("Overwrite", 0)), Desc: f.text("Desc"), Tags: f.tags(), Rate: f.growing(), Stop: f.stop(),
		Protocol: simulator.Protocol(f.text("DownloadProtocol")), NoPush: f.text("Push") == "0", NeedConfirm: f.yes("NeedConfirm"),
		MultiModule: f.yes("MultiModule"),
	}
	if s.Target != simulator.TargetSpecific {
		s.Sources = append(f.texts("Sources"), strings.Fields(f.text("OtherSources"))...)
	}
	switch s.Target {
	case simulator.TargetGroup:
		s.Group = f.text("Group")
	case simulator.TargetGray:
		s.Gray = f.text("Gray")
	case simulator.TargetSpecific:
		s.Devices = f.names()
	}
	if f.text("Selection") == string(simulator.Dynamic) {
		if s.Target != simulator.TargetAll && s.Target != simulator.TargetGroup {
			f.wrong("Target", f.v.t("batch.dynamic.target")) // P28, P30: not for a dynamic one
		}
		return nil, &simulator.CreateDynamicJob{
			Package: id, Sources: s.Sources, Mode: simulator.DynamicMode(f.number("Mode", 0)), Group: s.Group, TimeoutMinutes: s.TimeoutMinutes,
			RetryMinutes: s.RetryMinutes, RetryCount: s.RetryCount, MaximumPerMinute: s.MaximumPerMinute, Overwrite: s.Overwrite, Tags: s.Tags, Desc: s.Desc,
			Protocol: s.Protocol, Rate: s.Rate, NoPush: s.NoPush, NeedConfirm: s.NeedConfirm, MultiModule: s.MultiModule, Stop: s.Stop,
		}
	}
	if f.text("When") == "later" {
		s.Start, s.Finish = f.moment("Start", true), f.moment("Finish", false)
	}
	return s, nil
}

// retry reads P35 and P36: never is an interval of its own.
func (f *form) retry() (minutes, count int) {
	if f.text("Retry") == "never" || f.text("Retry") == "" {
		return 0, 0
	}
	minutes = f.number("Retry", 0)
	if f.Errs["Retry"] != "" {
		return 0, 0
	}
	return minutes, f.number("RetryCount", 0)
}

// growing reads a rate that grows with the devices that were notified or have succeeded.
func (f *form) growing() simulator.VariableRate {
	if f.text("Rate") != "growing" {
		return simulator.VariableRate{}
	}
	r := simulator.VariableRate{Base: f.number("Base", 0), Factor: f.text("Factor")}
	every := f.number("Notified", 0) // the model's name of the number, whatever is counted
	if f.text("GrowBy") == "succeeded" {
		r.Succeeded = every
	} else {
		r.Notified = every
	}
	if r == (simulator.VariableRate{}) {
		r.Factor = " " // nothing is filled in: not a constant rate, but a wrong one
	}
	return r
}

func (f *form) tags() []simulator.Tag {
	var out []simulator.Tag
	for _, t := range tagRows(f) {
		if t.Key+t.Value != "" {
			out = append(out, t)
		}
	}
	return out
}

// formTime is how browsers write the value of a datetime-local input.
const formTime = "2006-01-02T15:04"

// moment reads a time in the zone that the page says.
func (f *form) moment(name string, needed bool) simulator.Stamp {
	s := f.text(name)
	if s == "" {
		if needed {
			f.wrong(name, f.v.t("form.time.needed"))
		}
		return 0
	}
	at, err := time.ParseInLocation(formTime, s, f.v.zone)
	if err != nil {
		f.wrong(name, f.v.t("form.time"))
		return 0
	}
	return simulator.At(at)
}

// clone fills the form in as a batch was made.
func (f *form) clone(j *simulator.Job) {
	set := func(name, value string) {
		if value != "" && value != "0" {
			f.Values.Set(name, value)
		}
	}
	n := strconv.Itoa
	set("Selection", string(j.Selection))
	set("Target", string(j.Target))
	set("Gray", j.Gray)
	set("Group", j.Group)
	set("Desc", j.Desc)
	set("MaximumPerMinute", n(j.Policy.MaximumPerMinute))
	set("TimeoutMinutes", n(j.Policy.TimeoutMinutes))
	set("Overwrite", n(int(j.Policy.Overwrite)))
	set("Mode", n(j.Dynamic))
	set("StopPercent", n(j.Policy.Stop.Percent))
	set("StopLeast", n(j.Policy.Stop.Least))
	if j.Policy.RetryCount > 0 {
		f.Values.Set("Retry", n(j.Policy.RetryMinutes))
		set("RetryCount", n(j.Policy.RetryCount))
	}
	if r := j.Policy.Rate; r.Base > 0 {
		f.Values.Set("Rate", "growing")
		set("Base", n(r.Base))
		set("Factor", r.Factor)
		set("Notified", n(r.Notified+r.Succeeded))
		if r.Succeeded > 0 {
			f.Values.Set("GrowBy", "succeeded")
		}
	}
	set("DownloadProtocol", string(j.Protocol))
	if j.Policy.NoPush {
		f.Values.Set("Push", "0")
	}
	if j.Policy.NeedConfirm {
		f.Values.Set("NeedConfirm", "1")
	}
	if j.Policy.MultiModule {
		f.Values.Set("MultiModule", "1")
	}
	f.Values["Sources"] = j.Sources
	for _, t := range j.Tags {
		f.Values.Add("TagKey", t.Key)
		f.Values.Add("TagValue", t.Value)
	}
}
