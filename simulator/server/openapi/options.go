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
}

func optionsOf(p simulator.Product) answer {
	r := p.Rules
	return data(options{
		ProductKey: p.Key, OneDynamic: r.OneDynamic, NeedProgress: r.NeedProgress, TaskPerModule: r.TaskPerModule,
		TolerateSource: r.TolerateSource, TimeoutOnce: r.TimeoutOnce, LatestLimits: r.NowLimits,
	})
}

// updateOptions changes the options that are given and keeps the others. Latest=true
// begins with all rules as the platform has them now, Latest=false with the source's.
func updateOptions(p *reader) call {
	key := p.need("ProductKey", maxKey)
	latest, isGiven := p.yes("Latest", false), p.has("Latest")
	names := []string{"OneDynamic", "NeedProgress", "TaskPerModule", "TolerateSource", "TimeoutOnce", "LatestLimits"}
	some := isGiven
	for _, name := range names {
		some = some || p.has(name)
	}
	if !some {
		p.fail(missing("Latest"))
	}
	set := func(r simulator.Rules) simulator.Rules {
		if isGiven {
			r = simulator.Rules{}
			if latest {
				r = simulator.RulesNow()
			}
		}
		for i, to := range []*bool{&r.OneDynamic, &r.NeedProgress, &r.TaskPerModule, &r.TolerateSource, &r.TimeoutOnce, &r.NowLimits} {
			*to = p.yes(names[i], *to)
		}
		return r
	}
	set(simulator.Rules{}) // finds what is no true or false
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
