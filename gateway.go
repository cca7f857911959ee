package ota

import (
	"crypto/hmac"
	"encoding/json"
	"fmt"
	"strings"
)

// GatewayCode says how a gateway's request ended (protocol section 1).
type GatewayCode int

// The codes. 427 goes out on [TopicError] only.
const (
	GatewayOK         GatewayCode = 200
	GatewayReplaced   GatewayCode = 427  // the sub-device has come in elsewhere
	GatewayFull       GatewayCode = 428  // as many sub-devices as a gateway may have
	GatewayBusy       GatewayCode = 429  // too often; or the cloud cannot answer now
	GatewayBad        GatewayCode = 460  // the request is malformed or too long
	GatewayNoSession  GatewayCode = 520  // the sub-device is not logged in here
	GatewayDeleted    GatewayCode = 521  // the sub-device was deleted
	GatewayDisabled   GatewayCode = 522  // the sub-device is disabled
	GatewayNoDevice   GatewayCode = 6100 // there is no such sub-device
	GatewaySignature  GatewayCode = 6287 // the sign is not of the sub-device's secret
	GatewayNoTopology GatewayCode = 6401 // it is no sub-device of this gateway
)

// GatewayError is why a gateway's request was refused.
type GatewayError struct {
	Code    GatewayCode
	Message string
	Device  Device // the sub-device it is about; may be none
}

// Error gives the code and the message.
func (e *GatewayError) Error() string { return fmt.Sprintf("%d: %s", e.Code, e.Message) }

// Gateway reports whether a topic of this kind is a gateway's request.
func (k TopicKind) Gateway() bool { return k.Session() || k.topology() }

// Session reports whether a topic of this kind is a gateway's request to log
// sub-devices in or out.
func (k TopicKind) Session() bool {
	return k == TopicLogin || k == TopicLogout || k == TopicBatchLogin || k == TopicBatchLogout
}

func (k TopicKind) topology() bool {
	return k == TopicTopoAdd || k == TopicTopoDelete || k == TopicTopoGet
}

// GatewayReply gives the kind of topic that a gateway's request is answered on; 0
// when it is none.
func (k TopicKind) GatewayReply() TopicKind {
	if !k.Gateway() {
		return 0
	}
	return k + 1
}

// SubLogin names a sub-device and proves that the gateway has its secret. Its sign
// is made as a device's password is.
type SubLogin struct {
	Device    Device
	ClientID  string
	Timestamp string
	Method    HMACMethod
	Sign      string
}

// NewSubLogin signs for a sub-device: with hmacSha256, and "productKey&deviceName"
// as its client id.
func NewSubLogin(d Device, secret string) SubLogin {
	l := SubLogin{Device: d, ClientID: d.ProductKey + "&" + d.Name, Timestamp: SDKTimestamp, Method: HMACSHA256}
	l.Sign, _ = l.Method.Sign(secret, l.content()) // the method is known
	return l
}

func (l SubLogin) content() string {
	return ClientID{ID: l.ClientID, Timestamp: l.Timestamp}.content(l.Device)
}

// Verify checks the sign against the sub-device's secret: nil, ErrSignature, or
// that the method is not known. The sign may be in either case.
func (l SubLogin) Verify(secret string) error {
	want, err := l.Method.Sign(secret, l.content())
	if err != nil {
		return err
	}
	if secret == "" || !hmac.Equal([]byte(want), []byte(strings.ToLower(l.Sign))) {
		return ErrSignature
	}
	return nil
}

// GatewayRequest is what a gateway asks for. Where the request has no sign in it
// (topo/delete, logout), only Device of Subs is set; topo/get has no Subs.
type GatewayRequest struct {
	ID   string
	Subs []SubLogin
}

// Bounds of a gateway's request.
const (
	MaxGatewaySubs = 50 // MaxGatewaySubs is the most sub-devices of one request; the cloud's own limit may be lower
	maxSignLen     = 128
)

type wireSub struct {
	ProductKey  string          `json:"productKey"`
	DeviceName  string          `json:"deviceName"`
	ClientID    text            `json:"clientId,omitempty"`
	Timestamp   text            `json:"timestamp,omitempty"`
	SignMethod  string          `json:"signMethod,omitempty"`
	Sign        string          `json:"sign,omitempty"`
	Clean       json.RawMessage `json:"cleanSession,omitempty"`
	SignMethod2 string          `json:"signmethod,omitempty"` // as topo/add has it
}

type wireGateway struct {
	ID      text            `json:"id"`
	Version text            `json:"version,omitempty"`
	Params  json.RawMessage `json:"params"`
	Method  string          `json:"method,omitempty"`
}

// DecodeGatewayRequest reads a request of a kind for which [TopicKind.Gateway] is
// true. After an error the ID is set when it could be read, so that the gateway can
// be told.
func DecodeGatewayRequest(kind TopicKind, payload []byte) (GatewayRequest, error) {
	var w wireGateway
	if err := decode(payload, &w); err != nil {
		return GatewayRequest{}, err
	}
	if len(w.ID) > maxIDLen {
		return GatewayRequest{}, badf("id has %d characters, allowed are at most %d", len(w.ID), maxIDLen)
	}
	r := GatewayRequest{ID: string(w.ID)}
	if kind == TopicTopoGet {
		return r, nil
	}
	subs, err := gatewayParams(w.Params)
	if err != nil {
		return r, err
	}
	single := kind == TopicLogin || kind == TopicLogout
	if len(subs) == 0 || len(subs) > MaxGatewaySubs || single && len(subs) > 1 {
		return r, badf("%d sub-devices, allowed are 1 to %d, one where the request is no batch", len(subs), MaxGatewaySubs)
	}
	signed := kind == TopicTopoAdd || kind == TopicLogin || kind == TopicBatchLogin
	for _, s := range subs {
		l, err := s.login(signed)
		if err != nil {
			return r, err
		}
		r.Subs = append(r.Subs, l)
	}
	return r, nil
}

// gatewayParams reads the three forms that the sub-devices of a request come in: an
// array, an object with a deviceList, and one sub-device. The sign method of a list
// may stand beside it.
func gatewayParams(raw json.RawMessage) ([]wireSub, error) {
	var subs []wireSub
	if len(raw) > 0 && raw[0] == '[' {
		if err := json.Unmarshal(raw, &subs); err != nil {
			return nil, badf("params: %v", err)
		}
		return subs, nil
	}
	var w struct {
		wireSub
		DeviceList []wireSub `json:"deviceList"`
	}
	if err := json.Unmarshal(raw, &w); err != nil {
		return nil, badf("params: %v", err)
	}
	if w.DeviceList == nil {
		return []wireSub{w.wireSub}, nil
	}
	for _, s := range w.DeviceList {
		if s.SignMethod == "" {
			s.SignMethod = w.SignMethod
		}
		subs = append(subs, s)
	}
	return subs, nil
}

func (s wireSub) login(signed bool) (SubLogin, error) {
	l := SubLogin{Device: Device{s.ProductKey, s.DeviceName}}
	if err := l.Device.Validate(); err != nil {
		return l, badf("%v", err)
	}
	if !signed {
		return l, nil
	}
	l.ClientID, l.Timestamp, l.Sign = string(s.ClientID), string(s.Timestamp), s.Sign
	l.Method = HMACMethod(strings.ToLower(s.SignMethod))
	if l.Method == "" {
		l.Method = HMACMethod(strings.ToLower(s.SignMethod2))
	}
	if l.Sign == "" || len(l.Sign) > maxSignLen || len(l.ClientID) > maxRawClientIDLen || len(l.Timestamp) > maxIDLen {
		return l, badf("sign, clientId or timestamp of %s is missing or too long", l.Device)
	}
	if _, err := l.Method.hash(); err != nil {
		return l, badf("%v", err)
	}
	return l, nil
}

// inParams is the method as gateways spell it.
func (m HMACMethod) inParams() string {
	switch m {
	case HMACSHA1:
		return "hmacSha1"
	case HMACSHA256:
		return "hmacSha256"
	}
	return "hmacMd5"
}

// Encode gives the request for a topic of the kind.
func (r GatewayRequest) Encode(kind TopicKind) []byte {
	w := wireGateway{ID: text(r.ID), Params: json.RawMessage("{}")}
	subs := make([]wireSub, len(r.Subs))
	for i, l := range r.Subs {
		s := wireSub{ProductKey: l.Device.ProductKey, DeviceName: l.Device.Name, ClientID: text(l.ClientID), Timestamp: text(l.Timestamp), Sign: l.Sign}
		switch {
		case kind == TopicTopoAdd:
			s.SignMethod2 = l.Method.inParams()
		case l.Sign != "":
			s.SignMethod, s.Clean = l.Method.inParams(), json.RawMessage(`"true"`)
		}
		subs[i] = s
	}
	switch {
	case len(subs) == 0:
	case kind == TopicLogin || kind == TopicLogout:
		w.Params = encode(subs[0])
	case kind == TopicBatchLogin:
		w.Params = encode(map[string]any{"deviceList": subs})
	default:
		w.Params = encode(subs)
	}
	switch kind {
	case TopicTopoAdd:
		w.Version, w.Method = "1.0", "thing.topo.add"
	case TopicTopoDelete:
		w.Version, w.Method = "1.0", "thing.topo.delete"
	case TopicTopoGet:
		w.Version, w.Method = "1.0", "thing.topo.get"
	}
	return encode(w)
}
