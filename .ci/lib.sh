# shellcheck shell=bash
# Shared by the phases of continuous integration. Sourced, not run.
#
# A phase is a script in .ci/phases that checks one thing from the root of the
# repository and can be run by hand: bash .ci/phases/format.sh
# Its exit code: 0 passed, 77 skipped (it has said why), anything else failed.

set -euo pipefail

# The root of the repository, wherever the caller stands.
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly SKIPPED=77

say() { printf '%s\n' "$*"; }

# warn says something that must not be overlooked in a long log.
warn() { printf '\n!!! %s\n\n' "$*" >&2; }

# die ends the phase as failed.
die() {
    warn "$*"
    exit 1
}

# skip ends the phase as skipped, aloud. CHIVE_REQUIRE_TOOLS=1 makes it a failure.
skip() {
    warn "SKIPPED: $*"
    [ "${CHIVE_REQUIRE_TOOLS:-}" = 1 ] && exit 1
    exit "$SKIPPED"
}

have() { command -v "$1" >/dev/null 2>&1; }

# has_go_files reports whether the repository holds the Go package in folder $1.
has_go_files() { compgen -G "$1/*.go" >/dev/null; }

# scratch makes a folder that is removed when the phase ends, in $SCRATCH.
scratch() {
    SCRATCH=$(mktemp -d)
    trap 'rm -rf "$SCRATCH"' EXIT
}
