package console

import (
	"strings"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
)

func (v *visit) groupList() ([]simulator.Group, error) {
	return look[[]simulator.Group](v, simulator.FindGroups{Account: v.account})
}

func (v *visit) groupsPage() error { return v.groups(v.blank()) }

func (v *visit) groups(f *form) error {
	list, err := v.groupList()
	if err != nil {
		return err
	}
	return v.page("groups", "nav.groups", map[string]any{"Rows": list, "Form": f})
}

func (v *visit) makeGroup() error {
	f, err := v.filled()
	if err != nil {
		return err
	}
	cmd := simulator.CreateGroup{Account: v.account, Name: f.text("Name"), Desc: f.text("Desc"), Super: f.text("Super")}
	made, err := change[simulator.Group](v, "CreateDeviceGroup", "GroupName="+cmd.Name, cmd)
	if err == nil {
		v.say("group.made", "name", made.Name)
		return v.to(link("groups", made.ID))
	}
	if err := f.refused(err, "Name", "Desc", "Super"); err != nil {
		return err
	}
	v.status = 422
	return v.groups(f)
}

func (v *visit) groupPage() error { return v.group(v.blank()) }

func (v *visit) group(f *form) error {
	g, err := look[simulator.GroupDevices](v, simulator.FindGroup{Group: v.r.PathValue("group")})
	if err != nil {
		return err
	}
	products, err := v.products()
	if err != nil {
		return err
	}
	names := map[string]string{}
	for i := range products {
		names[products[i].Key] = products[i].Name
	}
	if len(g.Devices) > 0 && f.text("Product") == "" {
		f.Values.Set("Product", g.Devices[0].ProductKey)
	}
	at := v.paged()
	first := min((at.Number-1)*at.Size, len(g.Devices))
	return v.pageTitled("group", g.Name, map[string]any{
		"Group": g.Group, "Online": g.Online, "Devices": g.Devices[first:min(first+at.Size, len(g.Devices))], "Pager": v.pager(at, len(g.Devices)),
		"Products": productOptions(products), "Names": names, "Form": f,
	})
}

// changeGroup adds devices to a group or takes them out.
func (v *visit) changeGroup() error {
	f, err := v.filled()
	if err != nil {
		return err
	}
	id := v.r.PathValue("group")
	var devices []ota.Device
	for name := range strings.FieldsFuncSeq(f.Values.Get("Names"), func(r rune) bool { return r == '\n' || r == ',' || r == '\r' }) {
		if name = strings.TrimSpace(name); name != "" {
			devices = append(devices, ota.Device{ProductKey: f.text("Product"), Name: name})
		}
	}
	var done simulator.GroupChange
	if f.yes("Remove") {
		done, err = change[simulator.GroupChange](v, "BatchDeleteDeviceGroupRelations", "GroupId="+id, simulator.RemoveFromGroup{Group: id, Devices: devices})
	} else {
		done, err = change[simulator.GroupChange](v, "BatchAddDeviceGroupRelations", "GroupId="+id, simulator.AddToGroup{Group: id, Devices: devices})
	}
	if err == nil {
		v.say("group.changed", "done", done.Done, "valid", done.Valid, "given", len(devices))
		return v.to(link("groups", id))
	}
	if err := f.refused(err, "Devices=Names", "Product"); err != nil {
		return err
	}
	v.status = 422
	return v.group(f)
}

func (v *visit) deleteGroup() error {
	id := v.r.PathValue("group")
	g, err := change[simulator.Group](v, "DeleteDeviceGroup", "GroupId="+id, simulator.DeleteGroup{Group: id})
	if err != nil {
		return v.stay(err, link("groups", id), v.groupPage)
	}
	v.say("deleted", "name", g.Name)
	return v.to(link("groups"))
}
