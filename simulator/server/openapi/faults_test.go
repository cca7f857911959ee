package openapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/services/iot"

	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server/store"
)

// TestF8StoreFaults: what could not be stored is refused with the reason.
func TestF8StoreFaults(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
		code   string
		text   string
	}{
		{fmt.Errorf("saving: %w", store.ErrFull), 200, codeSystem, "nothing was changed: saving: no space left"},
		{fmt.Errorf("saving: %w", store.ErrBusy), 200, codeSystem, "locked"},
		{fmt.Errorf("saving: %w", store.ErrReadOnly), 200, codeSystem, "cannot be written"},
		{errors.New("shutting down"), 200, codeSystem, "shutting down"},
		{context.DeadlineExceeded, 503, "ServiceUnavailable", "not known"},
	} {
		var log bytes.Buffer
		s, err := New(Config{
			Keys: testKey(), Lists: noLists{}, Uploads: noUploads{}, Log: slog.New(slog.NewTextHandler(&log, nil)),
			Engine: engineFunc(func(simulator.Command) (any, error) { return nil, c.err }),
		})
		if err != nil {
			t.Fatal(err)
		}
		a := serveOne(t, s, map[string]string{"Action": "CreateProduct", "ProductName": "lamp"})
		if a.status != c.status || a.Code != c.code || a.Success || !strings.Contains(a.Message+a.ErrorMessage, c.text) {
			t.Errorf("%v: %+v", c.err, a)
		}
		if logged := strings.Contains(log.String(), "CreateProduct"); logged != (c.code == codeSystem) {
			t.Errorf("%v: log %q", c.err, log.String())
		}
	}
}

// serveOne answers one signed request.
func serveOne(t *testing.T, s *Server, change map[string]string) answered {
	t.Helper()
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/?"+encode(request(http.MethodGet, time.Now(), change)), nil))
	return read(t, w.Result())
}

func TestEngineThatAnswersNonsense(t *testing.T) {
	s, err := New(Config{
		Keys: testKey(), Lists: noLists{}, Uploads: noUploads{},
		Engine: engineFunc(func(simulator.Command) (any, error) { return 7, nil }),
	})
	if err != nil {
		t.Fatal(err)
	}
	if a := serveOne(t, s, map[string]string{"Action": "CreateProduct", "ProductName": "lamp"}); a.Code != codeSystem {
		t.Errorf("%+v", a)
	}
}

func TestNewWantsEverything(t *testing.T) {
	all := Config{Keys: testKey(), Engine: engineFunc(oneProduct), Lists: noLists{}, Uploads: noUploads{}}
	for _, without := range []func(c *Config){
		func(c *Config) { c.Keys = nil }, func(c *Config) { c.Engine = nil }, func(c *Config) { c.Lists = nil }, func(c *Config) { c.Uploads = nil },
	} {
		c := all
		without(&c)
		if _, err := New(c); err == nil {
			t.Errorf("%+v is accepted", c)
		}
	}
}

// A signature is for one request: nothing of it can be changed or moved.
func TestTampered(t *testing.T) {
	web := serveEngine(t, nil, oneProduct)
	signed := func() map[string]string {
		return request(http.MethodGet, time.Now(), map[string]string{"Action": "CreateProduct", "ProductName": "lamp"})
	}
	for name, tamper := range map[string]func(p map[string]string){
		"changed": func(p map[string]string) { p["ProductName"] = "lamps" },
		"added":   func(p map[string]string) { p["NodeType"] = "1" },
		"taken":   func(p map[string]string) { delete(p, "RegionId") },
		"renamed": func(p map[string]string) { p["Region"] = ""; delete(p, "RegionId") },
	} {
		p := signed()
		tamper(p)
		if a := get(t, web.URL+"/?"+encode(p)); a.Code != "SignatureDoesNotMatch" {
			t.Errorf("%s: %+v", name, a)
		}
	}
	resp, err := http.Post(web.URL, "application/x-www-form-urlencoded", strings.NewReader(encode(signed())))
	if err != nil {
		t.Fatal(err)
	}
	if a := read(t, resp); a.Code != "SignatureDoesNotMatch" {
		t.Errorf("a GET sent as a POST: %+v", a)
	}
}

// Every action but our own is one of the official client's, by name.
func TestActionsAreThePlatforms(t *testing.T) {
	all := Actions()
	if !slices.IsSorted(all) || len(slices.Compact(slices.Clone(all))) != len(all) {
		t.Errorf("not sorted, or twice: %v", all)
	}
	ours := []string{
		"UpdateProductOTASecurity", "QueryProductOTASecurity", "UpdateProductOTAOptions", "QueryProductOTAOptions",
		"QueryProductOTAVersions", "QueryDeviceNameListTemplate", "ListAuditLog",
		"PauseOTAJob", "ResumeOTAJob", "UpdateOTAJobStop", "QueryOTAJobPause",
	}
	client := reflect.TypeFor[*iot.Client]()
	for _, name := range all {
		if _, ok := client.MethodByName(name); !ok && !slices.Contains(ours, name) {
			t.Errorf("the official client has no %s", name)
		}
	}
	if !IsList("CreateOTAVerifyJob", "TargetDeviceName") || IsList("CreateOTAVerifyJob", "FirmwareId") || IsList("None", "X") {
		t.Error("IsList")
	}
}

// What is meant as a list in the table is what the official client repeats.
func TestListsAreTheOfficialClients(t *testing.T) {
	for _, req := range []any{
		iot.BatchCheckDeviceNamesRequest{}, iot.BatchGetDeviceStateRequest{}, iot.CreateOTAVerifyJobRequest{},
		iot.CreateOTAStaticUpgradeJobRequest{}, iot.ListOTATaskByJobRequest{}, iot.ListOTAUnfinishedTaskByDeviceRequest{},
		iot.CreateOTADynamicUpgradeJobRequest{}, iot.UpdateOTAJobRequest{}, iot.CancelOTATaskByDeviceRequest{}, iot.ConfirmOTATaskRequest{},
		iot.ReupgradeOTATaskRequest{}, iot.QueryDeviceGroupListRequest{}, iot.BatchAddDeviceGroupRelationsRequest{},
	} {
		typ := reflect.TypeOf(req)
		action := strings.TrimSuffix(typ.Name(), "Request")
		for i := range typ.NumField() {
			f := typ.Field(i)
			texts := f.Type == reflect.TypeFor[*[]string]()
			if name := f.Tag.Get("name"); name != "" && IsList(action, name) != texts {
				t.Errorf("%s: %s is a list: %v", action, name, texts)
			}
		}
	}
}

func TestAppliesAreBounded(t *testing.T) {
	as := newApplies(4)
	names := func(n int) *apply { return &apply{names: make([]string, n)} }
	first, second := as.add(names(2)), as.add(names(2))
	if _, err := as.get(first); err != nil {
		t.Error(err)
	}
	third := as.add(names(1))
	if _, err := as.get(first); err == nil {
		t.Error("the first is still there")
	}
	as.replace(second, names(3))
	as.replace(first, names(1)) // forgotten: stays so
	if _, err := as.get(first); err == nil {
		t.Error("the first is there again")
	}
	big := as.add(names(100)) // larger than all: it alone is kept
	for _, id := range []int64{second, third} {
		if _, err := as.get(id); err == nil {
			t.Errorf("%d is still there", id)
		}
	}
	if _, err := as.get(big); err != nil || as.total != 100 || len(as.byID) != 1 {
		t.Errorf("%v, %d names of %d", err, as.total, len(as.byID))
	}
}
