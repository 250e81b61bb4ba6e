#!/usr/bin/env bash
# go vet on the whole module.

# shellcheck source=.ci/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

go vet ./...
