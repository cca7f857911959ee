package ota

import "fmt"

// sentence is an error that can be said in other languages too: it keeps what it was made of.
type sentence struct {
	format string
	args   []any
}

// word is one of ours within a sentence, which has a translation too. Plain strings are the
// user's own and have none.
type word string

func say(format string, args ...any) error { return &sentence{format, args} }

// Error gives the sentence in English.
func (s *sentence) Error() string { return fmt.Sprintf(s.format, s.args...) }

// Sentence gives the English pattern, which is also the sentence's code, and what is put
// into it.
func (s *sentence) Sentence() (format string, args []any) { return s.format, s.args }
