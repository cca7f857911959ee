package ota

import "encoding/json"

// GatewayReply answers a [GatewayRequest]. Subs are those it was about, or, after a
// refusal, those that caused it.
type GatewayReply struct {
	ID      string
	Code    GatewayCode
	Message string
	Subs    []Device
}

type wireName struct {
	ProductKey string `json:"productKey"`
	DeviceName string `json:"deviceName"`
}

type wireGatewayReply struct {
	ID      text            `json:"id"`
	Code    number          `json:"code"`
	Data    json.RawMessage `json:"data"`
	Message string          `json:"message"`
}

// Encode gives the reply to a request of the kind, or with [TopicError] what tells
// a gateway that a sub-device was thrown out. data is an object for one sub-device
// and an array for a batch and for topo/get; it is empty after topo/add and
// topo/delete.
func (r GatewayReply) Encode(kind TopicKind) []byte {
	names := make([]wireName, len(r.Subs))
	for i, d := range r.Subs {
		names[i] = wireName{d.ProductKey, d.Name}
	}
	w := wireGatewayReply{ID: text(r.ID), Code: number(r.Code), Data: json.RawMessage("{}"), Message: r.Message}
	switch {
	case kind == TopicTopoGet || kind == TopicBatchLogin || kind == TopicBatchLogout:
		w.Data = encode(names)
	case r.Code == GatewayOK && kind.topology():
	case len(names) > 0:
		w.Data = encode(names[0])
	}
	return encode(w)
}

// DecodeGatewayReply reads the answer to a gateway's request, or a message on
// [TopicError].
func DecodeGatewayReply(payload []byte) (GatewayReply, error) {
	var w wireGatewayReply
	if err := decode(payload, &w); err != nil {
		return GatewayReply{}, err
	}
	if len(w.ID) > maxIDLen {
		return GatewayReply{}, badf("id has %d characters, allowed are at most %d", len(w.ID), maxIDLen)
	}
	r := GatewayReply{ID: string(w.ID), Code: GatewayCode(w.Code), Message: clip(w.Message, MaxDescLen)}
	var names []wireName
	if len(w.Data) > 0 && w.Data[0] == '[' {
		if err := json.Unmarshal(w.Data, &names); err != nil {
			return r, badf("data: %v", err)
		}
	} else {
		var one wireName
		if json.Unmarshal(w.Data, &one) == nil && one != (wireName{}) { // older answers have "" here
			names = append(names, one)
		}
	}
	for _, n := range names {
		d := Device{n.ProductKey, n.DeviceName}
		if err := d.Validate(); err != nil {
			return r, badf("%v", err)
		}
		r.Subs = append(r.Subs, d)
	}
	return r, nil
}
