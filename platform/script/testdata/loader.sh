#!/bin/sh
# loader.sh: a boot loader that a program keeps, and the program. It is what
# package script is tested with, and a start for one of your own.
#
# Its state is one file beside it, of four words: the kept slot, the slot on
# trial or "-", the attempts that are left, the slot that runs. A change writes
# a new file, syncs it, renames it over the old one and syncs the directory.
#
# `poweron` is the boot loader's part, which a real one has elsewhere.
set -eu
dir=${0%/*}

# A test may cut the power: it writes into the file "cut" at which step from now.
step() {
	[ -e "$dir/cut" ] || return 0
	read -r left <"$dir/cut"
	[ "$left" -gt 0 ] || return 0
	if [ "$left" -eq 1 ]; then
		: >"$dir/off"
		kill -9 $$
	fi
	echo $((left - 1)) >"$dir/cut"
}

load() {
	read -r kept trial left running <"$dir/state"
}

save() {
	[ "$1 $2 $3 $4" != "$kept $trial $left $running" ] || return 0
	step
	echo "$1 $2 $3 $4" >"$dir/state.new"
	step
	sync "$dir/state.new"
	step
	mv "$dir/state.new" "$dir/state"
	step
	sync "$dir"
}

load
case ${1-} in
running)
	echo "$running"
	;;
try)
	if [ "$2" = "$kept" ]; then
		save "$kept" - 0 "$running"
	else
		save "$kept" "$2" "$OTAD_ATTEMPTS" "$running"
	fi
	;;
keep)
	save "$running" - 0 "$running"
	;;
poweron)
	if [ "$trial" = - ] || [ "$left" -eq 0 ]; then
		save "$kept" - 0 "$kept"
	else
		# Counted before it is started: afterwards there may be nobody.
		save "$kept" "$trial" $((left - 1)) "$trial"
	fi
	;;
*)
	echo "usage: $0 running | try SLOT | keep" >&2
	exit 64
	;;
esac
