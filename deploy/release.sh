#!/usr/bin/env bash
# Makes everything that a release consists of, in dist/: binaries, packages, what they
# are built from (sbom.txt) and SHA256SUMS. Nothing is signed here: a release is signed
# by a person, over SHA256SUMS.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The toolchain is the one that go.mod names, or a later patch of it, and is told in sbom.txt.
version=$(sed -n 's/^const version = "\(.*\)"/\1/p' cmd/chive/version.go)
rm -rf dist
mkdir -p dist
for target in ${TARGETS:-linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64}; do
    os=${target%/*} arch=${target#*/} ending=""
    [ "$os" != windows ] || ending=.exe
    CGO_ENABLED=0 GOTOOLCHAIN=local GOOS=$os GOARCH=$arch go build -trimpath -buildvcs=false -ldflags "-s -w -buildid=" \
        -o "dist/chive_${version}_${os}_$arch$ending" ./cmd/chive
done
for arch in ${DEBS:-amd64 arm64}; do
    bash deploy/deb.sh "$arch"
done
(cd dist && for binary in chive_"${version}"_*; do
    case $binary in *.deb) ;; *) go version -m "$binary" ;; esac
done >sbom.txt)
rm -rf dist/pack
(cd dist && sha256sum -- chive_* sbom.txt >SHA256SUMS)
cat dist/SHA256SUMS
