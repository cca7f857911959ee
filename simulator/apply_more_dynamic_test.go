package simulator

import (
	"testing"

	"github.com/leapslot/ota"
)

// TestP26JoiningAGroup: a device that is put into a group comes to match the dynamic
// batch for it, also through a group below; not one for newly reported versions (P40),
// and not one whose source version it does not run.
func TestP26JoiningAGroup(t *testing.T) {
	w := newWorld(t, 4)
	house := w.do(CreateGroup{Account: "me", Name: "house"}).(Group)
	room := w.do(CreateGroup{Account: "me", Name: "room", Super: house.ID}).(Group)
	other := w.do(CreateGroup{Account: "me", Name: "other"}).(Group)
	p := w.pkg("fw")
	all := w.do(CreateDynamicJob{Package: p.ID, Sources: []string{"1.0"}, Group: house.ID}).(Job)
	newly := w.do(CreateDynamicJob{Package: w.pkg("fw2").ID, Sources: []string{"1.0"}, Group: other.ID, Mode: NewlyReported}).(Job)
	join := func(g Group, name string) { w.do(AddToGroup{g.ID, []ota.Device{w.dev(name)}}) }
	join(house, "d1")
	join(room, "d2")
	w.wantCounts(all, Counts{Queued: 2})
	w.inform("d3", "0.9")
	w.wait(settling)
	join(house, "d3")
	join(other, "d4")
	w.wantCounts(all, Counts{Queued: 2})
	w.wantCounts(newly, Counts{})
	w.do(RemoveFromGroup{house.ID, []ota.Device{w.dev("d1")}})
	join(house, "d1") // has its task
	w.wantCounts(all, Counts{Queued: 2})
	w.do(CancelTasksByJob{Job: all.ID, Queued: true})
	w.do(RemoveFromGroup{house.ID, []ota.Device{w.dev("d1")}})
	join(house, "d1") // a user has cancelled it (P51)
	w.wantCounts(all, Counts{Canceled: 2})
	w.refused(DeleteGroup{other.ID}, Refused, "Group", newly.ID)
}
