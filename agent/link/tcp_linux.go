package link

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// setUserTimeout bounds how long what was sent may stay unacknowledged: without
// it Linux goes on for a quarter of an hour after the address changed (N18).
func setUserTimeout(_, _ string, c syscall.RawConn) error {
	var failed error
	err := c.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(userTimeout.Milliseconds()))
	})
	if err != nil {
		return err
	}
	return failed
}
