package openapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/leapslot/ota/simulator/server/openapi"
)

// The vector of the platform's own documentation of signatures.
func ExampleSign() {
	fmt.Println(openapi.Sign("testsecret", http.MethodGet, map[string]string{
		"Timestamp":        "2016-02-23T12:46:24Z",
		"Format":           "XML",
		"AccessKeyId":      "testid",
		"Action":           "DescribeRegions",
		"SignatureMethod":  "HMAC-SHA1",
		"SignatureNonce":   "3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf",
		"Version":          "2014-05-26",
		"SignatureVersion": "1.0",
	}))
	// Output: OLeaidS1JvxuMvnyHOwuJ+uX5qY=
}

func ExampleClient_Call() {
	key, err := openapi.ParseKey("id:secret")
	if err != nil {
		log.Fatal(err)
	}
	cloud, err := openapi.NewClient("http://127.0.0.1:8080", key, time.Minute)
	if err != nil {
		log.Fatal(err)
	}
	answer, err := cloud.Call(context.Background(), "QueryDeviceDetail", map[string]string{
		"ProductKey": "a1lamp", "DeviceName": "lamp-1",
	})
	if err != nil {
		log.Fatal(err) // a *CallError when the cloud refused
	}
	var device struct {
		Data struct{ Status, FirmwareVersion string }
	}
	if err := json.Unmarshal(answer, &device); err != nil {
		log.Fatal(err)
	}
	fmt.Println(device.Data.Status, device.Data.FirmwareVersion)
}
