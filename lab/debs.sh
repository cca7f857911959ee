#!/bin/sh
# debs.sh DIR ARCH PACKAGE ...
# Fetches Debian packages of another architecture, unpacked side by side into
# DIR/root, without touching the dpkg of this machine: apt gets a root of its
# own. A package may be named as "=NAME", which stands for what NAME depends on
# first (the versioned kernel behind a meta package). What is there is not
# fetched again.
set -eu
dir=$(mkdir -p "$1" && cd "$1" && pwd) arch=$2
shift 2
done=$dir/done-$(echo "$*" | tr -c 'a-z0-9\n' _)
[ ! -e "$done" ] || exit 0

apt=$dir/apt
mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/etc/preferences.d" "$dir/debs" "$dir/root"
: > "$apt/status"
cat > "$apt/apt.conf" <<CONF
Dir::State "$apt";
Dir::State::status "$apt/status";
Dir::State::lists "$apt/lists";
Dir::Cache "$apt/cache";
Dir::Etc::preferencesparts "$apt/etc/preferences.d";
APT::Architecture "$arch";
APT::Architectures { "$arch"; };
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";
CONF
export APT_CONFIG="$apt/apt.conf"
apt-get update -q >/dev/null

names=
for p in "$@"; do
	case $p in
	=*) p=$(apt-cache depends --important "${p#=}" | sed -n 's/^ *Depends: *\(linux-image[^<>]*\)$/\1/p' | head -n 1) ;;
	esac
	names="$names $p"
done
cd "$dir/debs"
# shellcheck disable=SC2086 # the names are words
apt-get download -q $names >/dev/null
for deb in ./*.deb; do
	dpkg-deb -x "$deb" "$dir/root"
done
: > "$done"
