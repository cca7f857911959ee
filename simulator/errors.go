package simulator

import "fmt"

// Code says in which way a command was refused.
type Code string

// The codes. Package openapi maps them to the iot.* codes of the cloud API.
const (
	Missing  Code = "missing"   // a field that is needed is empty
	Invalid  Code = "invalid"   // a field's value is outside of its limit
	Limit    Code = "limit"     // the account or product has as many as it may have
	NotFound Code = "not found" // the field names nothing that exists
	Exists   Code = "exists"    // the field names something that exists already
	Refused  Code = "refused"   // what the field names is not in a state that allows it
)

// Error is why a command was refused. Field is the command's field, as a Go name;
// Message names the limit and is fit to be shown to the user.
type Error struct {
	Code    Code
	Field   string
	Message string
}

// Error gives the field and the message.
func (e *Error) Error() string { return e.Field + ": " + e.Message }

func fail(code Code, field, format string, args ...any) error {
	return &Error{Code: code, Field: field, Message: fmt.Sprintf(format, args...)}
}

// invalid wraps the error of a name check; nil stays nil.
func invalid(field string, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Code: Invalid, Field: field, Message: err.Error()}
}
