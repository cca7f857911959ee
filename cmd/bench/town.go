package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator/local"
)

const (
	spareFiles      = 500 // of a process, beside its connections
	registerTimeout = 5 * time.Minute
)

// town is a cloud with devices, and the same devices for mosquitto.
type town struct {
	n         int
	data      string // of otasim; each of the devices has connected once
	fresh     string // none has
	list      string // CSV: product key, device name, secret
	passwords string // of mosquitto
	rules     string // of mosquitto: the access list
}

// newTown registers devices with otasim, and makes mosquitto's files of them.
func (b *bench) newTown(ctx context.Context, n int) (*town, error) {
	var most unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &most); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(b.dir, "town-") // each town has its own
	if err != nil {
		return nil, err
	}
	t := &town{n: min(n, int(most.Max)-spareFiles), data: filepath.Join(dir, "data"), fresh: filepath.Join(dir, "fresh"),
		list: filepath.Join(dir, "devices.csv"), passwords: filepath.Join(dir, "passwords"), rules: filepath.Join(dir, "rules")}
	if t.n < 1 {
		return nil, errors.New("this process may not open files enough (ulimit -Hn)")
	}
	b.screen.step("registers %d devices", t.n)
	if err := b.register(ctx, t); err != nil {
		return nil, err
	}
	if err := os.CopyFS(t.fresh, os.DirFS(t.data)); err != nil {
		return nil, err
	}
	if err := t.makeRules(ctx); err != nil {
		return nil, err
	}
	b.screen.step("connects each device once")
	m, err := b.townCloud(t.data)
	if err != nil {
		return nil, err
	}
	defer m.close()
	c, err := b.openClients(ctx, m.addr, t.list, false)
	if err != nil {
		return nil, err
	}
	defer c.close()
	if err := c.order("connect"); err != nil {
		return nil, err
	}
	_, err = rested(ctx, m.pid)
	return t, err
}

// register makes a product with the town's devices, as a user would.
func (b *bench) register(ctx context.Context, t *town) error {
	name, err := filepath.Rel(b.dir, t.data)
	if err != nil {
		return err
	}
	c, err := b.openCloud(ctx, name)
	if err != nil {
		return err
	}
	defer c.Stop()
	ctx, cancel := context.WithTimeout(ctx, registerTimeout)
	defer cancel()
	list, err := os.Create(t.list)
	if err != nil {
		return err
	}
	defer list.Close()
	create := exec.CommandContext(ctx, filepath.Join(b.bin, "otasim"), "devices", "create", "--endpoint", "http://"+c.HTTP,
		"--access-key", local.AccessKey, "--product", c.product, "--count", fmt.Sprint(t.n), "--prefix", "device-")
	create.Stdout = list
	var log strings.Builder
	create.Stderr = &log
	if err := create.Run(); err != nil {
		return fmt.Errorf("otasim devices create: %w: %s", err, tail(log.String()))
	}
	return nil
}

// makeRules writes what mosquitto needs to know of the devices to let in the same
// ones, and to let each do the same as otasim does.
func (t *town) makeRules(ctx context.Context) error {
	s := &swarm{}
	if err := s.read(t.list, false); err != nil {
		return err
	}
	var passwords, rules strings.Builder
	for i, l := range s.logins {
		d := s.devices[i]
		fmt.Fprintf(&passwords, "%s:%s\n", l.Username, l.Password)
		fmt.Fprintf(&rules, "user %[1]s\ntopic write /sys/%[2]s/%[3]s/#\ntopic read %[4]s\n", l.Username, d.ProductKey, d.Name, ota.TopicUpgrade.Of(d))
	}
	if err := errors.Join(os.WriteFile(t.passwords, []byte(passwords.String()), 0o600), os.WriteFile(t.rules, []byte(rules.String()), 0o600)); err != nil {
		return err
	}
	if out, err := exec.CommandContext(ctx, "mosquitto_passwd", "-U", t.passwords).CombinedOutput(); err != nil {
		return fmt.Errorf("mosquitto_passwd: %w: %s", err, tail(string(out)))
	}
	return nil
}

// ruled starts mosquitto with passwords and access rules of all devices.
func (b *bench) ruled(ctx context.Context, t *town) (*mqttServer, error) {
	return b.openMosquitto(ctx, "password_file "+t.passwords, "acl_file "+t.rules)
}

// townCloud serves a folder; with TLS flags, over TLS.
func (b *bench) townCloud(data string, flags ...string) (*mqttServer, error) {
	c, err := b.startCloud(data, flags...)
	if err != nil {
		return nil, err
	}
	m := &mqttServer{pid: c.PID(), addr: c.MQTT, close: c.Stop}
	if c.MQTTS != "" {
		m.addr = c.MQTTS
	}
	return m, nil
}

// freshCloud serves devices that have never connected.
func (b *bench) freshCloud(t *town) (*mqttServer, error) {
	data := filepath.Join(b.dir, "town-first")
	if err := os.CopyFS(data, os.DirFS(t.fresh)); err != nil {
		return nil, err
	}
	m, err := b.townCloud(data)
	if err != nil {
		return nil, err
	}
	end := m.close
	m.close = func() { end(); os.RemoveAll(data) }
	return m, nil
}

// certificate makes one for 127.0.0.1.
func (b *bench) certificate(kind string) (certFile, keyFile string, err error) {
	var key crypto.Signer
	if strings.HasPrefix(kind, "RSA") {
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	} else {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		return "", "", err
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		return "", "", err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", "", err
	}
	name := filepath.Join(b.dir, strings.ReplaceAll(kind, " ", "-"))
	certFile, keyFile = name+".cert.pem", name+".key.pem"
	return certFile, keyFile, errors.Join(
		os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600),
		os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
}
