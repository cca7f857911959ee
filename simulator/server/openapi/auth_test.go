package openapi

import (
	"encoding/json"
	"encoding/xml"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	sdkerrors "github.com/aliyun/alibaba-cloud-sdk-go/sdk/errors"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/iot"
)

func TestOfficialSignature(t *testing.T) {
	web := serveEngine(t, nil, oneProduct)
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		for _, format := range []string{"JSON", "XML"} {
			req := iot.CreateCreateProductRequest()
			req.Method = method
			req.AcceptFormat = format
			req.ProductName = "灯 *~'()!a+b&c=d/%?#.-_"
			req.Description = "x <y> \"z\" \u2028"
			req.NodeType = "0"
			resp, err := official(t, web, testKey()).CreateProduct(req)
			if err != nil {
				t.Fatalf("%s %s: %v", method, format, err)
			}
			if !resp.Success || resp.ProductKey != "a1Product" || resp.Data.ProductKey != "a1Product" ||
				resp.Data.ProductName != req.ProductName || resp.RequestId == "" {
				t.Errorf("%s %s: answered %s", method, format, resp.GetHttpContentString())
			}
		}
	}
}

// The official client sends some parameters in the form, and signs them with those
// of the query.
func TestOfficialSignatureCoversForm(t *testing.T) {
	web := serveEngine(t, nil, oneProduct)
	req := iot.CreateBatchCheckDeviceNamesRequest()
	req.ProductKey = "a1Product"
	req.DeviceName = &[]string{"a", "b c"}
	resp, err := official(t, web, testKey()).BatchCheckDeviceNames(req)
	if err != nil {
		t.Fatal(err)
	}
	if !resp.Success || resp.Data.ApplyId != 1 || len(resp.Data.InvalidDeviceNameList.InvalidDeviceName) != 1 {
		t.Errorf("answered %s", resp.GetHttpContentString())
	}
}

func TestOfficialWrongSecretIsRefused(t *testing.T) {
	web := serveEngine(t, nil, oneProduct)
	cases := []struct {
		key    Key
		code   string
		status int
	}{
		{Key{ID: "testid", Secret: "wrong"}, "SignatureDoesNotMatch", 400},
		{Key{ID: "nobody", Secret: "testsecret"}, "InvalidAccessKeyId.NotFound", 404},
	}
	for _, c := range cases {
		_, err := official(t, web, c.key).QueryProduct(iot.CreateQueryProductRequest())
		got, ok := err.(sdkerrors.Error)
		if !ok || got.ErrorCode() != c.code || got.HttpStatus() != c.status {
			t.Errorf("%s: %v", c.code, err)
		}
	}
	// The client tells a wrong secret from a fault of its own by the text we signed.
	_, err := official(t, web, cases[0].key).QueryProduct(iot.CreateQueryProductRequest())
	if !strings.Contains(err.Error(), "InvalidAccessKeySecret") {
		t.Errorf("the official client does not see that the secret is wrong: %v", err)
	}
}

func TestOfficialBusinessFault(t *testing.T) {
	web := serveEngine(t, nil, oneProduct)
	req := iot.CreateQueryProductRequest()
	req.ProductKey = "a1Other"
	resp, err := official(t, web, testKey()).QueryProduct(req)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Success || resp.Code != "iot.prod.NotExistedProduct" || !strings.Contains(resp.ErrorMessage, "ProductKey") {
		t.Errorf("answered %s", resp.GetHttpContentString())
	}
}

// request signs parameters as a client does; what is in change is put over them
// first, "" takes one away.
func request(method string, at time.Time, change map[string]string) map[string]string {
	p := map[string]string{
		"Action": "QueryProduct", "Version": Version, "Format": "JSON", "ProductKey": "a1Product",
		"AccessKeyId": testKey().ID, "SignatureMethod": "HMAC-SHA1", "SignatureVersion": "1.0",
		"SignatureNonce": "n1", "Timestamp": at.UTC().Format(TimeFormat),
		"SignatureType": "", "RegionId": "", // signed though empty, as the official client does
	}
	maps.Copy(p, change)
	for name, value := range change {
		if value == "" {
			delete(p, name)
		}
	}
	if _, ok := change[signatureName]; !ok {
		p[signatureName] = Sign(testKey().Secret, method, p)
	}
	return p
}

func encode(p map[string]string) string {
	v := url.Values{}
	for name, value := range p {
		v.Set(name, value)
	}
	return v.Encode()
}

// answered is either shape of an answer.
type answered struct {
	status                      int
	RequestId, HostId           string
	Code, Message, ErrorMessage string
	Success                     bool
}

func get(t *testing.T, url string) answered {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	return read(t, resp)
}

func read(t *testing.T, resp *http.Response) answered {
	t.Helper()
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answered{status: resp.StatusCode}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/xml") {
		err = xml.Unmarshal(body, &a)
	} else {
		err = json.Unmarshal(body, &a)
	}
	if err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	if a.RequestId == "" {
		t.Errorf("no RequestId in %s", body)
	}
	return a
}

func TestGateway(t *testing.T) {
	now := newClock()
	web := serveEngine(t, now.Now, oneProduct)
	at := now.Now()
	cases := []struct {
		name   string
		change map[string]string
		status int
		code   string
		text   string
	}{
		{"good", nil, 200, "", ""},
		{"no action", map[string]string{"Action": ""}, 400, "MissingAction", "Action"},
		{"no key", map[string]string{"AccessKeyId": ""}, 400, "MissingAccessKeyId", "AccessKeyId"},
		{"no nonce", map[string]string{"SignatureNonce": ""}, 400, "MissingSignatureNonce", ""},
		{"no signature", map[string]string{signatureName: ""}, 400, "MissingSignature", ""},
		{"wrong signature", map[string]string{signatureName: "AAAA"}, 400, "SignatureDoesNotMatch", "server string to sign is:GET&%2F&"},
		{"unknown key", map[string]string{"AccessKeyId": "other"}, 404, "InvalidAccessKeyId.NotFound", ""},
		{"another method", map[string]string{"SignatureMethod": "HMAC-SHA256"}, 400, "InvalidSignatureMethod", "HMAC-SHA1"},
		{"another version of signing", map[string]string{"SignatureVersion": "2.0"}, 400, "InvalidSignatureVersion", "1.0"},
		{"no time", map[string]string{"Timestamp": "yesterday"}, 400, "InvalidTimeStamp.Format", ""},
		{"stale", map[string]string{"Timestamp": at.Add(-16 * time.Minute).UTC().Format(TimeFormat)}, 400, "InvalidTimeStamp.Expired", "15m"},
		{"early", map[string]string{"Timestamp": at.Add(16 * time.Minute).UTC().Format(TimeFormat)}, 400, "InvalidTimeStamp.Expired", "15m"},
		{"late but in time", map[string]string{"Timestamp": at.Add(-14 * time.Minute).UTC().Format(TimeFormat)}, 200, "", ""},
		{"unknown action", map[string]string{"Action": "DeleteEverything"}, 404, "InvalidAction.NotFound", "DeleteEverything"},
		{"another version", map[string]string{"Version": "2017-04-20"}, 400, "InvalidVersion", Version},
		{"another format", map[string]string{"Format": "YAML"}, 400, "InvalidFormat", "XML"},
		{"no product", map[string]string{"ProductKey": ""}, 400, "MissingProductKey", "ProductKey is mandatory"},
		{"long product", map[string]string{"ProductKey": strings.Repeat("x", 65)}, 200, codeInvalid, "ProductKey: has 65 characters, allowed are at most 64"},
		{"as XML", map[string]string{"Format": "XML", "ProductKey": ""}, 400, "MissingProductKey", "ProductKey"},
		{"refused as XML", map[string]string{"Format": "XML", "ProductKey": "other"}, 200, "iot.prod.NotExistedProduct", "ProductKey"},
	}
	for i, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			change := map[string]string{"SignatureNonce": "case" + string(rune('a'+i))}
			maps.Copy(change, c.change)
			a := get(t, web.URL+"/?"+encode(request(http.MethodGet, at, change)))
			if a.status != c.status || a.Code != c.code || !strings.Contains(a.Message+a.ErrorMessage, c.text) {
				t.Errorf("answered %+v, wanted status %d, code %s, with %q", a, c.status, c.code, c.text)
			}
			if c.status != 200 && a.HostId == "" {
				t.Error("no HostId")
			}
		})
	}
}

func TestReplay(t *testing.T) {
	now := newClock()
	web := serveEngine(t, now.Now, oneProduct)
	create := map[string]string{"Action": "CreateProduct", "ProductName": "lamp"}
	first := web.URL + "/?" + encode(request(http.MethodGet, now.Now(), create))
	if a := get(t, first); !a.Success {
		t.Fatalf("first: %+v", a)
	}
	if a := get(t, first); a.Code != "SignatureNonceUsed" || a.status != 400 {
		t.Errorf("at once: %+v", a)
	}
	now.add(14 * time.Minute)
	if a := get(t, first); a.Code != "SignatureNonceUsed" {
		t.Errorf("after 14 minutes: %+v", a)
	}
	now.add(2 * time.Minute)
	if a := get(t, first); a.Code != "InvalidTimeStamp.Expired" {
		t.Errorf("after 16 minutes: %+v", a)
	}
	// A refused signature does not use a nonce up: nobody can take another's.
	create["SignatureNonce"] = "n2"
	bad := request(http.MethodGet, now.Now(), create)
	good := bad[signatureName]
	bad[signatureName] = "AAAA"
	get(t, web.URL+"/?"+encode(bad))
	bad[signatureName] = good
	if a := get(t, web.URL+"/?"+encode(bad)); !a.Success {
		t.Errorf("after a forged one: %+v", a)
	}
}

func TestNoncesAreBoundedAndForgotten(t *testing.T) {
	n := newNonces(2)
	at := time.Unix(1_700_000_000, 0)
	steps := []struct {
		after time.Duration
		nonce string
		want  nonceVerdict
	}{
		{0, "a", nonceNew}, {0, "a", nonceUsed}, {0, "b", nonceNew}, {0, "c", nonceFull}, {0, "a", nonceUsed},
		{2*maxSkew - time.Second, "a", nonceUsed}, // signed maxSkew ahead: still valid
		{time.Second, "a", nonceUsed}, {0, "c", nonceNew},
		{-3 * maxSkew, "a", nonceUsed}, {0, "c", nonceUsed}, // the clock jumps back
		{2 * maxSkew, "d", nonceNew}, {0, "a", nonceNew}, {0, "c", nonceUsed},
	}
	for i, s := range steps {
		at = at.Add(s.after)
		if got := n.use("key", s.nonce, at); got != s.want {
			t.Fatalf("step %d, %s: %d, wanted %d", i, s.nonce, got, s.want)
		}
	}
	if n.use("other key", "c", at) == nonceUsed {
		t.Error("one key used up another key's nonce")
	}
}

func TestRequestLimits(t *testing.T) {
	web := serveEngine(t, nil, oneProduct)
	many := "p=1"
	for i := range MaxParams {
		many += "&p." + strconv.Itoa(i) + "=1"
	}
	cases := []struct{ name, query, code, text string }{
		{"twice", "Action=A&Action=B", "InvalidParameter", "Action is given twice"},
		{"bad escape", "Action=%zz", "InvalidParameter", "Action"},
		{"bad name", "%zz=1", "InvalidParameter", "name"},
		{"not UTF-8", "Action=%ff", "InvalidParameter", "Action"},
		{"NUL", "Action=%00", "InvalidParameter", "NUL"},
		{"long name", strings.Repeat("n", 129) + "=1", "InvalidParameter", "128"},
		{"long value", "Udi=" + strings.Repeat("v", maxValueLen+1), "InvalidParameter", "16384"},
		{"too many", many, "InvalidParameter", "4096"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			a := get(t, web.URL+"/?"+c.query)
			if a.status != 400 || a.Code != c.code || !strings.Contains(a.Message, c.text) {
				t.Errorf("query: %+v", a)
			}
			resp, err := http.Post(web.URL, "application/x-www-form-urlencoded", strings.NewReader(c.query))
			if err != nil {
				t.Fatal(err)
			}
			if a := read(t, resp); a.status != 400 || a.Code != c.code || !strings.Contains(a.Message, c.text) {
				t.Errorf("form: %+v", a)
			}
		})
	}
	form := func(kind, body string) answered {
		resp, err := http.Post(web.URL, kind, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		return read(t, resp)
	}
	if a := form("application/x-www-form-urlencoded", strings.Repeat("&", MaxBody+1)); a.status != 413 || !strings.Contains(a.Message, "1048576") {
		t.Errorf("a long form: %+v", a)
	}
	if a := form("application/json", "{}"); a.status != 415 {
		t.Errorf("JSON: %+v", a)
	}
	if a := get(t, web.URL+"/other"); a.status != 404 {
		t.Errorf("another path: %+v", a)
	}
	req, _ := http.NewRequest(http.MethodPut, web.URL, nil)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if a := read(t, resp); a.status != 405 || resp.Header.Get("Allow") == "" {
		t.Errorf("PUT: %+v", a)
	}
}
