package console

import "github.com/leapslot/ota/simulator"

func (v *visit) modulesPage() error {
	key, products, err := v.chosen()
	if err != nil {
		return err
	}
	d := map[string]any{"Product": key, "Products": products, "Tab": "modules"}
	if key != "" {
		if d["Rows"], err = look[[]simulator.Module](v, simulator.FindModules{Product: key}); err != nil {
			return err
		}
	}
	return v.page("modules", "modules.title", d)
}

// newModule is P8 to P11. With ?next= it goes back to the form that wanted a module.
func (v *visit) newModule() error {
	key, products, err := v.chosen()
	if err != nil {
		return err
	}
	return v.page("module-new", "module.new", map[string]any{
		"Form": v.blank("Product", key, "Next", v.r.URL.Query().Get("next")), "Products": productOptions(products),
	})
}

func (v *visit) makeModule() error {
	f, err := v.filled()
	if err != nil {
		return err
	}
	cmd := simulator.CreateModule{Product: f.text("Product"), Name: f.text("Name"), Alias: f.text("Alias"), Desc: f.text("Desc")}
	made, err := change[simulator.Module](v, "CreateOTAModule", "ProductKey="+cmd.Product+" ModuleName="+cmd.Name, cmd)
	if err == nil {
		v.say("module.made", "name", made.Name)
		if next := f.text("Next"); next != "" {
			return v.to(within(next))
		}
		return v.to(link("modules") + "?product=" + made.Product)
	}
	if err := f.refused(err, "Product", "Name", "Alias", "Desc"); err != nil {
		return err
	}
	products, err := v.products()
	if err != nil {
		return err
	}
	return f.again("module-new", "module.new", map[string]any{"Products": productOptions(products)})
}

func (v *visit) editModule() error {
	modules, err := look[[]simulator.Module](v, simulator.FindModules{Product: v.r.PathValue("product")})
	if err != nil {
		return err
	}
	for i := range modules {
		if m := &modules[i]; m.Name == v.r.PathValue("name") && i > 0 {
			return v.pageTitled("module-edit", m.Name, map[string]any{"Module": m, "Form": v.blank("Alias", m.Alias, "Desc", m.Desc)})
		}
	}
	return trouble(404, "error.path")
}

func (v *visit) changeModule() error {
	f, err := v.filled()
	if err != nil {
		return err
	}
	product, name := v.r.PathValue("product"), v.r.PathValue("name")
	alias, desc := f.text("Alias"), f.text("Desc")
	_, err = change[simulator.Module](v, "UpdateOTAModule", "ModuleName="+name, simulator.UpdateModule{Product: product, Name: name, Alias: &alias, Desc: &desc})
	if err == nil {
		v.say("saved")
		return v.to(link("modules") + "?product=" + product)
	}
	if err := f.refused(err, "Alias", "Desc"); err != nil {
		return err
	}
	return f.again("module-edit", "module.edit", map[string]any{"Module": &simulator.Module{Product: product, Name: name}})
}

func (v *visit) deleteModule() error {
	product, name := v.r.PathValue("product"), v.r.PathValue("name")
	if _, err := change[simulator.Module](v, "DeleteOTAModule", "ModuleName="+name, simulator.DeleteModule{Product: product, Name: name}); err != nil {
		return v.stay(err, link("modules", product, name), v.editModule)
	}
	v.say("deleted", "name", name)
	return v.to(link("modules") + "?product=" + product)
}

// share is how many devices run a version (P6), and which part of all that is.
type share struct {
	simulator.VersionCount
	Percent string
	X, W    string // of its piece of the bar, in percent
	Color   int
}

type moduleShares struct {
	Module string
	Total  int
	Shares []share
}

// colors is how many colours there are for versions.
const colors = 8

func (v *visit) versionsPage() error {
	key, products, err := v.chosen()
	if err != nil {
		return err
	}
	module := v.r.URL.Query().Get("module")
	d := map[string]any{"Product": key, "Products": products, "Tab": "versions", "Module": module}
	if key == "" {
		return v.page("versions", "versions.title", d)
	}
	counts, err := look[[]simulator.VersionCount](v, simulator.FindVersions{Product: key, Module: module})
	if err != nil {
		return err
	}
	if d["Modules"], err = look[[]simulator.Module](v, simulator.FindModules{Product: key}); err != nil {
		return err
	}
	if d["Devices"], err = v.deviceCount(key); err != nil {
		return err
	}
	d["Shares"] = sharesOf(counts)
	if d["Over"], err = v.versionsOver(key, module, counts); err != nil {
		return err
	}
	d["Days"], d["Spans"] = v.days(), spans()
	return v.page("versions", "versions.title", d)
}

func sharesOf(counts []simulator.VersionCount) []moduleShares {
	var out []moduleShares
	for _, c := range counts {
		if len(out) == 0 || out[len(out)-1].Module != c.Module {
			out = append(out, moduleShares{Module: c.Module})
		}
		m := &out[len(out)-1]
		m.Total += c.Devices
		m.Shares = append(m.Shares, share{VersionCount: c, Color: len(m.Shares) % colors})
	}
	for i := range out {
		m := &out[i]
		parts := make([]int, len(m.Shares))
		for k := range m.Shares {
			parts[k] = m.Shares[k].Devices
		}
		for k, p := range pieces(parts) {
			m.Shares[k].X, m.Shares[k].W, m.Shares[k].Percent = p.X, p.W, p.Percent
		}
	}
	return out
}
