package fleet

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator/fleet/report"
)

// login makes what the device signs in with: a proof of its secret or, with a
// certificate, at first nothing at all, and from then on its names (protocol section 1).
func (d *device) login() (ota.Login, error) {
	switch {
	case d.f.cfg.Certificate == nil:
		return ota.Credentials{Device: d.m.Device, Secret: d.m.Secret, TLS: d.f.target.tls != nil}.Login()
	case !d.before:
		return ota.Login{}, nil
	}
	id := ota.ClientID{ID: d.m.Name, SecureMode: "2", Method: ota.HMACSHA256, Timestamp: ota.SDKTimestamp}
	return ota.Login{ClientID: id.String(), Username: d.m.Name + "&" + d.m.ProductKey}, nil
}

// door is the broker as the device reaches it: with its certificate, when it has one.
func (d *device) door() (Target, error) {
	t := d.f.target
	if d.f.cfg.Certificate == nil {
		return t, nil
	}
	cert, err := d.f.cfg.Certificate(d.m.Device)
	if err != nil {
		return t, fmt.Errorf("the certificate of %s: %w", d.m.Device, err)
	}
	t.tls = t.tls.Clone()
	t.tls.Certificates = []tls.Certificate{cert}
	return t, nil
}

// identified checks what the cloud says that the owner of the certificate is called.
func (d *device) identified(payload []byte) error {
	r, err := ota.DecodeRegistered(payload)
	if err != nil || r.Device != d.m.Device {
		return fmt.Errorf("the cloud takes the certificate of %s for that of %s: %w", d.m.Device, r.Device, err)
	}
	return nil
}

// register gets the device's secret with that of its product (protocol section 1): it
// signs in over TLS, is told the secret without asking, and goes. The secret is the
// device's from then on, for as long as the fleet lives.
func (d *device) register(ctx context.Context) error {
	if d.f.target.tls == nil {
		return errors.New("a device without a secret registers over TLS only (mqtts)")
	}
	login, err := ota.Registration{Device: d.m.Device, ProductSecret: d.f.cfg.ProductSecret,
		Random: strconv.FormatUint(d.luck.Uint64(), 36)}.Login()
	if err != nil {
		return err
	}
	conn, _, err := d.f.target.open(ctx, d.f.dial(d, d.f.target.host))
	if err != nil {
		return err
	}
	if !d.hold(conn) {
		conn.Close()
		return net.ErrClosed
	}
	defer d.letGo()
	_ = conn.SetDeadline(time.Now().Add(wireTimeout))
	if err := d.signIn(login); err != nil {
		return err
	}
	for {
		p, err := d.read()
		if err != nil {
			return fmt.Errorf("the cloud let the device register and did not tell its secret: %w", err)
		}
		if p.kind&0xf0 != packetPublish {
			continue
		}
		topic, payload, _, err := d.wire.message(p)
		if err != nil {
			return err
		}
		if string(topic) != ota.RegisterTopic {
			continue
		}
		r, err := ota.DecodeRegistered(payload)
		if err != nil || r.Device != d.m.Device || r.Secret == "" {
			return fmt.Errorf("what the cloud tells at a registration is not the device's secret: %w", err)
		}
		d.m.Secret = r.Secret
		d.f.rec.Add(report.Received, 1)
		return d.send(packetDisconnect)
	}
}
