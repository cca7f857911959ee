package simulator

import (
	"errors"
	"fmt"
)

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

	said Sentence
}

// Error gives the field and the message.
func (e *Error) Error() string { return e.Field + ": " + e.Message }

// Sentence gives the pattern of the message, which is its code where it is said in another
// language, and what is put into it.
func (e *Error) Sentence() (format string, args []any) { return e.said.Format, e.said.Args }

// Sentence is an error that can be said in other languages too: Format is its English
// pattern and its code, as package fmt reads it, and Args are what is put into it.
type Sentence struct {
	Format string
	Args   []any
}

// word is a text of ours within a sentence. Arguments of a string type that has a name are
// words, which have a translation too; plain strings are the user's own.
type word string

// Error gives the sentence in English.
func (s *Sentence) Error() string { return fmt.Sprintf(s.Format, s.Args...) }

// Sentence gives its pattern and what is put into it.
func (s *Sentence) Sentence() (format string, args []any) { return s.Format, s.Args }

// Say makes a Sentence.
func Say(format string, args ...any) error { return &Sentence{format, args} }

// SentenceOf gives the pattern and the arguments of an error that has them, and the empty
// pattern for any other.
func SentenceOf(err error) (format string, args []any) {
	var s interface{ Sentence() (string, []any) }
	if errors.As(err, &s) {
		return s.Sentence()
	}
	return "", nil
}

func fail(code Code, field, format string, args ...any) error {
	return &Error{Code: code, Field: field, Message: fmt.Sprintf(format, args...), said: Sentence{format, args}}
}

// invalid wraps the error of a name check; nil stays nil.
func invalid(field string, err error) error {
	if err == nil {
		return nil
	}
	format, args := SentenceOf(err)
	return &Error{Code: Invalid, Field: field, Message: err.Error(), said: Sentence{format, args}}
}
