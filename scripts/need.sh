#!/bin/sh
# need.sh PROGRAM:PACKAGE ...
# Installs the Debian packages of the programs that are not there, or says
# clearly what is missing and how to get it.
set -eu
PATH=$PATH:/usr/sbin:/sbin
missing=
for pair in "$@"; do
	command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair#*:}"
done
[ -n "$missing" ] || exit 0
as=
if [ "$(id -u)" != 0 ]; then
	as=sudo
	if ! command -v sudo >/dev/null 2>&1; then
		echo "need.sh: missing:$missing. As root: apt-get update && apt-get install$missing" >&2
		exit 1
	fi
fi
if ! command -v apt-get >/dev/null 2>&1; then
	echo "need.sh: missing:$missing, and this system has no apt-get: install them with its own package manager" >&2
	exit 1
fi
echo "installing$missing"
$as apt-get update -q >/dev/null
# shellcheck disable=SC2086 # the packages are words
DEBIAN_FRONTEND=noninteractive $as apt-get install -y -q --no-install-recommends $missing >/dev/null
