// Package uboot is the boot loader U-Boot as a [platform.Boot], and U-Boot's
// environment, read and written without its tools.
//
// The idea: five variables say everything, and one write of the environment
// sets them all.
//
//	otad_slot          the slot that is kept
//	otad_trial         the slot on trial; absent when there is none
//	upgrade_available  1 while a slot is on trial, else 0
//	bootcount          starts of the trial so far
//	bootlimit          starts that a trial has
//
// U-Boot starts otad_trial, and counts, while upgrade_available is 1 and
// bootcount is below bootlimit; otherwise it starts otad_slot. Its part is
// packaging/uboot: a script for a stock U-Boot, or U-Boot's own boot counter.
// It tells the kernel which slot it chose: otad.slot=NAME.
//
// Where the environment lies is read from /etc/fw_env.config: a file (on FAT), a
// block device, or an MTD device, in one copy or, as U-Boot calls it, redundant.
//
// The promise: a redundant environment is never torn, since only the copy that
// does not count is written, synced, and read back, and then it counts. A plain
// environment in a file is kept in a second file beside it (uboot.env and
// uboot.bak), which boot.cmd knows too, written one after the other. The one
// environment that cannot be atomic is a single copy on a block device or in MTD:
// a power cut during its one write loses all variables. Its window is that
// write and its fsync; use two copies.
//
// An environment whose checksum is wrong, or that never was one, is an error
// and never an empty environment (B1). If one of two copies is bad the other is
// used, and the next write repairs the bad one (B2).
//
// It trusts fw_env.config and the environment: who can write them can choose
// what is started. The checksum finds accidents, it is no signature.
package uboot
