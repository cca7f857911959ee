package simulator

import (
	"strings"
)

// AppEvent is what applications are told (protocol section 9, at the end): it is stored
// with the change that it tells of, and delivered afterwards. A task that failed because
// the device had not finished another one is not told.
type AppEvent struct {
	Account string // whose product it is of; who may be told
	Topic   string
	At      Stamp
	Payload any // UpgradeEnded, VersionPosted or JobPosted, as JSON on the wire
}

// UpgradeEnded is told on /PRODUCT/DEVICE/ota/upgrade when a task has succeeded or failed.
type UpgradeEnded struct {
	IotID       string     `json:"iotId"`
	ProductKey  string     `json:"productKey"`
	DeviceName  string     `json:"deviceName"`
	Status      TaskStatus `json:"status"` // Succeeded or Failed
	At          Stamp      `json:"messageCreateTime"`
	SrcVersion  string     `json:"srcVersion"`
	DestVersion string     `json:"destVersion"`
	Desc        string     `json:"desc"` // why it failed
	JobID       string     `json:"jobId"`
	TaskID      string     `json:"taskId"`
}

// VersionPosted is told on /PRODUCT/DEVICE/ota/version/post when a device reports a
// version of a module that it had not reported last.
type VersionPosted struct {
	IotID         string `json:"iotId"`
	ProductKey    string `json:"productKey"`
	DeviceName    string `json:"deviceName"`
	ModuleName    string `json:"moduleName"`
	ModuleVersion string `json:"moduleVersion"`
	At            Stamp  `json:"messageCreateTime"`
}

// JobPosted is told on /PRODUCT/PACKAGE/JOB/ota/job/status when a job has come to be in
// another state.
type JobPosted struct {
	ProductKey string    `json:"productKey"`
	JobID      string    `json:"jobId"`
	Status     JobStatus `json:"status"`
}

// tell tells something of the product that the topic begins with.
func (c *Cloud) tell(at Stamp, payload any, topic ...string) {
	account := ""
	if p := c.products[topic[0]]; p != nil {
		account = p.Account
	}
	c.told = append(c.told, AppEvent{Account: account, Topic: "/" + strings.Join(topic, "/"), At: at, Payload: payload})
}

// tellTask tells that a task has ended.
func (c *Cloud) tellTask(t *task) {
	if !c.opt.AppEvents || t.Status != Succeeded && t.Status != Failed || t.Reason == ReasonBusy {
		return
	}
	d := t.Task.Device
	c.tell(t.Modified, UpgradeEnded{
		IotID: t.device.IotID(), ProductKey: d.ProductKey, DeviceName: d.Name, Status: t.Status, At: t.Modified,
		SrcVersion: t.Source, DestVersion: t.Version, Desc: t.Reason, JobID: t.Job, TaskID: t.ID,
	}, d.ProductKey, d.Name, "ota/upgrade")
}

// tellVersion tells that a device runs something else than before.
func (c *Cloud) tellVersion(d *device, module, version string, now Stamp) {
	if !c.opt.AppEvents {
		return
	}
	c.tell(now, VersionPosted{
		IotID: d.IotID(), ProductKey: d.ProductKey, DeviceName: d.Name,
		ModuleName: module, ModuleVersion: version, At: now,
	}, d.ProductKey, d.Name, "ota/version/post")
}

// tellJobs tells of the jobs that have come to another state. It runs after every
// command, event and tick; a job that is over as soon as it is made is told as over.
func (c *Cloud) tellJobs(now Stamp) {
	if !c.opt.AppEvents {
		return
	}
	for _, e := range c.journal.jobs {
		if j := e.of; j.told != j.Status && !j.gone {
			j.told = j.Status
			c.tell(now, JobPosted{ProductKey: j.Product, JobID: j.ID, Status: j.Status}, j.Product, j.Package, j.ID, "ota/job/status")
		}
	}
}
