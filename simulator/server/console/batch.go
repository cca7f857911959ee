package console

import (
	"net/http"
	"slices"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server/openapi"
	"github.com/leapslot/ota/simulator/server/store"
)

// sources are the versions that a batch or a verification may be for (P18, P25).
func (v *visit) sources(p *simulator.Package) ([]option, error) {
	counts, err := look[[]simulator.VersionCount](v, simulator.FindVersions{Product: p.Product, Module: p.Module})
	if err != nil {
		return nil, err
	}
	var out []option
	for _, c := range versionsOf(counts, p.Module, p.Version) {
		if !p.Diff || c.Version == p.Source {
			out = append(out, option{Value: c.Version, Label: c.Version, Hint: v.t("devices.n", "n", c.Devices)})
		}
	}
	return out, nil
}

func (v *visit) verifyPage() error {
	f := v.blank("TimeoutMinutes", "")
	f.Values["Sources"] = v.r.URL.Query()["Sources"]
	return v.verifyForm(f)
}

// verifyForm is the dialog of P17 to P20.
func (v *visit) verifyForm(f *form) error {
	p, err := look[simulator.Package](v, simulator.FindPackage{Package: v.r.PathValue("package")})
	if err != nil {
		return err
	}
	sources, err := v.sources(&p)
	if err != nil {
		return err
	}
	names := f.names()
	pick, err := v.picker(f, &p, f.texts("Sources"), names)
	if err != nil {
		if err := f.refused(err, "Sources"); err != nil {
			return err
		}
		pick, v.status = &picker{}, http.StatusUnprocessableEntity
	}
	for _, row := range pick.Rows { // those on the page stand in it
		names = slices.DeleteFunc(names, func(s string) bool { return s == row.Name })
	}
	return v.page("verify", "verify.title", map[string]any{
		"Package": &p, "Form": f, "Sources": sources, "Pick": pick, "Elsewhere": names, "Most": simulator.MaxVerifyDevices,
	})
}

func (v *visit) verify() error {
	f, err := v.filled()
	if err != nil {
		return err
	}
	id := v.r.PathValue("package")
	if f.picking() {
		return v.verifyForm(f)
	}
	cmd := simulator.CreateVerifyJob{Package: id, Devices: f.names(), Sources: f.texts("Sources"), TimeoutMinutes: f.number("TimeoutMinutes", 0)}
	if f.ok() {
		made, err := change[simulator.Job](v, "CreateOTAVerifyJob", "FirmwareId="+id, cmd)
		if err == nil {
			v.say("verify.made")
			return v.to(link("batches", made.ID))
		}
		if err := f.refused(err, "Devices", "Sources", "TimeoutMinutes"); err != nil {
			return err
		}
	}
	v.status = http.StatusUnprocessableEntity
	return v.verifyForm(f)
}

// batchForm begins with the defaults, or with those of the batch that is cloned.
func (v *visit) batchForm() error {
	f := v.blank("Selection", "STATIC", "Target", "ALL", "When", "now", "MaximumPerMinute", "", "Retry", "never", "RetryCount", "1", "Overwrite", "1", "Mode", "1",
		"Rate", "constant", "GrowBy", "notified", "Push", "1", "DownloadProtocol", string(simulator.HTTPS))
	if id := v.r.URL.Query().Get("clone"); id != "" {
		j, err := look[simulator.Job](v, simulator.FindJob{Job: id})
		if err != nil {
			return err
		}
		f.clone(&j)
		if j.Target == simulator.TargetSpecific {
			if err := v.cloneDevices(f, &j); err != nil {
				return err
			}
		}
	}
	return v.showBatch(f, nil)
}

// showBatch shows the form of P21 to P41, with what the batch would do when that is known.
func (v *visit) showBatch(f *form, m *simulator.Matches) error {
	p, err := look[simulator.Package](v, simulator.FindPackage{Package: v.r.PathValue("package")})
	if err != nil {
		return err
	}
	sources, err := v.sources(&p)
	if err != nil {
		return err
	}
	for _, s := range f.texts("Sources") { // typed, or run by nobody any more
		if !has(sources, s) {
			sources = append(sources, option{Value: s, Label: s})
		}
	}
	groups, err := v.groupList()
	if err != nil {
		return err
	}
	var options []option
	for _, g := range groups {
		options = append(options, option{Value: g.ID, Label: g.Name})
	}
	names := f.names()
	pick, err := v.picker(f, &p, nil, names)
	if err != nil {
		return err
	}
	f.settle(names)
	product, err := v.product(p.Product)
	if err != nil {
		return err
	}
	rate := f.number("MaximumPerMinute", min(simulator.MaxPushRate, v.MaxPushRate))
	d := map[string]any{
		"Package": &p, "Form": f, "Sources": sources, "Groups": options, "Usable": p.Status.Usable(),
		"MaxRate": v.MaxPushRate, "MinRate": simulator.MinPushRate, "Tags": tagRows(f), "Pick": pick, "MaxMQTT": ota.MaxMQTTFileSize, "Modules": product.Rules.TaskPerModule,
	}
	if m != nil {
		d["Matches"], d["Rate"], d["Minutes"] = m, rate, (m.Chosen-m.Busy+rate-1)/max(rate, 1)
	}
	return v.page("batch-new", "batch.new", d)
}

func has(options []option, value string) bool {
	for _, o := range options {
		if o.Value == value {
			return true
		}
	}
	return false
}

// tagRows are the rows of the tags' table: those that are filled in, and a few more.
func tagRows(f *form) []simulator.Tag {
	var out []simulator.Tag
	keys, values := f.Values["TagKey"], f.Values["TagValue"]
	for i := range keys {
		if i < len(values) && keys[i]+values[i] != "" {
			out = append(out, simulator.Tag{Key: keys[i], Value: values[i]})
		}
	}
	for len(out) < simulator.MaxTags && (len(out) < 3 || out[len(out)-1].Key != "") {
		out = append(out, simulator.Tag{})
	}
	return out
}

// inputs of the batch's form, as the model calls them.
func batchInputs() []string {
	return []string{
		"Package", "Target", "Sources", "Devices", "TimeoutMinutes", "RetryMinutes=Retry", "RetryCount", "MaximumPerMinute", "Overwrite", "Tags", "Desc",
		"Start", "Finish", "Gray", "Group", "Mode", "StopPercent", "StopLeast", "Base", "Factor", "Notified", "DownloadProtocol",
	}
}

func (v *visit) makeBatch() error {
	f, list, err := v.filledWithList()
	if err != nil {
		return err
	}
	id := v.r.PathValue("package")
	if len(list) > 0 && f.text("Target") == string(simulator.TargetSpecific) {
		if err := v.fileOf(f, id, list); err != nil {
			return err
		}
	}
	if f.picking() {
		return v.pickBatch(f)
	}
	static, dynamic := f.batch(id)
	if f.yes("Preview") {
		return v.preview(f, static, dynamic)
	}
	if f.ok() {
		var made simulator.Job
		if dynamic != nil {
			made, err = change[simulator.Job](v, "CreateOTADynamicUpgradeJob", "FirmwareId="+id, *dynamic)
		} else {
			made, err = change[simulator.Job](v, "CreateOTAStaticUpgradeJob", "FirmwareId="+id, *static)
		}
		if err == nil {
			v.say("batch.made", "n", made.Counts.Total())
			return v.to(link("batches", made.ID))
		}
		if err := f.refused(err, batchInputs()...); err != nil {
			return err
		}
	}
	v.status = http.StatusUnprocessableEntity
	return v.showBatch(f, nil)
}

// fileOf adds the devices of a file to those that a batch's form names (P29).
func (v *visit) fileOf(f *form, pack string, list []byte) error {
	names, err := openapi.ParseDeviceList(list, simulator.MaxTargets)
	if err != nil {
		f.listed("List", err)
		return nil
	}
	p, err := look[simulator.Package](v, simulator.FindPackage{Package: pack})
	if err != nil {
		return err
	}
	var rows []int
	var given []string
	for _, n := range names {
		rows, given = append(rows, n.Row), append(given, n.Name)
	}
	if err := v.wanted(f, p.Product, given, rows); err != nil {
		return err
	}
	f.Values["Devices"] = append(f.Values["Devices"], given...)
	return nil
}

// cloneDevices names the devices that a batch was made for.
func (v *visit) cloneDevices(f *form, j *simulator.Job) error {
	const part = 1000
	for page := 1; ; page++ {
		list, total, err := v.Store.Tasks(v.r.Context(), store.TaskFilter{Job: j.ID}, store.Page{Number: page, Size: part})
		if err != nil {
			return err
		}
		for i := range list {
			f.Values.Add("Devices", list[i].Device.Name)
		}
		if page*part >= total || len(list) == 0 {
			slices.Reverse(f.Values["Devices"]) // in the order they were given
			return nil
		}
	}
}

// preview shows what the batch would do, without making it.
func (v *visit) preview(f *form, static *simulator.CreateStaticJob, dynamic *simulator.CreateDynamicJob) error {
	if dynamic != nil {
		static = nil
	}
	if !f.ok() {
		return v.showBatch(f, nil)
	}
	m, err := look[simulator.Matches](v, simulator.FindMatches{Static: static, Dynamic: dynamic})
	if err != nil {
		if err := f.refused(err, batchInputs()...); err != nil {
			return err
		}
		return v.showBatch(f, nil)
	}
	return v.showBatch(f, &m)
}
