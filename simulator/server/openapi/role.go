package openapi

import (
	"fmt"
	"net/http"
)

// Role is what an access key may do.
type Role int

// The roles.
const (
	Admin    Role = iota // everything
	Operator             // everything but what is marked admin in the table
	Reader               // what changes nothing; secrets of devices and products are left out
)

// String gives the role in the word that ParseRole reads.
func (r Role) String() string { return [...]string{"admin", "operator", "read-only"}[r] }

// ParseRole reads admin, operator or read-only.
func ParseRole(s string) (Role, error) {
	for r := Admin; r <= Reader; r++ {
		if s == r.String() {
			return r, nil
		}
	}
	return 0, fmt.Errorf("%q is none of the roles admin, operator and read-only", s)
}

// may says why the key may not call the action, nil when it may.
func (k Key) may(a *action) *Fault {
	switch {
	case a.admin && k.Role != Admin:
		return k.forbidden("is not one of an administrator")
	case a.changes && k.Role == Reader:
		return k.forbidden("may only read")
	}
	return nil
}

func (k Key) forbidden(why string) *Fault {
	return gateway(http.StatusForbidden, "Forbidden.RAM", "User not authorized to operate on the specified resource: the access key %s %s.", k.ID, why)
}
