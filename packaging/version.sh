#!/bin/sh
# version.sh DESCRIBED TIME
# Turns what "git describe --tags --always --dirty" says into a version that dpkg
# orders rightly: v1.2.3-rc1 comes before v1.2.3, and that before v1.2.3-4-gabc,
# which is four commits later. Without any tag the time of the commit, in
# seconds, has to do, below every release.
set -eu
described=$1 time=$2

dirty=
case $described in
*-dirty) dirty=+dirty described=${described%-dirty} ;;
esac
case $described in
v[0-9]*) described=${described#v} ;;
[0-9]*.[0-9]*) ;;
*) described=0~$time.g$described ;;
esac
# A pre-release, then the commits since the tag, else what a dash can mean.
printf '%s%s\n' "$described" "$dirty" | sed -E '
	s/-([0-9]+)-g([0-9a-f]+)/+\1.g\2/
	s/-(alpha|beta|pre|rc)/~\1/
	s/[^A-Za-z0-9.+~]/./g'
