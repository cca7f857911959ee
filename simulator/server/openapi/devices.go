package openapi

import (
	"context"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server/store"
)

const (
	maxName       = ota.MaxDeviceNameLen
	maxIotID      = 64
	devicePage    = 10
	maxDevicePage = 50
	maxStates     = 50 // devices of one BatchGetDeviceState
)

type registered struct{ ProductKey, DeviceName, DeviceSecret, IotId, Nickname string }

func registerDevice(p *reader) call {
	cmd := simulator.RegisterDevices{Product: p.need("ProductKey", maxKey)}
	if name := p.text("DeviceName", maxName); name != "" {
		cmd.Names = []string{name}
	} else {
		cmd.Count = 1
	}
	nickname := p.text("Nickname", maxText)
	if nickname != "" {
		cmd.Nicknames = []string{nickname}
		if cmd.Names == nil {
			p.fail(invalid("Nickname", "needs a DeviceName beside it"))
		}
	}
	return func(ctx context.Context, s session) (answer, error) {
		made, err := do[[]simulator.Device](ctx, s, cmd)
		if err != nil {
			return nil, err
		}
		d := made[0]
		return data(registered{d.ProductKey, d.Name, d.Secret, d.IotID(), d.Nickname}), nil
	}
}

// oneDevice names a device by ProductKey and DeviceName, or by IotId.
type oneDevice struct{ product, name, iotID string }

func readDevice(p *reader) oneDevice {
	if p.has("IotId") && !p.has("DeviceName") {
		return oneDevice{iotID: p.text("IotId", maxIotID)}
	}
	return oneDevice{product: p.need("ProductKey", maxKey), name: p.need("DeviceName", maxName)}
}

// find asks the engine, which unlike the store knows who is online.
func (o oneDevice) find(ctx context.Context, s session) (simulator.Device, error) {
	if o.iotID != "" {
		found, _, err := s.lists.Devices(ctx, store.DeviceFilter{IotID: o.iotID}, store.Page{Number: 1, Size: 1})
		if err != nil {
			return simulator.Device{}, err
		}
		if len(found) == 0 {
			return simulator.Device{}, business(codeNoDevice, "IotId: there is no device %q", shorten(o.iotID))
		}
		o.product, o.name = found[0].ProductKey, found[0].Name
	}
	return do[simulator.Device](ctx, s, simulator.FindDevice{Product: o.product, Name: o.name})
}

type deviceList struct {
	head
	Total, PageSize, PageCount, Page int
	Data                             struct{ DeviceInfo []deviceInfo }
}

type deviceInfo struct {
	DeviceName, DeviceSecret, ProductKey, IotId, DeviceId string
	Nickname, DeviceStatus, DeviceType                    string
	GmtCreate, UtcCreate, GmtModified, UtcModified        string
}

func queryDevice(p *reader) call {
	key := p.need("ProductKey", maxKey)
	pg := p.page(devicePage, maxDevicePage)
	p.later("NextToken")
	return func(ctx context.Context, s session) (answer, error) {
		if _, err := do[simulator.Product](ctx, s, simulator.FindProduct{Product: key}); err != nil {
			return nil, err
		}
		found, total, err := s.lists.Devices(ctx, store.DeviceFilter{Product: key}, pg.ofStore())
		if err != nil {
			return nil, err
		}
		a := &deviceList{Total: total, PageSize: pg.Size, PageCount: pg.Count(total), Page: pg.Number}
		a.Data.DeviceInfo = []deviceInfo{}
		for _, stored := range found {
			d, err := do[simulator.Device](ctx, s, simulator.FindDevice{Product: key, Name: stored.Name})
			if err != nil {
				return nil, err
			}
			id, at := d.IotID(), max(d.Registered, d.Activated)
			a.Data.DeviceInfo = append(a.Data.DeviceInfo, deviceInfo{
				DeviceName: d.Name, DeviceSecret: s.secretOf(&d), ProductKey: d.ProductKey, IotId: id, DeviceId: id,
				Nickname: d.Nickname, DeviceStatus: d.Status(), DeviceType: "thing",
				GmtCreate: gmt(d.Registered), UtcCreate: utc(d.Registered), GmtModified: gmt(at), UtcModified: utc(at),
			})
		}
		return a, nil
	}
}

type deviceDetail struct {
	IotId, ProductKey, ProductName, DeviceName, DeviceSecret         string
	FirmwareVersion, Status, Nickname, IpAddress, Region             string
	GmtCreate, UtcCreate, GmtActive, UtcActive, GmtOnline, UtcOnline string
	NodeType                                                         int
	Owner                                                            bool
}

func queryDeviceDetail(p *reader) call {
	which := readDevice(p)
	return func(ctx context.Context, s session) (answer, error) {
		d, err := which.find(ctx, s)
		if err != nil {
			return nil, err
		}
		of, err := do[simulator.Product](ctx, s, simulator.FindProduct{Product: d.ProductKey})
		if err != nil {
			return nil, err
		}
		return data(deviceDetail{
			IotId: d.IotID(), ProductKey: d.ProductKey, ProductName: of.Name, DeviceName: d.Name, DeviceSecret: s.secretOf(&d),
			FirmwareVersion: d.Version(ota.DefaultModule), Status: d.Status(), Nickname: d.Nickname,
			GmtCreate: gmt(d.Registered), UtcCreate: utc(d.Registered), GmtActive: gmt(d.Activated), UtcActive: utc(d.Activated),
			GmtOnline: gmt(d.LastOnline), UtcOnline: utc(d.LastOnline), NodeType: of.NodeType, Owner: true,
		}), nil
	}
}

type deviceStatus struct {
	Status    string
	Timestamp int64 // milliseconds since 1970 of when it was last online; 0 is never
}

func getDeviceStatus(p *reader) call {
	which := readDevice(p)
	return func(ctx context.Context, s session) (answer, error) {
		d, err := which.find(ctx, s)
		if err != nil {
			return nil, err
		}
		return data(deviceStatus{Status: d.Status(), Timestamp: int64(d.LastOnline)}), nil
	}
}

type deviceStates struct {
	head
	DeviceStatusList struct{ DeviceStatus []deviceState }
}

type deviceState struct {
	DeviceName, IotId, DeviceId, Status, LastOnlineTime string
	Timestamp                                           int64 // milliseconds since 1970; 0 is never
}

func batchGetState(p *reader) call {
	var which []oneDevice
	if ids := p.list("IotId", maxStates, maxIotID); len(ids) > 0 {
		for _, id := range ids {
			which = append(which, oneDevice{iotID: id})
		}
	} else {
		key := p.need("ProductKey", maxKey)
		for _, name := range p.list("DeviceName", maxStates, maxName) {
			which = append(which, oneDevice{product: key, name: name})
		}
	}
	if len(which) == 0 {
		p.fail(missing("DeviceName"))
	}
	return func(ctx context.Context, s session) (answer, error) {
		a := &deviceStates{}
		a.DeviceStatusList.DeviceStatus = []deviceState{}
		for _, w := range which {
			d, err := w.find(ctx, s)
			if err != nil {
				return nil, err
			}
			id := d.IotID()
			a.DeviceStatusList.DeviceStatus = append(a.DeviceStatusList.DeviceStatus, deviceState{
				DeviceName: d.Name, IotId: id, DeviceId: id, Status: d.Status(),
				LastOnlineTime: utc(d.LastOnline), Timestamp: int64(d.LastOnline),
			})
		}
		return a, nil
	}
}
