#!/usr/bin/env bash
# The race detector, on the packages that start goroutines.

# shellcheck source=.ci/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

readonly CONCURRENT="link circuit relay client service internal/memnet internal/node internal/control internal/limit internal/nat internal/metrics"

have "$(go env CC)" || skip "the race detector links C, and $(go env CC) is missing"

# race runs tests under the detector. The detector itself breaks now and then where tests
# have bubbles of virtual time (golang/go#78156), and ends the process with a CHECK of its
# own, whatever the tests do. Such a run tells nothing, and is made once more; one that
# has found a race or a failure is not.
race() {
    local log code=0
    log=$(mktemp)
    CGO_ENABLED=1 go test -race -short -timeout=5m "$@" 2>&1 | tee "$log" || code=$?
    if [ "$code" != 0 ] && grep -q '^ThreadSanitizer: CHECK failed' "$log" && ! grep -qE 'DATA RACE|^ *--- FAIL|^panic: ' "$log"; then
        warn "the race detector broke: once more"
        code=0
        CGO_ENABLED=1 go test -race -short -timeout=5m "$@" || code=$?
    fi
    rm -f "$log"
    return "$code"
}

patterns=()
for folder in $CONCURRENT; do
    [ ! -d "$folder" ] || patterns+=("./$folder/...")
done
[ "${#patterns[@]}" -gt 0 ] || skip "none of these packages exists: $CONCURRENT"
race "${patterns[@]}"

# Of whole networks a few: each relay has a directory, whose signatures take ten times
# as long here. What is below testnet runs in one goroutine, by design.
readonly NETWORKS='Loopback|ParallelFetches|ShowsOneClient|JoinsARunning|ANewClientUses|Isolated'
[ ! -d testnet ] || race -run "$NETWORKS" ./testnet
