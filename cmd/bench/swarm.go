package main

import (
	"bufio"
	"crypto/tls"
	"encoding/csv"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/leapslot/ota"
)

const (
	swarmCommand = "swarm" // bench starts itself with it
	dialling     = 64      // connections under way at a time
	perAddress   = 4000    // connections from one of the addresses 127.0.1.x: the kernel's search for a port takes longer the more there are
	swarmTimeout = 30 * time.Second
)

// What a swarm publishes.
const (
	telemetry = "telemetry" // on a topic of the device that nobody subscribes to
	versions  = "versions"  // reports of its version, another each time
)

// swarm is a program of its own: the devices that a broker is measured with. It
// reads orders from its standard input, a line each, and answers each with a line
// when it is done: "connect", "publish KIND N" (so many messages of each device,
// one at a time). It ends with its standard input, and its connections with it.
type swarm struct {
	addr    string
	tls     *tls.Config // nil: plain
	devices []ota.Device
	logins  []ota.Login
	conns   []net.Conn
}

// swarmMain is the main of that program.
func swarmMain(args []string, in io.Reader, out io.Writer) error {
	f := flag.NewFlagSet(swarmCommand, flag.ContinueOnError)
	addr := f.String("addr", "", "address of the broker")
	secure := f.Bool("tls", false, "over TLS")
	list := f.String("devices", "", "CSV of otasim devices create")
	if err := f.Parse(args); err != nil {
		return err
	}
	s := &swarm{addr: *addr}
	if *secure {
		// The same key exchange with every server, whatever each prefers. The
		// certificate is not looked at: this side's work is not measured.
		s.tls = &tls.Config{InsecureSkipVerify: true, CurvePreferences: []tls.CurveID{tls.X25519}}
	}
	if err := s.read(*list, *secure); err != nil {
		return err
	}
	for lines := bufio.NewScanner(in); lines.Scan(); {
		var what string
		var n int
		fields, _ := fmt.Sscanf(lines.Text(), "publish %s %d", &what, &n)
		var err error
		switch {
		case lines.Text() == "connect":
			err = s.connect()
		case fields == 2:
			err = s.publish(what, n)
		default:
			err = fmt.Errorf("%q is no order", lines.Text())
		}
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintln(out, "done"); err != nil {
			return err
		}
	}
	return nil
}

// read reads the devices and makes what they sign in with.
func (s *swarm) read(list string, secure bool) error {
	f, err := os.Open(list)
	if err != nil {
		return err
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil || len(rows) < 2 || len(rows[0]) != 3 { // all rows have as many fields
		return fmt.Errorf("%s is not what otasim devices create prints (%w)", list, err)
	}
	for _, r := range rows[1:] {
		d := ota.Device{ProductKey: r[0], Name: r[1]}
		l, err := ota.Credentials{Device: d, Secret: r[2], TLS: secure}.Login()
		if err != nil {
			return err
		}
		s.devices, s.logins = append(s.devices, d), append(s.logins, l)
	}
	s.conns = make([]net.Conn, len(s.devices))
	return nil
}

// each does something for all devices, with so many goroutines; one that fails
// stops.
func (s *swarm) each(goroutines int, do func(i int) error) error {
	errs := make([]error, goroutines)
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := g; i < len(s.devices) && errs[g] == nil; i += goroutines {
				errs[g] = do(i)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// connect connects all devices; each signs in and subscribes to its notices.
func (s *swarm) connect() error {
	return s.each(dialling, func(i int) error {
		conn, err := s.dial(i)
		if err != nil {
			return err
		}
		s.conns[i] = conn
		if err := conn.SetDeadline(time.Now().Add(swarmTimeout)); err != nil {
			return err
		}
		if err := exchange(conn, connectPacket(s.logins[i]), connack); err != nil {
			return err
		}
		return exchange(conn, subscribePacket(ota.TopicUpgrade.Of(s.devices[i])), suback)
	})
}

func (s *swarm) dial(i int) (net.Conn, error) {
	d := net.Dialer{
		Timeout:   swarmTimeout,
		LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+i/perAddress))},
		Control: func(_, _ string, c syscall.RawConn) error {
			var err error
			if e := c.Control(func(fd uintptr) {
				err = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
			}); e != nil {
				return e
			}
			return err
		},
	}
	conn, err := d.Dial("tcp", s.addr)
	if err != nil {
		return nil, err
	}
	if err := conn.(*net.TCPConn).SetLinger(0); err != nil { // or its port is lost for a minute
		return nil, err
	}
	if s.tls != nil {
		return tls.Client(conn, s.tls), nil
	}
	return conn, nil
}

// publish sends n messages of each device, the next when one is acknowledged.
func (s *swarm) publish(what string, n int) error {
	return s.each(len(s.devices), func(i int) error {
		conn, d := s.conns[i], s.devices[i]
		if err := conn.SetDeadline(time.Now().Add(swarmTimeout)); err != nil {
			return err
		}
		for k := range n {
			p, err := message(what, d, k)
			if err != nil {
				return err
			}
			if err := exchange(conn, p, puback); err != nil {
				return err
			}
		}
		return nil
	})
}

func message(what string, d ota.Device, k int) ([]byte, error) {
	switch what {
	case telemetry:
		return publishPacket("/sys/"+d.ProductKey+"/"+d.Name+"/thing/event/property/post", fmt.Appendf(nil,
			`{"id":"%d","version":"1.0","params":{"temperature":{"value":21.5,"time":1777439217705}},"method":"thing.event.property.post"}`, k)), nil
	case versions:
		return publishPacket(ota.TopicInform.Of(d), ota.Inform{ID: "1", Version: fmt.Sprintf("1.0.%d", k)}.Encode()), nil
	}
	return nil, fmt.Errorf("%q is not published here", what)
}
