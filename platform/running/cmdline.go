package running

import (
	"fmt"
	"strings"
)

// FromCmdline is the slot that the kernel's command line names, or "". It reads
// as the kernel does: words are parted by blanks, double quotes keep blanks
// together, and what comes after "--" is for init. A name that is empty, too
// long, or given twice in two ways is refused.
func FromCmdline(cmdline []byte) (string, error) {
	if len(cmdline) > maxCmdline {
		return "", fmt.Errorf("the kernel's command line has more than %d bytes", maxCmdline)
	}
	name := ""
	for rest := string(cmdline); ; {
		var word string
		if word, rest = next(rest); word == "" || word == "--" {
			return name, nil
		}
		key, value, _ := strings.Cut(unquote(word), "=")
		if key != Parameter {
			continue
		}
		value = unquote(value)
		switch {
		case !isName(value):
			return "", fmt.Errorf("the kernel was started with %s=%.80q, which is no slot's name", Parameter, value)
		case name != "" && name != value:
			return "", fmt.Errorf("the kernel was started with both %s=%s and %s=%s (correct the boot script)", Parameter, name, Parameter, value)
		}
		name = value
	}
}

// next takes one word off s, with its quotes.
func next(s string) (word, rest string) {
	s = strings.TrimLeft(s, blanks)
	quoted := false
	for i := range len(s) {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case !quoted && strings.IndexByte(blanks, s[i]) >= 0:
			return s[:i], s[i:]
		}
	}
	return s, ""
}

const blanks = " \t\n\v\f\r\x00"

// unquote takes off the quotes around s, of which the last one may be missing.
func unquote(s string) string {
	if in, ok := strings.CutPrefix(s, `"`); ok {
		return strings.TrimSuffix(in, `"`)
	}
	return s
}

func isName(s string) bool {
	return s != "" && len(s) <= maxName && strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"=/\`, r) }) < 0
}
