package ota

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Requests as gateways in the field write them, byte for byte.
func TestGatewayRequestsOfTheField(t *testing.T) {
	d := Device{"al12345", "device1234"}
	sign := "df29e3370c8c92b8b06b42503970b0ba72ab246f78cdbf25fa9337a8df6fc087"
	whole := SubLogin{d, "al12345&device1234", "1581417203000", HMACSHA256, sign}
	named := []SubLogin{{Device: d}}
	for _, c := range []struct {
		kind    TopicKind
		payload string
		want    GatewayRequest
	}{
		{TopicLogin, `{"id":"123","params":{"productKey":"al12345","deviceName":"device1234","clientId":"al12345&device1234","timestamp":"1581417203000","signMethod":"hmacSha256","sign":"` + sign + `","cleanSession":"true"}}`, GatewayRequest{"123", []SubLogin{whole}}},
		{TopicLogin, `{"id":7,"params":{"productKey":"al12345","deviceName":"device1234","clientId":"al12345&device1234","timestamp":1581417203000,"signMethod":"hmacsha256","sign":"` + sign + `","cleanSession":true,}}` + "\x00", GatewayRequest{"7", []SubLogin{whole}}},
		{TopicBatchLogin, `{"id":"1","version":"1.0","params":{"signMethod":"hmacSha256","deviceList":[{"productKey":"al12345","deviceName":"device1234","clientId":"al12345&device1234","timestamp":"1581417203000","cleanSession":"false","sign":"` + sign + `"}]}}`, GatewayRequest{"1", []SubLogin{whole}}},
		{TopicTopoAdd, `{"id":"1","version":"1.0","params":[{"deviceName":"device1234","productKey":"al12345","sign":"` + sign + `","signmethod":"hmacSha256","timestamp":"1581417203000","clientId":"al12345&device1234"}],"method":"thing.topo.add"}`, GatewayRequest{"1", []SubLogin{whole}}},
		{TopicTopoDelete, `{"id":"1","version":"1.0","params":[{"deviceName":"device1234","productKey":"al12345"}],"method":"thing.topo.delete"}`, GatewayRequest{"1", named}},
		{TopicTopoGet, `{"id":"1","version":"1.0","params":{},"method":"thing.topo.get"}`, GatewayRequest{ID: "1"}},
		{TopicTopoGet, `{"id":"1"}`, GatewayRequest{ID: "1"}},
		{TopicLogout, `{"id":123,"params":{"productKey":"al12345","deviceName":"device1234"}}`, GatewayRequest{"123", named}},
		{TopicBatchLogout, `{"id":"123","params":[{"productKey":"al12345","deviceName":"device1234"}]}`, GatewayRequest{"123", named}},
	} {
		got, err := DecodeGatewayRequest(c.kind, []byte(c.payload))
		if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", c.payload, err, diff)
		}
		again, err := DecodeGatewayRequest(c.kind, c.want.Encode(c.kind))
		if diff := cmp.Diff(c.want, again); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", c.want.Encode(c.kind), err, diff)
		}
	}
	if err := whole.Verify("secret"); err != nil {
		t.Error(err)
	}
	whole.Sign = strings.ToUpper(sign)
	if err := whole.Verify("secret"); err != nil {
		t.Errorf("upper case: %v", err)
	}
	if err := whole.Verify("other"); !errors.Is(err, ErrSignature) {
		t.Errorf("wrong secret: %v", err)
	}
	if err := whole.Verify(""); !errors.Is(err, ErrSignature) {
		t.Errorf("no secret: %v", err)
	}
}

func TestGatewayRequestRefused(t *testing.T) {
	many := strings.Repeat(`{"productKey":"a","deviceName":"b"},`, MaxGatewaySubs+1)
	for _, c := range []struct {
		kind    TopicKind
		payload string
	}{
		{TopicLogin, `{"id":"9"}`},
		{TopicLogin, `{"id":"9","params":[]}`},
		{TopicLogin, `{"id":"9","params":"x"}`},
		{TopicLogin, `{"id":"9","params":{"productKey":"a","deviceName":"b"}}`},
		{TopicLogin, `{"id":"9","params":{"productKey":"a","deviceName":"b","sign":"x","signMethod":"md4"}}`},
		{TopicLogin, `{"id":"9","params":{"productKey":"a/#","deviceName":"b","sign":"x"}}`},
		{TopicLogin, `{"id":"9","params":{"productKey":"a","deviceName":"b","sign":"` + strings.Repeat("0", maxSignLen+1) + `"}}`},
		{TopicLogout, `{"id":"9","params":[{"productKey":"a","deviceName":"b"},{"productKey":"a","deviceName":"c"}]}`},
		{TopicBatchLogin, `{"id":"9","params":{"deviceList":[]}}`},
		{TopicBatchLogout, `{"id":"9","params":[` + many + `]}`},
	} {
		r, err := DecodeGatewayRequest(c.kind, []byte(c.payload))
		if !errors.Is(err, ErrMessage) || r.ID != "9" {
			t.Errorf("%s: %+v, %v", c.payload, r, err)
		}
	}
}

func TestGatewayReplyBytes(t *testing.T) {
	a, b := Device{"a1", "x"}, Device{"a1", "y"}
	for _, c := range []struct {
		kind  TopicKind
		reply GatewayReply
		want  string
	}{
		{TopicLogin, GatewayReply{"1", GatewayOK, "success", []Device{a}}, `{"id":"1","code":200,"data":{"productKey":"a1","deviceName":"x"},"message":"success"}`},
		{TopicBatchLogin, GatewayReply{"1", GatewayOK, "success", []Device{a, b}}, `{"id":"1","code":200,"data":[{"productKey":"a1","deviceName":"x"},{"productKey":"a1","deviceName":"y"}],"message":"success"}`},
		{TopicTopoAdd, GatewayReply{"1", GatewayOK, "success", nil}, `{"id":"1","code":200,"data":{},"message":"success"}`},
		{TopicTopoGet, GatewayReply{"1", GatewayOK, "success", nil}, `{"id":"1","code":200,"data":[],"message":"success"}`},
		{TopicError, GatewayReply{"1", GatewayReplaced, "elsewhere", []Device{a}}, `{"id":"1","code":427,"data":{"productKey":"a1","deviceName":"x"},"message":"elsewhere"}`},
	} {
		got := c.reply.Encode(c.kind)
		if string(got) != c.want {
			t.Errorf("%s\nwant %s", got, c.want)
		}
		again, err := DecodeGatewayReply(got)
		if diff := cmp.Diff(c.reply, again); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", got, err, diff)
		}
	}
	if r, err := DecodeGatewayReply([]byte(`{"id":"1","code":200,"message":"success","data":""}`)); err != nil || r.Code != GatewayOK {
		t.Errorf("the older answer: %+v, %v", r, err)
	}
}

func FuzzDecodeGatewayRequest(f *testing.F) {
	l := NewSubLogin(Device{"a1", "x"}, "s")
	for k := TopicTopoAdd; k < TopicError; k += 2 {
		f.Add(uint8(k), GatewayRequest{"1", []SubLogin{l}}.Encode(k))
	}
	f.Add(uint8(TopicError), GatewayReply{"1", GatewayReplaced, "m", []Device{l.Device}}.Encode(TopicError))
	f.Fuzz(func(t *testing.T, k uint8, payload []byte) {
		if _, err := DecodeGatewayReply(payload); err != nil && !errors.Is(err, ErrMessage) {
			t.Error(err)
		}
		if kind := TopicKind(k); kind.Gateway() {
			r, err := DecodeGatewayRequest(kind, payload)
			if err != nil {
				return
			}
			again, err := DecodeGatewayRequest(kind, r.Encode(kind))
			if diff := cmp.Diff(len(r.Subs), len(again.Subs)); err != nil || diff != "" || len(r.Subs) > MaxGatewaySubs {
				t.Errorf("%+v, then %+v, %v", r, again, err)
			}
		}
	})
}
