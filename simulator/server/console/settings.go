package console

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"regexp"
	"time"

	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server/openapi"
	"github.com/leapslot/ota/simulator/server/store"
)

// named has the store write down who keeps users and access keys.
func (v *visit) named() context.Context {
	return store.InName(v.r.Context(), "user "+v.user, from(v.r))
}

func (v *visit) settingsPage() error {
	return v.settings(v.blank("Role", "operator"), v.blank("Role", "viewer"), "")
}

// settings shows the access keys and the users of the account: secret is that of a key
// that was just made, which is not shown again.
func (v *visit) settings(keyForm, userForm *form, secret string) error {
	keys, err := v.Store.ListKeys(v.r.Context())
	if err != nil {
		return err
	}
	users, err := v.Store.ListUsers(v.r.Context())
	if err != nil {
		return err
	}
	var ownKeys []store.AccessKey
	for _, k := range keys {
		if k.Account == v.account {
			ownKeys = append(ownKeys, k)
		}
	}
	var ownUsers []store.User
	for _, u := range users {
		if v.own(u) {
			ownUsers = append(ownUsers, u)
		}
	}
	return v.page("settings", "nav.settings", map[string]any{
		"Keys": ownKeys, "Users": ownUsers, "KeyForm": keyForm, "UserForm": userForm, "Secret": secret, "Account": v.account, "MaxRate": v.MaxPushRate,
	})
}

// own reports whether a user is of the visit's account.
func (v *visit) own(u store.User) bool {
	return u.Account == v.account || u.Account == "" && v.Account == v.account
}

var keyName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

const maxNote = 200

func (v *visit) makeKey() error {
	f, err := v.filled()
	if err != nil {
		return err
	}
	k := store.AccessKey{ID: f.text("ID"), Secret: rand.Text(), Account: v.account, Role: f.text("Role"), Note: f.text("Note"), Created: simulator.At(v.Now())}
	if !keyName.MatchString(k.ID) {
		f.wrong("ID", v.t("key.id.wrong"))
	}
	if _, err := openapi.ParseRole(k.Role); err != nil {
		f.wrong("Role", v.t("role.wrong"))
	}
	if len(k.Note) > maxNote {
		f.wrong("Note", v.t("error.long", "n", maxNote))
	}
	if _, taken := v.Server.Keys.Key(k.ID); taken {
		f.wrong("ID", v.t("key.id.taken"))
	}
	if !f.ok() {
		v.status = http.StatusUnprocessableEntity
		return v.settings(f, v.blank("Role", "viewer"), "")
	}
	if err := v.Store.AddKey(v.named(), k); err != nil {
		if !errors.Is(err, store.ErrKeyExists) {
			return err
		}
		f.wrong("ID", v.t("key.id.taken"))
		v.status = http.StatusUnprocessableEntity
		return v.settings(f, v.blank("Role", "viewer"), "")
	}
	return v.settings(v.blank("Role", "operator"), v.blank("Role", "viewer"), k.ID+":"+k.Secret)
}

func (v *visit) removeKey() error {
	f, err := v.filled()
	if err != nil {
		return err
	}
	k, err := v.Store.FindKey(v.r.Context(), f.text("ID"))
	if errors.Is(err, store.ErrNoKey) || err == nil && k.Account != v.account {
		return v.stay(trouble(http.StatusNotFound, "key.none"), link("settings"), v.settingsPage)
	}
	if err != nil {
		return err
	}
	if err := v.Store.RemoveKey(v.named(), k.ID, simulator.At(v.Now())); err != nil {
		return err
	}
	v.say("deleted", "name", k.ID)
	return v.to(link("settings"))
}

func (v *visit) makeUser() error {
	f, err := v.filled()
	if err != nil {
		return err
	}
	password := f.Values.Get("Password")
	f.Values.Del("Password")
	u := store.User{Name: f.text("User"), Account: v.account, Role: f.text("Role"), Created: simulator.At(v.Now())}
	if _, err := ParseRole(u.Role); err != nil {
		f.wrong("Role", v.t("role.wrong"))
	}
	f.checkUser(&u, password)
	if f.ok() {
		err := v.Store.AddUser(v.named(), u)
		if err == nil {
			v.say("user.made", "name", u.Name)
			return v.to(link("settings"))
		}
		if !errors.Is(err, store.ErrUserExists) {
			return err
		}
		f.wrong("User", v.t("user.name.taken"))
	}
	v.status = http.StatusUnprocessableEntity
	return v.settings(v.blank("Role", "operator"), f, "")
}

func (v *visit) removeUser() error {
	f, err := v.filled()
	if err != nil {
		return err
	}
	u, err := v.Store.FindUser(v.r.Context(), f.text("User"))
	if errors.Is(err, store.ErrNoUser) || err == nil && !v.own(u) {
		return v.stay(trouble(http.StatusNotFound, "user.none"), link("settings"), v.settingsPage)
	}
	if err != nil {
		return err
	}
	if u.Name == v.user {
		return v.stay(trouble(http.StatusUnprocessableEntity, "user.self"), link("settings"), v.settingsPage)
	}
	if err := v.Store.RemoveUser(v.named(), u.Name, simulator.At(v.Now())); err != nil {
		return err
	}
	v.say("deleted", "name", u.Name)
	return v.to(link("settings"))
}

func (v *visit) passwordPage() error {
	return v.page("password", "password.title", map[string]any{"Form": v.blank()})
}

func (v *visit) setPassword() error {
	f, err := v.filled()
	if err != nil {
		return err
	}
	old, password := f.Values.Get("Old"), f.Values.Get("Password")
	f.Values.Del("Old")
	f.Values.Del("Password")
	if !v.tries.allow(time.Now(), "from "+from(v.r), "name "+v.user) {
		return v.tooMany(f, "password", "password.title")
	}
	u, err := v.Store.FindUser(v.r.Context(), v.user)
	if err != nil {
		return err
	}
	fits := false
	if err := v.costly(v.r.Context(), func() { fits = len(old) <= MaxPassword && verify(old, u.Hash) }); err != nil {
		return err
	}
	if !fits {
		f.wrong("Old", v.t("password.old.wrong"))
	}
	f.checkUser(&u, password)
	if !f.ok() {
		return f.again("password", "password.title", map[string]any{})
	}
	if err := v.Store.SetPassword(v.named(), u.Name, u.Hash, simulator.At(v.Now())); err != nil {
		return err
	}
	if err := v.open(u); err != nil { // the other sessions of the user end
		return err
	}
	v.say("saved")
	return v.to(Root)
}
