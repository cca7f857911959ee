// Package watchdog is the clock in the machine that restarts it unless somebody
// says in time that all is well: /dev/watchdog.
//
// It is what makes a system fall back that hangs instead of failing: the machine
// restarts, the boot loader counts, and after the last attempt the kept system
// runs again. So a watchdog is only as good as the reason for which it is kept
// quiet: [Keeper] is that reason, a rule that wants a sign of life from the work
// itself and not from a ticker.
//
// The promise: from [Open] on the machine restarts within the timeout after the
// last [Device.Kick], whatever happens to this process, until [Device.Disarm].
// It trusts the driver; one configured "nowayout" never stops, and some stop when
// they are closed, which [Info] tells.
package watchdog

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/leapslot/ota/platform"
)

// DefaultPath is the first watchdog of the machine.
const DefaultPath = "/dev/watchdog"

// Limits of a timeout. Drivers have narrower ones of their own.
const (
	MinTimeout = time.Second
	MaxTimeout = 24 * time.Hour
)

// ErrStops means that this watchdog is quiet as soon as it is closed, so that it
// cannot watch over a restart.
var ErrStops = errors.New("the watchdog stops when it is closed")

// Info is what a watchdog says about itself.
type Info struct {
	Identity string // the driver's name for it
	Firmware uint32 // its version
	// SetTimeout tells whether the timeout can be set.
	SetTimeout bool
	// StaysArmed tells whether it goes on when it is closed without
	// [Device.Disarm], and so over a restart of this process.
	StaysArmed bool
}

// controls are the calls of a watchdog that are not reads and writes (Linux
// watchdog API). The tests stand on the other side of them, since the machine
// that they run on has no watchdog; the real ones are those of TestLabSoftdog.
type controls interface {
	support() (unix.WatchdogInfo, error)
	setTimeout(seconds int) error
	timeout() (seconds uint32, err error)
	bootStatus() (uint32, error)
}

// Device is an opened watchdog: it is armed. It is safe for use by one goroutine
// at a time.
type Device struct {
	f *os.File
	c controls
}

// Open opens the watchdog at path, "" for [DefaultPath], and with that arms it:
// from now on it must be kicked. It fails with [platform.ErrBusy] when somebody
// else has it, as systemd has with RuntimeWatchdogSec=.
func Open(path string) (*Device, error) {
	if path == "" {
		path = DefaultPath
	}
	st, err := os.Stat(path)
	if err == nil && st.Mode()&fs.ModeCharDevice == 0 {
		err = errors.New("it is not a character device")
	}
	if err != nil {
		return nil, fmt.Errorf("watchdog %s: %w", path, err)
	}
	return open(path)
}

func open(path string) (*Device, error) {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if errors.Is(err, unix.EBUSY) {
		return nil, fmt.Errorf("watchdog %s: %w (is RuntimeWatchdogSec= of systemd set? then systemd kicks it)", path, platform.ErrBusy)
	}
	if err != nil {
		return nil, fmt.Errorf("watchdog %s: %w", path, err)
	}
	return &Device{f: f, c: ioctls(f.Fd())}, nil
}

// Info asks the watchdog what it is.
func (d *Device) Info() (Info, error) {
	s, err := d.c.support()
	if err != nil {
		return Info{}, d.failed("what it is", err)
	}
	name, _, _ := bytes.Cut(s.Identity[:], []byte{0})
	return Info{
		Identity: string(bytes.ToValidUTF8(name, []byte("?"))), Firmware: s.Version,
		SetTimeout: s.Options&unix.WDIOF_SETTIMEOUT != 0,
		StaysArmed: s.Options&unix.WDIOF_MAGICCLOSE != 0,
	}, nil
}

// SetTimeout sets how long the watchdog waits for a kick, in whole seconds,
// rounded up, and kicks it. Drivers round once more: the timeout that is read
// back is returned.
func (d *Device) SetTimeout(timeout time.Duration) (time.Duration, error) {
	if timeout < MinTimeout || timeout > MaxTimeout {
		return 0, fmt.Errorf("watchdog timeout %s: want %s to %s", timeout, MinTimeout, MaxTimeout)
	}
	seconds := int((timeout + time.Second - 1) / time.Second)
	if err := d.c.setTimeout(seconds); err != nil {
		return 0, d.failed(fmt.Sprintf("a timeout of %d s", seconds), err)
	}
	got, err := d.Timeout()
	if err != nil {
		return 0, err
	}
	return got, d.Kick()
}

// Timeout is how long the watchdog waits for a kick.
func (d *Device) Timeout() (time.Duration, error) {
	seconds, err := d.c.timeout()
	if err != nil {
		return 0, d.failed("its timeout", err)
	}
	if seconds == 0 || seconds > uint32(MaxTimeout/time.Second) {
		return 0, fmt.Errorf("watchdog %s: a timeout of %d s", d.f.Name(), seconds)
	}
	return time.Duration(seconds) * time.Second, nil
}

// Barked tells whether it was this watchdog that started the machine the last
// time. Not every driver knows.
func (d *Device) Barked() (bool, error) {
	status, err := d.c.bootStatus()
	if err != nil {
		return false, d.failed("who restarted the machine", err)
	}
	return status != ^uint32(0) && status&unix.WDIOF_CARDRESET != 0, nil
}

// Kick tells the watchdog that all is well.
func (d *Device) Kick() error {
	// Any byte but 'V', which is the word for a good end.
	if _, err := d.f.Write([]byte{0}); err != nil {
		return d.failed("a kick", err)
	}
	return nil
}

// Disarm stops the watchdog and closes it. A driver configured "nowayout" goes on
// all the same, and the machine restarts.
func (d *Device) Disarm() error {
	_, err := d.f.Write([]byte{'V'})
	if err = errors.Join(err, d.f.Close()); err != nil {
		return d.failed("to be disarmed (it may restart the machine)", err)
	}
	return nil
}

// Leave kicks the watchdog a last time and closes it armed, so that it watches
// over what comes next: a restart that hangs, or a system on trial that does not
// come up and open it in time. It fails with [ErrStops], and is closed, when the
// driver cannot do that.
func (d *Device) Leave() error {
	info, err := d.Info()
	err = errors.Join(err, d.Kick())
	if err == nil && !info.StaysArmed {
		err = d.failed("to be left armed", ErrStops)
	}
	return errors.Join(err, d.f.Close())
}

func (d *Device) failed(what string, err error) error {
	return fmt.Errorf("watchdog %s: %s: %w", d.f.Name(), what, err)
}

// ioctls is the file descriptor of a real watchdog.
type ioctls int

func (fd ioctls) support() (unix.WatchdogInfo, error) {
	info, err := unix.IoctlGetWatchdogInfo(int(fd))
	if err != nil {
		return unix.WatchdogInfo{}, err
	}
	return *info, nil
}

func (fd ioctls) setTimeout(seconds int) error {
	return unix.IoctlSetPointerInt(int(fd), unix.WDIOC_SETTIMEOUT, seconds)
}

func (fd ioctls) timeout() (uint32, error) {
	return unix.IoctlGetUint32(int(fd), unix.WDIOC_GETTIMEOUT)
}

func (fd ioctls) bootStatus() (uint32, error) {
	return unix.IoctlGetUint32(int(fd), unix.WDIOC_GETBOOTSTATUS)
}
