package console

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"

	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server/store"
)

// overview is the first page: what runs now, and what there is.
func (v *visit) overview() error {
	ctx := v.r.Context()
	products, err := v.products()
	if err != nil {
		return err
	}
	first := store.Page{Number: 1, Size: 8}
	running, nRunning, err := v.Store.Jobs(ctx, store.JobFilter{Account: v.account, Status: simulator.JobInProgress}, first)
	if err != nil {
		return err
	}
	planned, _, err := v.Store.Jobs(ctx, store.JobFilter{Account: v.account, Status: simulator.JobPlanned}, first)
	if err != nil {
		return err
	}
	packs, nPackages, err := v.Store.Packages(ctx, store.PackageFilter{Account: v.account}, first)
	if err != nil {
		return err
	}
	devices := 0
	for i := range products {
		n, err := v.deviceCount(products[i].Key)
		if err != nil {
			return err
		}
		devices += n
	}
	rows, err := v.jobRows(append(running, planned...))
	if err != nil {
		return err
	}
	return v.page("overview", "nav.overview", map[string]any{
		"Products": len(products), "Devices": devices, "Packages": nPackages, "Running": nRunning, "Jobs": rows, "Recent": packs,
	})
}

func (v *visit) deviceCount(product string) (int, error) {
	_, n, err := v.Store.Devices(v.r.Context(), store.DeviceFilter{Product: product}, store.Page{Number: 1, Size: 1})
	return n, err
}

type productRow struct {
	simulator.Product
	Devices int
}

func (v *visit) productsPage() error {
	at := v.paged()
	list, total, err := v.Store.Products(v.r.Context(), v.account, at)
	if err != nil {
		return err
	}
	rows := make([]productRow, len(list))
	for i := range list {
		list[i].SigningKey, list[i].Secret = nil, ""
		rows[i].Product = list[i]
		if rows[i].Devices, err = v.deviceCount(list[i].Key); err != nil {
			return err
		}
	}
	return v.page("products", "nav.products", map[string]any{"Rows": rows, "Pager": v.pager(at, total)})
}

func (v *visit) newProduct() error {
	return v.page("product-new", "product.new", map[string]any{"Form": v.blank("NodeType", "0")})
}

func (v *visit) makeProduct() error {
	f, err := v.filled()
	if err != nil {
		return err
	}
	cmd := simulator.CreateProduct{Account: v.account, Name: f.text("Name"), Desc: f.text("Desc"), NodeType: f.number("NodeType", 0)}
	if f.ok() {
		made, err := change[simulator.Product](v, "CreateProduct", "ProductName="+cmd.Name, cmd)
		if err == nil {
			v.say("product.made", "name", made.Name)
			return v.to(link("products", made.Key))
		}
		if err := f.refused(err, "Name", "Desc", "NodeType"); err != nil {
			return err
		}
	}
	return f.again("product-new", "product.new", map[string]any{})
}

// rule is an option of a product as a page shows it.
type rule struct {
	Name string
	On   bool
}

func rulesOf(r *simulator.Rules) []rule {
	return []rule{
		{"OneDynamic", r.OneDynamic}, {"NeedProgress", r.NeedProgress}, {"TaskPerModule", r.TaskPerModule}, {"TolerateSource", r.TolerateSource},
		{"TimeoutOnce", r.TimeoutOnce}, {"NowLimits", r.NowLimits}, {"Registration", r.Registration}, {"NewRegistration", r.NewRegistration},
	}
}

func (v *visit) productPage() error {
	p, err := v.product(v.r.PathValue("product"))
	if err != nil {
		return err
	}
	n, err := v.deviceCount(p.Key)
	if err != nil {
		return err
	}
	modules, err := look[[]simulator.Module](v, simulator.FindModules{Product: p.Key})
	if err != nil {
		return err
	}
	return v.pageTitled("product", p.Name, map[string]any{"Product": p, "Devices": n, "Modules": modules, "Rules": rulesOf(&p.Rules)})
}

func (v *visit) setRules() error {
	f, err := v.filled()
	if err != nil {
		return err
	}
	key := v.r.PathValue("product")
	rules := simulator.Rules{
		OneDynamic: f.yes("OneDynamic"), NeedProgress: f.yes("NeedProgress"), TaskPerModule: f.yes("TaskPerModule"), TolerateSource: f.yes("TolerateSource"),
		TimeoutOnce: f.yes("TimeoutOnce"), NowLimits: f.yes("NowLimits"), Registration: f.yes("Registration"), NewRegistration: f.yes("NewRegistration"),
	}
	if _, err := change[simulator.Product](v, "UpdateProductOTAOptions", "ProductKey="+key, simulator.SetRules{Product: key, Rules: rules}); err != nil {
		return err
	}
	v.say("saved")
	return v.to(link("products", key))
}

func (v *visit) deleteProduct() error {
	key := v.r.PathValue("product")
	if _, err := change[simulator.Product](v, "DeleteProduct", "ProductKey="+key, simulator.DeleteProduct{Product: key}); err != nil {
		return v.stay(err, link("products", key), v.productPage)
	}
	v.say("deleted", "name", key)
	return v.to(link("products"))
}

func (v *visit) securityPage() error {
	products, err := v.products()
	if err != nil {
		return err
	}
	return v.page("security", "security.title", map[string]any{"Products": products})
}

// setSecurity is the switch of P7.
func (v *visit) setSecurity() error {
	f, err := v.filled()
	if err != nil {
		return err
	}
	on, err := strconv.ParseBool(f.text("On"))
	if err != nil {
		return trouble(http.StatusBadRequest, "error.form")
	}
	key := v.r.PathValue("product")
	p, err := change[simulator.Product](v, "UpdateProductOTASecurity", "ProductKey="+key, simulator.SetSecureUpgrade{Product: key, On: on})
	if err != nil {
		return err
	}
	v.say("security.set."+strconv.FormatBool(on), "name", p.Name)
	return v.to(link("security") + "#" + p.Key)
}

// chosen gives the product of ?product=, or the only one or the newest when there is none,
// for pages that are about one product.
func (v *visit) chosen() (string, []simulator.Product, error) {
	products, err := v.products()
	if err != nil {
		return "", nil, err
	}
	key := v.r.URL.Query().Get("product")
	if key == "" && len(products) > 0 {
		key = slices.MaxFunc(products, func(a, b simulator.Product) int { return cmp.Compare(a.Created, b.Created) }).Key
	}
	return key, products, nil
}

func productOptions(products []simulator.Product) []option {
	out := make([]option, len(products))
	for i := range products {
		out[i] = option{Value: products[i].Key, Label: products[i].Name + " (" + products[i].Key + ")"}
	}
	return out
}
