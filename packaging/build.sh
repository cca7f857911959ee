#!/bin/sh
# build.sh DESCRIBED NFPM OUT ARCH=BINARY ...
# Makes OUT/otad_VERSION_ARCH.deb of a static binary for each architecture. The
# manual pages and the completion are those of dist/ (make man). The same sources
# give the same bytes: every time in the packages is that of the last commit.
set -eu
cd "$(dirname "$0")/.."
described=$1 nfpm=$2 out=$3
shift 3

SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
STAGE=build/deb # also in nfpm.yaml
DEB_VERSION=$(packaging/version.sh "$described" "$SOURCE_DATE_EPOCH")
export SOURCE_DATE_EPOCH DEB_VERSION DEB_ARCH

# licences prints the texts of what is linked into the binary, each module once.
licences() {
	go list -deps -f '{{with .Module}}{{if .Version}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}' ./cmd/otad | LC_ALL=C sort -u |
		while read -r path version dir; do
			for f in "$dir"/LICEN[SC]E* "$dir"/COPYING* "$dir"/NOTICE*; do
				[ ! -f "$f" ] || { printf '\n==== %s %s: %s\n\n' "$path" "$version" "${f##*/}" && cat "$f"; }
			done
		done
	printf '\n==== The Go standard library\n\n'
	cat "$(go env GOROOT)/LICENSE" 2>/dev/null || cat /usr/share/doc/golang-*-go/copyright
}

# changelog prints what dpkg calls one. What changed stands in CHANGELOG.md.
changelog() {
	printf 'otad (%s) unstable; urgency=medium\n\n  * See CHANGELOG.md.gz.\n\n' "$DEB_VERSION"
	printf ' -- %s  %s\n' "$(sed -n 's/^maintainer: //p' packaging/nfpm.yaml)" "$(LC_ALL=C date -u -d "@$SOURCE_DATE_EPOCH" '+%a, %d %b %Y %T +0000')"
}

rm -rf "$STAGE"
mkdir -p "$STAGE/man" "$STAGE/doc" "$out"
for page in dist/man/otad.1 dist/man/otad-*.1; do
	gzip -9n < "$page" > "$STAGE/man/${page##*/}.gz"
done
for shell in bash zsh fish; do
	cp "dist/completion/otad.$shell" "$STAGE/"
done
cp packaging/copyright "$STAGE/doc/copyright"
changelog | gzip -9n > "$STAGE/doc/changelog.gz"
gzip -9n < CHANGELOG.md > "$STAGE/doc/CHANGELOG.md.gz"
cp packaging/README.Debian docs/security.md "$STAGE/doc/"
licences | gzip -9n > "$STAGE/doc/licences.gz"

for pair in "$@"; do
	DEB_ARCH=${pair%%=*}
	cp "${pair#*=}" "$STAGE/otad"
	deb=$out/otad_${DEB_VERSION}_$DEB_ARCH.deb
	"$nfpm" package --config packaging/nfpm.yaml --packager deb --target "$deb" | sed "/^using deb packager/d; /^created package/d"
	printf '%-44s %10d bytes\n' "$deb" "$(wc -c < "$deb")"
done
