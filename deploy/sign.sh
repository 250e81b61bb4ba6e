#!/usr/bin/env bash
# Signs a release: bash deploy/sign.sh KEY [SUMS]
# KEY is the file of an ssh key, or of its public half where an agent holds the other;
# SUMS is dist/SHA256SUMS unless named. The signature is SUMS.sig. Users check it with
# ssh-keygen, as docs/installing.md says; the key itself never lies in the repository.

set -euo pipefail

[ $# -ge 1 ] || { echo "usage: bash deploy/sign.sh KEY [SUMS]" >&2; exit 2; }
key=$1 sums=${2:-$(dirname "${BASH_SOURCE[0]}")/../dist/SHA256SUMS}
[ -s "$sums" ] || { echo "$sums is missing or empty: make release first" >&2; exit 1; }

(cd "$(dirname "$sums")" && sha256sum --quiet -c -- "$(basename "$sums")") # a stale list is not signed
rm -f "$sums.sig"
ssh-keygen -q -Y sign -f "$key" -n chive-release "$sums"
ssh-keygen -Y check-novalidate -n chive-release -s "$sums.sig" <"$sums" # Good "chive-release" signature with ... SHA256:...
