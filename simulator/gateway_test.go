package simulator

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/leapslot/ota"
)

// plant is a world with two gateways beside the devices.
func newPlant(t *testing.T, devices int) (w *world, gw, gw2 ota.Device) {
	w = newWorld(t, devices)
	key := w.do(CreateProduct{Account: "me", Name: "gateway", NodeType: 1}).(Product).Key
	w.do(RegisterDevices{Product: key, Names: []string{"gw", "gw2"}})
	return w, ota.Device{ProductKey: key, Name: "gw"}, ota.Device{ProductKey: key, Name: "gw2"}
}

func (w *world) sign(d ota.Device) ota.SubLogin {
	w.t.Helper()
	return ota.NewSubLogin(d, w.do(FindDevice{Product: d.ProductKey, Name: d.Name}).(Device).Secret)
}

// denied applies a gateway's command that must be refused and change nothing.
func (w *world) denied(cmd Command, code ota.GatewayCode, d ota.Device) {
	w.t.Helper()
	_, err := w.cloud.Apply(cmd, w.now)
	var e *ota.GatewayError
	if !errors.As(err, &e) || e.Code != code || e.Device != d || e.Message == "" {
		w.t.Errorf("%+v\ngot  %#v\nwant %d of %s", cmd, err, code, d)
	}
	if n := w.cloud.Changes().Rows(); n != 0 {
		w.t.Errorf("%T was refused and changed %d rows", cmd, n)
	}
}

func (w *world) wantSubs(gw ota.Device, names ...string) {
	w.t.Helper()
	want := []ota.Device{}
	for _, n := range names {
		want = append(want, w.dev(n))
	}
	got := w.do(FindSubDevices{gw}).([]ota.Device)
	if d := cmp.Diff(want, append([]ota.Device{}, got...)); d != "" {
		w.t.Errorf("sub-devices of %s\n%s", gw, d)
	}
}

func TestTopology(t *testing.T) {
	w, gw, gw2 := newPlant(t, 4)
	w.wantSubs(gw)
	w.denied(AdmitSubDevice{gw, w.sign(w.dev("d1"))}, ota.GatewayNoTopology, w.dev("d1"))
	add := AddSubDevices{gw, []ota.SubLogin{w.sign(w.dev("d1")), w.sign(w.dev("d2"))}}
	if left := w.do(add).([]ota.Device); len(left) != 0 {
		t.Errorf("left %v", left)
	}
	w.do(add) // again: nothing new
	w.wantSubs(gw, "d1", "d2")
	if d := w.do(AdmitSubDevice{gw, w.sign(w.dev("d1"))}).(Device); d.Name != "d1" {
		t.Errorf("%+v", d)
	}
	w.denied(AdmitSubDevice{gw2, w.sign(w.dev("d1"))}, ota.GatewayNoTopology, w.dev("d1"))
	if left := w.do(AddSubDevices{gw2, add.Subs[:1]}).([]ota.Device); len(left) != 1 || left[0] != w.dev("d1") {
		t.Errorf("left %v", left)
	}
	w.wantSubs(gw, "d2")
	w.wantSubs(gw2, "d1")
	w.denied(RemoveSubDevices{gw, []ota.Device{w.dev("d2"), w.dev("d1")}}, ota.GatewayNoTopology, w.dev("d1"))
	w.do(RemoveSubDevices{gw2, []ota.Device{w.dev("d1")}})
	w.wantSubs(gw2)
	w.do(AddSubDevices{gw, add.Subs[:1]})
	w.wantSubs(gw, "d2", "d1")
}

func TestTopologyRefused(t *testing.T) {
	w, gw, gw2 := newPlant(t, 2)
	d1, d2 := w.dev("d1"), w.dev("d2")
	wrong := ota.NewSubLogin(d1, "wrong")
	nobody := ota.Device{ProductKey: w.product, Name: "nobody"}
	add := func(logins ...ota.SubLogin) Command { return AddSubDevices{gw, logins} }
	w.denied(add(w.sign(d2), wrong), ota.GatewaySignature, d1)
	w.denied(add(ota.NewSubLogin(nobody, "x")), ota.GatewayNoDevice, nobody)
	w.denied(add(w.sign(gw2)), ota.GatewayNoTopology, gw2)
	w.denied(add(w.sign(gw)), ota.GatewayNoTopology, gw)
	w.denied(AddSubDevices{d1, []ota.SubLogin{w.sign(d2)}}, ota.GatewayNoTopology, d1)
	w.denied(FindSubDevices{nobody}, ota.GatewayNoDevice, nobody)
	w.denied(RemoveSubDevices{gw, []ota.Device{nobody}}, ota.GatewayNoDevice, nobody)
	// F5: another account's device is not there, even to who knows its secret.
	foreign := w.do(CreateProduct{Account: "you", Name: "lamp"}).(Product).Key
	theirs := w.do(RegisterDevices{Product: foreign, Names: []string{"d1"}}).([]Device)[0]
	w.denied(add(ota.NewSubLogin(theirs.Device, theirs.Secret)), ota.GatewayNoDevice, theirs.Device)
	w.do(add(w.sign(d1)))
	login := w.sign(d1)
	w.do(SetDeviceDisabled{Product: w.product, Name: "d1", Disabled: true})
	w.denied(AdmitSubDevice{gw, login}, ota.GatewayDisabled, d1)
	w.denied(AdmitSubDevice{gw, wrong}, ota.GatewaySignature, d1)
}

func TestTopologyLimits(t *testing.T) {
	w, gw, _ := newPlant(t, 0)
	if got := w.do(FindSubLimits{gw}).(SubLimits); got != (SubLimits{1500, 5}) {
		t.Errorf("%+v", got)
	}
	made := w.do(RegisterDevices{Product: w.product, Count: MaxSubDevicesNow + 1}).([]Device)
	add := func(from, to int) AddSubDevices {
		cmd := AddSubDevices{Gateway: gw}
		for _, d := range made[from:to] {
			cmd.Subs = append(cmd.Subs, ota.NewSubLogin(d.Device, d.Secret))
		}
		return cmd
	}
	w.do(add(0, 1500))
	w.denied(add(1500, 1501), ota.GatewayFull, gw)
	w.do(SetRules{Product: gw.ProductKey, Rules: RulesNow()})
	if got := w.do(FindSubLimits{gw}).(SubLimits); got != (SubLimits{2000, 50}) {
		t.Errorf("%+v", got)
	}
	w.do(add(1500, 2000))
	w.denied(add(2000, 2001), ota.GatewayFull, gw)
}

// What is gone is no sub-device, and neither is one that was registered again under
// the same name, nor is it one of a gateway that was.
func TestTopologyOfDeleted(t *testing.T) {
	w, gw, gw2 := newPlant(t, 2)
	d1, d2 := w.dev("d1"), w.dev("d2")
	w.do(AddSubDevices{gw, []ota.SubLogin{w.sign(d1), w.sign(d2)}})
	w.do(DeleteDevice{d1.ProductKey, d1.Name})
	w.wantSubs(gw, "d2")
	w.do(RegisterDevices{Product: w.product, Names: []string{"d1"}})
	w.wantSubs(gw, "d2")
	w.denied(AdmitSubDevice{gw, w.sign(d1)}, ota.GatewayNoTopology, d1)
	w.do(AddSubDevices{gw, []ota.SubLogin{w.sign(d1)}})
	w.wantSubs(gw, "d2", "d1")
	w.do(DeleteDevice{gw.ProductKey, gw.Name})
	w.denied(FindSubDevices{gw}, ota.GatewayNoDevice, gw)
	w.do(RegisterDevices{Product: gw.ProductKey, Names: []string{gw.Name}})
	w.wantSubs(gw)
	w.denied(AdmitSubDevice{gw, w.sign(d1)}, ota.GatewayNoTopology, d1)
	if left := w.do(AddSubDevices{gw2, []ota.SubLogin{w.sign(d1)}}).([]ota.Device); len(left) != 1 {
		t.Errorf("left %v", left)
	}
	w.wantSubs(gw2, "d1")
}

func TestTopologyUndo(t *testing.T) {
	w, gw, gw2 := newPlant(t, 2)
	login := w.sign(w.dev("d1"))
	w.do(AddSubDevices{gw, []ota.SubLogin{login}})
	for _, cmd := range []Command{
		AddSubDevices{gw2, []ota.SubLogin{login}}, RemoveSubDevices{gw, []ota.Device{w.dev("d1")}},
		AddSubDevices{gw, []ota.SubLogin{w.sign(w.dev("d2"))}}, DeleteDevice{w.product, "d1"},
	} {
		if _, err := w.cloud.Apply(cmd, w.now); err != nil {
			t.Fatal(err)
		}
		w.cloud.Undo()
		w.wantSubs(gw, "d1")
		w.wantSubs(gw2)
	}
}
