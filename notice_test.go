package ota

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	capturedMQTT  = `{"code":"1000","data":{"size":4252,"streamId":12332,"sign":"2e78f357f54732c90f3bebb2fb6a3865","dProtocol":"mqtt","version":"1.1","signMethod":"Md5","streamFileId":1,"md5":"2e78f357f54732c90f3bebb2fb6a3865"},"id":1695281536874,"message":"success"}`
	capturedHTTPS = `{"code":"1000","data":{"size":84,"sign":"54d6ff5a205596db57161705764eeb1b","version":"2.0.0","signMethod":"Md5","url":"https://ota-cn-shanghai.iot-thing.aliyuncs.com/ota/xxx/file.dav?auth_key=...","md5":"54d6ff5a205596db57161705764eeb1b"},"id":1777439217705,"message":"success"}`
)

// The captured notices of protocol section 8 decode, and encode to the same bytes.
func TestCapturedNotices(t *testing.T) {
	for _, s := range []string{capturedMQTT, capturedHTTPS} {
		n, _, err := DecodeNotice([]byte(s))
		if err != nil {
			t.Fatal(err)
		}
		got, err := EncodePush(n)
		if err != nil || string(got) != s {
			t.Errorf("%v\ngot  %s\nwant %s", err, got, s)
		}
	}
}

func fullNotice() Notice {
	return Notice{
		ID: 1626969597470, Module: "MCU", Version: "2.0.0", IsDiff: true, SignMethod: SHA256, DigestSign: "A4WOP",
		Files: []File{{Size: 432945, URL: "http://127.0.0.1/p/1?a=1&b=<2>", Sign: strings.Repeat("ab", 32)}},
		Tags:  map[string]string{"key1": "value1"}, UDI: `{"a":"b"}`,
	}
}

func TestNoticeRoundTrip(t *testing.T) {
	several := fullNotice()
	several.Files = append(several.Files, File{Name: "b.bin", Size: 1, URL: "http://127.0.0.1/p/2", Sign: strings.Repeat("0c", 32)})
	for _, n := range []Notice{fullNotice(), several} {
		push, err := EncodePush(n)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(push), `\u0026`) || strings.Contains(string(push), ": ") {
			t.Errorf("escaped or with blanks: %s", push)
		}
		got, _, err := DecodeNotice(push)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(n, got); d != "" {
			t.Error(d)
		}
		reply, err := EncodeGetReply("77", &n)
		if err != nil {
			t.Fatal(err)
		}
		got, id, err := DecodeNotice(reply)
		if err != nil || id != "77" || !got.Same(n) {
			t.Errorf("reply %s: %+v, %q, %v", reply, got, id, err)
		}
	}
	nothing, err := EncodeGetReply("78", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, id, err := DecodeNotice(nothing); !errors.Is(err, ErrNothing) || id != "78" {
		t.Errorf("%s: %q, %v", nothing, id, err)
	}
}

// Every form in the accept column of protocol section 3.
func TestNoticeForms(t *testing.T) {
	digest := "54d6ff5a205596db57161705764eeb1b"
	accepted := map[string]string{
		"code a number":         `{"code":1000,"data":{"size":84,"sign":"D","version":"2","signMethod":"Md5","url":"http://h/p"},"id":1,"message":"success"}`,
		"id a string":           `{"code":"1000","data":{"size":84,"sign":"D","version":"2","signMethod":"Md5","url":"http://h/p"},"id":"1695281536874","message":"x"}`,
		"size a string":         `{"code":"1000","data":{"size":"84","sign":"D","version":"2","signMethod":"Md5","url":"http://h/p"},"id":1}`,
		"sign in upper case":    `{"code":"1000","data":{"size":84,"sign":"U","version":"2","signMethod":"MD5","url":"http://h/p"},"id":1}`,
		"only md5":              `{"code":"1000","data":{"size":84,"md5":"D","version":"2","url":"http://h/p"},"id":1}`,
		"isDiff true":           `{"code":"1000","data":{"isDiff":true,"size":84,"sign":"D","version":"2","url":"http://h/p"},"id":1}`,
		"isDiff 0":              `{"code":"1000","data":{"isDiff":0,"size":84,"sign":"D","version":"2","url":"http://h/p"},"id":1}`,
		"extData not an object": `{"code":"1000","data":{"size":84,"sign":"D","version":"2","url":"http://h/p","extData":[1]},"id":1}`,
		"extData of all kinds":  `{"code":"1000","data":{"size":84,"sign":"D","version":"2","url":"http://h/p","extData":{"a":{"b":1},"c":2}},"id":1}`,
		"a trailing NUL":        `{"code":"1000","data":{"size":84,"sign":"D","version":"2","url":"http://h/p"},"id":1}` + "\x00",
		"a trailing comma":      `{"code":"1000","data":{"size":84,"sign":"D","version":"2","url":"http://h/p", },"id":1}`,
		"unknown members":       `{"code":"1000","x":{},"data":{"size":84,"sign":"D","version":"2","url":"http://h/p","y":[{}]},"id":1}`,
		"files, an array of 1":  `{"code":"1000","data":{"version":"2","files":[{"fileSize":84,"fileUrl":"http://h/p","fileMd5":"D"}]},"id":1}`,
	}
	for name, s := range accepted {
		s = strings.ReplaceAll(strings.ReplaceAll(s, `"D"`, `"`+digest+`"`), `"U"`, `"`+strings.ToUpper(digest)+`"`)
		n, _, err := DecodeNotice([]byte(s))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if n.Files[0].Sign != digest || n.Files[0].Size != 84 || n.SignMethod != MD5 || n.Module != DefaultModule || n.IsDiff != (name == "isDiff true") {
			t.Errorf("%s: %+v", name, n)
		}
	}
}

// I4 and I5: what is refused, and with which words.
func TestI4I5NoticeRefused(t *testing.T) {
	d := `"sign":"54d6ff5a205596db57161705764eeb1b"`
	for s, word := range map[string]string{
		``:                            "not a JSON object",
		`[]`:                          "not a JSON object",
		`{`:                           "unexpected end",
		`{"code":"1000","data":5}`:    "not a JSON object",
		"{\"code\":\"\xff\"}":         "UTF-8",
		`{"code":"460","data":{}}`:    "460",
		strings.Repeat(`{"a":`, 5000): "nested",
		`{"code":"1000","data":{"size":0,` + d + `,"version":"2","url":"http://h"}}`:                                             "size 0",
		`{"code":"1000","data":{"size":-1,` + d + `,"version":"2","url":"http://h"}}`:                                            "size -1",
		`{"code":"1000","data":{"size":1e3,` + d + `,"version":"2","url":"http://h"}}`:                                           "whole number",
		`{"code":"1000","data":{"size":99999999999999999999,` + d + `,"version":"2","url":"http://h"}}`:                          "whole number",
		`{"code":"1000","data":{"size":1,` + d + `,"version":"","url":"http://h"}}`:                                              "version",
		`{"code":"1000","data":{"size":1,` + d + `,"version":"` + strings.Repeat("1", 65) + `","url":"http://h"}}`:               "version",
		`{"code":"1000","data":{"size":1,` + d + `,"version":"../2","url":"http://h"}}`:                                          "version",
		`{"code":"1000","data":{"size":1,"sign":"54d6","version":"2","url":"http://h"}}`:                                         "sign",
		`{"code":"1000","data":{"size":1,"sign":" 54d6ff5a205596db57161705764eeb1","version":"2","url":"http://h"}}`:             "sign",
		`{"code":"1000","data":{"size":1,` + d + `,"signMethod":"SHA256","version":"2","url":"http://h"}}`:                       "sign",
		`{"code":"1000","data":{"size":1,` + d + `,"signMethod":"crc","version":"2","url":"http://h"}}`:                          "sign method",
		`{"code":"1000","data":{"size":1,` + d + `,"version":"2"}}`:                                                              "url",
		`{"code":"1000","data":{"size":1,` + d + `,"version":"2","dProtocol":"mqtt"}}`:                                           "streamId",
		`{"code":"1000","data":{"size":99999999,` + d + `,"version":"2","dProtocol":"mqtt","streamId":1}}`:                       "MQTT",
		`{"code":"1000","data":{"size":1,` + d + `,"version":"2","url":"http://h","module":"a/b"}}`:                              "module",
		`{"code":"1000","data":{"size":1,"size":2,` + d + `,"version":"2","url":"http://h"}}`:                                    "twice",
		`{"code":"1000","data":{"size":1,` + d + `,"version":"2","url":"http://h","isDiff":7}}`:                                  "isDiff",
		`{"code":"1000","data":{"size":1,` + d + `,"version":"2","url":"` + strings.Repeat("u", 3000) + `"}}`:                    "url",
		`{"code":"1000","data":{"size":1,` + d + `,"version":"2","url":"u","extData":{"a":"` + strings.Repeat("u", 1e5) + `"}}}`: "extData",
		`{"a":"` + strings.Repeat("u", MaxMessageLen) + `"}`:                                                                     "bytes",
	} {
		n, _, err := DecodeNotice([]byte(s))
		if err == nil || !errors.Is(err, ErrMessage) || !strings.Contains(err.Error(), word) {
			t.Errorf("%.120s: %+v, error %v, want one with %q", s, n, err, word)
		}
	}
}

// A notice that is not acceptable still names its module, so that the failure
// can be reported for it.
func TestRefusedNoticeNamesItsModule(t *testing.T) {
	n, _, err := DecodeNotice([]byte(`{"code":"1000","data":{"size":0,"version":"2","module":"MCU","url":"http://h"},"id":7}`))
	if err == nil || n.Module != "MCU" || n.Version != "2" || n.ID != 7 {
		t.Errorf("%+v, %v", n, err)
	}
}

func FuzzDecodeNotice(f *testing.F) {
	f.Add([]byte(capturedMQTT))
	f.Add([]byte(capturedHTTPS))
	several := fullNotice()
	several.Files = append(several.Files, several.Files[0])
	for _, n := range []Notice{fullNotice(), several} {
		b, _ := EncodePush(n)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n, _, err := DecodeNotice(b)
		if err != nil {
			return
		}
		again, err := EncodePush(n)
		if err != nil {
			if len(n.extData()) > MaxExtDataLen {
				return
			}
			t.Fatalf("decoded, but not encodable: %v", err)
		}
		if m, _, err := DecodeNotice(again); err != nil || !m.Same(n) {
			t.Fatalf("%+v, then %+v, %v", n, m, err)
		}
	})
}
