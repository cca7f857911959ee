package simulator

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// CheckPackageName says why s is not the name of a package: 1 to 40 of Chinese,
// English and Japanese letters, digits and - _ ( ), the first one a letter or a
// digit (P13).
func CheckPackageName(s string) error {
	n := utf8.RuneCountInString(s)
	if n < 1 || n > MaxPackageName {
		return Say("a package's name has 1 to %d characters, not %d", MaxPackageName, n)
	}
	for i, r := range s {
		if letter(r) || i > 0 && strings.ContainsRune("-_()", r) {
			continue
		}
		if i == 0 {
			return Say("a package's name begins with a Chinese, English or Japanese letter or a digit, not with %q", r)
		}
		return Say("a package's name has Chinese, English and Japanese letters, digits and - _ ( ), not %q", r)
	}
	return nil
}

// letter: ASCII letters and digits, Han, kana, the prolonged sound mark and the
// iteration mark, which Unicode counts to no script of their own.
func letter(r rune) bool {
	switch {
	case r < utf8.RuneSelf:
		return r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z'
	case r == utf8.RuneError:
		return false
	}
	return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana) || r == 'ー' || r == 'ｰ'
}

// CheckFileName says why s is not the name of a package file: it ends in one of the
// suffixes, in any case (P3), and is a plain name.
func CheckFileName(s string, suffixes []string) error {
	low := strings.ToLower(s)
	if !slices.ContainsFunc(suffixes, func(x string) bool { return strings.HasSuffix(low, x) && len(low) > len(x) }) {
		return Say("a package file ends in %s, not as %q does", strings.Join(suffixes, " "), s)
	}
	if strings.ContainsAny(s, "/\\\x00") || !utf8.ValidString(s) {
		return Say("a package file's name is a plain name, not %q", s)
	}
	return nil
}
