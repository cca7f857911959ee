package main

import (
	"context"
	"fmt"
)

const (
	connections    = 10_000
	connectGoal    = 2.5
	connectTLSGoal = 1.6
)

// meeting is one way of connecting all devices.
type meeting struct {
	name   string
	secure bool
	open   func() (*mqttServer, error)
}

// connect measures what a connection costs a server: sign-in, and one subscription.
func (b *bench) connect(ctx context.Context) ([]table, error) {
	t, err := b.newTown(ctx, connections)
	if err != nil {
		return nil, err
	}
	plain := []meeting{
		{"`otasim serve`", false, func() (*mqttServer, error) { return b.townCloud(t.data) }},
		{"mosquitto, `allow_anonymous true`", false, func() (*mqttServer, error) { return b.openMosquitto(ctx, "allow_anonymous true") }},
		{"mosquitto, `password_file` and `acl_file`", false, func() (*mqttServer, error) { return b.ruled(ctx, t) }},
		{"`otasim serve`, the first connection of each device's life", false, func() (*mqttServer, error) { return b.freshCloud(t) }},
	}
	ways, err := b.meetings(ctx, t, plain)
	if err != nil {
		return nil, err
	}
	secure, err := b.connectTLS(ctx, t)
	if err != nil {
		return nil, err
	}
	return []table{connectTable(t.n, ways), connectTLSTable(t.n, secure)}, nil
}

func (b *bench) connectTLS(ctx context.Context, t *town) ([]contender, error) {
	var ways []meeting
	for _, kind := range []string{"ECDSA P-256", "RSA 2048"} {
		cert, key, err := b.certificate(kind)
		if err != nil {
			return nil, err
		}
		ways = append(ways,
			meeting{"`otasim serve --mqtts`, " + kind, true, func() (*mqttServer, error) {
				return b.townCloud(t.data, "--mqtts", "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key)
			}},
			meeting{"mosquitto, `certfile`, " + kind, true, func() (*mqttServer, error) {
				return b.openMosquitto(ctx, "allow_anonymous true", "certfile "+cert, "keyfile "+key)
			}})
	}
	return b.meetings(ctx, t, ways)
}

// meetings takes the ways in turns.
func (b *bench) meetings(ctx context.Context, t *town, ways []meeting) ([]contender, error) {
	out := make([]contender, len(ways))
	var do []func(int) (usage, error)
	for i, w := range ways {
		out[i].name = w.name
		do = append(do, func(int) (usage, error) { return b.meet(ctx, t, w) })
	}
	return out, b.turns(out, do)
}

func (b *bench) meet(ctx context.Context, t *town, w meeting) (usage, error) {
	m, err := w.open()
	if err != nil {
		return usage{}, err
	}
	defer m.close()
	c, err := b.openClients(ctx, m.addr, t.list, w.secure)
	if err != nil {
		return usage{}, err
	}
	defer c.close()
	return m.costs(ctx, c, "connect")
}

// perOne are the figures of ways of doing something n times.
func perOne(n int, ways []contender, peers []int) (rows [][]string) {
	for i, w := range ways {
		r := "1"
		if peers[i] != i {
			r = ratioOf(w.cpu(), ways[peers[i]].cpu())
		}
		rows = append(rows, []string{w.name, spreadOf(w.collect(func(u usage) float64 { return u.CPU.Seconds() * 1e6 / float64(n) })), r,
			spreadOf(w.collect(func(u usage) float64 { return float64(u.Peak) / 1024 / float64(n) })),
			spreadOf(w.collect(func(u usage) float64 { return float64(n) / u.Wall.Seconds() }))})
	}
	return rows
}

// oneHead is the head of perOne's rows.
func oneHead(what string) []string {
	return []string{"", "server's CPU us/" + what, "CPU, ratio to mosquitto", "KiB more/" + what, what + "s a second"}
}

func connectTable(n int, ways []contender) table {
	return table{
		title: fmt.Sprintf("Connecting %d devices", n),
		about: []string{
			"One program, the same for every server (`bench swarm`, raw packets of MQTT 3.1.1), connects from loopback addresses, 64 " +
				"connections under way at a time. Each sends CONNECT with the client id, user name and password of its device and waits for " +
				"CONNACK, sends SUBSCRIBE for its topic of notices and waits for SUBACK, and stays.",
			"CPU is that of the server's process alone, from before the first connection until it rests after the last one. Memory is what VmRSS has grown by; the kernel's is not in it.",
			"`otasim` looks the device up, verifies the HMAC of its secret, and checks the subscription and every later message against its own " +
				"topics. The mosquitto of the goal, the second line, does nothing of this: it lets everybody in, and has no access list. In the third it " +
				"has the same devices as users, with PBKDF2 hashes, and an access list that allows each the same. It keeps and logs nothing.",
			"The devices have connected before, as in the field, where the same ones come back. The first connection of all activates a device, " +
				"which is stored in SQLite: the last line.",
		},
		commands: []string{"otasim serve --data DIR --mqtt 127.0.0.1:0 --http 127.0.0.1:0 --access-key KEY", "mosquitto -c CONFIG"},
		head:     oneHead("connection"),
		rows:     perOne(n, ways, []int{1, 1, 1, 1}),
		goals:    []goal{{"CPU of a connection, ratio to mosquitto", connectGoal, ratio(ways[0].cpu(), ways[1].cpu()), "", false}},
	}
}

func connectTLSTable(n int, ways []contender) table {
	return table{
		title: fmt.Sprintf("Connecting %d devices over TLS", n),
		about: []string{
			"As above, with TLS 1.3 and X25519, full handshakes, a self-signed certificate of either kind, mosquitto with OpenSSL and `allow_anonymous`.",
			"With RSA the signature of the handshake is nearly all of the cost, and Go's takes several times OpenSSL's (the last table has both " +
				"signatures): where the cloud's certificate can be chosen, choose ECDSA P-256, as docs/operations.md says.",
		},
		commands: []string{"otasim serve ... --mqtts 127.0.0.1:0 --tls-cert CERT --tls-key KEY", "mosquitto -c CONFIG"},
		head:     oneHead("connection"),
		rows:     perOne(n, ways, []int{1, 1, 3, 3}),
		goals: []goal{
			{"CPU of a TLS connection, ratio to mosquitto, ECDSA", connectTLSGoal, ratio(ways[0].cpu(), ways[1].cpu()), "", false},
			{"CPU of a TLS connection, ratio to mosquitto, RSA", connectTLSGoal, ratio(ways[2].cpu(), ways[3].cpu()), "", false},
		},
	}
}
