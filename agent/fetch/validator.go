package fetch

import (
	"fmt"
	"net/http"
	"strings"
)

const maxValidator = 256 // bytes; a longer one is as good as none

// A validator is one string: a strong ETag, else a Last-Modified, else a weak
// ETag. Their forms tell them apart. The first two make an If-Range; a weak
// ETag must not, and is only compared with that of the answer.

// validatorOf picks the validator of an answer, "" when it has none.
func validatorOf(h http.Header) string {
	tag, date := h.Get("ETag"), h.Get("Last-Modified")
	switch {
	case isTag(tag):
		return tag
	case isDate(date):
		return date
	case isWeak(tag):
		return tag
	}
	return ""
}

func validatorOK(s string) bool { return isTag(s) || isDate(s) || isWeak(s) }

func isTag(s string) bool {
	if len(s) < 2 || len(s) > maxValidator || s[0] != '"' || s[len(s)-1] != '"' {
		return false
	}
	for _, c := range []byte(s[1 : len(s)-1]) {
		if c <= ' ' || c == '"' || c == 0x7f {
			return false
		}
	}
	return true
}

func isWeak(s string) bool { return strings.HasPrefix(s, "W/") && isTag(s[2:]) }

func isDate(s string) bool {
	if len(s) > maxValidator {
		return false
	}
	_, err := http.ParseTime(s)
	return err == nil
}

// differs says how an answer's validator contradicts the one that was begun
// with, "" when it does not. A server may leave it out of the answer to an
// If-Range; then the answer's code is what it says.
func differs(begun string, h http.Header) string {
	if begun == "" {
		return ""
	}
	if !isDate(begun) {
		tag := h.Get("ETag")
		if tag == "" || strings.TrimPrefix(tag, "W/") == strings.TrimPrefix(begun, "W/") {
			return ""
		}
		return fmt.Sprintf("its ETag is %.40q now, and was %.40q", tag, begun)
	}
	date := h.Get("Last-Modified")
	now, err := http.ParseTime(date)
	then, _ := http.ParseTime(begun)
	if date == "" || err == nil && now.Equal(then) {
		return ""
	}
	return fmt.Sprintf("it was modified on %.40q, and before on %.40q", date, begun)
}
