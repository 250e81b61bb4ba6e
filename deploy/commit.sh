#!/usr/bin/env bash
# Prints the commit that this source is of, for what a binary says of itself, with +changes
# behind it where the files differ. Prints nothing where that is not known:
# in an archive without a repository. COMMIT says it there, and wins everywhere.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [ -n "${COMMIT:-}" ]; then
    echo "$COMMIT"
    exit
fi
[ "$(git rev-parse --show-prefix 2>/dev/null || echo elsewhere)" = "" ] || exit 0 # another repository's, or none
commit=$(git rev-parse --verify -q HEAD) || exit 0
[ -z "$(git status --porcelain)" ] || commit=$commit+changes
echo "$commit"
