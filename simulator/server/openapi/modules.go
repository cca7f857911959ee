package openapi

import (
	"context"

	"github.com/leapslot/ota/simulator"
)

const maxModulePage = 100

func createModule(p *reader) call {
	cmd := simulator.CreateModule{
		Product: p.need("ProductKey", maxKey),
		Name:    p.need("ModuleName", maxText),
		Alias:   p.text("AliasName", maxText),
		Desc:    p.text("Desc", maxText),
	}
	return func(ctx context.Context, s session) (answer, error) {
		if _, err := do[simulator.Module](ctx, s, cmd); err != nil {
			return nil, err
		}
		return &done{}, nil
	}
}

type moduleInfo struct {
	ProductKey, ModuleName, AliasName, Desc string
	GmtCreate, GmtModified                  string
}

func listModules(p *reader) call {
	key := p.need("ProductKey", maxKey)
	return func(ctx context.Context, s session) (answer, error) {
		found, err := do[[]simulator.Module](ctx, s, simulator.FindModules{Product: key})
		if err != nil {
			return nil, err
		}
		all := make([]moduleInfo, 0, len(found))
		for _, m := range found {
			all = append(all, moduleInfo{
				ProductKey: key, ModuleName: m.Name, AliasName: m.Alias, Desc: m.Desc,
				GmtCreate: gmt(m.Created), GmtModified: gmt(m.Modified),
			})
		}
		return data(all), nil
	}
}

type moduleVersions struct {
	head
	Total, PageSize, PageCount, CurrentPage int
	Data                                    struct{ SimpleOTAModuleInfo []moduleVersion }
}

type moduleVersion struct{ ProductKey, DeviceName, IotId, ModuleName, ModuleVersion string }

func listModuleVersions(p *reader) call {
	which := readDevice(p)
	pg := p.page(devicePage, maxModulePage)
	return func(ctx context.Context, s session) (answer, error) {
		d, err := which.find(ctx, s)
		if err != nil {
			return nil, err
		}
		var all []moduleVersion
		for _, v := range d.Versions {
			all = append(all, moduleVersion{d.ProductKey, d.Name, d.IotID(), v.Module, v.Version})
		}
		a := &moduleVersions{Total: len(all), PageSize: pg.Size, PageCount: pg.Count(len(all)), CurrentPage: pg.Number}
		a.Data.SimpleOTAModuleInfo = cut(all, pg)
		return a, nil
	}
}
