#!/usr/bin/env bash
# Builds programs as they are released: static, and the same bytes in any directory.
#
#   VERSION=v1.2.3 deploy/package/build.sh GOOS/GOARCH OUT PACKAGE...
set -euo pipefail
platform=$1 out=$2
shift 2
# GOFLAGS of the caller and a newer CPU would give other bytes.
GOFLAGS='' GOAMD64=v1 GOARM64=v8.0 CGO_ENABLED=0 GOOS=${platform%/*} GOARCH=${platform#*/} \
	go build -trimpath -buildvcs=false -ldflags "-s -w -X rollcall/app.Version=${VERSION:?}" -o "$out/" "$@"
