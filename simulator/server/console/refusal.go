package console

import (
	"errors"
	"reflect"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/leapslot/ota/simulator"
)

// refusedKey is what the catalogs' keys of refusals begin with; behind it stands the
// refusal's English pattern, which is its code. Words within refusals have a key too.
const (
	refusedKey = "refused."
	wordKey    = "refused.word."
)

// maxQuoted is the most characters of what a user gave that a refusal says again.
const maxQuoted = 80

// refusal says an error of the model, or of a list or a file, in the user's language. The
// cloud API says the same in English.
func (v *visit) refusal(err error) string {
	format, args := simulator.SentenceOf(err)
	words := v.pages.words(v.lang)
	if _, known := words[refusedKey+format]; !known || format == "" {
		var no *simulator.Error
		if errors.As(err, &no) {
			return no.Message
		}
		return err.Error()
	}
	pairs := make([]any, 0, 2*len(args))
	for i, a := range args {
		pairs = append(pairs, i+1, v.argument(a))
	}
	return sentence(words.text(refusedKey+format, pairs...))
}

// argument is what a refusal puts into its sentence: words and errors in the user's
// language, numbers as people read them, and the user's own text clipped.
func (v *visit) argument(a any) any {
	switch a := a.(type) {
	case error:
		if said := v.refusal(a); said != a.Error() {
			return said
		}
		return v.word(a.Error())
	case rune:
		return string(a)
	case byte:
		return string(rune(a))
	case string:
		if utf8.RuneCountInString(a) > maxQuoted {
			return string([]rune(a)[:maxQuoted]) + "…"
		}
		return a
	}
	if t := reflect.ValueOf(a); t.Kind() == reflect.String {
		return v.word(t.String())
	}
	return a
}

// word is a text of the model in the user's language; one that has none stays.
func (v *visit) word(s string) string {
	if said, ok := v.pages.words(v.lang)[wordKey+s]; ok {
		return said
	}
	return s
}

// sentence begins with a capital, where the language has any.
func sentence(s string) string {
	first, n := utf8.DecodeRuneInString(s)
	return strings.ToUpper(string(unicode.ToUpper(first))) + s[n:]
}

// What the cloud says of a version that was not the one expected.
var (
	notTarget  = regexp.MustCompile(`^reported version (\S*), expected (\S*)$`)
	notNeither = regexp.MustCompile(`^reported version (\S*), neither (\S*) nor (\S*)$`)
)

// reason is why a task failed or was cancelled: the cloud's own reasons in the catalog's
// language, a device's own words as they are. The document's "timeout" stays what it is.
func (c catalog) reason(s string) string {
	if said, ok := c[wordKey+s]; ok {
		return said
	}
	if m := notTarget.FindStringSubmatch(s); m != nil {
		return c.text("reason.target", "got", m[1], "target", m[2])
	}
	if m := notNeither.FindStringSubmatch(s); m != nil {
		return c.text("reason.neither", "got", m[1], "source", m[2], "target", m[3])
	}
	return s
}
