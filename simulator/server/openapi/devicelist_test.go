package openapi

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/leapslot/ota"
)

// TestP29DeviceList reads lists as spreadsheets and editors write them.
func TestP29DeviceList(t *testing.T) {
	head := "\xc9\xe8\xb1\xb8\xc3\xfb\xb3\xc6" // 设备名称 in GB18030
	for name, file := range map[string]string{
		"UTF-8":        "d1\nd2\n",
		"BOM, CRLF":    "\ufeffDeviceName\r\nd1\r\nd2\r\n",
		"head":         "devicename\nd1\nd2",
		"GB18030":      head + "\r\nd1\r\nd2\r\n",
		"GB18030 BOM":  "\x84\x31\x95\x33" + head + "\nd1\nd2\n",
		"commas":       "d1,d2",
		"blank fields": "\n d1 ,,\n\n\"d2\",\n",
		"template":     DeviceListTemplate + "d1\r\nd2\r\n",
	} {
		got, err := ParseDeviceList([]byte(file), 2)
		if err != nil || len(got) != 2 || got[0].Name != "d1" || got[1].Name != "d2" {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	got, err := ParseDeviceList([]byte("DeviceName\nd1\n\n\"d2\"\nd3,d4"), 10)
	if err != nil || fmt.Sprint(got) != "[{d1 2} {d2 4} {d3 5} {d4 5}]" {
		t.Errorf("rows %v, %v", got, err)
	}
}

// TestP29DeviceListErrors: what is wrong is told by its row.
func TestP29DeviceListErrors(t *testing.T) {
	for file, want := range map[string]string{
		"":                            "no device is listed",
		"DeviceName\n":                "no device is listed",
		"d1\nd/2\nd1\n":               `row 2: "d/2" is no name of a device`,
		"d1\nd2\nd1\n":                `row 3: "d1" stands in row 1 already`,
		"d1\nd\"2\n":                  "row 2: ",
		"d1\n\"d2\n":                  "row 2: ",
		"d1\nd2\nd3":                  "more than 2 devices are listed, row 3",
		"d1\n名\n":                     "row 2: ",
		"\xff\xfed\x001\x00":          "UTF-16",
		"d1\x00":                      "NUL",
		"d1\n\xff\xff\n":              "row 2: is neither UTF-8 nor GB18030",
		strings.Repeat("a b\n", 2000): "; and 1990 more",
	} {
		_, err := ParseDeviceList([]byte(file), 2)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v, wanted %q", file, err, want)
		}
	}
	_, err := ParseDeviceList([]byte("d1\nd 2\nd 3\n"), 5)
	if wrong := (*DeviceListError)(nil); !errors.As(err, &wrong) || wrong.Total != 2 || wrong.Rows[1].Row != 3 {
		t.Errorf("rows of %v", err)
	}
}

func TestP29TenThousandRows(t *testing.T) {
	var b strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&b, "lamp-%05d\r\n", i)
	}
	if got, err := ParseDeviceList([]byte(b.String()), 10_000); err != nil || len(got) != 10_000 || got[9_999].Row != 10_000 {
		t.Errorf("%d names, %v", len(got), err)
	}
	b.WriteString("one-more\r\n")
	if _, err := ParseDeviceList([]byte(b.String()), 10_000); err == nil || !strings.Contains(err.Error(), "row 10001") {
		t.Errorf("one more: %v", err)
	}
}

// FuzzDeviceList: whatever the file, what is read are names of devices, each once,
// in the order of their rows, and an error can be shown.
func FuzzDeviceList(f *testing.F) {
	for _, seed := range []string{
		"d1\nd2\n", DeviceListTemplate, "\ufeffDeviceName\r\nd1\r\n", "\xc9\xe8\xb1\xb8\nd1", "\"d\"\"1\",d2\n", "\xff\xfe", "a\x00", "\"", "\r", "\x84\x31\x95\x33d", "\xff",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		const most = 20
		names, err := ParseDeviceList(file, most)
		if err != nil {
			if names != nil || !utf8.ValidString(err.Error()) || len(err.Error()) > 16<<10 {
				t.Fatalf("%d names beside %q", len(names), err)
			}
			return
		}
		if len(names) == 0 || len(names) > most {
			t.Fatalf("%d names", len(names))
		}
		seen, last := map[string]bool{}, 0
		for _, n := range names {
			if err := (ota.Device{ProductKey: "any", Name: n.Name}).Validate(); err != nil || seen[n.Name] || n.Row < last {
				t.Fatalf("%v of %v: %v", n, names, err)
			}
			seen[n.Name], last = true, n.Row
		}
	})
}
