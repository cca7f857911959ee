package openapi

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReader(t *testing.T) {
	cases := []struct {
		name   string
		values map[string]string
		read   func(p *reader) any
		want   any
		fault  string // code and a part of the text
		text   string
	}{
		{"text", map[string]string{"A": "灯灯"}, func(p *reader) any { return p.need("A", 2) }, "灯灯", "", ""},
		{"long text", map[string]string{"A": "灯灯灯"}, func(p *reader) any { return p.need("A", 2) }, "", codeInvalid, "A: has 3 characters, allowed are at most 2"},
		{"no text", nil, func(p *reader) any { return p.need("A", 2) }, "", "MissingA", "A is mandatory"},
		{"empty is absent", map[string]string{"A": ""}, func(p *reader) any { return p.need("A", 2) }, "", "MissingA", ""},
		{"number", map[string]string{"A": "-3"}, func(p *reader) any { return p.number("A", 9, -3, 3) }, int64(-3), "", ""},
		{"no number", nil, func(p *reader) any { return p.number("A", 9, -3, 3) }, int64(9), "", ""},
		{"number too large", map[string]string{"A": "4"}, func(p *reader) any { return p.number("A", 9, -3, 3) }, int64(9), codeInvalid, `A: is "4", allowed is an integer of -3 to 3`},
		{"number with a fraction", map[string]string{"A": "1.0"}, func(p *reader) any { return p.number("A", 9, -3, 3) }, int64(9), codeInvalid, "A"},
		{"overflow", map[string]string{"A": strings.Repeat("9", 99)}, func(p *reader) any { return p.number("A", 9, -3, 3) }, int64(9), codeInvalid, "..."},
		{"needed number", nil, func(p *reader) any { return p.needNumber("A", 1, 3) }, int64(1), "MissingA", ""},
		{"true", map[string]string{"A": "True"}, func(p *reader) any { return p.yes("A", false) }, true, "", ""},
		{"false", map[string]string{"A": "false"}, func(p *reader) any { return p.yes("A", true) }, false, "", ""},
		{"neither", map[string]string{"A": "1"}, func(p *reader) any { return p.yes("A", true) }, true, codeInvalid, "true and false"},
		{"choice", map[string]string{"A": "x"}, func(p *reader) any { return p.choice("A", "y", "x", "y") }, "x", "", ""},
		{"another", map[string]string{"A": "z"}, func(p *reader) any { return p.choice("A", "y", "x", "y") }, "y", codeInvalid, `A: is "z", allowed are x, y`},
		{"list", map[string]string{"A.1": "x", "A.2": "y"}, func(p *reader) any { return p.list("A", 2, 1) }, []string{"x", "y"}, "", ""},
		{"list of one", map[string]string{"A": "x"}, func(p *reader) any { return p.list("A", 2, 1) }, []string{"x"}, "", ""},
		{"no list", nil, func(p *reader) any { return p.list("A", 2, 1) }, []string(nil), "", ""},
		{"long list", map[string]string{"A.1": "x", "A.2": "y", "A.3": "z"}, func(p *reader) any { return p.list("A", 2, 1) }, []string{"x", "y", "z"}, codeInvalid, "A: has 3 items, allowed are at most 2"},
		{"long item", map[string]string{"A.1": "xx"}, func(p *reader) any { return p.list("A", 2, 1) }, []string{""}, codeInvalid, "A.1: has 2 characters"},
		{"gap", map[string]string{"A.1": "x", "A.3": "y"}, func(p *reader) any { return p.list("A", 2, 1) }, []string{"x"}, codeInvalid, "A.3: does not continue the list"},
		{"from 0", map[string]string{"A.0": "x"}, func(p *reader) any { return p.list("A", 2, 1) }, []string(nil), codeInvalid, "A.0"},
		{"01", map[string]string{"A.1": "x", "A.01": "y"}, func(p *reader) any { return p.list("A", 2, 1) }, []string{"x"}, codeInvalid, "A.01"},
		{"objects", map[string]string{"T.1.K": "a", "T.2.V": "b"}, func(p *reader) any { return p.objects("T", 2, "K", "V") }, 2, "", ""},
		{"objects with a gap", map[string]string{"T.1.K": "a", "T.3.K": "b"}, func(p *reader) any { return p.objects("T", 2, "K", "V") }, 1, codeInvalid, "T.3.K"},
		{"page", map[string]string{"CurrentPage": "2", "PageSize": "5"}, func(p *reader) any { return p.page(10, 50) }, page{2, 5}, "", ""},
		{"no page", nil, func(p *reader) any { return p.page(10, 50) }, page{1, 10}, "", ""},
		{"page 0", map[string]string{"CurrentPage": "0"}, func(p *reader) any { return p.page(10, 50) }, page{1, 10}, codePage, "CurrentPage"},
		{"large page", map[string]string{"PageSize": "51"}, func(p *reader) any { return p.page(10, 50) }, page{1, 10}, codePage, "PageSize: is \"51\", allowed is an integer of 1 to 50"},
		{"later", map[string]string{"Gray.1": "x"}, func(p *reader) any { p.later("Other", "Gray"); return nil }, nil, codeLater, "Gray"},
		{"later but absent", map[string]string{"Gray": "", "Grayer": "x"}, func(p *reader) any { p.later("Gray"); return nil }, nil, "", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p := &reader{values: c.values}
			if diff := cmp.Diff(c.want, c.read(p)); diff != "" {
				t.Error(diff)
			}
			switch {
			case p.fault == nil && c.fault != "":
				t.Errorf("no fault, wanted %s", c.fault)
			case p.fault != nil && (p.fault.Code != c.fault || !strings.Contains(p.fault.Message, c.text)):
				t.Errorf("%v, wanted %s with %q", p.fault, c.fault, c.text)
			}
		})
	}
}

func TestReaderKeepsTheFirstFault(t *testing.T) {
	p := &reader{values: map[string]string{"B": "x"}}
	p.need("A", 1)
	p.number("B", 0, 0, 1)
	if p.fault.Code != "MissingA" {
		t.Error(p.fault)
	}
}

func TestCut(t *testing.T) {
	all := []int{1, 2, 3}
	for _, c := range []struct {
		p    page
		want []int
	}{{page{1, 2}, []int{1, 2}}, {page{2, 2}, []int{3}}, {page{3, 2}, []int{}}, {page{maxPage, 200}, []int{}}} {
		if diff := cmp.Diff(c.want, cut(all, c.p)); diff != "" {
			t.Errorf("%+v: %s", c.p, diff)
		}
	}
}

// Every action reads its parameters without the engine, whatever they are.
func FuzzParams(f *testing.F) {
	f.Add("Action=CreateOTAStaticUpgradeJob&SrcVersion.1=1.0&Tag.1.Key=k&Tag.1.Value=v&RetryInterval=10&RetryCount=2&TargetDeviceName=a")
	f.Add("DeviceName.1=a&DeviceName.3=b&ApplyId=-1&PageSize=1e9&CurrentPage=99999999999999999999")
	f.Add("DeviceNameList.1.DeviceNickname=x&ProductKey=%E7%81%AF&Count=0&FileSuffix=..")
	f.Add("DeviceNameList.1.DeviceName=x&DeviceName.1=a&DeviceName.2=b&ProductKey=p")
	f.Add("a=%zz&=&&&a=1&a=2;b=3")
	f.Add("TargetDeviceName.0=x&TargetDeviceName.=y&TargetDeviceName.1.2=z&FirmwareUrl=http://[::1&SignMethod=md5")
	f.Fuzz(func(t *testing.T, query string) {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(query))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		params, fault := readParams(httptest.NewRecorder(), r)
		if fault != nil {
			if fault.Code == "" || fault.Message == "" {
				t.Fatalf("a fault without a text: %+v", fault)
			}
			return
		}
		for name, value := range params {
			if len(name) > maxNameLen || len(value) > maxValueLen {
				t.Fatalf("unbounded: %q=%q", name, value)
			}
		}
		for _, a := range table() {
			p := &reader{values: params}
			if run := a.bind(p); run == nil {
				t.Fatalf("%s: no call", a.name)
			}
		}
	})
}

// A signature covers every parameter: two different sets never share a text.
func FuzzStringToSign(f *testing.F) {
	f.Add("a", "b", "c", "d")
	f.Add("a", "b&c=d", "c", "")
	f.Add("Signature", "x", "%20", "+*~")
	f.Fuzz(func(t *testing.T, n1, v1, n2, v2 string) {
		one := StringToSign("GET", map[string]string{n1: v1})
		for _, r := range one {
			if r > 126 || r < 33 {
				t.Fatalf("%q is not printable", one)
			}
		}
		both := StringToSign("GET", map[string]string{n1: v1, n2: v2})
		if n2 != n1 && n2 != signatureName && both == one {
			t.Fatalf("%q=%q is not signed", n2, v2)
		}
		if n1 != signatureName && n2 != signatureName && (n1 != n2 || v1 != v2) &&
			one == StringToSign("GET", map[string]string{n2: v2}) {
			t.Fatalf("%q=%q and %q=%q sign alike", n1, v1, n2, v2)
		}
	})
}

// Whatever is sent, an answer comes, in the format asked for, and no action runs
// without a signature.
func FuzzServe(f *testing.F) {
	f.Add("GET", "Action=QueryProduct&Format=XML&AccessKeyId=testid&Signature=x&SignatureNonce=1&Timestamp=2026-01-01T00:00:00Z", "")
	f.Add("POST", "Action=QueryProduct", "AccessKeyId=testid&SignatureMethod=HMAC-SHA1&SignatureVersion=1.0")
	f.Add("POST", "", strconv.Itoa(1))
	s, err := New(Config{Keys: testKey(), Engine: engineFunc(oneProduct), Lists: noLists{}, Uploads: noUploads{}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, method, query, form string) {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(form))
		r.Method, r.URL.RawQuery = method, query
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code == http.StatusOK || w.Body.Len() == 0 || w.Code >= 500 {
			t.Fatalf("status %d: %s", w.Code, w.Body)
		}
	})
}
