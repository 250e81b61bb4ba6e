#!/usr/bin/env bash
# Makes the Debian package of one architecture: bash deploy/deb.sh [amd64|arm64]
# By default it is this machine's.
# The same source gives the same bytes. SOURCE_DATE_EPOCH dates the files; by default
# it is the last commit's.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

ARCH=${1:-$(go env GOHOSTARCH)}
export ARCH
VERSION=${VERSION:-$(sed -n 's/^const version = "\(.*\)"/\1/p' cmd/chive/version.go)}
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
export VERSION SOURCE_DATE_EPOCH
commit=$(bash deploy/commit.sh)
pack=dist/pack

rm -rf "$pack/man" "$pack/completions"
mkdir -p "$pack"
build() { CGO_ENABLED=0 GOTOOLCHAIN=${GOTOOLCHAIN:-local} go build -trimpath -buildvcs=false -ldflags "-s -w -buildid= -X main.built=$commit" "$@" ./cmd/chive; }
GOOS=linux GOARCH=$ARCH build -o "$pack/chive"

# What the program says of itself, as the system's daemon would: its own folders and
# not those of whoever builds.
build -tags gendocs -o "$pack/gendocs"
said() {
    env -i PATH="$PATH" HOME=/nonexistent STATE_DIRECTORY=/var/lib/chive RUNTIME_DIRECTORY=/run/chive "$pack/gendocs" "$@"
}
said gen-docs "$pack" "$SOURCE_DATE_EPOCH"
gzip -9nf "$pack"/man/*.1
said config default >"$pack/chive.toml"
gzip -9nc CHANGELOG.md >"$pack/changelog.gz"
chmod -R u=rwX,go=rX "$pack"

NFPM=${NFPM:-}
if [ -z "$NFPM" ]; then
    NFPM=$PWD/$pack/nfpm
    (cd deploy/tools && go build -o "$NFPM" github.com/goreleaser/nfpm/v2/cmd/nfpm)
fi
"$NFPM" package --config deploy/nfpm.yaml --packager deb --target "dist/chive_${VERSION}_$ARCH.deb" >/dev/null
echo "dist/chive_${VERSION}_$ARCH.deb"
