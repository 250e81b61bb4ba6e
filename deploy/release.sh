#!/usr/bin/env bash
# Makes everything that a release consists of, in dist/: binaries, packages, what they
# are built from (sbom.txt) and SHA256SUMS. SIGN_KEY=FILE also signs SHA256SUMS with the
# ssh key in FILE (deploy/sign.sh); without it nothing is signed.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The bytes depend on the compiler to its patch release, so a release has one of its own.
# go fetches it where it is not installed. go.mod names none: whoever just builds takes
# the Go that they have.
GOTOOLCHAIN=${GOTOOLCHAIN:-$(cat deploy/toolchain)}
export GOTOOLCHAIN
version=$(sed -n 's/^const version = "\(.*\)"/\1/p' cmd/chive/version.go)
commit=$(bash deploy/commit.sh)
rm -rf dist
mkdir -p dist
for target in ${TARGETS-linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64}; do
    os=${target%/*} arch=${target#*/} ending=""
    [ "$os" != windows ] || ending=.exe
    CGO_ENABLED=0 GOOS=$os GOARCH=$arch go build -trimpath -buildvcs=false -ldflags "-s -w -buildid= -X main.built=$commit" \
        -o "dist/chive_${version}_${os}_$arch$ending" ./cmd/chive
done
for arch in ${DEBS-amd64 arm64}; do
    bash deploy/deb.sh "$arch"
done
(cd dist && for binary in chive_"${version}"_*; do
    case $binary in *.deb) ;; *) go version -m "$binary" ;; esac
done >sbom.txt)
rm -rf dist/pack
(cd dist && sha256sum -- chive_* sbom.txt >SHA256SUMS)
cat dist/SHA256SUMS
if [ -n "${SIGN_KEY:-}" ]; then
    bash deploy/sign.sh "$SIGN_KEY" dist/SHA256SUMS
else
    echo "not signed: bash deploy/sign.sh KEY dist/SHA256SUMS does that"
fi
