package tpm

import (
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// emulator is a swtpm process: a real TPM 2.0 but for its chip.
type emulator struct {
	dir  string
	path string // of its socket
	cmd  *exec.Cmd
}

// newEmulator starts one with nothing in it, until the end of the test.
func newEmulator(t *testing.T) *emulator {
	t.Helper()
	if _, err := exec.LookPath("swtpm"); err != nil {
		t.Skip("no swtpm here, the emulated TPM: install the packages swtpm and swtpm-tools")
	}
	// Not t.TempDir: the path of a socket has 107 bytes at most.
	dir, err := os.MkdirTemp("", "tpm")
	if err != nil {
		t.Fatal(err)
	}
	e := &emulator{dir: dir, path: filepath.Join(dir, "sock")}
	t.Cleanup(func() {
		e.cut()
		os.RemoveAll(dir)
	})
	e.start(t)
	return e
}

func (e *emulator) start(t *testing.T) {
	t.Helper()
	e.cmd = exec.Command("swtpm", "socket", "--tpm2", "--tpmstate", "dir="+e.dir,
		"--server", "type=unixio,path="+e.path, "--ctrl", "type=unixio,path="+e.path+".ctrl", "--flags", "not-need-init")
	if err := e.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for range 2000 {
		if c, err := net.Dial("unix", e.path); err == nil {
			c.Close()
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("swtpm does not answer")
}

// cut takes the power away.
func (e *emulator) cut() {
	if e.cmd != nil {
		_ = e.cmd.Process.Kill()
		_ = e.cmd.Wait()
		e.cmd = nil
		os.Remove(e.path)
	}
}

// cycle is a power cut and a new start.
func (e *emulator) cycle(t *testing.T) *TPM {
	t.Helper()
	e.cut()
	e.start(t)
	return e.open(t)
}

func (e *emulator) open(t *testing.T) *TPM {
	t.Helper()
	tpm, err := Open(e.path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tpm.Close() })
	return tpm
}

// between stands between the agent and the TPM and does to each command what
// deal says: nil forwards it, otherwise the bytes are the answer; io.EOF cuts
// the connection before the command arrives, io.ErrUnexpectedEOF after the TPM
// has done it.
type between struct {
	path string
	deal atomic.Pointer[func(n int, command []byte) ([]byte, error)]
	n    atomic.Int32
}

func newBetween(t *testing.T, e *emulator) *between {
	t.Helper()
	b := &between{path: filepath.Join(e.dir, "between")}
	l, err := net.Listen("unix", b.path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			b.serve(c, e.path)
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return b
}

func (b *between) serve(c net.Conn, tpm string) {
	defer c.Close()
	command := make([]byte, maxResponse)
	n, err := c.Read(command)
	if err != nil {
		return
	}
	var answer []byte
	if deal := b.deal.Load(); deal != nil {
		answer, err = (*deal)(int(b.n.Add(1)), command[:n])
	}
	if err == io.EOF {
		return
	}
	if answer == nil {
		d := device{path: tpm}
		var failed error
		if answer, failed = d.exchange(command[:n]); failed != nil {
			return
		}
	}
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		_, _ = c.Write(answer)
	}
}

func (b *between) set(deal func(n int, command []byte) ([]byte, error)) {
	b.n.Store(0)
	b.deal.Store(&deal)
}
