package server

import (
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server/broker"
	"github.com/leapslot/ota/verify"
)

// urlValid is how long a download URL is good for (protocol section 6).
const urlValid = 24 * time.Hour

// pusher is the part of the broker that the sender needs.
type pusher interface {
	Push(d ota.Device, kind ota.TopicKind, payload []byte) error
}

// linker is the part of the package server that the sender needs.
type linker interface {
	SignURL(d ota.Device, taskID, fileID string, expires time.Time) (string, error)
	streams
}

// sender turns what the model owes devices into messages, at the time they are sent:
// the URL is fresh whenever a notice is. One goroutine, so that a device's messages
// keep their order.
type sender struct {
	broker  pusher
	links   linker
	log     *slog.Logger
	metrics *metrics
	backlog *backlog
	signs   map[string]string // digestsign of each package, once it was made
}

func newSender(links linker, log *slog.Logger, m *metrics) *sender {
	return &sender{
		links: links, log: log, metrics: m,
		backlog: newBacklog(), signs: map[string]string{},
	}
}

// run sends until the backlog is closed.
func (s *sender) run() {
	for pushes := range s.backlog.unsent {
		for i := range pushes {
			s.one(&pushes[i])
		}
	}
}

// one sends one message. What cannot be sent now is sent when the device comes
// online again; only what can never be sent is worth a line in the log.
func (s *sender) one(p *simulator.Push) {
	kind, payload, impossible := s.render(p, time.Now())
	late, err := s.backlog.send(p, func() error {
		if impossible != nil {
			return impossible
		}
		return s.broker.Push(p.Device, kind, payload)
	})
	switch {
	case late:
		s.metrics.notices.WithLabelValues("late").Inc()
		if p.Reply.Topic != 0 { // who asks is answered
			s.one(&simulator.Push{Device: p.Device, Reply: p.Reply, Empty: true})
		}
	case impossible != nil:
		s.metrics.notices.WithLabelValues("impossible").Inc()
		s.log.Error("a notice cannot be made", "task", p.Task.ID, "device", p.Device.String(), "why", err.Error())
	case err == nil:
		s.metrics.notices.WithLabelValues("sent").Inc()
	case errors.Is(err, broker.ErrOffline):
		s.metrics.notices.WithLabelValues("offline").Inc()
	default:
		s.metrics.notices.WithLabelValues("refused").Inc()
		s.log.Warn("a message was not sent", "task", p.Task.ID, "device", p.Device.String(), "why", err.Error())
	}
}

func (s *sender) render(p *simulator.Push, now time.Time) (ota.TopicKind, []byte, error) {
	if p.Empty {
		b, err := ota.EncodeGetReply(p.Reply.ID, nil)
		return p.Reply.Topic, b, err
	}
	n, err := s.notice(p, now)
	if err != nil {
		return 0, nil, err
	}
	if p.Reply.Topic == ota.TopicGetReply {
		b, err := ota.EncodeGetReply(p.Reply.ID, &n)
		return p.Reply.Topic, b, err
	}
	b, err := ota.EncodePush(n)
	if p.Reply.Topic == ota.TopicRequest { // the older way is answered as a push is
		return ota.TopicRequest, b, err
	}
	return ota.TopicUpgrade, b, err
}

func (s *sender) notice(p *simulator.Push, now time.Time) (ota.Notice, error) {
	n := ota.Notice{
		ID: now.UnixMilli(), Module: p.Task.Module, Version: p.Task.Version,
		IsDiff: p.Package.Diff, SignMethod: p.Package.SignMethod, UDI: p.Package.UDI,
	}
	if p.Protocol == simulator.MQTT {
		stream := streamOf(s.links, p.Device, p.Task.ID)
		n.Stream = &stream
	}
	for i := range p.Package.Files {
		file, err := s.file(p, i, now)
		if err != nil {
			return n, err
		}
		n.Files = append(n.Files, file)
	}
	if len(p.Tags) > 0 {
		n.Tags = make(map[string]string, len(p.Tags))
		for _, t := range p.Tags {
			n.Tags[t.Key] = t.Value
		}
	}
	if p.SigningKey != nil {
		sign, err := s.digestSign(p)
		if err != nil {
			return n, err
		}
		n.DigestSign = sign
	}
	return n, nil
}

// file announces one file of the package, with a fresh URL when it is fetched by one.
func (s *sender) file(p *simulator.Push, i int, now time.Time) (ota.File, error) {
	f := &p.Package.Files[i]
	file := ota.File{Size: f.Size, Sign: f.Sign(p.Package.SignMethod), MD5: f.MD5}
	if len(p.Package.Files) > 1 {
		file.Name = f.Name
	}
	if p.Protocol == simulator.MQTT {
		return file, nil
	}
	var err error
	if file.URL, err = s.links.SignURL(p.Device, p.Task.ID, f.Key, now.Add(urlValid)); err != nil {
		return file, fmt.Errorf("a URL for %s: %w", f.Name, err)
	}
	return file, nil
}

// digestSign signs the package's digest with the product's key (P7), once: the
// signature is always the same, and an RSA operation costs more than all the rest.
func (s *sender) digestSign(p *simulator.Push) (string, error) {
	if sign, ok := s.signs[p.Package.ID]; ok {
		return sign, nil
	}
	if n := len(p.Package.Files); n != 1 { // secure upgrade was switched on after the job was made
		return "", fmt.Errorf("the package has %d files, a digestsign is defined for one", n)
	}
	key, err := parseSigningKey(p.SigningKey)
	if err != nil {
		return "", err
	}
	method := p.Package.SignMethod
	digest, err := hex.DecodeString(p.Package.Files[0].Sign(method))
	if err != nil {
		return "", fmt.Errorf("the package's digest: %w", err)
	}
	sign, err := verify.SignDigest(key, method, digest)
	if err != nil {
		return "", err
	}
	s.signs[p.Package.ID] = sign
	return sign, nil
}
