package openapi

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/services/iot"

	"github.com/leapslot/ota/simulator"
)

// answers collects what the API answers, to hold it against the official client's types.
type answers struct {
	tw      *town
	seen    map[string][]map[string]any // by action
	changes map[string]bool             // actions that do not answer the same twice
}

// call makes a call that succeeds, and gives the string at a path of its answer.
func (as *answers) call(path, action string, params ...string) string {
	as.tw.t.Helper()
	given := map[string]string{}
	for i := 0; i < len(params); i += 2 {
		given[params[i]] = params[i+1]
	}
	var got map[string]any
	if err := as.tw.ours(action, given, &got); err != nil {
		as.tw.t.Fatal(err)
	}
	as.seen[action] = append(as.seen[action], got)
	if !as.changes[action] {
		as.compare(action, given)
	}
	var v any = got
	for name := range strings.SplitSeq(path, ".") {
		if list, ok := v.([]any); ok {
			v = list[0]
		}
		if m, ok := v.(map[string]any); ok {
			v = m[name]
		}
	}
	return fmt.Sprint(v)
}

// unanswered are fields of the official client's types that our answers leave out,
// because they are about what this cloud does not have.
func unanswered(action string) []string {
	switch action {
	case "QueryProduct":
		return []string{"Data.AliyunCommodityCode", "Data.CategoryKey", "Data.CategoryName", "Data.NetType", "Data.ValidateType"}
	case "QueryDevice":
		return []string{"NextToken"}
	case "BatchGetDeviceState":
		return []string{"DeviceStatusList.DeviceStatus.AsAddress", "DeviceStatusList.DeviceStatus.BindStatus", "DeviceStatusList.DeviceStatus.InstanceId"}
	case "QueryDeviceListByDeviceGroup":
		return []string{"Data.SimpleDeviceInfo.CategoryKey"}
	case "QueryOTAJob":
		return []string{"Data.Name"} // no parameter gives a name
	}
	return nil
}

// extra are fields of our answers that the official client's types do not have.
func extra(action string) []string {
	switch action {
	case "QueryOTAJob":
		return []string{"Data.BaseRatePerMinute", "Data.IncrementFactor", "Data.NumberOfNotifiedDevices", "Data.NumberOfSucceedDevices"}
	}
	return nil
}

// TestEveryFieldIsAnswered walks through all actions and holds each answer against the
// official client's type: what it reads is there, and what is there it reads.
func TestEveryFieldIsAnswered(t *testing.T) {
	as := &answers{newTown(t), map[string][]map[string]any{}, map[string]bool{}}
	for _, a := range table() {
		as.changes[a.name] = a.changes
	}
	as.walk()
	for _, a := range table() {
		m, ok := reflect.TypeFor[*iot.Client]().MethodByName(a.name)
		if !ok {
			continue // ours
		}
		if len(as.seen[a.name]) == 0 {
			t.Errorf("%s was not called", a.name)
			continue
		}
		have, official := map[string]bool{}, map[string]bool{}
		for _, answer := range as.seen[a.name] {
			fieldsOf(have, "", answer)
		}
		typesOf(official, "", m.Type.Out(0).Elem())
		for _, field := range slices.Sorted(maps.Keys(official)) {
			if !have[field] && !slices.Contains(unanswered(a.name), field) && field != "Code" && field != "ErrorMessage" && !sharedData(m.Type.Out(0), field) {
				t.Errorf("%s: %s is not answered", a.name, field)
			}
		}
		for _, field := range unanswered(a.name) {
			if have[field] || !official[field] {
				t.Errorf("%s: %s is listed as not answered and is, or is none of the official client's", a.name, field)
			}
		}
		for _, field := range slices.Sorted(maps.Keys(have)) {
			if !official[field] && !slices.Contains(extra(a.name), field) {
				t.Errorf("%s: the official client does not know %s", a.name, field)
			}
		}
	}
}

// sharedData reports whether a field is one of the type Data, in which the official
// client has the fields of all actions.
func sharedData(response reflect.Type, field string) bool {
	data, ok := response.Elem().FieldByName("Data")
	return ok && data.Type == reflect.TypeFor[iot.Data]() && strings.HasPrefix(field, "Data.")
}

// fieldsOf gives the paths of all values in an answer; items of lists have no number.
func fieldsOf(to map[string]bool, at string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for name, v := range v {
			to[at+name] = true
			fieldsOf(to, at+name+".", v)
		}
	case []any:
		for _, v := range v {
			fieldsOf(to, at, v)
		}
	}
}

// typesOf gives the same of a type of the official client.
func typesOf(to map[string]bool, at string, typ reflect.Type) {
	for typ.Kind() == reflect.Slice || typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	if typ.Kind() != reflect.Struct {
		return
	}
	for i := range typ.NumField() {
		f := typ.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || name == "-" || f.Anonymous {
			continue
		}
		to[at+name] = true
		typesOf(to, at+name+".", f.Type)
	}
}

// walk calls every action at least once, with answers that have all that they can have.
func (as *answers) walk() {
	tw := as.tw
	key := as.call("ProductKey", "CreateProduct", "ProductName", "lamp", "Description", "d", "NodeType", "0")
	as.call("", "QueryProduct", "ProductKey", key)
	as.call("", "QueryProductList", "CurrentPage", "1", "PageSize", "10")
	as.devices(key)
	as.call("", "CreateOTAModule", "ProductKey", key, "ModuleName", "MCU", "AliasName", "chip", "Desc", "d")
	as.call("", "UpdateOTAModule", "ProductKey", key, "ModuleName", "MCU", "Desc", "e")
	as.call("", "ListOTAModuleByProduct", "ProductKey", key)
	as.call("", "DeleteOTAModule", "ProductKey", key, "ModuleName", "MCU")
	as.call("", "ListOTAModuleVersionsByDevice", "ProductKey", key, "DeviceName", "d1")
	as.call("", "GenerateOTAUploadURL")
	as.call("", "GenerateDeviceNameListURL")
	group := as.groups(key)
	as.jobs(key, group)
	as.call("", "BatchDeleteDeviceGroupRelations", "GroupId", group, "Device.1.ProductKey", key, "Device.1.DeviceName", "d1")
	as.call("", "DeleteDeviceGroup", "GroupId", group)
	empty := tw.product("empty")
	as.call("", "DeleteProduct", "ProductKey", empty)
}

func (as *answers) devices(key string) {
	as.call("", "RegisterDevice", "ProductKey", key, "DeviceName", "d1", "Nickname", "n")
	d1 := devNamed(key, "d1")
	as.tw.happen(simulator.Online{Device: d1}, simulator.Informed{Device: d1, Version: "1.0"})
	as.call("", "QueryDevice", "ProductKey", key)
	as.call("", "QueryDeviceDetail", "ProductKey", key, "DeviceName", "d1")
	as.call("", "GetDeviceStatus", "ProductKey", key, "DeviceName", "d1")
	as.call("", "BatchGetDeviceState", "ProductKey", key, "DeviceName.1", "d1")
	number := func(action string, params ...string) string {
		n := as.call("Data.ApplyId", action, params...)
		return strings.TrimSuffix(n, ".0")
	}
	many := number("BatchRegisterDevice", "ProductKey", key, "Count", "2")
	as.call("", "QueryPageByApplyId", "ApplyId", many)
	named := number("BatchCheckDeviceNames", "ProductKey", key, "DeviceName.1", "d5")
	as.call("", "BatchRegisterDeviceWithApplyId", "ProductKey", key, "ApplyId", named)
	bad := number("BatchCheckDeviceNames", "ProductKey", key, "DeviceName.1", "a b", "DeviceName.2", "a b")
	as.call("", "QueryBatchRegisterDeviceStatus", "ProductKey", key, "ApplyId", bad)
	as.call("", "DeleteDevice", "ProductKey", key, "DeviceName", "d5")
}

func (as *answers) groups(key string) string {
	group := as.call("Data.GroupId", "CreateDeviceGroup", "GroupName", "kitchen", "GroupDesc", "d")
	as.call("", "BatchAddDeviceGroupRelations", "GroupId", group, "Device.1.ProductKey", key, "Device.1.DeviceName", "d1")
	as.call("", "UpdateDeviceGroup", "GroupId", group, "GroupDesc", "e")
	as.call("", "QueryDeviceGroupInfo", "GroupId", group)
	as.call("", "QueryDeviceGroupList")
	as.call("", "QueryDeviceGroupByDevice", "ProductKey", key, "DeviceName", "d1")
	as.call("", "QueryDeviceListByDeviceGroup", "GroupId", group)
	return group
}

func (as *answers) jobs(key, group string) {
	shelf := as.tw.uploads.(*shelf)
	for _, name := range []string{"a", "b"} {
		shelf.put("http://h/p/"+name+".bin", []byte(name))
	}
	pack := as.call("Data.FirmwareId", "CreateOTAFirmware", "ProductKey", key, "FirmwareName", "fw2", "DestVersion", "2.0", "FirmwareUrl", "http://h/p/a.bin", "Udi", "{}")
	set := as.call("Data.FirmwareId", "CreateOTAFirmware", "ProductKey", key, "FirmwareName", "fw3", "DestVersion", "3.0", "NeedToVerify", "false",
		"MultiFiles.1.Url", "http://h/p/a.bin", "MultiFiles.2.Url", "http://h/p/b.bin")
	as.call("", "ModifyOTAFirmware", "FirmwareId", pack, "FirmwareDesc", "d")
	as.call("", "QueryOTAFirmware", "FirmwareId", set)
	as.call("", "ListOTAFirmware", "ProductKey", key)

	verify := as.call("Data.JobId", "CreateOTAVerifyJob", "FirmwareId", pack, "TargetDeviceName.1", "d1", "TimeoutInMinutes", "10", "Tag.1.Key", "k", "Tag.1.Value", "v")
	as.call("", "ListOTAJobByFirmware", "FirmwareId", pack)
	as.call("", "ListOTAJobByDevice", "ProductKey", key, "DeviceName", "d1")
	task := as.call("Data.SimpleOTATaskInfo.TaskId", "ListOTATaskByJob", "JobId", verify)
	as.call("", "ListOTAUnfinishedTaskByDevice", "ProductKey", key, "DeviceName", "d1")
	as.tw.happen(simulator.Progressed{Device: devNamed(key, "d1"), Step: -1})
	as.tw.clock.add(time.Minute)
	as.call("", "ReupgradeOTATask", "TaskId.1", task)
	as.call("", "CancelOTATaskByDevice", "ProductKey", key, "FirmwareId", pack, "DeviceName.1", "d1")

	static := as.call("Data.JobId", "CreateOTAStaticUpgradeJob", "FirmwareId", set, "TargetSelection", "GROUP", "GroupId", group, "NeedConfirm", "true",
		"RetryInterval", "10", "RetryCount", "1", "TimeoutInMinutes", "60", "Tag.1.Key", "k", "Tag.1.Value", "v")
	as.call("", "UpdateOTAJob", "JobId", static, "BaseRatePerMinute", "20", "IncrementFactor", "2", "NumberOfNotifiedDevices", "10", "MaximumPerMinute", "100")
	as.call("", "QueryOTAJob", "JobId", static)
	waiting := as.call("Data.SimpleOTATaskInfo.TaskId", "ListOTATaskByJob", "JobId", static)
	as.call("", "ConfirmOTATask", "TaskId.1", waiting)
	as.call("", "CancelOTATaskByJob", "JobId", static, "CancelQueuedTask", "true", "CancelNotifiedTask", "true")
	dynamic := as.call("Data.JobId", "CreateOTADynamicUpgradeJob", "FirmwareId", set, "SrcVersion.1", "1.0", "DynamicMode", "2")
	as.call("", "UpdateOTAJob", "JobId", dynamic, "BaseRatePerMinute", "20", "IncrementFactor", "2", "NumberOfSucceedDevices", "10", "MaximumPerMinute", "100")
	as.call("", "QueryOTAJob", "JobId", dynamic)
	as.call("", "CancelOTAStrategyByJob", "JobId", dynamic)
	as.call("", "DeleteOTAFirmware", "FirmwareId", set)
}
