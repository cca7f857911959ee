package fetch

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// Redact gives a URL for logs and reports: its server and the first part of its
// path. What a signed URL keeps secret stands in the query with some servers
// and at the end of the path with others.
func Redact(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "(unreadable URL)"
	}
	first, rest, more := strings.Cut(strings.TrimPrefix(u.EscapedPath(), "/"), "/")
	s := u.Scheme + "://" + u.Host + "/" + first
	switch {
	case more && rest != "":
		s += "/..."
	case u.RawQuery != "":
		s += "?..."
	}
	return s
}

// scrub does the same, and takes out passwords, for every URL in a text that others
// made: an error of net/http quotes the URL of a redirect or of a proxy.
func scrub(s string) string {
	var b strings.Builder
	for len(s) > 0 {
		i := strings.IndexFunc(s, isDelimiter)
		word := s
		if i >= 0 {
			word = s[:i]
		}
		if scheme, rest, ok := strings.Cut(word, "://"); ok {
			host, path, slash := strings.Cut(rest, "/")
			host = host[strings.LastIndexByte(host, '@')+1:]
			if word = scheme + "://" + host; slash {
				first, rest, more := strings.Cut(path, "/")
				if word += "/" + first; more && rest != "" {
					word += "/..."
				}
			}
		}
		if before, after, ok := strings.Cut(word, "?"); ok && after != "" {
			word = before + "?..."
		}
		b.WriteString(word)
		if i < 0 {
			break
		}
		b.WriteByte(s[i])
		s = s[i+1:]
	}
	return b.String()
}

func isDelimiter(r rune) bool { return r == ' ' || r == '"' || r == '\n' || r == '\t' }

// checkURL is the allow-list of what is downloaded from: http and https, with a
// host, and no password in the URL, which would end in a log or a redirect.
func checkURL(raw string) error {
	u, err := url.Parse(raw)
	if err != nil {
		return errors.New("the download URL cannot be read")
	}
	return checkParsed(u)
}

func checkParsed(u *url.URL) error {
	if u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("scheme %.20q of the download URL is refused, allowed are http and https", u.Scheme)
	}
	if u.Hostname() == "" {
		return errors.New("the download URL has no host")
	}
	if u.User != nil {
		return errors.New("a download URL with a user name in it is refused")
	}
	return nil
}
