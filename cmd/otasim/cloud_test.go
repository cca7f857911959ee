package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/leapslot/ota/simulator/server/openapi"
)

func noEnv(string) string { return "" }

func TestParseCloudCall(t *testing.T) {
	where := []string{"--endpoint", "http://h", "--access-key=id:s:x"}
	cases := []struct {
		args   []string
		action string
		params map[string]string
		wrong  string
	}{
		{args: []string{"QueryProduct", "--ProductKey", "k"}, action: "QueryProduct", params: map[string]string{"ProductKey": "k"}},
		{args: []string{"--ProductKey=--k", "QueryProduct"}, action: "QueryProduct", params: map[string]string{"ProductKey": "--k"}},
		{args: []string{"X", "--Desc", "-1", "--Empty="}, action: "X", params: map[string]string{"Desc": "-1", "Empty": ""}},
		{args: []string{"X", "--A", "1", "--A", "2"}, action: "X", params: map[string]string{"A.1": "1", "A.2": "2"}},
		{args: []string{"X", "--A.1", "1", "--Tag.1.Key", "k"}, action: "X", params: map[string]string{"A.1": "1", "Tag.1.Key": "k"}},
		{args: []string{"CreateOTAVerifyJob", "--TargetDeviceName", "d"}, action: "CreateOTAVerifyJob", params: map[string]string{"TargetDeviceName.1": "d"}},
		{args: []string{"QueryDeviceDetail", "--DeviceName", "d"}, action: "QueryDeviceDetail", params: map[string]string{"DeviceName": "d"}},
		{args: []string{"BatchGetDeviceState", "--DeviceName", "d"}, action: "BatchGetDeviceState", params: map[string]string{"DeviceName.1": "d"}},
		{args: []string{uploadAction, "--file", "a/root.TAR.GZ"}, action: uploadAction, params: map[string]string{"FileSuffix": "tar.gz"}},
		{args: []string{uploadAction, "--file", "root.img"}, action: uploadAction, params: map[string]string{"FileSuffix": "bin"}},
		{args: []string{uploadAction, "--file", "x.gz", "--FileSuffix", "zip"}, action: uploadAction, params: map[string]string{"FileSuffix": "zip"}},
		{args: []string{uploadAction, "--file", "x.tar.xz"}, action: uploadAction, params: map[string]string{"FileSuffix": "tar.xz"}},
		{args: []string{listAction, "--file", "devices.csv"}, action: listAction, params: map[string]string{}},
		{wrong: "no action"},
		{args: []string{"X", "Y"}, wrong: "second action"},
		{args: []string{"X", "--A"}, wrong: "--A has no value"},
		{args: []string{"X", "--A", "--B", "1"}, wrong: "--A has no value"},
		{args: []string{"X", "--product", "k"}, wrong: "unknown flag --product"},
		{args: []string{"X", "-k", "v"}, wrong: "unknown flag -k"},
		{args: []string{"X", "--A", "1", "--A", "2", "--A.1", "3"}, wrong: "--A.1 is given both"},
		{args: []string{"X", "--file", "f"}, wrong: "--file belongs to"},
		{args: []string{"X", "--timeout", "5"}, wrong: "--timeout"},
		{args: []string{"X", "--timeout", "-5s"}, wrong: "--timeout"},
		{args: []string{"X", "--access-key", "id"}, wrong: "ID:SECRET"},
		{args: []string{"X", "--endpoint", ""}, wrong: "no value"},
		{args: []string{"X", "--endpoint="}, wrong: "no endpoint"},
	}
	for _, c := range cases {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			args := append([]string{}, where...)
			if c.wrong == "no value" {
				args = append(args, "X", "--endpoint")
			} else {
				args = append(args, c.args...)
			}
			got, err := parseCloudCall(args, noEnv)
			if c.wrong != "" {
				var usage *usageError
				if !errors.As(err, &usage) || !strings.Contains(err.Error(), c.wrong) {
					t.Fatalf("%v, wanted a usage error with %q", err, c.wrong)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.action != c.action || got.key.ID != "id" || got.key.Secret != "s:x" || got.endpoint != "http://h" {
				t.Errorf("%+v", got)
			}
			if diff := cmp.Diff(c.params, got.params); diff != "" {
				t.Error(diff)
			}
		})
	}
	if _, err := parseCloudCall([]string{"X", "--help"}, noEnv); !errors.Is(err, errHelp) {
		t.Errorf("--help: %v", err)
	}
	env := map[string]string{endpointEnv: "http://e", accessKeyEnv: "a:b"}
	got, err := parseCloudCall([]string{"X", "--endpoint", "http://f"}, func(name string) string { return env[name] })
	if err != nil || got.endpoint != "http://f" || got.key.ID != "a" {
		t.Errorf("from the environment: %+v %v", got, err)
	}
}

func FuzzParseCloudCall(f *testing.F) {
	f.Add("X\n--A\n1\n--A\n2\n--endpoint\nhttp://h\n--access-key\na:b")
	f.Add("--\n--=\n-\n\n--A.\n=")
	f.Fuzz(func(t *testing.T, args string) {
		c, err := parseCloudCall(strings.Split(args, "\n"), noEnv)
		if err == nil && (c.action == "" || c.endpoint == "" || c.params == nil) {
			t.Fatalf("%q is half a call: %+v", args, c)
		}
	})
}

func TestAdvice(t *testing.T) {
	for code, text := range map[string]string{
		"MissingProductKey": "--ProductKey VALUE", "SignatureDoesNotMatch": "secret", "InvalidTimeStamp.Expired": "clock",
		"iot.ota.InvalidDeviceList": listAction, "iot.group.NotExistedGroup": "QueryDeviceGroupList", "iot.ota.NotExistedTask": "ListOTATaskByJob",
		"iot.common.InvalidParameter": "another value", "iot.system.SystemException": "log", "new": "documentation",
	} {
		err := advised(&openapi.CallError{Action: "A", Code: code, Message: "m"})
		if !strings.HasPrefix(err.Error(), "A: "+code+": m (") || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v", code, err)
		}
	}
	if err := advised(errors.New("refused")); !strings.Contains(err.Error(), "serve") {
		t.Error(err)
	}
}

func TestFleetNames(t *testing.T) {
	f := registration{product: "k", prefix: "d-", first: 8, count: 3}
	if got := f.name(0) + " " + f.name(2); got != "d-08 d-10" {
		t.Error(got)
	}
	for _, bad := range []registration{
		{prefix: "d", first: 1, count: 1},
		{product: "k", prefix: "d", first: 1, count: 0},
		{product: "k", prefix: "d", first: 1, count: maxFleet + 1},
		{product: "k", prefix: "d", first: -1, count: 1},
		{product: "k", prefix: "d/", first: 1, count: 1},
		{product: "k", prefix: strings.Repeat("d", 64), first: 1, count: 1},
	} {
		var usage *usageError
		if err := bad.check(); !errors.As(err, &usage) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	if err := f.check(); err != nil {
		t.Error(err)
	}
}

// slowCloud registers devices only when it is asked a second time, as the real cloud
// does, and breaks off at the batch that fails says.
type slowCloud struct {
	batches, asked, failAt int
	names                  []string
}

func (c *slowCloud) Call(_ context.Context, action string, params map[string]string) (json.RawMessage, error) {
	switch action {
	case "BatchCheckDeviceNames":
		if c.batches++; c.batches == c.failAt {
			return nil, &openapi.CallError{Action: action, Code: "iot.device.LimitExceeded", Message: "enough"}
		}
		c.names, c.asked = nil, 0
		for i := 1; params["DeviceName."+strconv.Itoa(i)] != ""; i++ {
			c.names = append(c.names, params["DeviceName."+strconv.Itoa(i)])
		}
		return json.RawMessage(`{"Data":{"ApplyId":7}}`), nil
	case "QueryBatchRegisterDeviceStatus":
		c.asked++
		return json.RawMessage(`{"Data":{"Status":"` + []string{"", "CHECK_SUCCESS", "CREATE", "CREATE_SUCCESS"}[c.asked] + `"}}`), nil
	case "QueryPageByApplyId":
		page, _ := strconv.Atoi(params["CurrentPage"])
		size, _ := strconv.Atoi(params["PageSize"])
		var a struct {
			ApplyDeviceList struct{ ApplyDeviceInfo []map[string]string }
		}
		for _, n := range c.names[min(len(c.names), (page-1)*size):min(len(c.names), page*size)] {
			a.ApplyDeviceList.ApplyDeviceInfo = append(a.ApplyDeviceList.ApplyDeviceInfo, map[string]string{"DeviceName": n, "DeviceSecret": "s" + n})
		}
		return json.Marshal(a)
	}
	return json.RawMessage(`{}`), nil
}

func TestFleetCreate(t *testing.T) {
	f := registration{product: "k", prefix: "d", first: 1, count: 1200}
	var out, progress bytes.Buffer
	if err := f.create(context.Background(), &slowCloud{}, &out, &progress); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 1201 || lines[0] != "product_key,device_name,device_secret" || lines[1] != "k,d0001,sd0001" || lines[1200] != "k,d1200,sd1200" {
		t.Errorf("%d lines, %q, %q", len(lines), lines[0], lines[len(lines)-1])
	}
	if progress.String() != "\r1000 of 1200 devices\r1200 of 1200 devices\n" {
		t.Errorf("progress %q", progress.String())
	}
	out.Reset()
	err := f.create(context.Background(), &slowCloud{failAt: 2}, &out, &progress)
	if err == nil || !strings.Contains(err.Error(), "1000 of 1200 are registered") || !strings.Contains(err.Error(), "enough") {
		t.Error(err)
	}
	if n := strings.Count(out.String(), "\n"); n != 1001 {
		t.Errorf("%d lines were printed of what was registered", n)
	}
}
