package openapi

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/aliyun/alibaba-cloud-sdk-go/services/iot"
)

// passedOver are the parameters of the official client that mean nothing here: which of
// the platform's instances and tenants is meant, and what products are for beside OTA.
func passedOver(action string) []string {
	all := []string{"IotInstanceId", "ApiProduct", "ApiRevision", "RealTenantId", "RealTripartiteKey", "AuthConfig"}
	switch action {
	case "CreateProduct":
		all = append(all, "AliyunCommodityCode", "CategoryKey", "DataFormat", "Id2", "JoinPermissionId", "NetType", "ProtocolType",
			"PublishAuto", "ResourceGroupId", "ThingTemplate", "ValidateType", "CategoryId")
	case "QueryProductList":
		all = append(all, "ResourceGroupId", "AliyunCommodityCode")
	case "RegisterDevice":
		all = append(all, "DevEui", "AppKey", "JoinEui", "LoraNodeType", "PinCode")
	}
	return all
}

// requestOf gives an empty request of an action of the official client.
func requestOf(action string) (reflect.Type, bool) {
	m, ok := reflect.TypeFor[*iot.Client]().MethodByName(action)
	if !ok {
		return nil, false
	}
	return m.Type.In(1).Elem(), true
}

// bindWith binds an action with parameters, those that are missing filled in.
func bindWith(a action, values map[string]string) *Fault {
	for range 20 {
		p := &reader{values: values}
		a.bind(p)
		if p.fault == nil || !strings.HasPrefix(p.fault.Code, "Missing") {
			return p.fault
		}
		name, _, _ := strings.Cut(p.fault.Message, " ")
		values[name] = "1"
	}
	return nil
}

// TestEveryParameterIsRead: there is no parameter of the official client that an action
// does not know and silently passes over, but for those that are listed above.
func TestEveryParameterIsRead(t *testing.T) {
	long := strings.Repeat("x", maxValueLen+1)
	for _, a := range table() {
		req, ok := requestOf(a.name)
		if !ok {
			continue // ours
		}
		over := passedOver(a.name)
		for i := range req.NumField() {
			f := req.Field(i)
			name := f.Tag.Get("name")
			if name == "" {
				continue
			}
			given := []string{name}
			if f.Type.Kind() == reflect.Pointer { // a list, of texts or of objects
				given = []string{name + ".1"}
				if item := f.Type.Elem().Elem(); item.Kind() == reflect.Struct {
					given = nil
					for k := range item.NumField() {
						given = append(given, name+".1."+item.Field(k).Tag.Get("name"))
					}
				}
			}
			for _, name := range given {
				fault := bindWith(a, map[string]string{name: long})
				read := fault != nil && strings.Contains(fault.Message, name)
				if listed := slices.Contains(over, f.Tag.Get("name")); read == listed {
					t.Errorf("%s: %s is read: %v, listed as passed over: %v (%v)", a.name, name, read, listed, fault)
				}
			}
		}
	}
}
