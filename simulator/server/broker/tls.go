package broker

import (
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"time"
)

// TLSOptions say how devices are met over TLS.
type TLSOptions struct {
	Certificate tls.Certificate
	// Legacy also allows the suites with RSA key exchange and CBC, which is all that
	// C SDK 4.2.0 offers (protocol section 11). They have no forward secrecy: who
	// gets the server's key later reads what was recorded. They need an RSA key.
	Legacy bool
	// DeviceCAs signs the certificates of devices that sign in with one (protocol
	// section 1); nil: no device does. Devices without a certificate come in with
	// their secret all the same.
	DeviceCAs *x509.CertPool
}

// Config gives the configuration for tls.NewListener: TLS 1.2 and newer. An error
// says that the certificate cannot do what is asked for.
func (o TLSOptions) Config() (*tls.Config, error) {
	c := &tls.Config{Certificates: []tls.Certificate{o.Certificate}, MinVersion: tls.VersionTLS12}
	if o.DeviceCAs != nil {
		c.ClientCAs, c.ClientAuth = o.DeviceCAs, tls.VerifyClientCertIfGiven
	}
	if !o.Legacy {
		return c, nil
	}
	if _, ok := o.Certificate.PrivateKey.(*rsa.PrivateKey); !ok {
		return nil, errors.New("the old TLS suites exchange keys with RSA: the certificate needs an RSA key")
	}
	for _, s := range tls.CipherSuites() {
		c.CipherSuites = append(c.CipherSuites, s.ID)
	}
	c.CipherSuites = append(c.CipherSuites, legacySuites()...)
	return c, nil
}

func legacySuites() []uint16 {
	return []uint16{
		tls.TLS_RSA_WITH_AES_128_CBC_SHA256,
		tls.TLS_RSA_WITH_AES_256_CBC_SHA,
		tls.TLS_RSA_WITH_AES_128_CBC_SHA,
	}
}

// secured gives the TLS state of a connection, WebSocket or not; nil: it has none.
// It is complete once something was read.
func secured(conn net.Conn) *tls.ConnectionState {
	if w, ok := conn.(*webConn); ok {
		conn = w.NetConn()
	}
	t, ok := conn.(*tls.Conn)
	if !ok {
		return nil
	}
	state := t.ConnectionState()
	return &state
}

// peer gives the certificate that a device has shown and that was verified; nil: none.
func peer(conn net.Conn, now time.Time) *x509.Certificate {
	state := secured(conn)
	if state == nil || len(state.VerifiedChains) == 0 {
		return nil
	}
	leaf := state.VerifiedChains[0][0]
	if now.After(leaf.NotAfter) { // of a session that is resumed
		return nil
	}
	return leaf
}
