package console

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server/openapi"
	"github.com/leapslot/ota/simulator/server/store"
)

// CheckUserName says why a text cannot be a user's name.
func CheckUserName(name string) error {
	if !userName.MatchString(name) {
		return errors.New("a user's name has 1 to 64 of A-Z a-z 0-9 . _ @ -")
	}
	return nil
}

var userName = regexp.MustCompile(`^[A-Za-z0-9._@-]{1,64}$`)

// proofOf stands for a password hash in a session: when the password changes, sessions
// opened with the old one end.
func proofOf(hash string) string {
	sum := sha256.Sum256([]byte("session " + hash))
	return hex.EncodeToString(sum[:16])
}

// signedIn finds out who the visit is of. The user is looked up each time: one who was
// removed, or has another role now, notices at once.
func (v *visit) signedIn() error {
	v.user, v.role, v.account = "", Nobody, ""
	name := v.sessions.GetString(v.r.Context(), keyUser)
	if name == "" {
		return nil
	}
	u, err := v.Store.FindUser(v.r.Context(), name)
	switch {
	case errors.Is(err, store.ErrNoUser):
		return v.sessions.Destroy(v.r.Context())
	case err != nil:
		return err
	case v.sessions.GetString(v.r.Context(), keyProof) != proofOf(u.Hash):
		return v.sessions.Destroy(v.r.Context())
	}
	role, err := ParseRole(u.Role)
	if err != nil {
		return err
	}
	v.user, v.role, v.account = u.Name, role, u.Account
	if v.account == "" {
		v.account = v.Account
	}
	if v.account == "" {
		v.role = Nobody
		return trouble(http.StatusForbidden, "error.account", "name", u.Name)
	}
	return nil
}

// open begins a session. The token is another one than before (a fixed one is of no use).
func (v *visit) open(u store.User) error {
	ctx := v.r.Context()
	if err := v.sessions.RenewToken(ctx); err != nil {
		return err
	}
	v.sessions.Put(ctx, keyUser, u.Name)
	v.sessions.Put(ctx, keyProof, proofOf(u.Hash))
	return nil
}

func (v *visit) signInPage() error {
	if v.role > Nobody {
		return v.to(Root)
	}
	users, err := v.Store.ListUsers(v.r.Context())
	if err != nil {
		return err
	}
	if len(users) == 0 {
		return v.to(link("first"))
	}
	return v.page("sign-in", "signin.title", map[string]any{"Form": v.blank("Next", v.r.URL.Query().Get("next"))})
}

func (v *visit) signIn() error {
	f, err := v.filled()
	if err != nil {
		return err
	}
	name, password := f.text("User"), f.Values.Get("Password")
	f.Values.Del("Password")
	if !v.tries.allow(time.Now(), "from "+from(v.r), "name "+strings.ToLower(name)) {
		return v.tooMany(f, "sign-in", "signin.title")
	}
	u, err := v.Store.FindUser(v.r.Context(), name)
	if err != nil && !errors.Is(err, store.ErrNoUser) {
		return err
	}
	hash := u.Hash
	if err != nil {
		hash = nobody
	}
	fits := false
	if err := v.costly(v.r.Context(), func() { fits = len(password) <= MaxPassword && verify(password, hash) }); err != nil {
		return err
	}
	if !fits || hash == nobody {
		v.log.Warn("console: a sign-in was refused", "user", name, "remote", v.r.RemoteAddr)
		f.Top = v.t("signin.wrong")
		return f.again("sign-in", "signin.title", map[string]any{})
	}
	if err := v.open(u); err != nil {
		return err
	}
	v.log.Info("console: signed in", "user", u.Name, "remote", v.r.RemoteAddr)
	return v.to(within(f.text("Next")))
}

func (v *visit) tooMany(f *form, page, title string) error {
	v.log.Warn("console: too many tries", "remote", v.r.RemoteAddr)
	f.Top = v.t("signin.often")
	v.status = http.StatusTooManyRequests
	return v.page(page, title, map[string]any{"Form": f})
}

// within gives a path of the console to go to, and never one of elsewhere.
func within(next string) string {
	if strings.HasPrefix(next, Root) && !strings.ContainsAny(next, "\\\r\n") && !strings.HasPrefix(next, Root+"/") {
		return next
	}
	return Root
}

func (v *visit) signOut() error {
	if err := v.sessions.Destroy(v.r.Context()); err != nil {
		return err
	}
	return v.to(link("sign-in"))
}

func (v *visit) firstPage() error {
	users, err := v.Store.ListUsers(v.r.Context())
	if err != nil {
		return err
	}
	if len(users) > 0 {
		return v.to(link("sign-in"))
	}
	return v.page("first", "first.title", map[string]any{"Form": v.blank("User", "admin")})
}

// first makes the first admin, for somebody who has an administrator's access key. Its
// account is the key's.
func (v *visit) first() error {
	f, err := v.filled()
	if err != nil {
		return err
	}
	secret, password := f.text("Key"), f.Values.Get("Password")
	f.Values.Del("Key")
	f.Values.Del("Password")
	if !v.tries.allow(time.Now(), "from "+from(v.r), "first") {
		return v.tooMany(f, "first", "first.title")
	}
	key, err := openapi.ParseKey(secret)
	if err == nil {
		known, ok := v.Keys.Key(key.ID)
		if !ok || subtle.ConstantTimeCompare([]byte(known.Secret), []byte(key.Secret)) != 1 || known.Role != openapi.Admin || known.Secret == "" {
			ok = false
		}
		if key = known; !ok {
			err = errors.New("no")
		}
	}
	if err != nil {
		f.wrong("Key", v.t("first.key.wrong"))
	}
	u := store.User{Name: f.text("User"), Account: key.Account, Role: Admin.String(), Created: simulator.At(v.Now())}
	f.checkUser(&u, password)
	if f.ok() {
		err = v.Store.AddFirstUser(v.r.Context(), u)
		if err == nil {
			if err := v.open(u); err != nil {
				return err
			}
			v.say("first.done")
			return v.to(Root)
		}
		if !errors.Is(err, store.ErrUserExists) {
			return err
		}
		f.Top = v.t("first.late")
	}
	return f.again("first", "first.title", map[string]any{})
}

// checkUser checks a new user's name and password, and hashes that.
func (f *form) checkUser(u *store.User, password string) {
	if CheckUserName(u.Name) != nil {
		f.wrong("User", f.v.t("user.name.wrong"))
	}
	if CheckPassword(password) != nil {
		f.wrong("Password", f.v.t("user.password.wrong", "min", MinPassword, "max", MaxPassword))
	}
	if !f.ok() {
		return
	}
	if err := f.v.costly(f.v.r.Context(), func() { u.Hash, _ = HashPassword(password) }); err != nil || u.Hash == "" {
		f.Top = f.v.t("error.server")
	}
}

// look of the page itself: light or dark.
func (v *visit) theme() error {
	f, err := v.filled()
	if err != nil {
		return err
	}
	v.keep(themeCookie, f.text("Theme"))
	return v.to(within(f.text("Next")))
}
