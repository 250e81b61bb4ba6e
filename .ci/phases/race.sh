#!/usr/bin/env bash
# The race detector, on the packages that start goroutines.

# shellcheck source=.ci/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

readonly CONCURRENT="link circuit relay client service internal/memnet internal/node internal/control internal/limit internal/nat internal/metrics"

have "$(go env CC)" || skip "the race detector links C, and $(go env CC) is missing"

patterns=()
for folder in $CONCURRENT; do
    [ ! -d "$folder" ] || patterns+=("./$folder/...")
done
[ "${#patterns[@]}" -gt 0 ] || skip "none of these packages exists: $CONCURRENT"
CGO_ENABLED=1 go test -race -short -timeout=5m "${patterns[@]}"

# Of whole networks a few: each relay has a directory, whose signatures take ten times
# as long here. What is below testnet runs in one goroutine, by design.
readonly NETWORKS='Loopback|ParallelFetches|ShowsOneClient|JoinsARunning|ANewClientUses|Isolated'
[ ! -d testnet ] || CGO_ENABLED=1 go test -race -short -timeout=5m -run "$NETWORKS" ./testnet
