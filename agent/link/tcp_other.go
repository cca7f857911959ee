//go:build !linux

package link

import "syscall"

// setUserTimeout is for Linux only; elsewhere MQTT's pings find a dead connection.
func setUserTimeout(_, _ string, _ syscall.RawConn) error { return nil }
