#!/usr/bin/env bash
# Builds release files into OUT: for each platform an archive, a list of components and,
# for Linux, a Debian package, and SHA256SUMS of them all. The same sources, VERSION and
# SOURCE_DATE_EPOCH give the same bytes, in any directory.
#
#   VERSION=v1.2.3 SOURCE_DATE_EPOCH=1700000000 deploy/package/dist.sh OUT [GOOS/GOARCH...]
#
# PROGRAMS=DIR packages the programs in DIR instead of building them. TOOLS is the directory
# of nfpm and cyclonedx-gomod.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

: "${VERSION:?}" "${SOURCE_DATE_EPOCH:?}" "${TOOLS:?}"
export SOURCE_DATE_EPOCH
out=$(realpath -m "$1")
shift
platforms=("${@:-linux/amd64}")

umask 022
export LC_ALL=C TZ=UTC
rm -rf "$out"
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A Debian version starts with a digit, and has hyphens only before a revision.
DEB_VERSION=${VERSION#v}
[[ $DEB_VERSION =~ ^[0-9]+\. ]] || DEB_VERSION="0.0.0+$DEB_VERSION"
DEB_VERSION=${DEB_VERSION/-/+}
export DEB_VERSION=${DEB_VERSION//-/.}

# The manual pages come from the program itself, which runs on this machine only.
host=${PROGRAMS:-$work/host}
[ -n "${PROGRAMS:-}" ] || deploy/package/build.sh "$(go env GOHOSTOS)/$(go env GOHOSTARCH)" "$host" ./cmd/rollcall
mkdir "$work/man"
"$host/rollcall" man "$work/man" >/dev/null
gzip -n "$work/man"/*.1

for platform in "${platforms[@]}"; do
	os=${platform%/*} arch=${platform#*/}
	name=rollcall_${VERSION#v}_${os}_$arch
	export STAGE=$work/$name
	mkdir -p "$STAGE"
	if [ -n "${PROGRAMS:-}" ]; then
		cp "$PROGRAMS"/{api,worker,rollcall} "$STAGE/"
	else
		deploy/package/build.sh "$platform" "$STAGE" ./cmd/...
	fi
	cp -r "$work/man" README.md CHANGELOG.md SECURITY.md deploy/prometheus-alerts.yaml deploy/grafana-dashboard.json "$STAGE/"
	mkdir "$STAGE/systemd"
	cp deploy/systemd/* "$STAGE/systemd/"
	chmod -R u=rwX,go=rX "$STAGE"
	find "$STAGE" -exec touch -d "@$SOURCE_DATE_EPOCH" {} +
	tar --directory "$work" --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner \
		--format=gnu --create "$name" | gzip -n >"$out/$name.tar.gz"

	for program in api worker rollcall; do
		"$TOOLS/cyclonedx-gomod" bin -json -std -noserial -notimestamp -version "$VERSION" \
			-output "$out/$name.$program.cdx.json" "$STAGE/$program"
	done
	if [ "$os" = linux ]; then
		DEB_ARCH=$arch "$TOOLS/nfpm" package --config deploy/package/nfpm.yaml --packager deb \
			--target "$out/rollcall_${DEB_VERSION}_$arch.deb" >/dev/null
	fi
done

cd "$out"
sha256sum -- rollcall_* >SHA256SUMS
