package simulator

import (
	"testing"

	"github.com/leapslot/ota"
)

func (w *world) registration(name string, fresh bool) RegisterDynamic {
	w.t.Helper()
	secret := w.do(FindProduct{w.product}).(Product).Secret
	l, err := ota.Registration{Device: w.dev(name), ProductSecret: secret, Random: "1", New: fresh}.Login()
	if err != nil {
		w.t.Fatal(err)
	}
	return RegisterDynamic{Device: w.dev(name), Login: l, Fresh: fresh}
}

// Off by default; with the rule, a device that has not signed in yet gets its secret, as
// often as it needs, and never again once it has.
func TestRegistration(t *testing.T) {
	w := newWorld(t, 1)
	made := w.do(RegisterDevices{Product: w.product, Names: []string{"new"}}).([]Device)[0]
	cmd := w.registration("new", false)
	w.refused(cmd, Refused, "Device", "does not allow")
	w.do(SetRules{Product: w.product, Rules: Rules{NewRegistration: true}})
	w.refused(cmd, Refused, "Device", "does not allow")
	w.do(SetRules{Product: w.product, Rules: Rules{Registration: true}})
	want := ota.Registered{Device: w.dev("new"), Secret: made.Secret}
	for range 2 {
		if got := w.do(cmd); got != want {
			t.Errorf("%+v", got)
		}
	}
	wrong := cmd
	wrong.Login.Password = made.Secret
	w.refused(wrong, Refused, "Login", "does not match")
	w.refused(w.registration("nobody", false), NotFound, "Device", "nobody")
	w.refused(w.registration("nobody", true), Refused, "Device", "does not allow")
	w.refused(w.registration("d1", false), Refused, "Device", "signed in before")
	w.do(SetDeviceDisabled{Product: w.product, Name: "new", Disabled: true})
	w.refused(cmd, Refused, "Device", "disabled")
	w.do(SetDeviceDisabled{Product: w.product, Name: "new"})
	w.online("new")
	w.refused(cmd, Refused, "Device", "signed in before")
}

func TestRegistrationOfNewDevices(t *testing.T) {
	w := newWorld(t, 1)
	w.do(SetRules{Product: w.product, Rules: Rules{NewRegistration: true}})
	cmd := w.registration("new", true)
	first := w.do(cmd).(ota.Registered)
	if again := w.do(cmd); again != first || first.Secret != "" || len(first.ClientID) != 32 || len(first.Token) != 64 {
		t.Errorf("%+v, then %+v", first, again)
	}
	d := w.do(FindDevice{w.product, "new"}).(Device)
	if !d.IsToken(first.ClientID, first.Token) || d.IsToken(first.ClientID, first.Token+"0") || d.IsToken("", "") || d.IsToken(first.ClientID, d.Secret) {
		t.Error("the token is not the device's, or something else is")
	}
	if other := w.do(w.registration("newer", true)).(ota.Registered); other.Token == first.Token || d.IsToken(other.ClientID, other.Token) {
		t.Error("another one's token")
	}
	w.refused(w.registration("d1", true), Refused, "Device", "signed in before")
	w.online("new")
	w.refused(cmd, Refused, "Device", "signed in before")
	w.do(DeleteDevice{w.product, "new"})
	if fresh := w.do(cmd).(ota.Registered); fresh.Token == first.Token {
		t.Error("a deleted device's token came back")
	}
	w.refused(RegisterDynamic{Device: ota.Device{ProductKey: "x", Name: "y"}}, NotFound, "Device", "x")
}
