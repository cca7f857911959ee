package openapi

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leapslot/ota/simulator"
)

// pipes is a listener whose connections are net.Pipes, for virtual time.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipes) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// A form that never ends is given up, and one that comes in time is answered however
// long the answer takes.
func TestSlowForm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := New(Config{Keys: testKey(), Lists: noLists{}, Uploads: noUploads{}, Engine: engineFunc(func(cmd simulator.Command) (any, error) {
			time.Sleep(2 * formTimeout)
			return oneProduct(cmd)
		})})
		if err != nil {
			t.Fatal(err)
		}
		l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
		web := &http.Server{Handler: s}
		go func() { _ = web.Serve(l) }()
		send := func(head, form string, length int) answered {
			ours, theirs := net.Pipe()
			defer ours.Close()
			l.conns <- theirs
			_, err := io.WriteString(ours, head+" HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: "+strconv.Itoa(length)+"\r\n\r\n"+form)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := http.ReadResponse(bufio.NewReader(ours), nil)
			if err != nil {
				t.Fatal(err)
			}
			return read(t, resp)
		}
		for head, code := range map[string]string{
			"POST /":     "InvalidParameter.TooLong",
			"POST /?%zz": "InvalidParameter", // refused before its form is read
			"PUT /":      "UnsupportedHTTPMethod",
		} {
			began := time.Now()
			if a := send(head, "Action=", 100); a.Code != code {
				t.Errorf("%s with a form that never ends: %+v", head, a)
			}
			if waited := time.Since(began); waited > formTimeout {
				t.Errorf("%s: given up after %v, wanted %v at most", head, waited, formTimeout)
			}
		}
		form := encode(request(http.MethodPost, time.Now(), map[string]string{"Action": "CreateProduct", "ProductName": "lamp"}))
		if a := send("POST /", form, len(form)); !a.Success {
			t.Errorf("a slow answer: %+v", a)
		}
		_ = web.Close()
	})
}

func TestManyCallersAtOnce(t *testing.T) {
	web := serveEngine(t, nil, oneProduct)
	var callers sync.WaitGroup
	var mu sync.Mutex
	answers := map[string]int{}
	for i := range 8 {
		callers.Go(func() {
			for j := range 25 {
				change := map[string]string{"Action": "BatchCheckDeviceNames", "DeviceName.1": "a", "SignatureNonce": strconv.Itoa(j)}
				if i%2 == 1 {
					change["SignatureNonce"] += "odd"
				}
				a := get(t, web.URL+"/?"+encode(request(http.MethodGet, time.Now(), change)))
				mu.Lock()
				answers[a.Code]++
				mu.Unlock()
			}
		})
	}
	callers.Wait()
	if answers[""] != 50 || answers["SignatureNonceUsed"] != 150 {
		t.Errorf("50 nonces were used four times each: %v", answers)
	}
}

func TestNewerSignatureIsNamed(t *testing.T) {
	web := serveEngine(t, nil, oneProduct)
	req, _ := http.NewRequest(http.MethodPost, web.URL, nil)
	req.Header.Set("Authorization", "ACS3-HMAC-SHA256 Credential=x")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if a := read(t, resp); a.Code != "InvalidSignatureVersion" || !strings.Contains(a.Message, "1.0") {
		t.Errorf("%+v", a)
	}
}

// BenchmarkCall is one signed call without a network: what the API itself costs.
func BenchmarkCall(b *testing.B) {
	s, err := New(Config{Keys: testKey(), Engine: engineFunc(oneProduct), Lists: noLists{}, Uploads: noUploads{}})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i++
		query := encode(request(http.MethodGet, time.Now(), map[string]string{"SignatureNonce": strconv.Itoa(i)}))
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/?"+query, nil))
		if w.Code != http.StatusOK {
			b.Fatal(w.Body)
		}
	}
}
