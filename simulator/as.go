package simulator

import (
	"fmt"
	"unicode/utf8"
)

// As is a command in somebody's name. It reaches only what Account owns: anything else
// is not found, in the words that it would be if it did not exist, whichever command asks
// and however many objects it names. With an Entry it is written down, in the same
// Changes as what it did; one that was refused is written down too.
//
// The result is the Command's. With no Command nothing is done but the writing.
type As struct {
	Account string // "" owns everything
	Entry   *AuditEntry
	Command Command
}

// AuditEntry is a line of the audit log: who did what, when, from where, and what came
// of it. At is set by the cloud, Result too when it is empty, and what the command has
// made is added to Object.
type AuditEntry struct {
	At      Stamp
	Account string
	Key     string // of the caller: an access key's id, or a user
	Action  string // of the cloud API
	Object  string // what it was about
	From    string // the caller's address
	Request string // RequestId of the answer
	Result  string // AuditOK, or the code and the text of the refusal
}

// AuditOK is the result of what was done.
const AuditOK = "OK"

// Limits of an entry, in characters. Longer texts are cut.
const (
	MaxAuditObject = 256
	MaxAuditResult = 256
)

func (a As) apply(c *Cloud, now Stamp) (v any, err error) {
	if a.Command != nil {
		c.account = a.Account
		defer func() { c.account = "" }()
		v, err = a.Command.apply(c, now)
	}
	if a.Entry != nil && !Looks(a) {
		c.record(*a.Entry, v, err, now)
	}
	return v, err
}

func (c *Cloud) record(e AuditEntry, v any, err error, now Stamp) {
	e.At = now
	if made := objectOf(v); made != "" && e.Object != made {
		e.Object += " " + made
		if e.Object[0] == ' ' {
			e.Object = made
		}
	}
	switch {
	case err != nil:
		e.Result = err.Error()
		if refused, ok := err.(*Error); ok {
			e.Result = fmt.Sprintf("%s: %s", refused.Code, refused)
		}
	case e.Result == "":
		e.Result = AuditOK
	}
	e.Object, e.Result = clip(e.Object, MaxAuditObject), clip(e.Result, MaxAuditResult)
	c.audit = append(c.audit, e)
}

// objectOf names what a command has made or changed.
func objectOf(v any) string {
	switch v := v.(type) {
	case Product:
		return v.Key
	case Package:
		return v.ID
	case Job:
		return v.ID
	case Group:
		return v.ID
	case Device:
		return v.Device.String()
	}
	return ""
}

// Bare gives the command without the name that it is given in.
func Bare(cmd Command) Command {
	if a, ok := cmd.(As); ok {
		return a.Command
	}
	return cmd
}

// foreign reports whether what account owns is out of reach of the command that is
// being applied. Every object that a command names is looked up through a place that
// asks this: product, pack, job and group.
func (c *Cloud) foreign(account string) bool { return c.account != "" && c.account != account }

func clip(s string, most int) string {
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most])
}
