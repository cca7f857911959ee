package console

import (
	"encoding/csv"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server/openapi"
	"github.com/leapslot/ota/simulator/server/store"
)

func (v *visit) devicesPage() error {
	key, products, err := v.chosen()
	if err != nil {
		return err
	}
	d := map[string]any{"Product": key, "Products": products, "Prefix": v.r.URL.Query().Get("prefix")}
	if key == "" {
		return v.page("devices", "nav.devices", d)
	}
	if _, err := v.product(key); err != nil {
		return err
	}
	at := v.paged()
	list, total, err := v.Store.Devices(v.r.Context(), store.DeviceFilter{Product: key, Prefix: d["Prefix"].(string)}, at)
	if err != nil {
		return err
	}
	names := make([]string, len(list))
	for i := range list {
		names[i] = list[i].Name
	}
	if d["Rows"], err = v.devices(key, names); err != nil {
		return err
	}
	d["Pager"], d["Some"] = v.pager(at, total), total > 0 || d["Prefix"] != ""
	return v.page("devices", "nav.devices", d)
}

// devices looks devices up, and with them which are online. Their secrets are for those
// who may change them.
func (v *visit) devices(product string, names []string) ([]simulator.Device, error) {
	list, err := look[[]simulator.Device](v, simulator.FindDevices{Product: product, Names: names})
	if v.role < Operator {
		for i := range list {
			list[i].Secret = ""
		}
	}
	return list, err
}

func (v *visit) newDevices() error {
	key, products, err := v.chosen()
	if err != nil {
		return err
	}
	return v.page("device-new", "device.new", map[string]any{"Form": v.blank("Product", key), "Products": productOptions(products)})
}

// maxList is the most bytes of a list of devices: 100,000 names of the longest.
const maxList = 8 << 20

// makeDevices registers devices: named in the form, in a CSV file, or so many of them.
func (v *visit) makeDevices() error {
	f, file, err := v.filledWithList()
	if err != nil {
		return err
	}
	cmd := simulator.RegisterDevices{Product: f.text("Product"), Count: f.number("Count", 0)}
	given := []byte(strings.TrimSpace(f.Values.Get("Names")))
	at := "Names"
	if len(file) > 0 {
		given, at = file, "List"
	}
	if len(given) > 0 && f.ok() {
		list, err := openapi.ParseDeviceList(given, simulator.MaxRegistration)
		f.listed(at, err)
		for _, d := range list {
			cmd.Names = append(cmd.Names, d.Name)
		}
	}
	if f.ok() {
		made, err := change[[]simulator.Device](v, "RegisterDevice", "ProductKey="+cmd.Product, cmd)
		if err == nil {
			v.say("device.made", "n", len(made))
			if len(made) == 1 {
				return v.to(link("devices", made[0].ProductKey, made[0].Name))
			}
			return v.to(link("devices") + "?product=" + cmd.Product)
		}
		if err := f.refused(err, "Product", "Names="+at, "Count"); err != nil {
			return err
		}
	}
	products, err := v.products()
	if err != nil {
		return err
	}
	return f.again("device-new", "device.new", map[string]any{"Products": productOptions(products)})
}

// listed puts what is wrong with a list of devices beside its input, row by row.
func (f *form) listed(name string, err error) {
	var rows *openapi.DeviceListError
	switch {
	case err == nil:
	case errors.As(err, &rows):
		lines := make([]string, 0, len(rows.Rows)+1)
		for _, r := range rows.Rows {
			lines = append(lines, f.v.t("list.row", "row", r.Row, "text", f.v.refusal(r.Why)))
		}
		if more := rows.Total - len(rows.Rows); more > 0 {
			lines = append(lines, f.v.t("list.more", "n", more))
		}
		f.wrong(name, strings.Join(lines, "\n"))
	default:
		f.wrong(name, f.v.refusal(err))
	}
}

// filledWithList reads a form that may bring a list of devices as its file List.
func (v *visit) filledWithList() (*form, []byte, error) {
	v.r.Body = http.MaxBytesReader(v.w, v.r.Body, maxForm+maxList)
	if err := v.r.ParseMultipartForm(maxForm + maxList); err != nil && !errors.Is(err, http.ErrNotMultipart) {
		return nil, nil, badForm(err)
	}
	f := v.blank()
	f.Values = v.r.PostForm
	if v.r.MultipartForm == nil {
		return f, nil, nil
	}
	defer v.r.MultipartForm.RemoveAll()
	files := v.r.MultipartForm.File["List"]
	if len(files) == 0 || files[0].Size == 0 {
		return f, nil, nil
	}
	in, err := files[0].Open()
	if err != nil {
		return nil, nil, err
	}
	defer in.Close()
	b, err := io.ReadAll(io.LimitReader(in, maxList+1))
	if len(b) > maxList {
		f.wrong("List", v.t("error.long", "n", maxList))
	}
	return f, b, err
}

func (v *visit) deviceTemplate() error {
	v.download("devices.csv")
	_, err := io.WriteString(v.w, openapi.DeviceListTemplate)
	return err
}

// download has the browser save what follows.
func (v *visit) download(name string) {
	v.w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	v.w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
}

// exportDevices gives all devices of a product as otasim fleet reads them.
func (v *visit) exportDevices() error {
	p, err := v.product(v.r.URL.Query().Get("product"))
	if err != nil {
		return err
	}
	if err := v.note("ExportDevices", "ProductKey="+p.Key, nil); err != nil {
		return err
	}
	v.download("devices-" + p.Key + ".csv")
	out := csv.NewWriter(v.w)
	defer out.Flush()
	_ = out.Write([]string{"product_key", "device_name", "device_secret"})
	for page := 1; ; page++ {
		list, total, err := v.Store.Devices(v.r.Context(), store.DeviceFilter{Product: p.Key}, store.Page{Number: page, Size: exportPage})
		if err != nil {
			return v.broken(err)
		}
		for i := range list {
			_ = out.Write([]string{p.Key, list[i].Name, list[i].Secret})
		}
		if page*exportPage >= total || len(list) == 0 {
			return nil
		}
	}
}

const exportPage = 1000

// broken ends an answer that has begun: the browser must not take it for whole.
func (v *visit) broken(err error) error {
	v.log.Error("console: an export broke off", "path", v.r.URL.Path, "why", err.Error())
	panic(http.ErrAbortHandler)
}

// cell keeps a spreadsheet from reading a device's own words as a formula.
func cell(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}

func (v *visit) devicePage() error {
	product, name := v.r.PathValue("product"), v.r.PathValue("name")
	d, err := look[simulator.Device](v, simulator.FindDevice{Product: product, Name: name})
	if err != nil {
		return err
	}
	iot := d.IotID()
	if v.role < Operator {
		d.Secret = ""
	}
	p, err := v.product(product)
	if err != nil {
		return err
	}
	at := v.paged()
	tasks, total, err := v.Store.Tasks(v.r.Context(), store.TaskFilter{Product: product, Devices: []string{name}}, at)
	if err != nil {
		return err
	}
	rows, err := v.taskRows(tasks, 0)
	if err != nil {
		return err
	}
	if err := v.nameBatches(rows); err != nil {
		return err
	}
	var groups []simulator.Group
	if d.More != nil {
		for _, id := range d.More.Groups {
			if g, err := look[simulator.GroupDevices](v, simulator.FindGroup{Group: id}); err == nil {
				groups = append(groups, g.Group)
			}
		}
	}
	return v.pageTitled("device", name, map[string]any{
		"Device": &d, "IotID": iot, "Product": p, "Tasks": rows, "Pager": v.pager(at, total), "Groups": groups,
	})
}

func (v *visit) disableDevice() error {
	f, err := v.filled()
	if err != nil {
		return err
	}
	product, name := v.r.PathValue("product"), v.r.PathValue("name")
	cmd := simulator.SetDeviceDisabled{Product: product, Name: name, Disabled: f.yes("Disabled")}
	action := "EnableThing"
	if cmd.Disabled {
		action = "DisableThing"
	}
	if _, err := change[simulator.Device](v, action, "DeviceName="+name, cmd); err != nil {
		return v.stay(err, link("devices", product, name), v.devicePage)
	}
	v.say("saved")
	return v.to(link("devices", product, name))
}

func (v *visit) deleteDevice() error {
	product, name := v.r.PathValue("product"), v.r.PathValue("name")
	if _, err := change[simulator.Device](v, "DeleteDevice", "DeviceName="+name, simulator.DeleteDevice{Product: product, Name: name}); err != nil {
		return v.stay(err, link("devices", product, name), v.devicePage)
	}
	v.say("deleted", "name", name)
	return v.to(link("devices") + "?product=" + product)
}
