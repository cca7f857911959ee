package openapi

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"maps"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/leapslot/ota/simulator"
)

// ring is several access keys.
type ring map[string]Key

func (r ring) Key(id string) (Key, bool) { k, ok := r[id]; return k, ok }

var (
	intruder = Key{ID: "intruder", Secret: "s1", Account: "other"}
	operator = Key{ID: "operator", Secret: "s2", Account: "acme", Role: Operator}
	looker   = Key{ID: "looker", Secret: "s3", Account: "acme", Role: Reader}
)

// estate is a town in which acme owns one of everything, and other nothing.
type estate struct {
	*town
	product, empty, pack, spare, raw string // FirmwareIds: used, unused, unverified
	job, dynamic, paused             string
	failed, unconfirmed              string // TaskIds
	group, apply, checked            string
	iotID                            string
}

func newEstate(t *testing.T) *estate {
	t.Helper()
	e := &estate{town: newTown(t)}
	e.web.Close()
	api, err := New(Config{
		Keys:   ring{"testid": testKey(), "intruder": intruder, "operator": operator, "looker": looker},
		Engine: e.town, Lists: e.store, Uploads: e.town, Now: e.clock.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	e.web = httptest.NewServer(api)
	t.Cleanup(e.web.Close)
	e.client = official(t, e.web, testKey())

	e.product, e.empty = e.town.product("victim-lamp"), e.town.product("victim-empty")
	d1 := e.device(e.product, "victim-1", "1.0")
	e.device(e.product, "victim-2", "1.0")
	e.device(e.product, "victim-3", "")
	e.must("CreateOTAModule", "ProductKey", e.product, "ModuleName", "VICTIM")
	e.pack, e.spare = e.firmware(e.product, "victim-fw", "2.0", false), e.firmware(e.product, "victim-spare", "3.0", false)
	e.raw = e.firmware(e.product, "victim-raw", "4.0", true)
	made := e.must("CreateOTAStaticUpgradeJob", "ProductKey", e.product, "FirmwareId", e.pack, "TargetSelection", "SPECIFIC",
		"TargetDeviceName.1", "victim-1", "TargetDeviceName.2", "victim-2")
	e.job = field(t, made, "JobId")
	e.clock.add(time.Minute)
	e.happen(simulator.Online{Device: d1})
	e.happen(simulator.Progressed{Device: d1, Step: -1, Desc: "victim-why"})
	e.failed = field(t, e.must("ListOTATaskByJob", "JobId", e.job, "TaskStatus", "FAILED", "CurrentPage", "1", "PageSize", "10"), "TaskId")
	confirm := e.must("CreateOTAStaticUpgradeJob", "ProductKey", e.product, "FirmwareId", e.spare, "TargetSelection", "SPECIFIC",
		"TargetDeviceName.1", "victim-3", "NeedConfirm", "true")
	e.unconfirmed = field(t, e.must("ListOTATaskByJob", "JobId", field(t, confirm, "JobId"), "CurrentPage", "1", "PageSize", "10"), "TaskId")
	e.paused = field(t, e.must("CreateOTADynamicUpgradeJob", "ProductKey", e.product, "FirmwareId", e.pack, "SrcVersion.1", "0.7"), "JobId")
	e.must("PauseOTAJob", "JobId", e.paused)
	e.dynamic = field(t, e.must("CreateOTADynamicUpgradeJob", "ProductKey", e.product, "FirmwareId", e.pack, "SrcVersion.1", "0.9"), "JobId")
	e.group = field(t, e.must("CreateDeviceGroup", "GroupName", "victimgroup"), "GroupId")
	e.must("BatchAddDeviceGroupRelations", "GroupId", e.group, "Device.1.ProductKey", e.product, "Device.1.DeviceName", "victim-1")
	e.apply = number(t, e.must("BatchRegisterDevice", "ProductKey", e.product, "Count", "1"), "ApplyId")
	e.checked = number(t, e.must("BatchCheckDeviceNames", "ProductKey", e.product, "DeviceName.1", "victim-4"), "ApplyId")
	e.iotID = field(t, e.must("QueryDeviceDetail", "ProductKey", e.product, "DeviceName", "victim-1"), "IotId")
	return e
}

// call calls an action with a key and gives the answer's text.
func (e *estate) call(k Key, action string, params ...string) (string, answered) {
	e.t.Helper()
	change := map[string]string{"Action": action, "AccessKeyId": k.ID, "SignatureNonce": rand.Text(), "ProductKey": ""}
	for i := 0; i < len(params); i += 2 {
		change[params[i]] = params[i+1]
	}
	p := request("GET", e.clock.Now(), change)
	delete(p, "Signature")
	p["Signature"] = Sign(k.Secret, "GET", p)
	w := httptest.NewRecorder()
	e.web.Config.Handler.ServeHTTP(w, httptest.NewRequest("GET", "/?"+encode(p), nil))
	text := w.Body.String()
	var a answered
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		e.t.Fatalf("%s: %s: %v", action, text, err)
	}
	a.status = w.Code
	return text, a
}

func (e *estate) must(action string, params ...string) string {
	e.t.Helper()
	text, a := e.call(testKey(), action, params...)
	if !a.Success {
		e.t.Fatalf("%s: %s", action, text)
	}
	return text
}

// field finds the first text of a name in an answer.
func field(t *testing.T, text, name string) string {
	t.Helper()
	_, rest, ok := strings.Cut(text, `"`+name+`":"`)
	value, _, end := strings.Cut(rest, `"`)
	if !ok || !end || value == "" {
		t.Fatalf("no %s in %s", name, text)
	}
	return value
}

func number(t *testing.T, text, name string) string {
	t.Helper()
	_, rest, ok := strings.Cut(text, `"`+name+`":`)
	end := strings.IndexAny(rest, ",}")
	if !ok || end < 1 {
		t.Fatalf("no %s in %s", name, text)
	}
	return rest[:end]
}

// foreignCalls gives for every action at least one call that names acme's objects. An
// action that names none has one without.
func (e *estate) foreignCalls() map[string][][]string {
	pk, page := e.product, []string{"CurrentPage", "1", "PageSize", "10"}
	dev := []string{"ProductKey", pk, "DeviceName", "victim-1"}
	with := func(a []string, b ...string) []string { return slices.Concat(a, b) }
	one := func(p ...string) [][]string { return [][]string{p} }
	url := "http://h/p/victim-fw.bin"
	return map[string][][]string{
		"CreateProduct":                   one("ProductName", "victim-lamp"),
		"QueryProduct":                    one("ProductKey", pk),
		"QueryProductList":                one(page...),
		"DeleteProduct":                   one("ProductKey", e.empty),
		"UpdateProductOTAOptions":         one("ProductKey", pk, "OneDynamic", "true"),
		"QueryProductOTAOptions":          one("ProductKey", pk),
		"QueryProductOTAVersions":         one("ProductKey", pk),
		"UpdateProductOTASecurity":        one("ProductKey", pk, "Enable", "false"),
		"QueryProductOTASecurity":         one("ProductKey", pk),
		"ListAuditLog":                    one(),
		"RegisterDevice":                  one("ProductKey", pk, "DeviceName", "new"),
		"BatchRegisterDevice":             one("ProductKey", pk, "Count", "1"),
		"BatchCheckDeviceNames":           one("ProductKey", pk, "DeviceName.1", "new"),
		"BatchRegisterDeviceWithApplyId":  one("ProductKey", pk, "ApplyId", e.checked),
		"QueryBatchRegisterDeviceStatus":  one("ProductKey", pk, "ApplyId", e.apply),
		"QueryPageByApplyId":              one(with(page, "ApplyId", e.apply)...),
		"QueryDevice":                     one(with(page, "ProductKey", pk)...),
		"QueryDeviceDetail":               {dev, {"IotId", e.iotID}},
		"GetDeviceStatus":                 {dev, {"IotId", e.iotID}},
		"DeleteDevice":                    {{"ProductKey", e.product, "DeviceName", "victim-5"}},
		"BatchGetDeviceState":             {{"ProductKey", pk, "DeviceName.1", "victim-1"}, {"IotId.1", e.iotID}},
		"CreateDeviceGroup":               one("GroupName", "below", "SuperGroupId", e.group),
		"UpdateDeviceGroup":               one("GroupId", e.group, "GroupDesc", "x"),
		"DeleteDeviceGroup":               one("GroupId", e.group),
		"QueryDeviceGroupInfo":            one("GroupId", e.group),
		"QueryDeviceGroupList":            one(page...),
		"QueryDeviceGroupByDevice":        {dev},
		"QueryDeviceListByDeviceGroup":    one("GroupId", e.group),
		"BatchAddDeviceGroupRelations":    one("GroupId", e.group, "Device.1.ProductKey", pk, "Device.1.DeviceName", "victim-2"),
		"BatchDeleteDeviceGroupRelations": one("GroupId", e.group, "Device.1.ProductKey", pk, "Device.1.DeviceName", "victim-1"),
		"CreateOTAModule":                 one("ProductKey", pk, "ModuleName", "MCU"),
		"UpdateOTAModule":                 one("ProductKey", pk, "ModuleName", "VICTIM", "Desc", "x"),
		"DeleteOTAModule":                 one("ProductKey", pk, "ModuleName", "VICTIM"),
		"ListOTAModuleByProduct":          one("ProductKey", pk),
		"ListOTAModuleVersionsByDevice":   {with(page, dev...)},
		"GenerateOTAUploadURL":            one("FileSuffix", "bin"),
		"GenerateDeviceNameListURL":       one(),
		"QueryDeviceNameListTemplate":     one(),
		"CreateOTAFirmware":               one("ProductKey", pk, "FirmwareName", "fw9", "DestVersion", "9", "FirmwareUrl", url),
		"ModifyOTAFirmware":               one("FirmwareId", e.raw, "FirmwareName", "x"),
		"DeleteOTAFirmware":               one("FirmwareId", e.raw),
		"QueryOTAFirmware":                one("FirmwareId", e.pack),
		"ListOTAFirmware":                 {with(page, "ProductKey", pk), page},
		"CreateOTAVerifyJob":              one("FirmwareId", e.raw, "ProductKey", pk, "TargetDeviceName.1", "victim-1"),
		"CreateOTAStaticUpgradeJob":       {{"FirmwareId", e.spare, "ProductKey", pk, "TargetSelection", "ALL"}, {"FirmwareId", e.spare, "ProductKey", pk, "TargetSelection", "GROUP", "GroupId", e.group, "GroupType", "LINK_PLATFORM"}},
		"CreateOTADynamicUpgradeJob":      one("FirmwareId", e.spare, "ProductKey", pk, "SrcVersion.1", "0.8"),
		"PauseOTAJob":                     one("JobId", e.dynamic),
		"ResumeOTAJob":                    one("JobId", e.paused),
		"UpdateOTAJobStop":                one("JobId", e.dynamic, "FailurePercent", "10"),
		"QueryOTAJobPause":                one("JobId", e.paused),
		"UpdateOTAJob":                    one("JobId", e.dynamic, "MaximumPerMinute", "100"),
		"QueryOTAJob":                     one("JobId", e.job),
		"ListOTAJobByFirmware":            one(with(page, "FirmwareId", e.pack)...),
		"ListOTAJobByDevice":              {with(page, with(dev, "FirmwareId", e.pack)...)},
		"ListOTATaskByJob":                one(with(page, "JobId", e.job)...),
		"ListOTAUnfinishedTaskByDevice":   one("ProductKey", pk, "DeviceName", "victim-2"),
		"CancelOTATaskByJob":              one("JobId", e.job, "CancelQueuedTask", "true", "CancelNotifiedTask", "true"),
		"CancelOTATaskByDevice":           one("ProductKey", pk, "FirmwareId", e.pack, "DeviceName.1", "victim-2"),
		"CancelOTAStrategyByJob":          one("JobId", e.dynamic),
		"ConfirmOTATask":                  one("TaskId.1", e.unconfirmed),
		"ReupgradeOTATask":                {{"TaskId.1", e.failed}, {"JobId", e.job, "TaskId.1", e.failed}},
	}
}

// ownsNothing are the actions that name nothing: a stranger may call them, and sees
// nothing of acme's.
var ownsNothing = []string{
	"CreateProduct", "QueryProductList", "ListAuditLog", "QueryDeviceGroupList", "GenerateOTAUploadURL",
	"GenerateDeviceNameListURL", "QueryDeviceNameListTemplate", "ListOTAFirmware", "BatchGetDeviceState",
}

// TestF5EveryAction calls every action of the table, as somebody else, with acme's
// objects: each is refused as if they were not there, nothing of them is in the answer,
// and nothing of them changes. The same call of acme's own succeeds, so that the refusal
// has no other cause.
func TestF5EveryAction(t *testing.T) {
	var tried []string
	for action := range newEstate(t).foreignCalls() {
		tried = append(tried, action)
	}
	slices.Sort(tried)
	if diff := cmp.Diff(Actions(), tried); diff != "" {
		t.Fatalf("a new action needs a row in foreignCalls (-table +tried):\n%s", diff)
	}
	actions, e := actionsByName(), newEstate(t)
	for _, action := range tried {
		if actions[action].changes {
			e = newEstate(t) // its owner's call is about to change the other one
			e.device(e.product, "victim-5", "")
		}
		before := e.load()
		for _, params := range e.foreignCalls()[action] {
			text, a := e.call(intruder, action, params...)
			e.checkForeign(action, params, text, a)
		}
		after := e.load()
		if action != "CreateProduct" && cmp.Diff(before, after) != "" {
			t.Errorf("%s changed something:\n%s", action, cmp.Diff(before, after))
		}
		if text, a := e.call(testKey(), action, e.foreignCalls()[action][0]...); !a.Success && action != "CreateProduct" {
			t.Errorf("the owner's %s: %s", action, text)
		}
	}
}

func (e *estate) load() *simulator.State {
	e.t.Helper()
	s, err := e.store.Load(context.Background())
	if err != nil {
		e.t.Fatal(err)
	}
	return s
}

func (e *estate) checkForeign(action string, params []string, text string, a answered) {
	e.t.Helper()
	named := strings.Join(params, " ")
	if a.Success && !slices.Contains(ownsNothing, action) {
		e.t.Errorf("%s %s succeeded: %s", action, named, text)
	}
	if !a.Success && !strings.Contains(a.Code, "NotExisted") && a.Code != codeNoApply {
		e.t.Errorf("%s %s was refused for another reason: %s", action, named, text)
	}
	for _, secret := range []string{"victim", "VICTIM", e.product, e.pack, e.spare, e.job, e.dynamic, e.failed, e.group, e.iotID} {
		if strings.Contains(text, secret) && !strings.Contains(named, secret) {
			e.t.Errorf("%s %s gives away %s: %s", action, named, secret, text)
		}
	}
}

// TestF5Mixed: a call that names an own object and a foreign one does nothing to the
// foreign one.
func TestF5Mixed(t *testing.T) {
	e := newEstate(t)
	ask := func(action string, params ...string) (string, answered) { return e.call(intruder, action, params...) }
	own, _ := ask("CreateProduct", "ProductName", "mine")
	product := field(t, own, "ProductKey")
	ask("RegisterDevice", "ProductKey", product, "DeviceName", "mine-1")
	group, _ := ask("CreateDeviceGroup", "GroupName", "mine")
	before := e.load()
	for _, c := range [][]string{
		{"BatchAddDeviceGroupRelations", "GroupId", field(t, group, "GroupId"), "Device.1.ProductKey", e.product, "Device.1.DeviceName", "victim-1"},
		{"BatchGetDeviceState", "ProductKey", product, "DeviceName.1", "victim-1"},
		{"BatchGetDeviceState", "IotId.1", e.iotID},
		{"CreateOTAStaticUpgradeJob", "ProductKey", product, "FirmwareId", e.spare, "TargetSelection", "ALL"},
		{"CancelOTATaskByDevice", "ProductKey", product, "FirmwareId", e.pack, "JobId", e.job, "DeviceName.1", "victim-2"},
		{"ListOTAJobByDevice", "ProductKey", product, "DeviceName", "mine-1", "FirmwareId", e.pack, "CurrentPage", "1", "PageSize", "10"},
		{"QueryBatchRegisterDeviceStatus", "ProductKey", product, "ApplyId", e.apply},
	} {
		text, _ := ask(c[0], c[1:]...)
		for _, secret := range []string{"victim-lamp", "victim-why", `"ONLINE"`, e.failed, e.dynamic} {
			if strings.Contains(text, secret) {
				t.Errorf("%v gives away %s: %s", c, secret, text)
			}
		}
	}
	after := e.load()
	for _, s := range []*simulator.State{before, after} {
		s.Devices = slices.DeleteFunc(s.Devices, func(d simulator.Device) bool { return d.ProductKey == product })
		s.Groups = slices.DeleteFunc(s.Groups, func(g simulator.Group) bool { return g.Account == intruder.Account })
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("something of acme's changed:\n%s", diff)
	}
}

// TestRoles: a key that may only read is refused by every action that changes anything
// and by none other, and sees no secret; an operator is refused by those of administrators.
func TestRoles(t *testing.T) {
	actions := actionsByName()
	e := newEstate(t)
	e.device(e.product, "victim-5", "")
	calls := e.foreignCalls()
	var secrets []string
	for _, d := range e.load().Devices {
		secrets = append(secrets, d.Secret)
	}
	for _, p := range e.load().Products {
		secrets = append(secrets, p.Secret)
	}
	for _, name := range slices.Sorted(maps.Keys(calls)) {
		a := actions[name]
		before := e.load()
		for _, params := range calls[name] {
			text, got := e.call(looker, name, params...)
			if refused := got.Code == "Forbidden.RAM" && got.status == 403; refused != (a.changes || a.admin) {
				t.Errorf("%s with a key that may only read: %s", name, text)
			}
			for _, secret := range secrets {
				if strings.Contains(text, secret) {
					t.Errorf("%s shows a secret to a key that may only read: %s", name, text)
				}
			}
		}
		if diff := cmp.Diff(before, e.load()); diff != "" {
			t.Errorf("%s with a key that may only read changed something:\n%s", name, diff)
		}
		if a.admin {
			if text, got := e.call(operator, name, calls[name][0]...); got.Code != "Forbidden.RAM" {
				t.Errorf("%s with an operator's key: %s", name, text)
			}
		}
	}
	if _, got := e.call(operator, "RegisterDevice", "ProductKey", e.product, "DeviceName", "by-operator"); !got.Success {
		t.Errorf("an operator cannot register a device: %+v", got)
	}
	if text, _ := e.call(looker, "QueryDeviceDetail", "ProductKey", e.product, "DeviceName", "victim-1"); field(t, text, "IotId") != e.iotID {
		t.Errorf("a key that may only read is shown another IotId than %s: %s", e.iotID, text)
	}
	g := &guard{engine: e.town, lists: e.store, who: looker}
	if _, err := g.Do(t.Context(), simulator.RegisterDevices{Product: e.product, Count: 1}); err == nil {
		t.Error("a change by an action that is not marked so is let through")
	}
}

func TestParseRole(t *testing.T) {
	for _, r := range []Role{Admin, Operator, Reader} {
		if got, err := ParseRole(r.String()); got != r || err != nil {
			t.Errorf("%v: %v, %v", r, got, err)
		}
	}
	for _, s := range []string{"", "Admin", "root", "reader"} {
		if _, err := ParseRole(s); err == nil {
			t.Errorf("%q is a role", s)
		}
	}
}
