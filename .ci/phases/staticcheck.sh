#!/usr/bin/env bash
# staticcheck, in the version that tools/go.mod pins.

# shellcheck source=.ci/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

go tool -modfile=tools/go.mod staticcheck ./...
