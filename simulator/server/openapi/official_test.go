package openapi

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/iot"
	"github.com/google/go-cmp/cmp"

	"github.com/leapslot/ota"
)

func same(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestOfficialProducts(t *testing.T) {
	tw := newTown(t)
	c := tw.client
	create := iot.CreateCreateProductRequest()
	create.ProductName, create.Description, create.NodeType, create.AuthType = "网关", "all of them", "1", "secret"
	made := must(c.CreateProduct(create))
	if made.ProductKey == "" || made.ProductKey != made.Data.ProductKey || made.Data.NodeType != 1 || made.Data.ProductSecret == "" || made.Data.Description != "all of them" {
		t.Errorf("made %+v", made)
	}
	tw.clock.add(time.Second)
	tw.product("lamp")
	tw.device(made.ProductKey, "d1", "")

	query := iot.CreateQueryProductRequest()
	query.ProductKey = made.ProductKey
	one := must(c.QueryProduct(query)).Data
	if one.GmtCreate == 0 {
		t.Error("no GmtCreate")
	}
	one.GmtCreate = 0
	same(t, "product", iot.DataInQueryProduct{
		ProductKey: made.ProductKey, ProductName: "网关", Description: "all of them", ProductSecret: made.Data.ProductSecret, NodeType: 1,
		DeviceCount: 1, DataFormat: 1, AuthType: "secret", ProtocolType: "mqtt", ProductStatus: "DEVELOPMENT_STATUS", Owner: true,
	}, one)

	list := iot.CreateQueryProductListRequest()
	list.CurrentPage, list.PageSize = "1", "1"
	all := must(c.QueryProductList(list)).Data
	if all.Total != 2 || all.PageCount != 2 || all.PageSize != 1 || all.CurrentPage != 1 || len(all.List.ProductInfo) != 1 {
		t.Errorf("list %+v", all)
	}
	list.CurrentPage = "2"
	page2 := must(c.QueryProductList(list)).Data.List.ProductInfo
	names := all.List.ProductInfo[0].ProductName + " " + page2[0].ProductName
	if names != "lamp 网关" {
		t.Errorf("pages have %s", names)
	}
	refused(t, must(c.CreateProduct(newProduct("n", "2"))), codeInvalid, "NodeType", "0 to 1")
	refused(t, must(c.CreateProduct(newProduct("lamp", ""))), "iot.prod.AlreadyExistedProductName", "ProductName", "lamp")
	refused(t, must(c.CreateProduct(newProduct(strings.Repeat("x", 31), ""))), codeInvalid, "ProductName", "30")
}

// must gives the answer of a call that the gateway let through.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// The official client never takes a parameter back from a request that was sent
// once, so that a changed request must be a new one.
func newProduct(name, nodeType string) *iot.CreateProductRequest {
	r := iot.CreateCreateProductRequest()
	r.ProductName, r.NodeType = name, requests.Integer(nodeType)
	return r
}

func newDevice(product, name string) *iot.RegisterDeviceRequest {
	r := iot.CreateRegisterDeviceRequest()
	r.ProductKey, r.DeviceName = product, name
	return r
}

func newNames(product string, names ...string) *iot.BatchCheckDeviceNamesRequest {
	r := iot.CreateBatchCheckDeviceNamesRequest()
	r.ProductKey, r.DeviceName = product, &names
	return r
}

// refused checks a refusal: its code, and what its text names.
func refused(t *testing.T, resp any, code string, texts ...string) {
	t.Helper()
	v := reflect.ValueOf(resp).Elem()
	var got struct{ code, text string }
	got.code, got.text = v.FieldByName("Code").String(), v.FieldByName("ErrorMessage").String()
	if v.FieldByName("Success").Bool() {
		t.Errorf("%T: success, wanted %s", resp, code)
	}
	if got.code != code {
		t.Errorf("%T: code %q (%s), wanted %s", resp, got.code, got.text, code)
	}
	for _, text := range texts {
		if !strings.Contains(got.text, text) {
			t.Errorf("%T: %q does not name %q", resp, got.text, text)
		}
	}
}

func devNamed(product, name string) ota.Device { return ota.Device{ProductKey: product, Name: name} }
