package uboot

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// toolsLock is the file that fw_setenv and fw_printenv lock with flock(2).
const toolsLock = "/run/lock/fw_printenv.lock"

// How long a lock is waited for.
const (
	lockTries = 50
	lockPause = 100 * time.Millisecond
)

// lock keeps fw_setenv out while the environment is written, and gives what
// lets it in again. It is a courtesy: where the file cannot be made, or stays
// locked, we go on, since everybody may lock it and nobody may keep a system
// from being kept. That nothing was changed meanwhile is found by reading.
func lock(path string) (unlock func()) {
	if path == "" {
		return func() {}
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o644)
	if err != nil {
		return func() {}
	}
	for range lockTries {
		if err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); !errors.Is(err, unix.EWOULDBLOCK) {
			break
		}
		time.Sleep(lockPause)
	}
	return func() { f.Close() }
}
