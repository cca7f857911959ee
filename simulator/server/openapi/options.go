package openapi

import (
	"context"

	"github.com/leapslot/ota/simulator"
)

// options are a product's rules where the source contradicts itself or changed later.
// The two actions about them are ours.
type options struct {
	ProductKey                                string
	OneDynamic, NeedProgress, TaskPerModule   bool
	TolerateSource, TimeoutOnce, LatestLimits bool
	Registration, NewRegistration             bool
}

func optionsOf(p simulator.Product) answer {
	r := p.Rules
	return data(options{
		ProductKey: p.Key, OneDynamic: r.OneDynamic, NeedProgress: r.NeedProgress, TaskPerModule: r.TaskPerModule,
		TolerateSource: r.TolerateSource, TimeoutOnce: r.TimeoutOnce, LatestLimits: r.NowLimits,
		Registration: r.Registration, NewRegistration: r.NewRegistration,
	})
}

// option is a rule of a product by its parameter's name.
type option struct {
	name string
	of   func(*simulator.Rules) *bool
}

func allOptions() []option {
	return []option{
		{"OneDynamic", func(r *simulator.Rules) *bool { return &r.OneDynamic }},
		{"NeedProgress", func(r *simulator.Rules) *bool { return &r.NeedProgress }},
		{"TaskPerModule", func(r *simulator.Rules) *bool { return &r.TaskPerModule }},
		{"TolerateSource", func(r *simulator.Rules) *bool { return &r.TolerateSource }},
		{"TimeoutOnce", func(r *simulator.Rules) *bool { return &r.TimeoutOnce }},
		{"LatestLimits", func(r *simulator.Rules) *bool { return &r.NowLimits }},
		{"Registration", func(r *simulator.Rules) *bool { return &r.Registration }},
		{"NewRegistration", func(r *simulator.Rules) *bool { return &r.NewRegistration }},
	}
}

// updateOptions changes the options that are given and keeps the others. Latest=true
// begins with all rules as the platform has them now, Latest=false with the source's;
// neither is about registrations.
func updateOptions(p *reader) call {
	const latest = "Latest"
	key, now, some := p.need("ProductKey", maxKey), p.yes(latest, false), p.has(latest)
	for _, o := range allOptions() {
		p.yes(o.name, false) // finds what is neither true nor false
		some = some || p.has(o.name)
	}
	if !some {
		p.fail(missing(latest))
	}
	set := func(r simulator.Rules) simulator.Rules {
		if p.has(latest) {
			base := simulator.Rules{}
			if now {
				base = simulator.RulesNow()
			}
			base.Registration, base.NewRegistration = r.Registration, r.NewRegistration
			r = base
		}
		for _, o := range allOptions() {
			*o.of(&r) = p.yes(o.name, *o.of(&r))
		}
		return r
	}
	return func(ctx context.Context, s session) (answer, error) {
		s.turn.Lock() // what is read is what is changed
		defer s.turn.Unlock()
		found, err := do[simulator.Product](ctx, s, simulator.FindProduct{Product: key})
		if err != nil {
			return nil, err
		}
		made, err := do[simulator.Product](ctx, s, simulator.SetRules{Product: key, Rules: set(found.Rules)})
		if err != nil {
			return nil, err
		}
		return optionsOf(made), nil
	}
}

func queryOptions(p *reader) call {
	key := p.need("ProductKey", maxKey)
	return func(ctx context.Context, s session) (answer, error) {
		found, err := do[simulator.Product](ctx, s, simulator.FindProduct{Product: key})
		if err != nil {
			return nil, err
		}
		return optionsOf(found), nil
	}
}

type versionCounts struct{ VersionInfo []versionCount }

type versionCount struct {
	ModuleName, ModuleVersion string
	DeviceCount               int
}

// queryVersions counts which versions devices run (P6), which the platform shows in
// its console only: the action is ours.
func queryVersions(p *reader) call {
	cmd := simulator.FindVersions{Product: p.need("ProductKey", maxKey), Module: p.text("ModuleName", maxText)}
	return func(ctx context.Context, s session) (answer, error) {
		found, err := do[[]simulator.VersionCount](ctx, s, cmd)
		if err != nil {
			return nil, err
		}
		d := versionCounts{VersionInfo: []versionCount{}}
		for _, v := range found {
			d.VersionInfo = append(d.VersionInfo, versionCount{v.Module, v.Version, v.Devices})
		}
		return data(d), nil
	}
}
