package broker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/leapslot/ota"
)

// refusal is why a CONNECT is not accepted, and the answer to it.
type refusal struct {
	code byte
	text string
}

func refuse(code byte, format string, args ...any) *refusal {
	return &refusal{code, fmt.Sprintf(format, args...)}
}

// enter reads a connection's CONNECT and gives the session of the device that
// proved itself in it; nil when it did not, was told so and logged. No codec but
// ours has seen a byte of the connection until then: what a stranger can reach is
// this function and parseConnect.
func (b *Broker) enter(conn net.Conn) *session {
	conn.SetDeadline(time.Now().Add(ConnectTimeout))
	body, rest, err := readConnect(conn)
	if err == nil {
		var c connect
		if c, err = parseConnect(body); err == nil {
			return b.signIn(conn, c, rest)
		}
	}
	b.count.refusedMalformed.Add(1)
	if errors.Is(err, errVersion) {
		conn.Write(connack(codeVersion))
	}
	b.warn("connection refused", "remote", remote(conn), "why", err.Error())
	return nil
}

func (b *Broker) signIn(conn net.Conn, c connect, rest []byte) *session {
	if forApplication(c.clientID) {
		b.enterApplication(conn, c, rest)
		return nil
	}
	e, no := b.authenticate(conn, c)
	if no == nil && !b.door.allow(e.device, time.Now()) {
		no = refuse(codeUnavailable, "more than %d connects in a minute", b.config.ConnectsPerMinute)
	}
	if no == nil {
		s := newSession(b, conn, e.device)
		s.level, s.keepAlive, s.ahead, s.first, s.clientID = c.level, min(c.keepAlive, MaxKeepAlive), rest, e.first, c.clientID
		if e.guest {
			b.count.registered.Add(1)
			b.host(s)
			return nil
		}
		if no = b.admit(s); no == nil {
			b.count.accepted.Add(1)
			return s
		}
	}
	b.count.refused(no.code) // before the answer: who has that finds itself counted
	conn.Write(connack(no.code))
	b.warn("sign-in refused", "remote", remote(conn), "username", clip(c.username), "code", no.code, "why", no.text)
	return nil
}

// authenticate checks what a CONNECT claims, cheap questions first: a stranger
// without well-formed fields does not reach the directory.
func (b *Broker) authenticate(conn net.Conn, c connect) (entry, *refusal) {
	ctx, cancel := context.WithTimeout(context.Background(), ConnectTimeout)
	defer cancel()
	if cert := peer(conn, time.Now()); cert != nil && (c.password == "" || unnamed(c.username)) {
		return b.byCertificate(ctx, cert, c)
	}
	d, err := ota.ParseUsername(c.username)
	if err != nil {
		return entry{}, refuse(codeParameters, "%v", err)
	}
	id, err := ota.ParseClientID(c.clientID)
	if err != nil {
		return entry{}, refuse(codeParameters, "%v", err)
	}
	if id.AuthType == ota.AuthRegister || id.AuthType == ota.AuthRegisterNew {
		return b.register(ctx, conn, c, d, id)
	}
	if no := c.checkKeepAlive(); no != nil {
		return entry{}, no
	}
	if id.AuthType == ota.AuthToken {
		return b.byToken(ctx, conn, c, d, id)
	}
	if id.AuthType != "" || id.SecureMode == "-2" {
		return entry{}, refuse(codePassword, "authType %.20q with securemode %.20q is not offered", id.AuthType, id.SecureMode)
	}
	secret, err := b.config.Directory.Secret(ctx, d)
	if err != nil {
		return entry{}, unknownOr(err)
	}
	if err := c.login().Verify(secret); err != nil {
		return entry{}, refuse(codePassword, "%v", err)
	}
	return entry{device: d}, nil
}

// unknownOr is the answer to a directory's error.
func unknownOr(err error) *refusal {
	if errors.Is(err, ErrUnknown) || errors.Is(err, ErrDisabled) {
		return refuse(codeUnknown, "%v", err)
	}
	return refuse(codeUnavailable, "%v", err)
}

func (c connect) checkKeepAlive() *refusal {
	if c.keepAlive < MinKeepAlive {
		return refuse(codeParameters, "a keep-alive of %d s, allowed are %d to %d", c.keepAlive, MinKeepAlive, MaxKeepAlive)
	}
	return nil
}

func (c connect) login() ota.Login {
	return ota.Login{ClientID: c.clientID, Username: c.username, Password: c.password}
}

// admit gives the device's place to s. Who held it is ended, and gone when admit
// returns, with its Offline told: only one session of a device is ever between
// its Online and its Offline.
func (b *Broker) admit(s *session) *refusal {
	b.mu.Lock()
	old, oldSub := b.sessions[s.device], b.subs[s.device]
	if b.closed || old == nil && b.config.MaxConnections > 0 && len(b.sessions) >= b.config.MaxConnections {
		b.mu.Unlock()
		return refuse(codeUnavailable, "the broker is closing, or has %d connections, as many as are allowed", b.config.MaxConnections)
	}
	b.sessions[s.device] = s
	delete(b.subs, s.device)
	delete(b.strangers, s.Conn)
	b.mu.Unlock()
	if old != nil {
		if old.endFor(Replaced) {
			b.count.kicked.Add(1)
			b.log.Info("connection replaced by a newer one", "device", s.device.String(), "remote", remote(s.Conn))
		}
		<-old.done
	}
	if oldSub != nil {
		b.endSub(oldSub, ota.GatewayReplaced)
		<-oldSub.done
	}
	return nil
}

// warn logs what strangers and broken devices cause, which may be without end.
func (b *Broker) warn(text string, args ...any) {
	b.logMu.Lock()
	if b.logPace.take(time.Now()) > 0 {
		b.logPace.level++ // a line that is left out takes no place
		b.unlogged++
		b.logMu.Unlock()
		return
	}
	n := b.unlogged
	b.unlogged = 0
	b.logMu.Unlock()
	if n > 0 {
		args = append(args, "lines left out before", n)
	}
	b.log.Warn(text, args...)
}

func remote(conn net.Conn) string {
	if a := conn.RemoteAddr(); a != nil {
		return a.String()
	}
	return ""
}

func clip(s string) string { return fmt.Sprintf("%.80q", s) }
