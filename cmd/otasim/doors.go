package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"

	"github.com/spf13/cobra"

	"github.com/leapslot/ota/simulator/server"
	"github.com/leapslot/ota/simulator/server/broker"
)

// doorFlags are the ways in for devices beside plain MQTT.
type doorFlags struct {
	mqtts, ws, wss    string
	cert, key         string
	legacy            bool
	clientCA          string
	connectsPerMinute int
}

func (f *doorFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.mqtts, "mqtts", "", "address for devices over TLS, such as :8883")
	fl.StringVar(&f.ws, "ws", "", "address for devices over WebSocket, such as :8083")
	fl.StringVar(&f.wss, "wss", "", "address for devices over WebSocket and TLS, such as :443")
	fl.StringVar(&f.cert, "tls-cert", "", "certificate chain for --mqtts and --wss, PEM")
	fl.StringVar(&f.key, "tls-key", "", "private key for --mqtts and --wss, PEM")
	fl.BoolVar(&f.legacy, "tls-legacy", false, "also allow TLS suites with RSA key exchange and CBC, which is all that old SDKs have; wants an RSA key")
	fl.StringVar(&f.clientCA, "mqtts-client-ca", "", "certificates that sign devices' own, PEM: such a device signs in with its certificate, whose common name is deviceName&productKey")
	fl.IntVar(&f.connectsPerMinute, "connects-per-minute", 0, "how often a device may connect in a minute (the platform: 5), 0 without limit")
}

func (f *doorFlags) secure() bool { return f.mqtts != "" || f.wss != "" }

func (f *doorFlags) check() error {
	switch {
	case f.secure() != (f.cert != "" && f.key != "") || (f.cert == "") != (f.key == ""):
		return usagef("--mqtts or --wss, --tls-cert and --tls-key go together")
	case !f.secure() && (f.legacy || f.clientCA != ""):
		return usagef("--tls-legacy and --mqtts-client-ca are for --mqtts and --wss")
	case f.connectsPerMinute < 0:
		return usagef("--connects-per-minute is 0 or more, not %d", f.connectsPerMinute)
	}
	return nil
}

// config is how devices are met over TLS; nil when none are.
func (f *doorFlags) config() (*tls.Config, error) {
	if !f.secure() {
		return nil, nil
	}
	cert, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		return nil, fmt.Errorf("%w: --tls-cert and --tls-key: %w", server.ErrConfig, err)
	}
	o := broker.TLSOptions{Certificate: cert, Legacy: f.legacy}
	if f.clientCA != "" {
		text, err := os.ReadFile(f.clientCA)
		if err != nil {
			return nil, fmt.Errorf("%w: --mqtts-client-ca: %w", server.ErrConfig, err)
		}
		if o.DeviceCAs = x509.NewCertPool(); !o.DeviceCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%w: --mqtts-client-ca: %s has no certificate in PEM", server.ErrConfig, f.clientCA)
		}
	}
	c, err := o.Config()
	if err != nil {
		return nil, fmt.Errorf("%w: --tls-legacy: %w", server.ErrConfig, err)
	}
	return c, nil
}

// door is a listener and the name that its address is printed with.
type door struct {
	name string
	net.Listener
}

// open listens on each address that was given.
func (f *doorFlags) open(open *listeners, config *tls.Config) ([]door, error) {
	var doors []door
	for _, d := range []struct {
		name, addr  string
		tls, socket bool
	}{{"mqtts", f.mqtts, true, false}, {"ws", f.ws, false, true}, {"wss", f.wss, true, true}} {
		if d.addr == "" {
			continue
		}
		l, err := open.listen("--"+d.name, d.addr)
		if err != nil {
			return nil, err
		}
		if d.tls {
			l = tls.NewListener(l, config)
		}
		if d.socket {
			l = server.WebSocket{Listener: l}
		}
		doors = append(doors, door{d.name, l})
	}
	return doors, nil
}
