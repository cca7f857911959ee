package ota

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"
)

// ErrMessage means that a message is not what its topic asks for. It is wrapped
// in a text that says which field is wrong and how.
var ErrMessage = errors.New("bad message")

func badf(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrMessage}, args...)...)
}

// decode reads one JSON object into v, forgiving what devices in the field send
// (protocol section 6): NULs after the object and commas before a closing brace.
func decode(payload []byte, v any) error {
	if len(payload) > MaxMessageLen {
		return badf("%d bytes, allowed are at most %d", len(payload), MaxMessageLen)
	}
	clean, err := forgive(payload)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(clean, v); err != nil {
		return badf("%v", err)
	}
	return nil
}

// forgive gives payload without trailing NULs and without commas that close
// nothing, and refuses what is not one object, not UTF-8, or nested too deep.
func forgive(payload []byte) ([]byte, error) {
	b := bytes.TrimRight(payload, "\x00 \t\r\n")
	b = bytes.TrimLeft(b, " \t\r\n")
	if len(b) == 0 || b[0] != '{' {
		return nil, badf("not a JSON object")
	}
	if !utf8.Valid(b) {
		return nil, badf("not valid UTF-8")
	}
	depth, inString := 0, false
	comma := -1 // where the last comma stands, if only blanks came after it
	var cut []int
	for i := 0; i < len(b); i++ {
		c := b[i]
		if inString {
			if c == '\\' {
				i++
			} else if c == '"' {
				inString = false
			}
			continue
		}
		switch c {
		case ' ', '\t', '\r', '\n':
			continue
		case '"':
			inString = true
		case '{', '[':
			if depth++; depth > maxJSONDepth {
				return nil, badf("nested deeper than %d", maxJSONDepth)
			}
		case '}', ']':
			depth--
			if comma >= 0 {
				cut = append(cut, comma)
			}
		}
		comma = -1
		if c == ',' {
			comma = i
		}
	}
	return without(b, cut), nil
}

// without gives a copy of b that lacks the bytes at the positions in cut.
func without(b []byte, cut []int) []byte {
	if len(cut) == 0 {
		return b
	}
	out, from := make([]byte, 0, len(b)), 0
	for _, i := range cut {
		out = append(out, b[from:i]...)
		from = i + 1
	}
	return append(out, b[from:]...)
}

// encode gives v as compact JSON with & < > as they are: the C SDK does not
// unescape \u0026, and a blank after a colon makes it drop the message.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic("ota: a message type that cannot be encoded: " + err.Error())
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}

// text is a JSON string, or a number taken as its digits.
type text string

func (t *text) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		*t = text(s)
		return nil
	}
	if string(b) == "null" {
		return nil
	}
	if len(b) > 0 && (b[0] == '-' || '0' <= b[0] && b[0] <= '9') {
		*t = text(b)
		return nil
	}
	return fmt.Errorf("%.20q is neither a string nor a number", b)
}

// number is a JSON integer, or a string of its digits.
type number int64

func (n *number) UnmarshalJSON(b []byte) error {
	var t text
	if err := t.UnmarshalJSON(b); err != nil {
		return err
	}
	if t == "" {
		return nil
	}
	i, err := strconv.ParseInt(string(t), 10, 64)
	if err != nil {
		return fmt.Errorf("%.40q is not a whole number", string(t))
	}
	*n = number(i)
	return nil
}

// flag is a JSON true or false, 0 or 1, or a string of either.
type flag bool

func (f *flag) UnmarshalJSON(b []byte) error {
	switch string(bytes.Trim(b, `"`)) {
	case "1", "true":
		*f = true
	case "0", "false", "null", "":
		*f = false
	default:
		return fmt.Errorf("%.20q is neither 0 nor 1", b)
	}
	return nil
}

// refuseDoubles refuses an object that has a key twice: two readers could take
// two different values for the true one.
func refuseDoubles(payload []byte) error {
	clean, err := forgive(payload)
	if err != nil {
		return err
	}
	type level struct {
		keys map[string]bool // nil in an array
		key  bool            // the next token is a key
	}
	var stack []level
	d := json.NewDecoder(bytes.NewReader(clean))
	for {
		tok, err := d.Token()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return badf("%v", err)
		}
		top := len(stack) - 1
		if s, ok := tok.(string); ok && top >= 0 && stack[top].key {
			if stack[top].keys[s] {
				return badf("the key %.80q stands twice", s)
			}
			stack[top].keys[s] = true
			stack[top].key = false
			continue
		}
		switch tok {
		case json.Delim('{'):
			stack = append(stack, level{keys: map[string]bool{}, key: true})
			continue
		case json.Delim('['):
			stack = append(stack, level{})
			continue
		case json.Delim('}'), json.Delim(']'):
			stack = stack[:top]
		}
		if top = len(stack) - 1; top >= 0 && stack[top].keys != nil {
			stack[top].key = true
		}
	}
}
