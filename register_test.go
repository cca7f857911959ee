package ota

import (
	"errors"
	"strings"
	"testing"
)

func TestRegistration(t *testing.T) {
	d := Device{"al123456789", "device1"}
	l, err := Registration{Device: d, ProductSecret: "secret", ClientID: "c", Random: "123"}.Login()
	want := Login{"c|securemode=2,signmethod=hmacsha256,authType=register,random=123|", "device1&al123456789", "8079ef76baec6e70051940ccb24e18e57229e09b85bec46183ac2584bee8a8f9"}
	if err != nil || l != want {
		t.Errorf("%+v, %v", l, err)
	}
	l.Password = strings.ToUpper(l.Password)
	if err := l.VerifyRegistration("secret"); err != nil {
		t.Error(err)
	}
	for _, secret := range []string{"", "other"} {
		if err := l.VerifyRegistration(secret); !errors.Is(err, ErrSignature) {
			t.Errorf("%q: %v", secret, err)
		}
	}
	if err := l.Verify("secret"); !errors.Is(err, ErrSignature) {
		t.Errorf("a registration is no sign-in: %v", err)
	}
	l.ClientID = "c|securemode=2,authType=register|"
	if err := l.VerifyRegistration("secret"); err == nil {
		t.Error("without random")
	}
	fresh, err := Registration{Device: d, ProductSecret: "secret", Random: "1", Method: HMACSHA1, New: true}.Login()
	if err != nil || fresh.ClientID != "al123456789.device1|securemode=-2,signmethod=hmacsha1,authType=regnwl,random=1|" || fresh.VerifyRegistration("secret") != nil {
		t.Errorf("%+v, %v", fresh, err)
	}
	for _, r := range []Registration{{Device: d, Random: "1"}, {Device: d, ProductSecret: "s"}, {ProductSecret: "s", Random: "1"}} {
		if l, err := r.Login(); err == nil {
			t.Errorf("%+v: %+v", r, l)
		}
	}
}

func TestRegisteredBytes(t *testing.T) {
	d := Device{"a1", "x"}
	for want, r := range map[string]Registered{
		`{"productKey":"a1","deviceName":"x","deviceSecret":"s"}`:                {Device: d, Secret: "s"},
		`{"productKey":"a1","deviceName":"x","clientId":"c","deviceToken":"t&"}`: {Device: d, ClientID: "c", Token: "t&"},
		`{"productKey":"a1","deviceName":"x"}`:                                   {Device: d},
	} {
		if got := string(r.Encode()); got != want {
			t.Errorf("%s, want %s", got, want)
		}
		if got, err := DecodeRegistered([]byte(want)); err != nil || got != r {
			t.Errorf("%s: %+v, %v", want, got, err)
		}
	}
	l, err := Registered{Device: d, ClientID: "c", Token: "t"}.Login()
	if want := (Login{"c|securemode=-2,authType=connwl|", "x&a1", "t"}); err != nil || l != want {
		t.Errorf("%+v, %v", l, err)
	}
	if l, err := (Registered{Device: d, Secret: "s"}).Login(); err == nil {
		t.Errorf("without a token: %+v", l)
	}
}

func FuzzDecodeRegistered(f *testing.F) {
	f.Add([]byte(`{"productKey":"a1","deviceName":"x","deviceSecret":"s"}`))
	f.Add([]byte(`{"productKey":"a1","deviceName":"x","clientId":"c","deviceToken":"t"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := DecodeRegistered(b)
		if err != nil {
			return
		}
		if again, err := DecodeRegistered(r.Encode()); err != nil || again != r {
			t.Errorf("%+v, then %+v, %v", r, again, err)
		}
	})
}
