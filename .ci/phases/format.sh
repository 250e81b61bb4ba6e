#!/usr/bin/env bash
# gofmt on every Go file, and the syntax of our own scripts.

# shellcheck source=.ci/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

unformatted=$(gofmt -l .)
[ -z "$unformatted" ] || die "gofmt would change: $unformatted"

scripts=(.ci/run .ci/lib.sh .ci/phases/*.sh deploy/*.sh deploy/scripts/*.sh)
for script in "${scripts[@]}"; do
    bash -n "$script"
done
if have shellcheck; then
    shellcheck --external-sources "${scripts[@]}"
else
    warn "shellcheck is missing: scripts were only parsed"
fi
