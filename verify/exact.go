package verify

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// encodeExact gives v as compact JSON, & < > as they are, no line break.
func encodeExact(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// decodeExact reads JSON that encodeExact has written, and nothing else: encoded
// again it must be the same bytes. So an unknown key, one that stands twice, is
// missing, in another place or in other letters, blanks, and other ways to write
// a number or a character are all refused, and two readers cannot see two things.
func decodeExact(raw []byte, v any) error {
	if err := json.Unmarshal(raw, v); err != nil {
		return fmt.Errorf("it is not the JSON that is wanted: %w", err)
	}
	again, err := encodeExact(v)
	if err != nil {
		return err
	}
	if !bytes.Equal(again, raw) {
		return errors.New("it is not in its one form: a key is unknown, missing, twice or out of place, or something is written in another way")
	}
	return nil
}

// decodeBase64 reads base64 of 1 to most bytes in its one canonical form: with
// padding, without line breaks, blanks or stray bits.
func decodeBase64(s string, most int) ([]byte, error) {
	if s == "" {
		return nil, errors.New("it is empty")
	}
	if len(s) > base64.StdEncoding.EncodedLen(most) {
		return nil, fmt.Errorf("%d characters of base64, at most %d are allowed", len(s), base64.StdEncoding.EncodedLen(most))
	}
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	// The decoder skips line breaks even when it is strict; with one the text
	// is longer than its bytes make it.
	if err != nil || base64.StdEncoding.EncodedLen(len(b)) != len(s) || len(b) > most {
		return nil, errors.New("it is not base64")
	}
	return b, nil
}

// timeText is a time in a manifest or key list: UTC in whole seconds, as
// 2026-11-22T13:00:00Z; empty when there is none.
func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func parseTime(what, s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil || t.IsZero() || timeText(t) != s {
		return time.Time{}, fmt.Errorf("%s %.40q is not a time in UTC (want 2026-01-31T12:00:00Z)", what, s)
	}
	return t, nil
}

// within says why now is outside of a validity. A time that is not known is
// outside of every one that is limited.
func within(now, notBefore, notAfter time.Time) error {
	switch {
	case notBefore.IsZero() && notAfter.IsZero():
		return nil
	case now.IsZero():
		return errors.New("its validity is limited, and the time is not known here")
	case now.Before(notBefore):
		return fmt.Errorf("it is valid from %s, now it is %s", timeText(notBefore), timeText(now))
	case !notAfter.IsZero() && now.After(notAfter):
		return fmt.Errorf("it was valid until %s, now it is %s", timeText(notAfter), timeText(now))
	}
	return nil
}

// validity refuses one that ends before it begins.
func validity(notBefore, notAfter time.Time) error {
	if !notAfter.IsZero() && notAfter.Before(notBefore) {
		return fmt.Errorf("valid until %s, which is before %s, when that begins", timeText(notAfter), timeText(notBefore))
	}
	return nil
}
