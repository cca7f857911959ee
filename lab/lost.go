//go:build lab

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
)

// A kill of QEMU loses nothing that the guest has sent to its disk, but a disk
// that loses its power forgets what it had not been told to flush. So QEMU keeps
// a log of the writes and the flushes, in the format of dm-log-writes, and after
// the cut the disk is made anew from what it was and what the log says: all that
// was flushed, and of the rest nothing, or some.

// Flags of an entry of the log.
const (
	logFlush = 1 << iota
	logFUA
	logDiscard
)

// The log begins with a sector that says what it is.
const (
	logMagic  = 0x6a736677736872
	logSector = 512
	logSize   = 4 << 30 // sparse: as much as fits
)

// diskArgs is how QEMU is told of the disk, and of the log of what is written.
func (d *device) diskArgs() []string {
	args := []string{"-blockdev", "driver=file,node-name=f0,filename=" + d.path("disk.img")}
	node := "f0"
	if d.logged {
		node = "w0"
		args = append(args, "-blockdev", "driver=file,node-name=l0,filename="+d.path("writes.log"),
			"-blockdev", fmt.Sprintf("driver=blklogwrites,node-name=w0,file=f0,log=l0,log-sector-size=%d", logSector))
	}
	return append(args, "-device", "virtio-blk-pci,drive="+node+",disable-legacy=on")
}

// remember makes an empty log, and a copy of the disk as it is now. The board is off.
func (d *device) remember(ctx context.Context) error {
	if err := d.lab.tool(ctx, "cp", "--sparse=always", d.path("disk.img"), d.path("before.img")); err != nil {
		return err
	}
	f, err := os.Create(d.path("writes.log"))
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Truncate(logSize)
}

// write is one entry of the log: a write, or a flush, or both.
type write struct {
	offset, length int64
	flags          uint64
	data           int64 // where in the log, 0 without
}

// writes reads the log up to the entry at which the power went.
func writes(log io.ReaderAt) (all []write, err error) {
	head := make([]byte, 32)
	if _, err := log.ReadAt(head, 0); err != nil {
		return nil, err
	}
	if binary.LittleEndian.Uint64(head) != logMagic {
		return nil, errors.New("the log of writes has no head")
	}
	for at := int64(logSector); ; {
		if _, err := log.ReadAt(head, at); err != nil {
			return nil, err
		}
		field := func(i int) int64 { return int64(binary.LittleEndian.Uint64(head[8*i:])) }
		w := write{offset: field(0) * logSector, length: field(1) * logSector, flags: uint64(field(2))}
		if w.length == 0 && w.flags == 0 {
			return all, nil
		}
		at += logSector
		if w.length > 0 && w.flags&logDiscard == 0 {
			w.data = at
			at += w.length
		}
		all = append(all, w)
	}
}

// lose makes the disk what a real one would be after the cut. share is how much
// of what was not flushed is there all the same: 0 is nothing. It gives how many
// writes were lost.
func (d *device) lose(ctx context.Context, share float64, seed uint64) (lost int, err error) {
	log, err := os.Open(d.path("writes.log"))
	if err != nil {
		return 0, err
	}
	defer log.Close()
	all, err := writes(log)
	if err != nil {
		return 0, err
	}
	if err := d.lab.tool(ctx, "cp", "--sparse=always", d.path("before.img"), d.path("disk.img")); err != nil {
		return 0, err
	}
	disk, err := os.OpenFile(d.path("disk.img"), os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer disk.Close()
	safe := 0 // writes before this one were flushed
	for i, w := range all {
		if w.flags&logFlush != 0 {
			safe = i
		}
	}
	luck := rand.New(rand.NewPCG(seed, 0))
	for i, w := range all {
		if w.length == 0 {
			continue
		}
		if i >= safe && w.flags&logFUA == 0 && luck.Float64() >= share {
			lost++
			continue
		}
		if err := w.play(log, disk); err != nil {
			return 0, err
		}
	}
	return lost, nil
}

// play writes again. What was discarded reads as zeros.
func (w write) play(log io.ReaderAt, disk io.WriterAt) error {
	content := make([]byte, w.length)
	if w.data > 0 {
		if _, err := log.ReadAt(content, w.data); err != nil {
			return err
		}
	}
	_, err := disk.WriteAt(content, w.offset)
	return err
}
