package console

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"

	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server/store"
)

// Limits of the statistics over time.
const (
	mostLines   = 7  // versions that have a line of their own; the others share one
	mostMoments = 40 // rows of the table
	usualDays   = 30
)

// spans are the days that one may look back.
func spans() []int { return []int{1, 7, usualDays, 365} }

// over is how many devices ran which version of a module, over time.
type over struct {
	Module  string `json:"-"`
	URL     string `json:"-"` // of the chart's figures
	Seconds []int64
	Lines   []versionLine
	Zone    string
	Time    string    // the word
	Rows    []overRow `json:"-"` // the newest first
	Moments int       `json:"-"` // of which Rows are the newest
	at      []simulator.Stamp
}

// versionLine is one version: so many devices at each moment.
type versionLine struct {
	Label   string
	Color   int
	Devices []int
}

type overRow struct {
	At      moment
	Devices []int
}

// days is how far the page looks back.
func (v *visit) days() int {
	n, err := strconv.Atoi(v.r.URL.Query().Get("days"))
	if err != nil || !slices.Contains(spans(), n) {
		return usualDays
	}
	return n
}

// versionsOver gives the statistics over time of each module of a product that has any, up
// to now, which is the last moment of all of them. The colours are those of the shares.
func (v *visit) versionsOver(product, module string, now []simulator.VersionCount) ([]over, error) {
	at := simulator.At(v.Now())
	const day = 24 * 3600 * 1000
	since := at - simulator.Stamp(v.days()*day)
	samples, err := v.Store.Samples(v.r.Context(), product, since)
	if err != nil {
		return nil, err
	}
	samples = append(samples, store.Sample{At: at, Counts: now})
	var modules []string
	for i := range samples {
		for _, c := range samples[i].Counts {
			if (module == "" || module == c.Module) && !slices.Contains(modules, c.Module) {
				modules = append(modules, c.Module)
			}
		}
	}
	slices.Sort(modules)
	out := make([]over, len(modules))
	for i, m := range modules {
		out[i] = v.over(m, since, samples, now)
		out[i].URL = link("versions", product, "history.json") + "?module=" + m + "&days=" + strconv.Itoa(v.days())
	}
	return out, nil
}

func (v *visit) over(module string, since simulator.Stamp, samples []store.Sample, now []simulator.VersionCount) over {
	o := over{Module: module, Zone: v.zone.String(), Time: v.t("time")}
	colour := map[string]int{}
	for _, c := range now {
		if c.Module == module {
			colour[c.Version] = len(colour)
		}
	}
	most := map[string]int{} // devices that ever ran a version
	for i := range samples {
		for _, c := range samples[i].Counts {
			if c.Module == module && c.Version != store.OtherVersion {
				most[c.Version] = max(most[c.Version], c.Devices)
			}
		}
	}
	var kept []string
	for version := range most {
		kept = append(kept, version)
	}
	slices.SortFunc(kept, func(a, b string) int { return cmp.Or(cmp.Compare(most[b], most[a]), cmp.Compare(a, b)) })
	others := len(kept) > mostLines
	kept = kept[:min(len(kept), mostLines)]
	slices.Sort(kept)
	for _, version := range kept {
		if _, ok := colour[version]; !ok {
			colour[version] = len(colour)
		}
		o.Lines = append(o.Lines, versionLine{Label: version, Color: colour[version] % colors})
	}
	if others {
		o.Lines = append(o.Lines, versionLine{Label: v.t("versions.others"), Color: 6})
	}
	for i := range samples {
		o.at = append(o.at, max(samples[i].At, since))
		o.Seconds = append(o.Seconds, int64(max(samples[i].At, since))/1000)
		for k := range o.Lines {
			o.Lines[k].Devices = append(o.Lines[k].Devices, 0)
		}
		for _, c := range samples[i].Counts {
			k := slices.Index(kept, c.Version)
			if k < 0 && len(o.Lines) > len(kept) {
				k = len(kept)
			}
			if c.Module == module && k >= 0 {
				o.Lines[k].Devices[i] += c.Devices
			}
		}
	}
	v.rows(&o)
	return o
}

// rows fills in the table: the newest moments.
func (v *visit) rows(o *over) {
	o.Moments = len(o.at)
	for i := len(o.at) - 1; i >= 0 && len(o.Rows) < mostMoments; i-- {
		row := overRow{At: v.moment(o.at[i])}
		for _, l := range o.Lines {
			row.Devices = append(row.Devices, l.Devices[i])
		}
		o.Rows = append(o.Rows, row)
	}
}

// versionsHistory is the statistics over time of one module, for its chart.
func (v *visit) versionsHistory() error {
	product, module := v.r.PathValue("product"), v.r.URL.Query().Get("module")
	now, err := look[[]simulator.VersionCount](v, simulator.FindVersions{Product: product})
	if err != nil {
		return err
	}
	list, err := v.versionsOver(product, module, now)
	if err != nil {
		return err
	}
	out := over{Seconds: []int64{}, Lines: []versionLine{}, Zone: v.zone.String(), Time: v.t("time")}
	if len(list) == 1 {
		out = list[0]
	}
	v.w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(v.w).Encode(out)
}

// sampleVersions keeps which versions run now, between the samples of every hour.
func (v *visit) sampleVersions() error {
	product := v.r.PathValue("product")
	now, err := look[[]simulator.VersionCount](v, simulator.FindVersions{Product: product})
	if err != nil {
		return err
	}
	if err := v.Store.AddSample(v.r.Context(), product, store.Sample{At: simulator.At(v.Now()), Counts: now}); err != nil {
		return err
	}
	if err := v.note("SampleVersions", "ProductKey="+product, nil); err != nil {
		return err
	}
	v.say("versions.sampled")
	return v.to(link("versions") + "?product=" + product)
}
