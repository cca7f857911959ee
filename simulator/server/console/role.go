package console

import "fmt"

// Role is what a user may do; each may do what those before it may.
type Role int

// The roles.
const (
	Nobody   Role = iota // not signed in
	Viewer               // looks at everything but secrets, the audit log and the settings
	Operator             // and registers, uploads, verifies, upgrades and cancels
	Admin                // and switches secure upgrade, reads the audit log, and keeps users and access keys
)

// String gives the role in the word that ParseRole reads.
func (r Role) String() string { return [...]string{"", "viewer", "operator", "admin"}[r] }

// ParseRole reads viewer, operator or admin.
func ParseRole(s string) (Role, error) {
	for r := Viewer; r <= Admin; r++ {
		if s == r.String() {
			return r, nil
		}
	}
	return Nobody, fmt.Errorf("%q is none of the roles viewer, operator and admin", s)
}
