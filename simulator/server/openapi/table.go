package openapi

import (
	"slices"

	"github.com/leapslot/ota/simulator"
)

// Rooms of the platform, as they stand in its error codes.
const (
	roomProduct = "iot.prod"
	roomDevice  = "iot.device"
	roomGroup   = "iot.group"
	roomOTA     = "iot.ota"
)

// names maps the fields of a command to the parameters that they came from, for
// the texts of refusals.
type names map[string]string

// table is the API: every action that is answered.
func table() []action {
	var (
		product = names{"Product": "ProductKey"}
		device  = names{"Product": "ProductKey", "Names": "DeviceName", "Name": "DeviceName", "Nicknames": "Nickname"}
		group   = names{"Group": "GroupId", "Name": "GroupName", "Desc": "GroupDesc", "Super": "SuperGroupId", "Devices": "Device", "Product": "ProductKey"}
		module  = names{"Product": "ProductKey", "Name": "ModuleName", "Alias": "AliasName"}
		pack    = names{
			"Product": "ProductKey", "Module": "ModuleName", "Name": "FirmwareName", "Desc": "FirmwareDesc", "Diff": "Type",
			"Source": "SrcVersion", "Version": "DestVersion", "Files": "FirmwareUrl", "UDI": "Udi", "Package": "FirmwareId",
		}
		modify = names{"Package": "FirmwareId", "Name": "FirmwareName", "Desc": "FirmwareDesc", "UDI": "FirmwareUdi"}
		job    = names{
			"Package": "FirmwareId", "Devices": "TargetDeviceName", "TimeoutMinutes": "TimeoutInMinutes", "RetryMinutes": "RetryInterval",
			"Gray": "GrayPercent", "Group": "GroupId", "Mode": "DynamicMode", "Protocol": "DownloadProtocol", "Product": "ProductKey", "Tasks": "TaskId",
			"Base": "BaseRatePerMinute", "Factor": "IncrementFactor", "Notified": "NumberOfNotifiedDevices", "Succeeded": "NumberOfSucceedDevices", "Rate": "BaseRatePerMinute",
			"Start": "ScheduleTime", "Finish": "ScheduleFinishTime", "Sources": "SrcVersion", "Target": "TargetSelection", "Overwrite": "OverwriteMode", "Tags": "Tag", "Job": "JobId",
		}
		byDevice = names{"Product": "ProductKey", "Package": "FirmwareId", "Job": "JobId", "Devices": "DeviceName"}
	)
	return append(pauseActions(), []action{
		{name: "CreateProduct", room: roomProduct, changes: true, fields: names{"Name": "ProductName", "Desc": "Description"}, bind: createProduct},
		{name: "QueryProduct", room: roomProduct, fields: product, bind: queryProduct},
		{name: "QueryProductList", room: roomProduct, fields: product, bind: queryProductList},
		{name: "DeleteProduct", room: roomProduct, changes: true, admin: true, fields: product, bind: deleteProduct},
		{name: "UpdateProductOTAOptions", room: roomProduct, changes: true, fields: product, bind: updateOptions},
		{name: "QueryProductOTAOptions", room: roomProduct, fields: product, bind: queryOptions},
		{name: "QueryProductOTAVersions", room: roomProduct, fields: names{"Product": "ProductKey", "Module": "ModuleName"}, bind: queryVersions},
		{name: "UpdateProductOTASecurity", room: roomProduct, changes: true, admin: true, fields: product, bind: updateSecurity},
		{name: "ListAuditLog", room: roomProduct, admin: true, bind: listAudit},
		{name: "QueryProductOTASecurity", room: roomProduct, fields: product, bind: querySecurity},

		{name: "RegisterDevice", room: roomDevice, changes: true, fields: device, bind: registerDevice},
		{name: "BatchRegisterDevice", room: roomDevice, changes: true, fields: device, bind: batchRegister},
		{name: "BatchCheckDeviceNames", room: roomDevice, changes: true, fields: device, lists: []string{"DeviceName"}, bind: checkNames},
		{name: "BatchRegisterDeviceWithApplyId", room: roomDevice, changes: true, fields: device, bind: batchRegisterApply},
		{name: "QueryBatchRegisterDeviceStatus", room: roomDevice, fields: device, bind: queryBatchStatus},
		{name: "QueryPageByApplyId", room: roomDevice, fields: device, bind: queryApplyPage},
		{name: "QueryDevice", room: roomDevice, fields: device, bind: queryDevice},
		{name: "QueryDeviceDetail", room: roomDevice, fields: device, bind: queryDeviceDetail},
		{name: "GetDeviceStatus", room: roomDevice, fields: device, bind: getDeviceStatus},
		{name: "DeleteDevice", room: roomDevice, changes: true, fields: device, bind: deleteDevice},
		{name: "BatchGetDeviceState", room: roomDevice, fields: device, lists: []string{"DeviceName", "IotId"}, bind: batchGetState},

		{name: "CreateDeviceGroup", room: roomGroup, changes: true, fields: group, bind: createGroup},
		{name: "UpdateDeviceGroup", room: roomGroup, changes: true, fields: group, bind: updateGroup},
		{name: "DeleteDeviceGroup", room: roomGroup, changes: true, fields: group, bind: deleteGroup},
		{name: "QueryDeviceGroupInfo", room: roomGroup, fields: group, bind: queryGroup},
		{name: "QueryDeviceGroupList", room: roomGroup, fields: group, lists: []string{"GroupTypes"}, bind: queryGroups},
		{name: "QueryDeviceGroupByDevice", room: roomGroup, fields: device, bind: queryGroupsOfDevice},
		{name: "QueryDeviceListByDeviceGroup", room: roomGroup, fields: group, bind: queryGroupDevices},
		{name: "BatchAddDeviceGroupRelations", room: roomGroup, changes: true, fields: group, bind: addToGroup},
		{name: "BatchDeleteDeviceGroupRelations", room: roomGroup, changes: true, fields: group, bind: removeFromGroup},

		{name: "CreateOTAModule", room: roomOTA, changes: true, fields: module, bind: createModule},
		{name: "UpdateOTAModule", room: roomOTA, changes: true, fields: module, bind: updateModule},
		{name: "DeleteOTAModule", room: roomOTA, changes: true, fields: module, bind: deleteModule},
		{name: "ListOTAModuleByProduct", room: roomOTA, fields: module, bind: listModules},
		{name: "ListOTAModuleVersionsByDevice", room: roomOTA, fields: device, bind: listModuleVersions},
		{name: "GenerateOTAUploadURL", room: roomOTA, changes: true, bind: generateUpload},
		{name: "GenerateDeviceNameListURL", room: roomOTA, changes: true, bind: generateList},
		{name: "QueryDeviceNameListTemplate", room: roomOTA, bind: listTemplate},
		{name: "CreateOTAFirmware", room: roomOTA, changes: true, fields: pack, bind: createFirmware},
		{name: "ModifyOTAFirmware", room: roomOTA, changes: true, fields: modify, bind: modifyFirmware},
		{name: "DeleteOTAFirmware", room: roomOTA, changes: true, fields: pack, bind: deleteFirmware},
		{name: "QueryOTAFirmware", room: roomOTA, fields: pack, bind: queryFirmware},
		{name: "ListOTAFirmware", room: roomOTA, fields: pack, bind: listFirmware},

		{name: "CreateOTAVerifyJob", room: roomOTA, changes: true, fields: job, lists: []string{"TargetDeviceName"}, bind: createVerifyJob},
		{name: "CreateOTAStaticUpgradeJob", room: roomOTA, changes: true, fields: job, lists: []string{"TargetDeviceName", "SrcVersion"}, bind: createStaticJob},
		{name: "CreateOTADynamicUpgradeJob", room: roomOTA, changes: true, fields: job, lists: []string{"SrcVersion"}, bind: createDynamicJob},
		{name: "UpdateOTAJob", room: roomOTA, changes: true, fields: job, lists: []string{"SrcVersionList"}, bind: updateJob},
		{name: "QueryOTAJob", room: roomOTA, fields: job, bind: queryJob},
		{name: "ListOTAJobByFirmware", room: roomOTA, fields: job, bind: listJobsByFirmware},
		{name: "ListOTAJobByDevice", room: roomOTA, fields: device, bind: listJobsByDevice},
		{name: "ListOTATaskByJob", room: roomOTA, fields: job, lists: []string{"DeviceNames"}, bind: listTasksByJob},
		{name: "ListOTAUnfinishedTaskByDevice", room: roomOTA, fields: device, lists: []string{"TaskStatusList"}, bind: listUnfinished},
		{name: "CancelOTATaskByJob", room: roomOTA, changes: true, fields: job, bind: cancelTasks},
		{name: "CancelOTATaskByDevice", room: roomOTA, changes: true, fields: byDevice, lists: []string{"DeviceName"}, bind: cancelByDevice},
		{name: "CancelOTAStrategyByJob", room: roomOTA, changes: true, fields: job, bind: cancelStrategy},
		{name: "ConfirmOTATask", room: roomOTA, changes: true, fields: job, lists: []string{"TaskId"}, bind: confirmTasks},
		{name: "ReupgradeOTATask", room: roomOTA, changes: true, fields: job, lists: []string{"TaskId"}, bind: reupgradeTasks},
	}...)
}

func actionsByName() map[string]action {
	m := make(map[string]action)
	for _, a := range table() {
		m[a.name] = a
	}
	return m
}

// Actions gives the names of all actions, sorted.
func Actions() []string {
	var all []string
	for _, a := range table() {
		all = append(all, a.name)
	}
	slices.Sort(all)
	return all
}

// IsList reports whether a parameter of an action is a list, whose items are sent
// as Name.1, Name.2 and so on even when there is only one.
func IsList(action, param string) bool {
	for _, a := range table() {
		if a.name == action {
			return slices.Contains(a.lists, param)
		}
	}
	return false
}

// param gives the parameter that a field of a command came from.
func (a *action) param(field string) string {
	if p, ok := a.fields[field]; ok {
		return p
	}
	return field
}

// refused turns the model's refusal into the platform's.
func (a *action) refused(e *simulator.Error) *Fault {
	param := a.param(e.Field)
	if e.Code == simulator.Missing && param != "" {
		return missing(param)
	}
	return business(a.code(e.Code, param), "%s: %s", param, e.Message)
}

// code gives the platform's word for a refusal of a parameter.
func (a *action) code(c simulator.Code, param string) string {
	switch c {
	case simulator.NotFound:
		switch param {
		case "ProductKey":
			return roomProduct + ".NotExistedProduct"
		case "DeviceName", "TargetDeviceName", "IotId":
			return codeNoDevice
		case "FirmwareId":
			return roomOTA + ".NotExistedFirmware"
		case "TaskId":
			return codeNoTask
		case "GroupId", "SuperGroupId":
			return codeNoGroup
		case "JobId":
			return roomOTA + ".NotExistedJob"
		}
		return a.room + ".NotExisted" + param
	case simulator.Exists:
		return a.room + ".AlreadyExisted" + param
	case simulator.Limit:
		return a.room + ".LimitExceeded"
	case simulator.Refused:
		return a.room + ".NotAllowed"
	}
	return codeInvalid
}
