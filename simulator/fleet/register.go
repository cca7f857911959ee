package fleet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator/fleet/report"
)

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
	conn, _, err := d.f.target.open(ctx, d.f.dial(d))
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
