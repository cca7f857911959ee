package link

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

func TestN18UserTimeoutIsSet(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := tcpDialer().DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []struct{ name, want int }{
		{unix.TCP_USER_TIMEOUT, int(userTimeout.Milliseconds())},
		{unix.TCP_KEEPIDLE, int(keepIdle.Seconds())},
		{unix.TCP_KEEPCNT, keepCount},
	} {
		var got int
		if cerr := raw.Control(func(fd uintptr) { got, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, o.name) }); cerr != nil || err != nil {
			t.Fatal(cerr, err)
		}
		if got != o.want {
			t.Errorf("option %d is %d, must be %d", o.name, got, o.want)
		}
	}
}
