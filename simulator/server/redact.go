package server

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
)

// What the history shows to everybody who may look is first rid of what lets somebody in:
// secrets, passwords and tokens, the signatures of gateways for their sub-devices, and
// the part of a download URL that makes it one. A digest or a digestsign is no secret.

// redacted stands where something was taken out.
const redacted = "•••"

// maxSearched is the most bytes of a message that are looked at; what is behind them is
// not kept.
const maxSearched = 16 << 10

// secretNames are the keys, in lower case, whose values nobody sees.
func secretNames() []string {
	return []string{"devicesecret", "productsecret", "devicetoken", "secret", "password", "passwd", "token", "filetoken", "accesstoken", "accesskeysecret", "signature"}
}

// hints are what a message has in it that may have a secret in it: most have none, and
// are not taken apart.
func hints() []string { return []string{"secret", "token", "passw", "signature"} }

var (
	secretPair = regexp.MustCompile(`(?i)("(?:` + strings.Join(secretNames(), "|") + `)"\s*:\s*)("(?:[^"\\]|\\.)*"?|[^",}\]\s]+)`)
	signPair   = regexp.MustCompile(`(?i)("sign"\s*:\s*)("(?:[^"\\]|\\.)*"?|[^",}\]\s]+)`)
)

// redact takes out of a message what nobody may see. gateway says that a `sign` in it is
// a sub-device's proof.
func redact(b []byte, gateway bool) []byte {
	if len(b) > maxSearched {
		b = b[:maxSearched]
	}
	if bytes.IndexByte(b, '\\') >= 0 { // written otherwise, a key is not found by its letters
		if plain, ok := unescaped(b); ok && (suspicious(plain) || gateway) {
			b = plain
		}
	}
	if suspicious(b) || gateway {
		b = secretPair.ReplaceAll(b, []byte(`${1}"`+redacted+`"`))
		if gateway {
			b = signPair.ReplaceAll(b, []byte(`${1}"`+redacted+`"`))
		}
	}
	return redactURLs(b)
}

// redactURLs does so with every URL, wherever it stands.
func redactURLs(b []byte) []byte {
	const mark, ends = "://", " \t\r\n\"'<>\\"
	var out []byte
	for {
		at := bytes.Index(b, []byte(mark))
		if at < 0 {
			return append(out, b...)
		}
		begin := at
		for begin > 0 && schemeByte(b[begin-1]) {
			begin--
		}
		end := bytes.IndexAny(b[at:], ends)
		if end < 0 {
			end = len(b) - at
		}
		end += at
		out = append(out, b[:begin]...)
		out = append(out, redactURL(string(b[begin:end]))...)
		b = b[end:]
	}
}

func schemeByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '+' || c == '-' || c == '.'
}

func suspicious(b []byte) bool {
	lower := bytes.ToLower(b)
	for _, h := range hints() {
		if bytes.Contains(lower, []byte(h)) {
			return true
		}
	}
	return false
}

// unescaped writes a JSON value anew, with every letter as itself.
func unescaped(b []byte) ([]byte, bool) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return nil, false
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if e.Encode(v) != nil {
		return nil, false
	}
	return bytes.TrimSpace(out.Bytes()), true
}

// redactURL keeps of a URL where it leads, and not what opens it there: its user, its
// query, and the last part of its path, which in our own is the signature.
func redactURL(u string) string {
	scheme, rest, _ := strings.Cut(u, "://")
	rest, _, _ = strings.Cut(rest, "#")
	rest, query, has := strings.Cut(rest, "?")
	host, path, deep := strings.Cut(rest, "/")
	if at := strings.LastIndexByte(host, '@'); at >= 0 {
		host = redacted + host[at:]
	}
	out := scheme + "://" + host
	if deep {
		out += "/" + path
		if at := strings.LastIndexByte(path, '/'); at >= 0 && strings.HasPrefix(path, "p/") {
			out = scheme + "://" + host + "/" + path[:at+1] + redacted
		}
	}
	if has && query != "" {
		out += "?" + redacted
	}
	return out
}
