# boot.cmd: A/B updates with a stock U-Boot that has no boot counter and keeps
# its own environment where Linux cannot write it. Make it a script image with
#
#     mkimage -A arm64 -T script -C none -n otad -d boot.cmd boot.scr
#
# and put boot.scr on the FAT boot partition, beside the environment file
# uboot.env, which otad writes and this script reads and counts in. README.md
# says how to make that file and what stands in /etc/fw_env.config.
#
# The rule. upgrade_available=1 and bootcount < bootlimit: count, save, start
# otad_trial. Else start otad_slot and write nothing, so that no number of power
# cuts can undo a system that was kept. What cannot be counted is not tried.
#
# The file has a second copy, uboot.bak, with the same content, which is read
# only when the file is bad. Both otad and this script write first the one that
# was not read, and then the other, so that a power cut spoils at most one.
#
# It needs of U-Boot: hush, load, fatwrite, env import and export, part, booti.
# From distro boot it gets devtype, devnum, distro_bootpart, kernel_addr_r,
# ramdisk_addr_r, fdt_addr_r.

# Everything that is read from the environment file. Other variables are not,
# since a stale file must not change how U-Boot works, and are gone after the
# first counted start: U-Boot takes 16 words a command, so that the list ends
# here. Settings of your own go into otad_setup, commands that are run before
# the start: "setenv otad_part_a 5; setenv otad_initrd none".
setenv otad_names "otad_slot otad_trial upgrade_available bootcount bootlimit otad_canary otad_setup"
setenv otad_from
setenv otad_slot
setenv otad_trial
setenv upgrade_available
setenv otad_setup

for f in uboot.env uboot.bak; do
	if test -z "${otad_from}"; then
		if load ${devtype} ${devnum}:${distro_bootpart} ${kernel_addr_r} ${f}; then
			setenv otad_size ${filesize}
			if env import -c ${kernel_addr_r} ${otad_size} ${otad_names}; then
				setenv otad_from ${f}
			fi
		fi
	fi
done
if test -z "${otad_from}"; then
	echo "otad: uboot.env and uboot.bak cannot be read: starting slot a or b without an update"
fi

# What the counter is after this boot; empty if it is not a number from 0 to 8.
# setexpr would count in hexadecimal.
setenv otad_next
setenv otad_prev 0
for n in 1 2 3 4 5 6 7 8 9; do
	if test "${bootcount}" = "${otad_prev}"; then
		setenv otad_next ${n}
	fi
	setenv otad_prev ${n}
done

# On trial: count, and save before the start, since afterwards there may be
# nobody left to count.
setenv otad_try
if test "${upgrade_available}" = 1 && test -n "${otad_trial}" && test -n "${otad_next}"; then
	if test "${bootcount}" -lt "${bootlimit}"; then
		setenv bootcount ${otad_next}
		if env export -c -s ${otad_size} ${kernel_addr_r} ${otad_names}; then
			setenv otad_other uboot.bak
			if test "${otad_from}" = uboot.bak; then
				setenv otad_other uboot.env
			fi
			if fatwrite ${devtype} ${devnum}:${distro_bootpart} ${kernel_addr_r} ${otad_other} ${otad_size}; then
				if fatwrite ${devtype} ${devnum}:${distro_bootpart} ${kernel_addr_r} ${otad_from} ${otad_size}; then
					setenv otad_try ${otad_trial}
				fi
			fi
		fi
		if test -z "${otad_try}"; then
			echo "otad: the attempt cannot be saved: no trial"
		fi
	else
		echo "otad: slot ${otad_trial} was not kept in ${bootlimit} starts: going back"
	fi
fi

# Settings. A slot's partition is found by its GPT name, if it is given here or
# in otad_setup, else by its number.
setenv otad_part_a 2
setenv otad_part_b 3
setenv otad_label_a
setenv otad_label_b
# Files of the slot. "none": there is none.
setenv otad_kernel /boot/vmlinuz
setenv otad_initrd /boot/initrd.img
setenv otad_fdt none
# panic=: a system that panics on trial must start again, or nobody counts.
setenv otad_args "ro rootwait panic=5"
if test -n "${otad_setup}"; then
	run otad_setup
fi

setenv otad_find 'setenv otad_part; if test "${slot}" = a; then setenv otad_part ${otad_part_a}; if test -n "${otad_label_a}"; then part number ${devtype} ${devnum} ${otad_label_a} otad_part; fi; fi; if test "${slot}" = b; then setenv otad_part ${otad_part_b}; if test -n "${otad_label_b}"; then part number ${devtype} ${devnum} ${otad_label_b} otad_part; fi; fi; test -n "${otad_part}" && part uuid ${devtype} ${devnum}:${otad_part} otad_uuid'
setenv otad_load_initrd 'setenv otad_rd -; if test "${otad_initrd}" = none; then true; else load ${devtype} ${devnum}:${otad_part} ${ramdisk_addr_r} ${otad_initrd} && setenv otad_rd ${ramdisk_addr_r}:${filesize}; fi'
setenv otad_load_fdt 'setenv otad_dt ${fdtcontroladdr}; if test -n "${fdt_addr}"; then setenv otad_dt ${fdt_addr}; fi; if test "${otad_fdt}" = none; then true; else load ${devtype} ${devnum}:${otad_part} ${fdt_addr_r} ${otad_fdt} && setenv otad_dt ${fdt_addr_r}; fi'
setenv otad_boot 'setenv bootargs "root=PARTUUID=${otad_uuid} ${otad_args} otad.slot=${slot}"; booti ${kernel_addr_r} ${otad_rd} ${otad_dt}'
# The kernel is loaded last: the others may be small, it is where they are not.
setenv otad_start 'echo "otad: starting slot ${slot}"; if run otad_find; then if run otad_load_initrd; then if run otad_load_fdt; then if load ${devtype} ${devnum}:${otad_part} ${kernel_addr_r} ${otad_kernel}; then run otad_boot; fi; fi; fi; fi; echo "otad: slot ${slot} does not start"'

if test -n "${otad_try}"; then
	setenv slot ${otad_try}
	echo "otad: slot ${slot} on trial, start ${bootcount} of ${bootlimit}"
	run otad_start
	# It has used up one of its starts. The next one decides.
	reset
fi
setenv slot a
if test "${otad_slot}" = b; then
	setenv slot b
fi
run otad_start
# The kept system is broken, which no update did. Another one is better than none.
if test "${slot}" = a; then
	setenv slot b
else
	setenv slot a
fi
run otad_start
echo "otad: no slot starts: recovery is needed"
