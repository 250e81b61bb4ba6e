#!/usr/bin/env bash
# The test command that README.md tells people, taken from there so that the two
# cannot drift apart. Results of earlier runs do not count.

# shellcheck source=.ci/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

command="go test ./..."
if [ -f README.md ]; then
    command=$(grep -oE 'go test( [A-Za-z0-9./=_-]+)+' README.md | head -n 1) ||
        die "README.md names no go test command"
else
    warn "README.md is missing: running $command"
fi
say "\$ $command"
read -ra words <<<"$command"
GOFLAGS="${GOFLAGS:-} -count=1" "${words[@]}"
