package openapi

import (
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/leapslot/ota/simulator/server/store"
)

// Limits of a request. A device list of a thousand names with nicknames, the
// longest that any action takes, fits well.
const (
	MaxBody      = 1 << 20 // bytes of a form
	MaxQuery     = 1 << 20 // bytes of a query
	MaxParams    = 4096    // parameters in query and form together
	maxNameLen   = 128     // bytes of a parameter's name
	maxValueLen  = 16 << 10
	maxListItems = 1000 // items of a repeated parameter
	maxPage      = 1 << 20
	formTimeout  = 30 * time.Second // for a form to arrive
)

// readParams takes the parameters from query and form together.
func readParams(w http.ResponseWriter, r *http.Request) (map[string]string, *Fault) {
	if len(r.URL.RawQuery) > MaxQuery {
		return nil, gateway(http.StatusRequestURITooLong, "InvalidParameter.TooLong", "The query has %d bytes, allowed are at most %d.", len(r.URL.RawQuery), MaxQuery)
	}
	params := make(map[string]string)
	if f := parseInto(params, r.URL.RawQuery); f != nil {
		return nil, f
	}
	if r.Method != http.MethodPost {
		return params, nil
	}
	body, f := readForm(w, r)
	if f != nil {
		return nil, f
	}
	return params, parseInto(params, body)
}

func readForm(w http.ResponseWriter, r *http.Request) (string, *Fault) {
	if r.ContentLength == 0 {
		return "", nil
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return "", gateway(http.StatusUnsupportedMediaType, "InvalidContentType", "The body must be application/x-www-form-urlencoded.")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	if err != nil {
		w.Header().Set("Connection", "close") // the rest of the form is not wanted
		return "", gateway(http.StatusRequestEntityTooLarge, "InvalidParameter.TooLong", "The form could not be read within %v, or has more than %d bytes.", formTimeout, MaxBody)
	}
	hurry(w, time.Time{}) // the answer may take longer than the form
	return string(body), nil
}

// hurry bounds the time for the rest of a request to arrive, also for what the HTTP
// server itself reads of a body that nobody wants. The zero time takes the bound
// away. Writers without a connection, in tests, have none.
func hurry(w http.ResponseWriter, until time.Time) {
	_ = http.NewResponseController(w).SetReadDeadline(until)
}

// parseInto adds the pairs of an encoded query to params. A name that stands there
// twice is refused: a signature would cover one of its values only.
func parseInto(params map[string]string, encoded string) *Fault {
	for encoded != "" {
		var pair string
		pair, encoded, _ = strings.Cut(encoded, "&")
		if pair == "" {
			continue
		}
		rawName, rawValue, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(rawName)
		if err != nil || name == "" || len(name) > maxNameLen || !plain(name) {
			return gateway(http.StatusBadRequest, "InvalidParameter", "A parameter's name is empty, longer than %d bytes or wrongly encoded.", maxNameLen)
		}
		value, err := url.QueryUnescape(rawValue)
		if err != nil || !plain(value) {
			return gateway(http.StatusBadRequest, "InvalidParameter", "The value of %s is wrongly encoded, not UTF-8, or has a NUL.", name)
		}
		if len(value) > maxValueLen {
			return gateway(http.StatusBadRequest, "InvalidParameter", "The value of %s has %d bytes, allowed are at most %d.", name, len(value), maxValueLen)
		}
		if _, ok := params[name]; ok {
			return gateway(http.StatusBadRequest, "InvalidParameter", "%s is given twice.", name)
		}
		if len(params) >= MaxParams {
			return gateway(http.StatusBadRequest, "InvalidParameter", "There are more than %d parameters.", MaxParams)
		}
		params[name] = value
	}
	return nil
}

func plain(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

// reader hands out the parameters of one request, checked and bounded. The first
// fault is kept, so that a handler reads everything and asks once. An empty value
// is an absent one: the official client leaves both out alike.
type reader struct {
	values map[string]string
	fault  *Fault
}

func (p *reader) fail(f *Fault) {
	if p.fault == nil {
		p.fault = f
	}
}

func (p *reader) has(name string) bool { return p.values[name] != "" }

// need reads a text that must be there.
func (p *reader) need(name string, most int) string {
	if !p.has(name) {
		p.fail(missing(name))
	}
	return p.text(name, most)
}

// text reads a text of at most most characters; "" when absent.
func (p *reader) text(name string, most int) string {
	s := p.values[name]
	if n := utf8.RuneCountInString(s); n > most {
		p.fail(invalid(name, "has %d characters, allowed are at most %d", n, most))
		return ""
	}
	return s
}

// choice reads one of the allowed words.
func (p *reader) choice(name, absent string, allowed ...string) string {
	s := p.values[name]
	if s == "" {
		return absent
	}
	for _, a := range allowed {
		if s == a {
			return s
		}
	}
	p.fail(invalid(name, "is %q, allowed are %s", shorten(s), strings.Join(allowed, ", ")))
	return absent
}

// number reads an integer of lo to hi.
func (p *reader) number(name string, absent, lo, hi int64) int64 {
	s := p.values[name]
	if s == "" {
		return absent
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < lo || n > hi {
		p.fail(invalid(name, "is %q, allowed is an integer of %d to %d", shorten(s), lo, hi))
		return absent
	}
	return n
}

// needNumber reads an integer that must be there.
func (p *reader) needNumber(name string, lo, hi int64) int64 {
	if !p.has(name) {
		p.fail(missing(name))
	}
	return p.number(name, lo, lo, hi)
}

// yes reads true or false.
func (p *reader) yes(name string, absent bool) bool {
	switch s := p.values[name]; strings.ToLower(s) {
	case "":
		return absent
	case "true":
		return true
	case "false":
		return false
	default:
		p.fail(invalid(name, "is %q, allowed are true and false", shorten(s)))
		return absent
	}
}

// list reads a repeated parameter: name.1, name.2 and so on, without a gap. The
// bare name is a list of one.
func (p *reader) list(name string, most, mostLen int) []string {
	var items []string
	if p.has(name) {
		items = append(items, p.text(name, mostLen))
	}
	for i := 1; ; i++ {
		item := name + "." + strconv.Itoa(i)
		if !p.has(item) {
			break
		}
		items = append(items, p.text(item, mostLen))
	}
	p.count(name, len(items), most)
	return items
}

// objects reads how many items a repeated parameter with fields has: name.1.field.
func (p *reader) objects(name string, most int, fields ...string) int {
	n := 0
	for p.anyOf(name+"."+strconv.Itoa(n+1)+".", fields) {
		n++
	}
	p.count(name, n, most)
	return n
}

func (p *reader) anyOf(prefix string, fields []string) bool {
	for _, f := range fields {
		if p.has(prefix + f) {
			return true
		}
	}
	return false
}

// count checks a list's length, and that no item of it was missed behind a gap.
func (p *reader) count(name string, read, most int) {
	if read > most {
		p.fail(invalid(name, "has %d items, allowed are at most %d", read, most))
		return
	}
	for given, value := range p.values {
		rest, ok := strings.CutPrefix(given, name+".")
		if !ok || value == "" {
			continue
		}
		index, _, _ := strings.Cut(rest, ".")
		if i, err := strconv.Atoi(index); err != nil || i < 1 || i > read || strconv.Itoa(i) != index {
			p.fail(invalid(given, "does not continue the list, which has %d items and is numbered from 1 without a gap", read))
			return
		}
	}
}

// page reads CurrentPage and PageSize; size is that of a page when none is asked for.
func (p *reader) page(size, most int) page {
	return page{
		Number: int(p.pageNumber("CurrentPage", 1, maxPage)),
		Size:   int(p.pageNumber("PageSize", int64(size), int64(most))),
	}
}

func (p *reader) pageNumber(name string, absent, hi int64) int64 {
	before := p.fault
	n := p.number(name, absent, 1, hi)
	if before == nil && p.fault != nil {
		p.fault.Code = codePage
	}
	return n
}

// later refuses parameters of abilities that the cloud does not have yet, rather
// than doing something else than what was asked for.
func (p *reader) later(names ...string) {
	for given, value := range p.values {
		for _, name := range names {
			if value != "" && (given == name || strings.HasPrefix(given, name+".")) {
				p.fail(business(codeLater, "%s: is not supported by this version of the simulator", name))
			}
		}
	}
}

// page is a part of a list, numbered from 1.
type page struct{ Number, Size int }

func (p page) ofStore() store.Page { return store.Page{Number: p.Number, Size: p.Size} }

// Count is how many pages total items make.
func (p page) Count(total int) int { return (total + p.Size - 1) / p.Size }

// cut gives a page of a list that is at hand as a whole; never nil.
func cut[T any](all []T, p page) []T {
	from := min((p.Number-1)*p.Size, len(all))
	return append([]T{}, all[from:min(from+p.Size, len(all))]...)
}

// shorten keeps an error from repeating a long value.
func shorten(s string) string {
	const most = 64
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most]) + "..."
}
