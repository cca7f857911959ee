package openapi_test

import (
	"bytes"
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth/credentials"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/iot"

	"github.com/leapslot/ota/simulator/server"
	"github.com/leapslot/ota/simulator/server/openapi"
)

func key() openapi.Key { return openapi.Key{ID: "id", Secret: "secret", Account: "acme"} }

// serve runs the whole server on a real socket and gives the official client of it,
// and ours.
func serve(t *testing.T) (*iot.Client, *openapi.Client) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + l.Addr().String()
	ctx, stop := context.WithCancel(context.Background())
	s, err := server.New(ctx, server.Config{Dir: t.TempDir(), PublicURL: url, AccessKey: key()})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, nil, []net.Listener{l}) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	config := sdk.NewConfig().WithScheme("HTTP").WithAutoRetry(false).WithTimeout(20 * time.Second)
	official, err := iot.NewClientWithOptions("cn-shanghai", config, credentials.NewAccessKeyCredential(key().ID, key().Secret))
	if err != nil {
		t.Fatal(err)
	}
	official.Domain = l.Addr().String()
	own, err := openapi.NewClient(url, key(), 20*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	return official, own
}

// call makes a call with our client and reads the answer.
func call(t *testing.T, c *openapi.Client, action string, params map[string]string, answer any) {
	t.Helper()
	raw, err := c.Call(context.Background(), action, params)
	if err != nil {
		t.Fatal(err)
	}
	if answer == nil {
		return
	}
	if err := json.Unmarshal(raw, answer); err != nil {
		t.Fatal(err)
	}
}

func newLamp(t *testing.T, c *openapi.Client) string {
	t.Helper()
	var made struct{ ProductKey string }
	call(t, c, "CreateProduct", map[string]string{"ProductName": "lamp"}, &made)
	return made.ProductKey
}

// A form is asked for, a file of several megabytes is sent with it, a package is
// made of it, and what is downloaded again is the file.
func TestOfficialUpload(t *testing.T) {
	official, own := serve(t)
	product := newLamp(t, own)
	ask := iot.CreateGenerateOTAUploadURLRequest()
	ask.FileSuffix = "tar.gz"
	form, err := official.GenerateOTAUploadURL(ask)
	if err != nil || !form.Success {
		t.Fatalf("%v %+v", err, form)
	}
	d := form.Data
	if !strings.HasSuffix(d.Key, ".tar.gz") || !strings.HasSuffix(d.FirmwareUrl, ".tar.gz") {
		t.Errorf("key %q, url %q", d.Key, d.FirmwareUrl)
	}
	create := iot.CreateCreateOTAFirmwareRequest()
	create.ProductKey, create.FirmwareName, create.DestVersion, create.SignMethod = product, "fw", "2.0", "SHA256"
	create.FirmwareUrl = d.FirmwareUrl
	if early, err := official.CreateOTAFirmware(create); err != nil || early.Code != "iot.ota.FileNotUploaded" {
		t.Errorf("before the upload: %v %+v", err, early)
	}
	content := bytes.Repeat([]byte("0123456789abcdef"), 300_000)
	up := openapi.UploadForm{Host: d.Host, Key: d.Key, Policy: d.Policy, OssAccessKeyId: d.OssAccessKeyId, Signature: d.Signature}
	if err := openapi.Upload(context.Background(), up, bytes.NewReader(content), int64(len(content))); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(content)
	create.FirmwareSign, create.FirmwareSize = hex.EncodeToString(sum[:]), requests.NewInteger(len(content))
	made, err := official.CreateOTAFirmware(create)
	if err != nil || !made.Success {
		t.Fatalf("%v %+v", err, made)
	}
	query := iot.CreateQueryOTAFirmwareRequest()
	query.FirmwareId = made.Data.FirmwareId
	found, err := official.QueryOTAFirmware(query)
	if err != nil || found.FirmwareInfo.FirmwareSize != len(content) || found.FirmwareInfo.FirmwareSign != create.FirmwareSign {
		t.Fatalf("%v %+v", err, found.FirmwareInfo)
	}
	resp, err := http.Get(found.FirmwareInfo.FirmwareUrl)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got, err := io.ReadAll(resp.Body); err != nil || !bytes.Equal(got, content) {
		t.Errorf("status %d, %d bytes, %v", resp.StatusCode, len(got), err)
	}
}

func TestUploadRefused(t *testing.T) {
	_, own := serve(t)
	var form struct{ Data openapi.UploadForm }
	call(t, own, "GenerateOTAUploadURL", nil, &form)
	forged := form.Data
	forged.Signature = "AAAA" + forged.Signature[4:]
	if err := openapi.Upload(context.Background(), forged, strings.NewReader("x"), 1); err == nil || !strings.Contains(err.Error(), "HTTP status 403") {
		t.Errorf("forged: %v", err)
	}
	if err := openapi.Upload(context.Background(), form.Data, strings.NewReader("x"), 2); err == nil {
		t.Error("a file that turned out shorter was uploaded")
	}
	forged.Host = "http://127.0.0.1:1/"
	if err := openapi.Upload(context.Background(), forged, strings.NewReader("x"), 1); err == nil || !strings.Contains(err.Error(), "not reached") {
		t.Errorf("nobody there: %v", err)
	}
}

// TestP7Security: the switch, which is an action of ours, gives the public key.
func TestP7Security(t *testing.T) {
	_, own := serve(t)
	product := newLamp(t, own)
	ask := func(action, enable string) (bool, string) {
		t.Helper()
		var a struct {
			Data struct {
				Enable    bool
				PublicKey string
			}
		}
		call(t, own, action, map[string]string{"ProductKey": product, "Enable": enable}, &a)
		return a.Data.Enable, a.Data.PublicKey
	}
	if on, pub := ask("QueryProductOTASecurity", ""); on || pub != "" {
		t.Errorf("at first: %v %q", on, pub)
	}
	on, pub := ask("UpdateProductOTASecurity", "true")
	block, _ := pem.Decode([]byte(pub))
	if !on || block == nil {
		t.Fatalf("on: %v %q", on, pub)
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if k, isRSA := parsed.(*rsa.PublicKey); err != nil || !isRSA || k.N.BitLen() != 2048 {
		t.Errorf("the key is %T, %v", parsed, err)
	}
	if on, again := ask("UpdateProductOTASecurity", "false"); on || again != pub {
		t.Errorf("off: %v, key kept: %v", on, again == pub)
	}
	if on, again := ask("UpdateProductOTASecurity", "true"); !on || again != pub {
		t.Errorf("on again: %v, key kept: %v", on, again == pub)
	}
}

// A load test makes many devices: the most of one call, and listing them again, are
// a matter of seconds at worst.
func TestTenThousandDevices(t *testing.T) {
	_, own := serve(t)
	product := newLamp(t, own)
	began := time.Now()
	var made struct{ Data struct{ ApplyId int64 } }
	call(t, own, "BatchRegisterDevice", map[string]string{"ProductKey": product, "Count": strconv.Itoa(openapi.MaxBatch)}, &made)
	registered := time.Since(began)
	var page struct {
		Total           int
		ApplyDeviceList struct {
			ApplyDeviceInfo []struct{ DeviceName, DeviceSecret string }
		}
	}
	names := map[string]bool{}
	for n := 1; len(names) < openapi.MaxBatch; n++ {
		call(t, own, "QueryPageByApplyId", map[string]string{"ApplyId": strconv.FormatInt(made.Data.ApplyId, 10), "PageSize": "50", "CurrentPage": strconv.Itoa(n)}, &page)
		if len(page.ApplyDeviceList.ApplyDeviceInfo) == 0 {
			t.Fatalf("page %d is empty after %d devices", n, len(names))
		}
		for _, d := range page.ApplyDeviceList.ApplyDeviceInfo {
			names[d.DeviceName] = true
		}
	}
	t.Logf("%d devices registered in %v, listed in %v", openapi.MaxBatch, registered, time.Since(began)-registered)
	if registered > 10*time.Second {
		t.Errorf("registering took %v", registered)
	}
}

func TestClientRefusals(t *testing.T) {
	_, own := serve(t)
	_, err := own.Call(context.Background(), "QueryProduct", map[string]string{"ProductKey": "none"})
	if e := (*openapi.CallError)(nil); !asCall(err, &e) || e.Code != "iot.prod.NotExistedProduct" || e.Status != 200 || e.RequestID == "" || !strings.HasPrefix(err.Error(), "QueryProduct: iot.prod.NotExistedProduct: ProductKey: ") {
		t.Errorf("business: %v", err)
	}
	_, err = own.Call(context.Background(), "QueryProduct", nil)
	if e := (*openapi.CallError)(nil); !asCall(err, &e) || e.Code != "MissingProductKey" || e.Status != 400 {
		t.Errorf("gateway: %v", err)
	}
	// What the client signs with cannot be overridden.
	if _, err := own.Call(context.Background(), "QueryProductList", map[string]string{"Signature": "x", "AccessKeyId": "y", "Format": "XML"}); err != nil {
		t.Errorf("overridden: %v", err)
	}
}

func asCall(err error, e **openapi.CallError) bool {
	c, ok := err.(*openapi.CallError)
	*e = c
	return ok
}

func TestClientAgainstSomethingElse(t *testing.T) {
	for _, bad := range []string{"", "127.0.0.1:80", "ftp://h", "http://h/path", "http://u:p@h", "http://h?x=1", "http://"} {
		if _, err := openapi.NewClient(bad, key(), time.Second); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
	if _, err := openapi.NewClient("http://h", openapi.Key{ID: "x"}, time.Second); err == nil {
		t.Error("a key without a secret is accepted")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	web := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch {
		case strings.Contains(string(body), "Action=Moved"):
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusTemporaryRedirect)
		case strings.Contains(string(body), "Action=Huge"):
			_, _ = io.Copy(w, io.LimitReader(endless{}, 17<<20))
		case strings.Contains(string(body), "Action=Slow"):
			<-r.Context().Done()
		default:
			_, _ = io.WriteString(w, "<html>")
		}
	})}
	go func() { _ = web.Serve(l) }()
	defer web.Close()
	c, err := openapi.NewClient("http://"+l.Addr().String()+"/", key(), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	for action, text := range map[string]string{"Web": "HTTP status 200 and no JSON", "Moved": "HTTP status 307", "Huge": "longer than", "Slow": "not reached"} {
		if _, err := c.Call(context.Background(), action, nil); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v", action, err)
		}
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestParseKey(t *testing.T) {
	if k, err := openapi.ParseKey("id:se:cret"); err != nil || k.ID != "id" || k.Secret != "se:cret" {
		t.Errorf("%+v %v", k, err)
	}
	for _, bad := range []string{"", "id", "id:", ":secret"} {
		if _, err := openapi.ParseKey(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}
