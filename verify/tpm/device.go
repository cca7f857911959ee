package tpm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/google/go-tpm/tpm2"
)

// Bounds of talking to a TPM.
const (
	maxResponse = 4096
	headerLen   = 10 // tag, length, code
	maxTries    = 12 // of a command that the TPM puts off, 8.5 seconds in all
	firstPause  = 10 * time.Millisecond
	maxPause    = 2 * time.Second
	sendTimeout = time.Minute // on a socket; the kernel has times of its own for a chip
)

// device carries commands. It is a transport of go-tpm that bounds every wait
// and asks again when the TPM says so.
type device struct {
	path  string
	chip  *os.File // nil for a socket, which is connected for each command: emulators serve one at a time
	pause time.Duration
}

func openDevice(path string) (*device, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("TPM: %w: %w", ErrNoTPM, err)
	}
	d := &device{path: path, pause: firstPause}
	switch {
	case fi.Mode()&os.ModeSocket != 0:
		return d, nil
	case fi.Mode()&os.ModeCharDevice == 0:
		return nil, fmt.Errorf("TPM: %w: %s is neither a device nor a socket", ErrNoTPM, path)
	}
	// Not os.Open, which would make it non-blocking: there, a read right after a
	// write finds no answer yet. Blocking, the write ends when there is one.
	fd, err := syscall.Open(path, syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		hint := ""
		if errors.Is(err, syscall.EBUSY) {
			hint = " (another program has it: use /dev/tpmrm0)"
		}
		return nil, fmt.Errorf("TPM %s cannot be opened: %w%s", path, err, hint)
	}
	d.chip = os.NewFile(uintptr(fd), path)
	return d, nil
}

func (d *device) Close() error {
	if d.chip == nil {
		return nil
	}
	return d.chip.Close()
}

// Send carries one command there and its answer back. When the TPM puts it off,
// nothing of it was done, and it is sent again as it is, which keeps the
// sessions in step.
func (d *device) Send(command []byte) ([]byte, error) {
	pause := d.pause
	for try := 1; ; try++ {
		response, err := d.exchange(command)
		if err != nil {
			return nil, fmt.Errorf("TPM %s: %w", d.path, err)
		}
		switch responseCode(response) {
		case tpm2.TPMRCRetry, tpm2.TPMRCYielded, tpm2.TPMRCTesting, tpm2.TPMRCNVRate:
		default:
			return response, nil
		}
		if try == maxTries {
			return response, nil // go-tpm makes an error of it, explain a hint
		}
		time.Sleep(pause)
		pause = min(2*pause, maxPause)
	}
}

func (d *device) exchange(command []byte) ([]byte, error) {
	var rw io.ReadWriter = d.chip
	if d.chip == nil {
		conn, err := net.DialTimeout("unix", d.path, sendTimeout)
		if err != nil {
			return nil, err
		}
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(sendTimeout)); err != nil {
			return nil, err
		}
		rw = conn
	}
	if _, err := rw.Write(command); err != nil {
		return nil, err
	}
	response := make([]byte, maxResponse)
	n, err := io.ReadAtLeast(rw, response, headerLen) // a chip gives all of it at once
	if err != nil {
		return nil, fmt.Errorf("its answer: %w", err)
	}
	size := binary.BigEndian.Uint32(response[2:])
	if size < headerLen || size > maxResponse || uint32(n) > size {
		return nil, fmt.Errorf("an answer of %d bytes says it has %d", n, size)
	}
	_, err = io.ReadFull(rw, response[n:size])
	return response[:size], err
}

func responseCode(response []byte) tpm2.TPMRC {
	return tpm2.TPMRC(binary.BigEndian.Uint32(response[6:]))
}

// The two commands that are wanted before go-tpm is of use: TPM2_Startup with
// TPM_SU_CLEAR, and TPM2_GetCapability of the property TPM_PT_MANUFACTURER.
const (
	startup = "\x80\x01\x00\x00\x00\x0c\x00\x00\x01\x44\x00\x00"
	getMake = "\x80\x01\x00\x00\x00\x16\x00\x00\x01\x7a\x00\x00\x00\x06\x00\x00\x01\x05\x00\x00\x00\x01"
)

// start starts an emulator (a chip was started by the firmware) and gives the
// manufacturer, which shows that it is a TPM 2.0.
func (d *device) start() (string, error) {
	if d.chip == nil {
		r, err := d.Send([]byte(startup))
		if err != nil {
			return "", fmt.Errorf("%w: %w", ErrNoTPM, err)
		}
		if rc := responseCode(r); rc != tpm2.TPMRCSuccess && rc != tpm2.TPMRCInitialize { // the latter: it was started
			return "", explain("start", rc)
		}
	}
	r, err := d.Send([]byte(getMake))
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrNoTPM, err)
	}
	const nameAt, size = 23, 27
	if rc := responseCode(r); rc != tpm2.TPMRCSuccess || len(r) != size {
		return "", fmt.Errorf("%w: it answers with code %#x, as a TPM 1.2 or none does", ErrNoTPM, uint32(rc))
	}
	return strings.Trim(string(r[nameAt:]), " \x00"), nil
}
