package openapi

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // the protocol's own choice
	"encoding/base64"
	"maps"
	"slices"
	"strings"
)

// Version is the version of the API that is spoken.
const Version = "2018-01-20"

// TimeFormat is how a request says when it was signed, in UTC.
const TimeFormat = "2006-01-02T15:04:05Z"

// signatureName is the one parameter that is not signed.
const signatureName = "Signature"

// StringToSign is the text that a request's signature covers: the HTTP method, the
// path and every parameter of query and form, empty ones included, sorted by name
// and percent-encoded twice over (protocol section 9).
func StringToSign(method string, params map[string]string) string {
	var canonical strings.Builder
	for _, name := range slices.Sorted(maps.Keys(params)) {
		if name == signatureName {
			continue
		}
		if canonical.Len() > 0 {
			canonical.WriteByte('&')
		}
		percentEncode(&canonical, name)
		canonical.WriteByte('=')
		percentEncode(&canonical, params[name])
	}
	var text strings.Builder
	text.Grow(len(method) + 5 + 2*canonical.Len())
	text.WriteString(method)
	text.WriteString("&%2F&")
	percentEncode(&text, canonical.String())
	return text.String()
}

// Sign gives the signature of a request: the base64 of HMAC-SHA1 over StringToSign,
// keyed with the secret of the access key and an ampersand.
func Sign(secret, method string, params map[string]string) string {
	return signText(secret, StringToSign(method, params))
}

func signText(secret, text string) string {
	mac := hmac.New(sha1.New, []byte(secret+"&"))
	mac.Write([]byte(text))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

const upperHex = "0123456789ABCDEF"

// percentEncode writes s with everything but A-Z a-z 0-9 - _ . ~ as %XX. This is
// not url.QueryEscape, which writes a blank as + and leaves nothing else alone that
// the platform does not.
func percentEncode(w *strings.Builder, s string) {
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-_.~", c) >= 0:
			w.WriteByte(c)
		default:
			w.WriteByte('%')
			w.WriteByte(upperHex[c>>4])
			w.WriteByte(upperHex[c&15])
		}
	}
}
