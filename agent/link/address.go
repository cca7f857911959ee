package link

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
)

// address is where the broker is.
type address struct {
	host string // host:port
	name string // the host, for TLS
	tls  bool
	ws   string // the URL of a WebSocket, "" for plain MQTT
}

func parseAddress(raw string) (address, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return address{}, fmt.Errorf("cloud URL %.100q cannot be read (it looks like mqtts://broker.example:8883)", raw)
	}
	a := address{name: u.Hostname()}
	port := ""
	switch u.Scheme {
	case "mqtt", "tcp":
		port = "1883"
	case "mqtts", "ssl":
		a.tls, port = true, "8883"
	case "ws":
		port = "80"
	case "wss":
		a.tls, port = true, "443"
	default:
		return address{}, fmt.Errorf("scheme %.20q of the cloud URL is not mqtt, mqtts, ws or wss", u.Scheme)
	}
	if a.name == "" {
		return address{}, fmt.Errorf("cloud URL %.100q names no host", raw)
	}
	if u.User != nil {
		return address{}, errors.New("the cloud URL has a user in it: a device signs in with its secret, leave the user out")
	}
	if p := u.Port(); p != "" {
		if n, err := strconv.Atoi(p); err != nil || n < 1 || n > 65535 {
			return address{}, fmt.Errorf("port %.20q of the cloud URL is not within 1 and 65535", p)
		}
		port = p
	}
	a.host = net.JoinHostPort(a.name, port)
	if u.Scheme == "ws" || u.Scheme == "wss" {
		u.Host, u.Fragment = a.host, ""
		a.ws = u.String()
		return a, nil
	}
	if (u.Path != "" && u.Path != "/") || u.RawQuery != "" || u.Fragment != "" {
		return address{}, fmt.Errorf("the cloud URL has a path or a query after %s, which %s has no use for", a.host, u.Scheme)
	}
	return a, nil
}

// tlsConfig makes the TLS part of the configuration, nil for a plain URL.
func tlsConfig(cfg Config, to address) (*tls.Config, error) {
	if !to.tls {
		if cfg.CA != nil || cfg.ClientCert != nil || cfg.ClientKey != nil || cfg.ClientSigner != nil {
			return nil, errors.New("a CA or a client certificate is configured, but the cloud URL is not encrypted: use mqtts:// or wss://, or leave them out")
		}
		return nil, nil
	}
	c := &tls.Config{ServerName: to.name, MinVersion: tls.VersionTLS12, Time: cfg.Now}
	if cfg.CA != nil {
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(cfg.CA) {
			return nil, errors.New("the CA file has no certificate in it: it must be PEM, with BEGIN CERTIFICATE")
		}
	}
	if cfg.ClientCert != nil || cfg.ClientKey != nil || cfg.ClientSigner != nil {
		cert, err := clientCertificate(cfg)
		if err != nil {
			return nil, err
		}
		c.Certificates = []tls.Certificate{cert}
	}
	return c, nil
}
