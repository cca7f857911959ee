package main

import (
	"context"
	"fmt"
)

const (
	talkers     = 1000
	messagesOf  = 150 // of each, below the burst that a device is allowed (broker.DefaultUplinkBurst)
	storedOf    = 40
	messageGoal = 1.3
)

// talk is one way of taking messages.
type talk struct {
	name string
	what string // of a swarm
	n    int    // messages of each device
	open func() (*mqttServer, error)
}

// messages measures what a message of QoS 1 costs a server.
func (b *bench) messages(ctx context.Context) ([]table, error) {
	t, err := b.newTown(ctx, talkers)
	if err != nil {
		return nil, err
	}
	serve := func() (*mqttServer, error) { return b.townCloud(t.data) }
	mosquitto := func() (*mqttServer, error) { return b.openMosquitto(ctx, "allow_anonymous true") }
	talks := []talk{
		{"`otasim serve`, telemetry", telemetry, messagesOf, serve},
		{"mosquitto, `allow_anonymous true`, telemetry", telemetry, messagesOf, mosquitto},
		{"mosquitto, `password_file` and `acl_file`, telemetry", telemetry, messagesOf, func() (*mqttServer, error) { return b.ruled(ctx, t) }},
		{"`otasim serve`, a new version, stored", versions, storedOf, serve},
	}
	ways := make([]contender, len(talks))
	var do []func(int) (usage, error)
	for i, k := range talks {
		ways[i].name = k.name
		do = append(do, func(int) (usage, error) { return b.talk(ctx, t, k) })
	}
	if err := b.turns(ways, do); err != nil {
		return nil, err
	}
	return []table{messageTable(ways)}, nil
}

// talk gives the mean cost of one message.
func (b *bench) talk(ctx context.Context, t *town, k talk) (usage, error) {
	m, err := k.open()
	if err != nil {
		return usage{}, err
	}
	defer m.close()
	c, err := b.openClients(ctx, m.addr, t.list, false)
	if err != nil {
		return usage{}, err
	}
	defer c.close()
	if err := c.order("connect"); err != nil {
		return usage{}, err
	}
	return m.costs(ctx, c, fmt.Sprintf("publish %s %d", k.what, k.n))
}

func messageTable(ways []contender) table {
	t := table{
		title: "Messages of QoS 1",
		about: []string{
			fmt.Sprintf("%d devices are connected as above (no TLS) and publish with QoS 1, %d messages each, the next when the one before is acknowledged. "+
				"CPU is that of the server's process, from before the first message until it rests.", talkers, messagesOf),
			"For the goal they are telemetry, 140 bytes on the device's own topic thing/event/property/post, which both servers do the same with: " +
				"read it, see that nobody wants it, and acknowledge it. `otasim` checks on the way that the topic is the device's own, and its rate; the " +
				"mosquitto of the goal has no access list, the one in the third line has.",
			fmt.Sprintf("The last line has no peer: %d reports of a version from each device, another version each time, which goes through the rules and into SQLite "+
				"before it is acknowledged.", storedOf),
		},
		commands: []string{"otasim serve --data DIR --mqtt 127.0.0.1:0 --http 127.0.0.1:0 --access-key KEY", "mosquitto -c CONFIG"},
		head:     []string{"", "server's CPU us/message", "CPU, ratio to mosquitto", "messages a second"},
		goals:    []goal{{"CPU of a message of QoS 1, ratio to mosquitto", messageGoal, ratio(ways[0].cpu(), ways[1].cpu()), "", false}},
	}
	for i, w := range ways {
		n, r := float64(talkers*messagesOf), ratioOf(w.cpu(), ways[1].cpu())
		if i == 1 {
			r = "1"
		}
		if i == 3 {
			n, r = talkers*storedOf, ""
		}
		t.rows = append(t.rows, []string{w.name, spreadOf(w.collect(func(u usage) float64 { return u.CPU.Seconds() * 1e6 / n })), r,
			spreadOf(w.collect(func(u usage) float64 { return n / u.Wall.Seconds() }))})
	}
	return t
}
