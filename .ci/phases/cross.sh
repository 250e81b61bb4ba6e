#!/usr/bin/env bash
# Compiles the module for every system that gets a binary, without cgo.

# shellcheck source=.ci/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

for target in linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64; do
    start=$SECONDS
    CGO_ENABLED=0 GOOS=${target%/*} GOARCH=${target#*/} go build ./...
    say "$target compiles ($((SECONDS - start)) s)"
done
