package openapi

import (
	"sync"

	"github.com/leapslot/ota/simulator"
)

// maxApplyNames is how many device names all applications together hold. Older
// applications are forgotten first; their devices stay registered.
const maxApplyNames = 200_000

// States of an application for devices, in the platform's words.
const (
	checkSuccess  = "CHECK_SUCCESS"
	checkFailed   = "CHECK_FAILED"
	createSuccess = "CREATE_SUCCESS"
	createFailed  = "CREATE_FAILED"
)

// apply is an application for many devices: first names to be checked, then the
// devices that came of it. It is never changed, only replaced.
type apply struct {
	product   string
	status    string
	names     []string // those that are valid, while nothing is registered
	nicknames []string // none, or as many as names
	devices   []applied
	bad       []badName
}

// applied is one device of an application, as it is answered.
type applied struct{ DeviceId, DeviceName, DeviceSecret, IotId string }

type badName struct{ name, nickname, why string }

func (a *apply) weight() int { return len(a.names) + len(a.devices) + len(a.bad) }

// applies are the applications of late. They are a convenience of the API and kept
// in memory only: what they registered is stored with everything else.
type applies struct {
	mu    sync.Mutex
	limit int
	last  int64
	first int64 // the oldest that is still there
	total int   // weight of all
	byID  map[int64]*apply
}

func newApplies(limit int) *applies {
	return &applies{limit: limit, first: 1, byID: map[int64]*apply{}}
}

// add keeps a new application and gives its id.
func (as *applies) add(a *apply) int64 {
	as.mu.Lock()
	defer as.mu.Unlock()
	as.last++
	as.put(as.last, a)
	return as.last
}

// replace puts another state of an application, unless it was forgotten.
func (as *applies) replace(id int64, a *apply) {
	as.mu.Lock()
	defer as.mu.Unlock()
	if old := as.byID[id]; old != nil {
		as.total -= old.weight()
		as.put(id, a)
	}
}

func (as *applies) put(id int64, a *apply) {
	as.byID[id] = a
	as.total += a.weight()
	for as.total > as.limit && as.first < id {
		if old := as.byID[as.first]; old != nil {
			as.total -= old.weight()
			delete(as.byID, as.first)
		}
		as.first++
	}
}

// get gives an application, or the fault that there is none.
func (as *applies) get(id int64) (*apply, error) {
	as.mu.Lock()
	defer as.mu.Unlock()
	if a := as.byID[id]; a != nil {
		return a, nil
	}
	return nil, noApply(id)
}

func noApply(id int64) *Fault {
	return business(codeNoApply, "ApplyId: there is no application %d, or it is too long ago", id)
}

// registeredApply gives the application after its devices were made.
func registeredApply(product string, devices []simulator.Device) *apply {
	a := &apply{product: product, status: createSuccess, devices: make([]applied, 0, len(devices))}
	for i := range devices {
		d := &devices[i]
		id := d.IotID()
		a.devices = append(a.devices, applied{DeviceId: id, DeviceName: d.Name, DeviceSecret: d.Secret, IotId: id})
	}
	return a
}
