package simulator

import (
	"cmp"
	"slices"
)

// VersionCount is how many devices of a product report a version of a module (P6).
type VersionCount struct {
	Module  string
	Version string
	Devices int
}

// moduleVersion is a version of a module, as the statistics count it.
type moduleVersion struct{ module, version string }

// count adds n to how many devices report each of these versions. It is done with
// every change, so that nobody has to look at a million devices to know.
func (p *product) count(versions []Version, n int) {
	for i := range versions {
		key := moduleVersion{versions[i].Module, versions[i].Version}
		if p.versions == nil {
			p.versions = map[moduleVersion]int{}
		}
		if p.versions[key] += n; p.versions[key] == 0 {
			delete(p.versions, key)
		}
	}
}

func (cmd FindVersions) apply(c *Cloud, _ Stamp) (any, error) {
	p, err := c.product("Product", cmd.Product)
	if err != nil {
		return nil, err
	}
	if cmd.Module != "" && !p.hasModule(cmd.Module) {
		return nil, fail(NotFound, "Module", "the product has no module %q", cmd.Module)
	}
	return p.counts(cmd.Module), nil
}

// counts lists the versions of a module, or with an empty one of all.
func (p *product) counts(module string) []VersionCount {
	out := []VersionCount{}
	for key, n := range p.versions {
		if module == "" || module == key.module {
			out = append(out, VersionCount{key.module, key.version, n})
		}
	}
	slices.SortFunc(out, func(a, b VersionCount) int {
		return cmp.Or(cmp.Compare(a.Module, b.Module), cmp.Compare(a.Version, b.Version))
	})
	return out
}

func (FindAllVersions) apply(c *Cloud, _ Stamp) (any, error) {
	out := map[string][]VersionCount{}
	for key, p := range c.products {
		if !c.foreign(p.Account) {
			out[key] = p.counts("")
		}
	}
	return out, nil
}
