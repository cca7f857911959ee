package broker

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/leapslot/ota"
)

// The ways in without a device secret of one's own (protocol section 1).

// entry is whom a CONNECT lets in.
type entry struct {
	device ota.Device
	guest  bool   // it gets its credentials and no session
	first  []byte // what it is told before anything else
}

// DeviceOf gives the device that a certificate is for: the subject's common name is
// deviceName&productKey, as in a user name. Whether the certificate is to be trusted
// is not asked here.
func DeviceOf(c *x509.Certificate) (ota.Device, error) {
	return ota.ParseUsername(c.Subject.CommonName)
}

// unnamed reports whether a user name names no device: the empty triple.
func unnamed(username string) bool { return username == "" || username == "&" }

// byCertificate lets in a device that has shown a certificate and no password (or no
// name: C SDKs sign that with an empty secret). One that does not know its names yet is
// told them.
func (b *Broker) byCertificate(ctx context.Context, cert *x509.Certificate, c connect) (entry, *refusal) {
	if no := c.checkKeepAlive(); no != nil {
		return entry{}, no
	}
	d, err := DeviceOf(cert)
	if err != nil {
		return entry{}, refuse(codeUnknown, "the certificate's common name: %v", err)
	}
	e := entry{device: d}
	if unnamed(c.username) {
		e.first = ota.Registered{Device: d}.Encode()
	} else if claimed, err := ota.ParseUsername(c.username); err != nil {
		return entry{}, refuse(codeParameters, "%v", err)
	} else if claimed != d {
		return entry{}, refuse(codeUnknown, "a certificate of %s", d)
	}
	if _, err := b.config.Directory.Secret(ctx, d); err != nil {
		return entry{}, unknownOr(err)
	}
	return e, nil
}

// register answers a dynamic registration.
func (b *Broker) register(ctx context.Context, conn net.Conn, c connect, d ota.Device, id ota.ClientID) (entry, *refusal) {
	fresh := id.AuthType == ota.AuthRegisterNew
	if secured(conn) == nil {
		return entry{}, refuse(codeParameters, "a registration without TLS")
	}
	if id.Random == "" || c.password == "" || fresh != (id.SecureMode == "-2") {
		return entry{}, refuse(codeParameters, "a registration without random or password, or with securemode %.20q", id.SecureMode)
	}
	if b.config.Registrar == nil {
		return entry{}, refuse(codePassword, "registrations are not offered")
	}
	r, err := b.config.Registrar.Register(ctx, d, c.login(), fresh)
	if err != nil {
		return entry{}, refusedOr(err, codePassword)
	}
	return entry{device: d, guest: true, first: r.Encode()}, nil
}

// byToken lets in a device that was registered without pre-registration. The token is
// its password as it is, and so it has to come over TLS.
func (b *Broker) byToken(ctx context.Context, conn net.Conn, c connect, d ota.Device, id ota.ClientID) (entry, *refusal) {
	if secured(conn) == nil {
		return entry{}, refuse(codeParameters, "a token without TLS")
	}
	if b.config.Registrar == nil {
		return entry{}, refuse(codePassword, "tokens are not offered")
	}
	if err := b.config.Registrar.Token(ctx, d, id.ID, c.password); err != nil {
		return entry{}, refusedOr(err, codeUnknown)
	}
	return entry{device: d}, nil
}

// refusedOr is the answer to a registrar's error.
func refusedOr(err error, unknown byte) *refusal {
	switch {
	case errors.Is(err, ErrRefused):
		return refuse(codePassword, "%v", err)
	case errors.Is(err, ErrUnknown) || errors.Is(err, ErrDisabled):
		return refuse(unknown, "%v", err)
	}
	return refuse(codeUnavailable, "%v", err)
}

// host gives a client its credentials and keeps the connection for a while, so that
// they arrive. The client has no session: nothing that it publishes is taken.
func (b *Broker) host(s *session) {
	s.wire = newWire(s.Conn, s, s.level, 0) // its time is bounded anyway
	timeout := time.AfterFunc(RegisterTimeout, func() { s.Conn.Close() })
	defer timeout.Stop()
	if s.wire.send(connack(codeAccepted)) != nil {
		return
	}
	if !s.answer(packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Publish}, TopicName: ota.RegisterTopic, Payload: s.first,
	}) {
		return
	}
	b.log.Info("registered", "device", s.device.String(), "remote", remote(s.Conn))
	s.wire.read(s.hear)
}

// hear deals with a packet of a client that has no session.
func (s *session) hear(pk *packets.Packet) error {
	ok := false
	switch pk.FixedHeader.Type {
	case packets.Pingreq:
		ok = s.answer(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Pingresp}})
	case packets.Subscribe:
		codes := make([]byte, len(pk.Filters))
		for i, f := range pk.Filters {
			if f.Filter != ota.RegisterTopic {
				codes[i] = suback128
			}
		}
		ok = pk.PacketID != 0 && s.answer(packets.Packet{
			FixedHeader: packets.FixedHeader{Type: packets.Suback}, PacketID: pk.PacketID, ReasonCodes: codes,
		})
	}
	if !ok {
		return errEnd
	}
	return nil
}
