//go:build lab

package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"syscall"
)

// chip is the board's TPM: an swtpm, whose memory lies beside the disk.
type chip struct {
	cmd *exec.Cmd
}

// tpmArgs is how QEMU is told of it.
func (d *device) tpmArgs() []string {
	return []string{"-chardev", "socket,id=c,path=" + d.path("tpm.sock"), "-tpmdev", "emulator,id=t,chardev=c", "-device", d.machine.tpmDevice + ",tpmdev=t"}
}

// powerTPM starts the TPM, which goes off with the board.
func (d *device) powerTPM(ctx context.Context) error {
	if err := d.lab.need(ctx, "swtpm:swtpm"); err != nil {
		return err
	}
	state, socket := d.path("tpm"), d.path("tpm.sock")
	if err := os.MkdirAll(state, 0o700); err != nil {
		return err
	}
	if err := os.RemoveAll(socket); err != nil {
		return err
	}
	// A socket that listens already is handed over, so that there is nothing to wait for.
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		return err
	}
	l.SetUnlinkOnClose(false)
	defer l.Close()
	f, err := l.File()
	if err != nil {
		return err
	}
	defer f.Close()
	cmd := exec.Command("swtpm", "socket", "--tpm2", "--tpmstate", "dir="+state, "--ctrl", "type=unixio,fd=3")
	cmd.ExtraFiles = []*os.File{f}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("swtpm: %w", err)
	}
	d.chip = &chip{cmd}
	return nil
}

func (c *chip) off() {
	c.cmd.Process.Signal(syscall.SIGKILL)
	c.cmd.Wait()
}
