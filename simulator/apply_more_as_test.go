package simulator

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/leapslot/ota"
)

// TestF5More: the commands about groups, texts and deletions do not find what belongs to
// another account either, and nothing of it changes.
func TestF5More(t *testing.T) {
	c, product, pack, job := twoTenants(t)
	v, err := c.Apply(As{Account: "me", Command: CreateGroup{Account: "me", Name: "kitchen"}}, noon)
	if err != nil {
		t.Fatal(err)
	}
	group := v.(Group).ID
	a := ota.Device{ProductKey: product, Name: "a"}
	c.Commit()
	before := whole(c)
	for _, cmd := range []Command{
		DeleteProduct{product}, DeleteDevice{product, "a"}, DeleteModule{product, "MCU"}, DeletePackage{pack}, DeleteGroup{group},
		UpdateModule{Product: product, Name: "MCU"}, ModifyPackage{Package: pack, Name: text("x")}, UpdateGroup{group, "x"},
		AddToGroup{group, []ota.Device{a}}, RemoveFromGroup{group, []ota.Device{a}}, FindGroup{group},
		CreateGroup{Account: "other", Name: "pantry", Super: group},
		CancelTasksByDevice{Product: product, Package: pack, Job: job, Devices: []string{"a"}},
		FindUnknown{product, []string{"a"}}, FindVersions{Product: product}, SetRules{Product: product},
	} {
		_, err := c.Apply(As{Account: "other", Command: cmd}, noon)
		var e *Error
		if !errors.As(err, &e) || e.Code != NotFound {
			t.Errorf("%T: %v", cmd, err)
		}
	}
	if diff := cmp.Diff(before, whole(c)); diff != "" {
		t.Errorf("something changed:\n%s", diff)
	}
	// A device of another account is passed over, as one that is not there is.
	v, err = c.Apply(As{Account: "other", Command: CreateGroup{Account: "other", Name: "pantry"}}, noon)
	if err != nil {
		t.Fatal(err)
	}
	v, err = c.Apply(As{Account: "other", Command: AddToGroup{v.(Group).ID, []ota.Device{a}}}, noon)
	if err != nil || v != (GroupChange{}) {
		t.Errorf("a foreign device in a group: %+v, %v", v, err)
	}
	if v, err := c.Apply(As{Account: "other", Command: FindGroups{Account: "other"}}, noon); err != nil || len(v.([]Group)) != 1 {
		t.Errorf("groups of the other one: %+v, %v", v, err)
	}
}
