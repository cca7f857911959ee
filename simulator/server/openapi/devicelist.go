package openapi

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
)

// DeviceListTemplate is the file that a user fills in with the names of devices, one
// in a row (P29). It begins with a byte order mark, without which spreadsheets take
// it for a text of another encoding.
const DeviceListTemplate = byteOrderMark + deviceListHead + "\r\n"

const (
	byteOrderMark  = "\ufeff"
	deviceListHead = "DeviceName"
	maxRowErrors   = 10 // rows that a refusal names
)

// deviceListHeads are the heads of a column, which are no names: that of our
// template and that of the platform's.
func deviceListHeads() []string { return []string{deviceListHead, "设备名称"} }

// DeviceName is one name of a list, and the row of the file it stands in, from 1.
type DeviceName struct {
	Name string
	Row  int
}

// RowError says what is wrong with a row.
type RowError struct {
	Row  int // from 1, a head counts
	Text string

	Why error // the same, with its pattern: see simulator.SentenceOf
}

// DeviceListError is why a list of devices is refused: the first rows that are
// wrong, and how many there are in all.
type DeviceListError struct {
	Rows  []RowError
	Total int
}

// Error names the rows.
func (e *DeviceListError) Error() string {
	var b strings.Builder
	for i, r := range e.Rows {
		if i > 0 {
			b.WriteString("; ")
		}
		fmt.Fprintf(&b, "row %d: %s", r.Row, r.Text)
	}
	if more := e.Total - len(e.Rows); more > 0 {
		fmt.Fprintf(&b, "; and %d more", more)
	}
	return b.String()
}

func (e *DeviceListError) add(row int, format string, args ...any) {
	if e.Total++; len(e.Rows) < maxRowErrors {
		why := simulator.Say(format, args...)
		e.Rows = append(e.Rows, RowError{row, why.Error(), why})
	}
}

// ParseDeviceList reads a CSV file of device names (P29), at most most of them. It is
// UTF-8, with or without a byte order mark, or GB18030. Names are separated by line
// ends or commas; empty fields and a head in the first row are passed over. Every
// name must be one that a device can have, and stand there once. Errors:
// *DeviceListError when rows are at fault, others when the file as a whole is.
func ParseDeviceList(file []byte, most int) ([]DeviceName, error) {
	text, err := decodeList(file)
	if err != nil {
		return nil, err
	}
	r := csv.NewReader(strings.NewReader(text))
	r.FieldsPerRecord, r.TrimLeadingSpace, r.ReuseRecord = -1, true, true
	var names []DeviceName
	var wrong DeviceListError
	first := map[string]int{} // the row of each name
	for read := 0; ; read++ {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil { // the rest of the file cannot be told apart any more
			row := 0
			if at := (*csv.ParseError)(nil); errors.As(err, &at) {
				row, err = at.Line, at.Err
			}
			wrong.add(row, "%v", err)
			break
		}
		for i, field := range record {
			row, _ := r.FieldPos(i)
			name := strings.TrimSpace(field)
			if name == "" || read == 0 && isHead(name) {
				continue
			}
			if n := first[name]; n != 0 {
				wrong.add(row, "%s stands in row %d already", quote(name), n)
				continue
			}
			if err := (ota.Device{ProductKey: "any", Name: name}).Validate(); err != nil {
				wrong.add(row, "%s is no name of a device: %v", quote(name), err)
				continue
			}
			if len(names) == most {
				return nil, simulator.Say("more than %d devices are listed, row %d is the first one too many", most, row)
			}
			first[name] = row
			names = append(names, DeviceName{name, row})
		}
	}
	if wrong.Total > 0 {
		return nil, &wrong
	}
	if len(names) == 0 {
		return nil, simulator.Say("no device is listed")
	}
	return names, nil
}

func quote(s string) string { return fmt.Sprintf("%q", shorten(s)) }

func isHead(s string) bool {
	for _, head := range deviceListHeads() {
		if strings.EqualFold(s, head) {
			return true
		}
	}
	return false
}

// decodeList gives the text of a file. What is not UTF-8 is GB18030, which
// spreadsheets in Chinese write.
func decodeList(file []byte) (string, error) {
	if bytes.HasPrefix(file, []byte("\xff\xfe")) || bytes.HasPrefix(file, []byte("\xfe\xff")) {
		return "", simulator.Say("the file is UTF-16: save it as CSV in UTF-8 or GB18030")
	}
	if bytes.IndexByte(file, 0) >= 0 {
		return "", simulator.Say("the file has a NUL in it: it is no CSV file")
	}
	if utf8.Valid(file) {
		return strings.TrimPrefix(string(file), byteOrderMark), nil
	}
	text, err := simplifiedchinese.GB18030.NewDecoder().Bytes(file)
	if err != nil {
		return "", simulator.Say("the file is neither UTF-8 nor GB18030: %v", err)
	}
	if at := bytes.IndexRune(text, utf8.RuneError); at >= 0 {
		return "", simulator.Say("row %d: is neither UTF-8 nor GB18030", 1+bytes.Count(text[:at], []byte("\n")))
	}
	return strings.TrimPrefix(string(text), byteOrderMark), nil
}
