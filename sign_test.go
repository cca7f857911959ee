package ota

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

// The vectors of protocol section 8.
func TestSignVectors(t *testing.T) {
	tests := []struct {
		name   string
		params map[string]string
		secret string
		want   map[HMACMethod]string
	}{
		{"plain", map[string]string{"clientId": "12345", "deviceName": "device", "productKey": "pk", "timestamp": "789"}, "secret", map[HMACMethod]string{
			HMACSHA1:   "fafd82a3d602b37fb0fa8b7892f24a477f851a14",
			HMACMD5:    "14b198324fe55e1d3c88f2e705e201ee",
			HMACSHA256: "6074a46a91b1ebb2cc4ea42790ad0e80202c9843859fc292e57c4eb19fad9e57",
		}},
		{"C SDK", map[string]string{"clientId": "a1QR3GD1Db3.dynamic", "deviceName": "dynamic", "productKey": "a1QR3GD1Db3", "timestamp": SDKTimestamp}, "632155d72f983dfe24b43b30c2ed9b2f", map[HMACMethod]string{
			HMACSHA256: "CBAD7C5408045C5524D04CAF43E633B9AEAF6BF58823B5645465BC389933B36D",
		}},
		{"dynamic registration", map[string]string{"deviceName": "device1", "productKey": "al123456789", "random": "123"}, "secret", map[HMACMethod]string{
			HMACSHA1:   "3db45e2c7880d9edb7921262d396ce454fab25d7",
			HMACSHA256: "8079ef76baec6e70051940ccb24e18e57229e09b85bec46183ac2584bee8a8f9",
		}},
		{"sub-device", map[string]string{"clientId": "al12345&device1234", "deviceName": "device1234", "productKey": "al12345", "timestamp": "1581417203000"}, "secret", map[HMACMethod]string{
			HMACMD5:    "06e5690294a997ff95d1ae32ce459582",
			HMACSHA1:   "eb7d1ba2b779b3133648a7e9fb38b2b10e483f8f",
			HMACSHA256: "df29e3370c8c92b8b06b42503970b0ba72ab246f78cdbf25fa9337a8df6fc087",
		}},
	}
	for _, test := range tests {
		for method, want := range test.want {
			got, err := method.Sign(test.secret, SignContent(test.params))
			if err != nil || got != strings.ToLower(want) {
				t.Errorf("%s %s: %s, %v, want %s", test.name, method, got, err, want)
			}
		}
	}
	if got, want := SignContent(tests[0].params), "clientId12345deviceNamedeviceproductKeypktimestamp789"; got != want {
		t.Errorf("content %q, want %q", got, want)
	}
}

func TestLogin(t *testing.T) {
	d := Device{"a1pk", "gateway-1"}
	for _, c := range []Credentials{
		{Device: d, Secret: "s1"},
		{Device: d, Secret: "s1", TLS: true, Method: HMACMD5},
		{Device: d, Secret: "s1", ClientID: "x", Method: HMACSHA1, Timestamp: "1"},
	} {
		l, err := c.Login()
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Verify("s1"); err != nil {
			t.Errorf("%+v: %v", l, err)
		}
		l.Password = strings.ToUpper(l.Password)
		if err := l.Verify("s1"); err != nil {
			t.Errorf("a password in upper case: %v", err)
		}
		if err := l.Verify("s2"); !errors.Is(err, ErrSignature) {
			t.Errorf("another secret: %v", err)
		}
		if err := l.Verify(""); !errors.Is(err, ErrSignature) {
			t.Errorf("no secret: %v", err)
		}
	}
	if _, err := (Credentials{Device: d}).Login(); err == nil {
		t.Error("an empty secret was taken")
	}
	if _, err := (Credentials{Device: Device{"a/b", "c"}, Secret: "s"}).Login(); err == nil {
		t.Error("a slash in the product key was taken")
	}
}

// hidden is a secret that signs and is not seen.
type hidden struct {
	method HMACMethod
	err    error
}

func (h hidden) HMAC(content []byte) ([]byte, error) {
	text, err := h.method.Sign("s1", string(content))
	if err != nil {
		return nil, err
	}
	mac, err := hex.DecodeString(text)
	return mac, errors.Join(err, h.err)
}

// A signer's sign-in is the one that the secret in memory makes.
func TestLoginSigner(t *testing.T) {
	d := Device{"a1pk", "gateway-1"}
	for _, method := range []HMACMethod{"", HMACMD5, HMACSHA1, HMACSHA256} {
		known := Credentials{Device: d, Secret: "s1", Method: method, TLS: true}
		want, err := known.Login()
		if err != nil {
			t.Fatal(err)
		}
		by := hidden{method: method}
		if method == "" {
			by.method = HMACSHA256
		}
		known.Secret, known.Signer = "", by
		if got, err := known.Login(); err != nil || got != want {
			t.Errorf("%q: %+v, %v, want %+v", method, got, err, want)
		}
	}
	locked := errors.New("locked")
	for _, c := range []struct {
		what, says string
		Credentials
	}{
		{"both", "one of them must go", Credentials{Device: d, Secret: "s1", Signer: hidden{method: HMACSHA256}}},
		{"another hash", "gave 16 bytes, hmacsha256 has 32", Credentials{Device: d, Signer: hidden{method: HMACMD5}}},
		{"its error", "locked", Credentials{Device: d, Signer: hidden{HMACSHA256, locked}}},
	} {
		l, err := c.Login()
		if err == nil || !strings.Contains(err.Error(), c.says) || l != (Login{}) {
			t.Errorf("%s: %+v, %v, want %q", c.what, l, err, c.says)
		}
	}
	if _, err := (Credentials{Device: d, Signer: hidden{HMACSHA256, locked}}).Login(); !errors.Is(err, locked) {
		t.Errorf("the signer's error is not wrapped: %v", err)
	}
}

func TestParseClientID(t *testing.T) {
	c, err := ParseClientID("pk.dn|timestamp=2524608000000,_ss=1,_v=sdk-c-4.2.0,securemode=2,signmethod=hmacsha256,ext=3,_conn=tls_1,|")
	if err != nil || c.ID != "pk.dn" || c.SecureMode != "2" || c.Method != HMACSHA256 || c.Timestamp != SDKTimestamp {
		t.Errorf("%+v, %v", c, err)
	}
	for _, s := range []string{"", "x", "x|", "|securemode=2|", "x|signmethod=hmacsha512|", strings.Repeat("x", 65) + "||", strings.Repeat("x", 600)} {
		if c, err := ParseClientID(s); err == nil {
			t.Errorf("%.80q: taken as %+v", s, c)
		}
	}
}

func FuzzParseClientID(f *testing.F) {
	f.Add("12345|securemode=3,signmethod=hmacsha256,timestamp=2524608000000|")
	f.Add("a|authType=register,random=1,securemode=2,|")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := ParseClientID(s)
		if err != nil || strings.ContainsAny(c.Timestamp+c.SecureMode+c.AuthType+c.Random, "=") {
			return
		}
		again, err := ParseClientID(c.String())
		if err != nil || again != c {
			t.Errorf("%q: %+v, then %+v, %v", s, c, again, err)
		}
	})
}
