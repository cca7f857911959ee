package openapi

import (
	"crypto/subtle"
	"net/http"
	"time"
)

// Key is an access key.
type Key struct {
	ID      string
	Secret  string
	Account string // whose products, devices and packages it reaches
	Role    Role   // what it may do with them
}

// Keys finds access keys. Implementations must be safe for concurrent use.
type Keys interface {
	// Key gives the key with this id; ok is false when there is none.
	Key(id string) (k Key, ok bool)
}

// Key makes a single key a set of keys.
func (k Key) Key(id string) (Key, bool) { return k, id == k.ID && k.ID != "" }

// maxSkew is how far a request's timestamp may be from our clock, either way.
const maxSkew = 15 * time.Minute

// maxEcho bounds the signed text that is sent back with a refused signature.
const maxEcho = 8 << 10

// signing is what a request says about its signature, before it is believed.
type signing struct {
	keyID, signature, nonce, timestamp string
}

// authenticate checks who sent the request and that it is fresh. The order
// matters: the nonce is remembered last, when the signature has proved that it is
// the key owner's.
func (s *Server) authenticate(method string, params map[string]string, now time.Time) (Key, *Fault) {
	sig, f := readSigning(params)
	if f != nil {
		return Key{}, f
	}
	at, err := time.Parse(TimeFormat, sig.timestamp)
	if err != nil {
		return Key{}, gateway(http.StatusBadRequest, "InvalidTimeStamp.Format", "Specified time stamp is not in the form 2006-01-02T15:04:05Z (UTC).")
	}
	if d := now.Sub(at); d > maxSkew || d < -maxSkew {
		return Key{}, gateway(http.StatusBadRequest, "InvalidTimeStamp.Expired", "Specified time stamp is more than %v from the server's time, %s: set the clock.", maxSkew, now.UTC().Format(TimeFormat))
	}
	key, ok := s.keys.Key(sig.keyID)
	if !ok {
		return Key{}, gateway(http.StatusNotFound, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")
	}
	text := StringToSign(method, params)
	want := signText(key.Secret, text)
	if subtle.ConstantTimeCompare([]byte(want), []byte(sig.signature)) != 1 {
		return Key{}, mismatch(text)
	}
	switch s.seen.use(key.ID, sig.nonce, now) {
	case nonceUsed:
		return Key{}, gateway(http.StatusBadRequest, "SignatureNonceUsed", "Specified signature nonce was used already.")
	case nonceFull:
		return Key{}, gateway(http.StatusBadRequest, "Throttling.User", "More requests than can be remembered were signed within %v: go slower.", 2*maxSkew)
	}
	return key, nil
}

// readSigning takes the common parameters that a signature needs.
func readSigning(params map[string]string) (signing, *Fault) {
	p := reader{values: params}
	s := signing{
		keyID:     p.need("AccessKeyId", 128),
		signature: p.need(signatureName, 128),
		nonce:     p.need("SignatureNonce", 256),
		timestamp: p.need("Timestamp", 64),
	}
	if p.fault != nil {
		return s, onGateway(p.fault)
	}
	if m := params["SignatureMethod"]; m != "HMAC-SHA1" {
		return s, gateway(http.StatusBadRequest, "InvalidSignatureMethod", "Specified parameter SignatureMethod must be HMAC-SHA1.")
	}
	if v := params["SignatureVersion"]; v != "1.0" {
		return s, gateway(http.StatusBadRequest, "InvalidSignatureVersion", "Specified parameter SignatureVersion must be 1.0.")
	}
	return s, nil
}

func onGateway(f *Fault) *Fault {
	if f.Status == http.StatusOK {
		return gateway(http.StatusBadRequest, "InvalidParameter", "%s", f.Message)
	}
	return f
}

// mismatch gives the text that was signed back, in the words that the official
// client looks for: when it is the client's own, the secret is wrong.
func mismatch(text string) *Fault {
	const code, said = "SignatureDoesNotMatch", "Specified signature is not matched with our calculation."
	if len(text) > maxEcho {
		return gateway(http.StatusBadRequest, code, "%s", said)
	}
	return gateway(http.StatusBadRequest, code, "%s server string to sign is:%s", said, text)
}
