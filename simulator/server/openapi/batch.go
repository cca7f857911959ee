package openapi

import (
	"context"
	"errors"
	"math"
	"strconv"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
)

const (
	// MaxBatch is the most devices of one BatchRegisterDevice.
	MaxBatch = 10_000
	// MaxNames is the most names of one BatchCheckDeviceNames.
	MaxNames     = maxListItems
	applyPage    = 10
	maxApplyPage = 50
)

type applyMade struct{ ApplyId int64 }

type namesChecked struct {
	ApplyId                int64
	InvalidDeviceNameList  struct{ InvalidDeviceName []string }
	RepeatedDeviceNameList struct{ RepeatDevieNameList []string } // spelled as the platform does
}

// batchRegister makes devices with names that the cloud makes up. They are there
// when the answer is: whoever then asks for the status finds it done.
func batchRegister(p *reader) call {
	cmd := simulator.RegisterDevices{
		Product: p.need("ProductKey", maxKey),
		Count:   int(p.needNumber("Count", 1, MaxBatch)),
	}
	return func(ctx context.Context, s session) (answer, error) {
		made, err := do[[]simulator.Device](ctx, s, cmd)
		if err != nil {
			return nil, err
		}
		return data(applyMade{ApplyId: s.applies.add(registeredApply(cmd.Product, made))}), nil
	}
}

// checkNames is the first step towards devices with names of one's own.
func checkNames(p *reader) call {
	a := &apply{product: p.need("ProductKey", maxKey), status: checkSuccess}
	names := p.list("DeviceName", MaxNames, maxText)
	var nicknames []string
	if n := p.objects("DeviceNameList", MaxNames, "DeviceName", "DeviceNickname"); n > 0 {
		if len(names) > 0 {
			p.fail(invalid("DeviceNameList", "cannot stand beside DeviceName"))
		}
		for i := range min(n, MaxNames) {
			item := "DeviceNameList." + strconv.Itoa(i+1) + "."
			names = append(names, p.need(item+"DeviceName", maxText))
			nicknames = append(nicknames, p.text(item+"DeviceNickname", maxText))
		}
	}
	if len(names) == 0 {
		p.fail(missing("DeviceName"))
	}
	var repeated []string
	if p.fault == nil {
		repeated = a.check(names, nicknames)
	}
	return func(ctx context.Context, s session) (answer, error) {
		if _, err := do[simulator.Product](ctx, s, simulator.FindProduct{Product: a.product}); err != nil {
			return nil, err
		}
		made := namesChecked{ApplyId: s.applies.add(a)}
		made.RepeatedDeviceNameList.RepeatDevieNameList = append([]string{}, repeated...)
		made.InvalidDeviceNameList.InvalidDeviceName = []string{}
		for _, b := range a.bad {
			made.InvalidDeviceNameList.InvalidDeviceName = append(made.InvalidDeviceNameList.InvalidDeviceName, b.name)
		}
		return data(made), nil
	}
}

// check sorts the names into good and bad ones, and gives those that came twice.
// Whether a name is taken shows when the devices are registered, all or none.
func (a *apply) check(names, nicknames []string) (repeated []string) {
	seen := make(map[string]bool, len(names))
	for i, name := range names {
		err := ota.Device{ProductKey: "any", Name: name}.Validate()
		if seen[name] {
			repeated = append(repeated, name)
			err = errors.New("the name is given twice")
		}
		seen[name] = true
		if err != nil {
			a.status = checkFailed
			b := badName{name: name, why: err.Error()}
			if nicknames != nil {
				b.nickname = nicknames[i]
			}
			a.bad = append(a.bad, b)
			continue
		}
		a.names = append(a.names, name)
		if nicknames != nil {
			a.nicknames = append(a.nicknames, nicknames[i])
		}
	}
	return repeated
}

func readApply(p *reader) int64 { return p.needNumber("ApplyId", 1, math.MaxInt64) }

// batchRegisterApply makes the devices of an application, all or none.
func batchRegisterApply(p *reader) call {
	product, id := p.need("ProductKey", maxKey), readApply(p)
	return func(ctx context.Context, s session) (answer, error) {
		a, err := s.applyOf(ctx, product, id)
		if err != nil {
			return nil, err
		}
		if a.status != checkSuccess {
			return nil, business(codeNoApply, "ApplyId: the application %d is %s, not %s", id, a.status, checkSuccess)
		}
		made, err := do[[]simulator.Device](ctx, s, simulator.RegisterDevices{Product: product, Names: a.names, Nicknames: a.nicknames})
		if err != nil {
			if refused := (*simulator.Error)(nil); errors.As(err, &refused) {
				s.applies.replace(id, failedApply(a, refused.Message))
			}
			return nil, err
		}
		s.applies.replace(id, registeredApply(product, made))
		return data(applyMade{ApplyId: id}), nil
	}
}

func failedApply(a *apply, why string) *apply {
	f := &apply{product: a.product, status: createFailed}
	for i, name := range a.names {
		b := badName{name: name, why: why}
		if a.nicknames != nil {
			b.nickname = a.nicknames[i]
		}
		f.bad = append(f.bad, b)
	}
	return f
}

// ownApply gives an application for devices of the caller's.
func (s session) ownApply(ctx context.Context, id int64) (*apply, error) {
	a, err := s.applies.get(id)
	if err != nil {
		return nil, err
	}
	if _, err := do[simulator.Product](ctx, s, simulator.FindProduct{Product: a.product}); err != nil {
		return nil, noApply(id) // another's is told from none by nothing
	}
	return a, nil
}

func (s session) applyOf(ctx context.Context, product string, id int64) (*apply, error) {
	a, err := s.ownApply(ctx, id)
	if err != nil {
		return nil, err
	}
	if a.product != product {
		return nil, business(codeNoApply, "ApplyId: the application %d is not for the product %s", id, product)
	}
	return a, nil
}

type applyStatus struct {
	Status            string
	ValidList         struct{ Name []string }
	InvalidList       struct{ Name []string }
	InvalidDetailList struct {
		InvalidDetailList []badDetail `json:"invalidDetailList" xml:"invalidDetailList"`
	}
}

type badDetail struct{ DeviceName, NickName, ErrorMsg string }

func queryBatchStatus(p *reader) call {
	product, id := p.need("ProductKey", maxKey), readApply(p)
	return func(ctx context.Context, s session) (answer, error) {
		a, err := s.applyOf(ctx, product, id)
		if err != nil {
			return nil, err
		}
		d := applyStatus{Status: a.status}
		d.ValidList.Name = append([]string{}, a.names...)
		d.InvalidList.Name = []string{}
		for _, made := range a.devices {
			d.ValidList.Name = append(d.ValidList.Name, made.DeviceName)
		}
		for _, b := range a.bad {
			d.InvalidList.Name = append(d.InvalidList.Name, b.name)
			d.InvalidDetailList.InvalidDetailList = append(d.InvalidDetailList.InvalidDetailList, badDetail{b.name, b.nickname, b.why})
		}
		return data(d), nil
	}
}

type applyPageAnswer struct {
	head
	PageSize, Page, PageCount, Total int
	ApplyDeviceList                  struct{ ApplyDeviceInfo []applied }
}

func queryApplyPage(p *reader) call {
	id := readApply(p)
	pg := p.page(applyPage, maxApplyPage)
	return func(ctx context.Context, s session) (answer, error) {
		a, err := s.ownApply(ctx, id)
		if err != nil {
			return nil, err
		}
		r := &applyPageAnswer{PageSize: pg.Size, Page: pg.Number, PageCount: pg.Count(len(a.devices)), Total: len(a.devices)}
		r.ApplyDeviceList.ApplyDeviceInfo = cut(a.devices, pg)
		for i := range r.ApplyDeviceList.ApplyDeviceInfo {
			if s.who.Role == Reader {
				r.ApplyDeviceList.ApplyDeviceInfo[i].DeviceSecret = ""
			}
		}
		return r, nil
	}
}
