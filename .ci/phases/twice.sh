#!/usr/bin/env bash
# Builds the binary in two different folders and compares the bytes: whoever
# builds a release must get the release.

# shellcheck source=.ci/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

has_go_files cmd/chive || skip "cmd/chive does not exist: there is no binary to build twice"
scratch

for copy in one two/deeper; do
    mkdir -p "$SCRATCH/$copy"
    tar --exclude=./.git -cf - . | tar -xf - -C "$SCRATCH/$copy"
    (cd "$SCRATCH/$copy" && CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w -buildid=" \
        -o "$SCRATCH/$copy.out" ./cmd/chive)
done
cmp "$SCRATCH/one.out" "$SCRATCH/two/deeper.out" || die "two builds of the same source differ"
sum=$(sha256sum <"$SCRATCH/one.out")
say "two builds are equal: ${sum%% *}, $(wc -c <"$SCRATCH/one.out") bytes"
