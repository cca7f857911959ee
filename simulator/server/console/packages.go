package console

import (
	"encoding/json"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server/packages"
	"github.com/leapslot/ota/simulator/server/store"
)

type packageRow struct {
	simulator.Package
	ProductName string
}

func (v *visit) packagesPage() error {
	products, err := v.products()
	if err != nil {
		return err
	}
	q := v.r.URL.Query()
	at := v.paged()
	f := store.PackageFilter{Account: v.account, Product: q.Get("product"), Version: q.Get("version")}
	list, total, err := v.Store.Packages(v.r.Context(), f, at)
	if err != nil {
		return err
	}
	names := map[string]string{}
	for i := range products {
		names[products[i].Key] = products[i].Name
	}
	rows := make([]packageRow, len(list))
	for i := range list {
		rows[i] = packageRow{list[i], names[list[i].Product]}
	}
	return v.page("packages", "ota.title", map[string]any{
		"Rows": rows, "Pager": v.pager(at, total), "Product": f.Product, "Products": products, "Version": f.Version, "Tab": "packages", "Some": total > 0 || f.Version != "",
	})
}

func (v *visit) packagePage() error { return v.packageWith(nil) }

// packageWith is a package with its batches (P53), and with the form of its texts.
func (v *visit) packageWith(f *form) error {
	p, err := look[simulator.Package](v, simulator.FindPackage{Package: v.r.PathValue("package")})
	if err != nil {
		return err
	}
	if f == nil {
		f = v.blank("Name", p.Name, "Desc", p.Desc, "UDI", p.UDI)
	}
	product, err := v.product(p.Product)
	if err != nil {
		return err
	}
	at := v.paged()
	jobs, total, err := v.Store.Jobs(v.r.Context(), store.JobFilter{Account: v.account, Package: p.ID}, at)
	if err != nil {
		return err
	}
	rows, err := v.jobRows(jobs)
	if err != nil {
		return err
	}
	patches, err := v.patchSources(&p)
	if err != nil {
		return err
	}
	return v.pageTitled("package", p.Name, map[string]any{
		"PatchFrom": patches, "Package": &p, "Product": product, "Jobs": rows, "Pager": v.pager(at, total), "Usable": p.Status.Usable(), "Form": f,
	})
}

func (v *visit) changePackage() error {
	f, err := v.filled()
	if err != nil {
		return err
	}
	id, name, desc, udi := v.r.PathValue("package"), f.text("Name"), f.text("Desc"), f.text("UDI")
	_, err = change[simulator.Package](v, "ModifyOTAFirmware", "FirmwareId="+id, simulator.ModifyPackage{Package: id, Name: &name, Desc: &desc, UDI: &udi})
	if err == nil {
		v.say("saved")
		return v.to(link("packages", id))
	}
	if err := f.refused(err, "Name", "Desc", "UDI"); err != nil {
		return err
	}
	v.status = http.StatusUnprocessableEntity
	return v.packageWith(f)
}

func (v *visit) deletePackage() error {
	id := v.r.PathValue("package")
	p, err := change[simulator.Package](v, "DeleteOTAFirmware", "FirmwareId="+id, simulator.DeletePackage{Package: id})
	if err != nil {
		return v.stay(err, link("packages", id), v.packagePage)
	}
	v.say("deleted", "name", p.Name)
	return v.to(link("ota"))
}

func (v *visit) newPackage() error {
	key, _, err := v.chosen()
	if err != nil {
		return err
	}
	q := v.r.URL.Query()
	f := v.blank("Product", key, "Diff", "0", "SignMethod", string(ota.MD5), "Module", q.Get("module"))
	return v.packageForm(f)
}

// packageForm shows the form of P12 to P16. Modules and versions are those of the product
// that is chosen.
func (v *visit) packageForm(f *form) error {
	products, err := v.products()
	if err != nil {
		return err
	}
	d := map[string]any{"Products": productOptions(products), "Form": f, "Suffixes": simulator.Suffixes(), "Most": simulator.MaxPackages}
	for i := range products {
		if products[i].Key == f.text("Product") && products[i].Rules.NowLimits {
			d["Suffixes"] = simulator.SuffixesNow()
		}
	}
	if key := f.text("Product"); key != "" {
		modules, err := look[[]simulator.Module](v, simulator.FindModules{Product: key})
		if err == nil {
			var options []option
			for _, m := range modules {
				options = append(options, option{Value: m.Name, Label: m.Name})
			}
			d["Modules"] = options
			counts, err := look[[]simulator.VersionCount](v, simulator.FindVersions{Product: key})
			if err != nil {
				return err
			}
			d["Versions"] = versionsOf(counts, "", "")
		}
	}
	return v.page("package-new", "package.new", d)
}

// versionsOf lists the versions that devices report, each once: of one module when it is
// given, and all but one.
func versionsOf(counts []simulator.VersionCount, module, but string) []simulator.VersionCount {
	var out []simulator.VersionCount
	seen := map[string]bool{"": true, but: true}
	for _, c := range counts {
		if (module == "" || c.Module == module) && !seen[c.Version] {
			seen[c.Version] = true
			out = append(out, c)
		}
	}
	return out
}

// brought is a file that a session has brought and no package uses yet: a form that is
// refused for something else does not want it again.
type brought struct{ ID, Name string }

func (v *visit) broughtFiles() (list []brought) {
	// What the session holds is our own; an unreadable list is none.
	_ = json.Unmarshal([]byte(v.sessions.GetString(v.r.Context(), keyUploads)), &list)
	return list
}

// maxBrought is the most of them that a session remembers.
const maxBrought = 20

// makePackage takes the form and its file in one pass: the file goes straight to the disk,
// and its digests are computed on the way.
func (v *visit) makePackage() error {
	f, file, err := v.filledWithFile()
	if err != nil {
		return err
	}
	if f.text("Choose") != "" { // another product was chosen, without JavaScript
		return v.packageForm(f)
	}
	cmd := simulator.CreatePackage{
		Product: f.text("Product"), Module: f.text("Module"), Name: f.text("Name"), Desc: f.text("Desc"), Diff: f.text("Diff") == "1",
		Version: f.text("Version"), UDI: f.text("UDI"), SignMethod: ota.SignMethod(f.text("SignMethod")), NeedToVerify: true,
	}
	if cmd.Diff {
		cmd.Source = f.text("Source")
	}
	if file != nil {
		cmd.Files = []simulator.File{*file}
	}
	if f.ok() {
		made, err := change[simulator.Package](v, "CreateOTAFirmware", "ProductKey="+cmd.Product+" FirmwareName="+cmd.Name, cmd)
		if err == nil {
			v.say("package.made", "name", made.Name)
			return v.to(link("packages", made.ID))
		}
		if err := f.refused(err, "Product", "Module", "Name", "Desc", "UDI", "Version", "Source", "SignMethod", "Files"); err != nil {
			return err
		}
	}
	v.status = http.StatusUnprocessableEntity
	return v.packageForm(f)
}

// filledWithFile reads a form whose last part is a package file. The file is stored when
// the form names none that the session brought before.
func (v *visit) filledWithFile() (*form, *simulator.File, error) {
	v.r.Body = http.MaxBytesReader(v.w, v.r.Body, simulator.MaxFileSize+maxForm)
	parts, err := v.r.MultipartReader()
	if err != nil {
		return nil, nil, badForm(err)
	}
	f := v.blank()
	f.Values = url.Values{}
	left := int64(maxForm)
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			file, err := v.kept(f)
			return f, file, err
		}
		if err != nil {
			return nil, nil, badForm(err)
		}
		if part.FileName() == "" {
			b, err := io.ReadAll(io.LimitReader(part, left+1))
			if left -= int64(len(b)) + int64(len(part.FormName())); err != nil || left < 0 {
				return nil, nil, badForm(err)
			}
			if part.FormName() != "Files" { // an empty file input
				f.Values.Add(part.FormName(), string(b))
			}
			continue
		}
		if err := v.take(f, part); err != nil {
			return nil, nil, err
		}
	}
}

// take stores the file of a form, unless its name says already that it cannot be one.
func (v *visit) take(f *form, part *multipart.Part) error {
	if err := simulator.CheckFileName(part.FileName(), simulator.SuffixesNow()); err != nil {
		f.wrong("Files", v.refusal(err))
		_, _ = io.Copy(io.Discard, io.LimitReader(part, maxForm)) // so that the browser reads the answer
		return nil
	}
	stored, err := v.Files.Put(part)
	if errors.Is(err, packages.ErrRefused) {
		f.wrong("Files", v.refusal(err))
		return nil
	}
	if err != nil {
		return err
	}
	list := append(v.broughtFiles(), brought{stored.ID, part.FileName()})
	b, err := json.Marshal(list[max(0, len(list)-maxBrought):])
	if err != nil {
		return err
	}
	v.sessions.Put(v.r.Context(), keyUploads, string(b))
	f.Values.Set("File", stored.ID)
	return nil
}

// kept gives the file that a form names: one that this session has brought, and no other's.
func (v *visit) kept(f *form) (*simulator.File, error) {
	id := f.text("File")
	if id == "" {
		return nil, nil
	}
	for _, b := range v.broughtFiles() {
		if b.ID != id {
			continue
		}
		stored, err := v.Files.Get(id)
		if errors.Is(err, packages.ErrNotFound) {
			break
		}
		if err != nil {
			return nil, err
		}
		f.Values.Set("FileName", b.Name)
		return &simulator.File{Name: b.Name, Key: stored.ID, Size: stored.Size, MD5: stored.MD5, SHA256: stored.SHA256}, nil
	}
	f.Values.Del("File")
	f.wrong("Files", v.t("package.file.gone"))
	return nil, nil
}
