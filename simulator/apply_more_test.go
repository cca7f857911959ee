package simulator

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/leapslot/ota"
)

func text(s string) *string { return &s }

// TestModifyTexts changes names and descriptions within P9 to P11, P13 and P16.
func TestModifyTexts(t *testing.T) {
	w := newWorld(t, 0)
	w.do(CreateModule{Product: w.product, Name: "MCU", Alias: "the.mcu", Desc: "old"})
	m := w.do(UpdateModule{Product: w.product, Name: "MCU", Desc: text("新")}).(Module)
	if m.Alias != "the.mcu" || m.Desc != "新" {
		t.Errorf("module %+v", m)
	}
	w.refused(UpdateModule{Product: w.product, Name: "MCU", Alias: text("abc")}, Invalid, "Alias", "4")
	w.refused(UpdateModule{Product: w.product, Name: "MCU", Desc: text(strings.Repeat("字", 101))}, Invalid, "Desc", "100")
	w.refused(UpdateModule{Product: w.product, Name: "none"}, NotFound, "Name", "none")
	w.refused(UpdateModule{Product: w.product, Name: "default"}, Refused, "Name", "always")

	p, other := w.pkg("one"), w.pkg("two")
	got := w.do(ModifyPackage{Package: p.ID, Name: text("three"), UDI: text("{}")}).(Package)
	if got.Name != "three" || got.UDI != "{}" || got.Desc != p.Desc {
		t.Errorf("package %+v", got)
	}
	w.refused(ModifyPackage{Package: p.ID, Name: &other.Name}, Exists, "Name", "two")
	w.refused(ModifyPackage{Package: p.ID, Name: text("_")}, Invalid, "Name", "begins")
	w.refused(ModifyPackage{Package: p.ID, Desc: text(strings.Repeat("x", 101))}, Invalid, "Desc", "100")
	w.refused(ModifyPackage{Package: p.ID, UDI: text(strings.Repeat("x", 4097))}, Invalid, "UDI", "4096")
	w.refused(ModifyPackage{Package: "none"}, NotFound, "Package", "none")
}

func TestDelete(t *testing.T) {
	w := newWorld(t, 2)
	w.do(CreateModule{Product: w.product, Name: "MCU"})
	p := w.pkg("fw")
	mcu := w.full("mcu")
	mcu.Module = "MCU"
	q := w.do(mcu).(Package)
	w.refused(DeleteModule{w.product, "MCU"}, Refused, "Name", q.ID)
	w.refused(DeleteModule{w.product, "default"}, Refused, "Name", "always")
	w.refused(DeleteProduct{w.product}, Refused, "Product", "2 devices")

	w.online("d1", "d2")
	j := w.batch(p, nil)
	w.refused(DeletePackage{p.ID}, Refused, "Package", j.ID)
	w.do(DeleteDevice{w.product, "d1"})
	w.refused(FindDevice{w.product, "d1"}, NotFound, "Name", "d1")
	w.wantCounts(j, Counts{Notified: 1, Canceled: 1})
	w.inform("d1", "2.0") // nobody is there any more
	w.do(RegisterDevices{Product: w.product, Names: []string{"d1"}})
	if d := w.do(FindDevice{w.product, "d1"}).(Device); d.Version("default") != "" || d.Activated != 0 {
		t.Errorf("registered again: %+v", d)
	}
	w.inform("d2", "2.0")
	w.do(DeletePackage{p.ID})
	w.refused(FindJob{j.ID}, NotFound, "Job", j.ID)
	w.do(DeletePackage{q.ID})
	w.do(DeleteDevice{w.product, "d1"})
	w.do(DeleteDevice{w.product, "d2"})
	w.do(DeleteProduct{w.product})
	w.refused(FindProduct{w.product}, NotFound, "Product", w.product)
	w.do(CreateProduct{Account: "me", Name: "lamp"}) // its name is free
}

func TestGroups(t *testing.T) {
	w := newWorld(t, 3)
	make := func(name, super string) Group {
		t.Helper()
		return w.do(CreateGroup{Account: "me", Name: name, Super: super}).(Group)
	}
	house := make("my_house", "")
	floor := make("floor", house.ID)
	w.refused(CreateGroup{Account: "me", Name: "floor"}, Exists, "Name", floor.ID)
	w.refused(CreateGroup{Account: "me", Name: "abc"}, Invalid, "Name", "4 to 30")
	w.refused(CreateGroup{Account: "me", Name: "a-b-c"}, Invalid, "Name", "a-b-c")
	w.refused(CreateGroup{Account: "you", Name: "mine", Super: house.ID}, NotFound, "Super", house.ID)
	room := make("room", make("flat", floor.ID).ID)
	deep := make("shelf", room.ID)
	w.refused(CreateGroup{Account: "me", Name: "box0", Super: deep.ID}, Invalid, "Super", "5")

	add := func(names ...string) GroupChange {
		var devices []ota.Device
		for _, n := range names {
			devices = append(devices, w.dev(n))
		}
		return w.do(AddToGroup{floor.ID, devices}).(GroupChange)
	}
	if n := add("d1", "d2", "nobody", "d1"); n != (GroupChange{Valid: 2, Done: 2}) {
		t.Errorf("added %+v", n)
	}
	if n := add("d1"); n != (GroupChange{Valid: 1, Already: 1}) {
		t.Errorf("again %+v", n)
	}
	for i := range MaxGroupsOfDevice {
		g := make(fmt.Sprint("group", i), "")
		w.do(AddToGroup{g.ID, []ota.Device{w.dev("d3")}})
	}
	if n := add("d3"); n != (GroupChange{Valid: 1, Exceeding: 1}) {
		t.Errorf("an eleventh group: %+v", n)
	}
	d1 := w.cloud.findDevice(w.dev("d1"))
	if !w.cloud.inGroup(d1, house.ID) || !w.cloud.inGroup(d1, floor.ID) || w.cloud.inGroup(d1, room.ID) {
		t.Error("d1 is in the wrong groups")
	}
	if n := w.do(RemoveFromGroup{floor.ID, []ota.Device{w.dev("d1"), w.dev("d3")}}).(GroupChange); n != (GroupChange{Valid: 2, Already: 1, Done: 1}) {
		t.Errorf("removed %+v", n)
	}
	if g := w.do(FindGroup{floor.ID}).(GroupDevices); len(g.Devices) != 1 || g.Devices[0].Name != "d2" {
		t.Errorf("left are %+v", g)
	}
	if l := w.do(FindGroups{Account: "me", Name: "house"}).([]Group); len(l) != 1 || l[0].ID != house.ID {
		t.Errorf("found %+v", l)
	}
	w.refused(DeleteGroup{floor.ID}, Refused, "Group", "stands in it")
	w.do(DeleteGroup{deep.ID})
	w.do(DeleteGroup{room.ID})
	w.refused(FindGroup{room.ID}, NotFound, "Group", room.ID)
	w.refused(AddToGroup{floor.ID, nil}, Invalid, "Devices", "200")
	w.do(DeleteDevice{w.product, "d2"})
	if g := w.do(FindGroup{floor.ID}).(GroupDevices); len(g.Devices) != 0 {
		t.Errorf("a deleted device is in %+v", g)
	}
}

// whole is the stored state with the groups, and the sets that follow from it.
func whole(c *Cloud) any {
	groups := map[string]GroupDevices{}
	for id, g := range c.groups {
		v := GroupDevices{Group: g.Group}
		for _, d := range g.sorted() {
			v.Devices = append(v.Devices, d.Device.Device)
		}
		groups[id] = v
	}
	counts := map[string]int{}
	for _, p := range c.products {
		for k, n := range p.versions {
			counts[p.Key+k.module+" "+k.version] = n
		}
	}
	s := c.state()
	s.Groups = nil
	return []any{s, groups, counts}
}

// TestUndoOfDeletions: whatever was made, changed and deleted since the last commit,
// Undo gives the state before it; and a store that took the changes loads the same.
func TestUndoOfDeletions(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t, 4)
		stored := map[string]int{}
		for range rapid.IntRange(1, 6).Draw(rt, "batches") {
			before := whole(w.cloud)
			for range rapid.IntRange(1, 8).Draw(rt, "commands") {
				w.anything(rt)
			}
			if rapid.Bool().Draw(rt, "undo") {
				w.cloud.Undo()
				if diff := cmp.Diff(before, whole(w.cloud)); diff != "" {
					rt.Fatalf("after Undo (-before +after):\n%s", diff)
				}
				continue
			}
			for _, d := range w.cloud.Changes().Gone {
				stored[string(d.Kind)]++
			}
			w.cloud.Commit()
			state := w.cloud.state()
			for _, g := range w.cloud.groups {
				state.Groups = append(state.Groups, g.Group)
			}
			again, err := Load(Options{Random: rand.NewChaCha8([32]byte{2})}, state)
			if err != nil {
				rt.Fatal(err)
			}
			if diff := cmp.Diff(whole(w.cloud), whole(again)); diff != "" {
				rt.Fatalf("loaded (-before +after):\n%s", diff)
			}
		}
	})
}

// anything makes or deletes something at random; refusals are as good.
func (w *world) anything(rt *rapid.T) {
	w.now = w.now.Add(time.Second)
	name := rapid.SampledFrom([]string{"d1", "d2", "d3", "d4", "d5", "d6"}).Draw(rt, "device")
	module := rapid.SampledFrom([]string{"M1", "M2", "M3"}).Draw(rt, "module")
	pick := func(ids []string, what string) string {
		slices.Sort(ids)
		return rapid.SampledFrom(append(ids, "none")).Draw(rt, what)
	}
	var groups, packages, jobs []string
	for id := range w.cloud.groups {
		groups = append(groups, id)
	}
	for id := range w.cloud.packages {
		packages = append(packages, id)
	}
	for id := range w.cloud.jobs {
		jobs = append(jobs, id)
	}
	commands := []Command{
		RegisterDevices{Product: w.product, Names: []string{name}},
		DeleteDevice{w.product, name},
		CreateModule{Product: w.product, Name: module},
		DeleteModule{w.product, module},
		UpdateModule{Product: w.product, Name: module, Desc: &name},
		CreateGroup{Account: "me", Name: "group_" + name, Super: ""},
		AddToGroup{pick(groups, "group"), []ota.Device{w.dev(name)}},
		CreateDynamicJob{Package: pick(packages, "package"), Sources: []string{"1.0"}, Group: pick(groups, "group")},
		RemoveFromGroup{pick(groups, "group"), []ota.Device{w.dev(name)}},
		DeleteGroup{pick(groups, "group")},
		w.full("fw-" + name),
		ModifyPackage{Package: pick(packages, "package"), Desc: &name},
		DeletePackage{pick(packages, "package")},
		CreateStaticJob{Package: pick(packages, "package"), Target: TargetAll},
		CancelTasksByJob{Job: pick(jobs, "job"), Queued: true, Notified: true, InProgress: true},
		CreateProduct{Account: "me", Name: name},
	}
	at := rapid.IntRange(0, len(commands)+1).Draw(rt, "command")
	switch {
	case at < len(commands):
		_, _ = w.cloud.Apply(commands[at], w.now)
	case at == len(commands):
		w.cloud.Happen(Informed{w.dev(name), "", module}, w.now)
	default:
		for key := range w.cloud.products {
			if key != w.product {
				_, _ = w.cloud.Apply(DeleteProduct{key}, w.now)
				break
			}
		}
	}
}
