#!/usr/bin/env bash
# Builds the binary in two different folders and compares the bytes: whoever
# builds a release must get the release.

# shellcheck source=.ci/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

has_go_files cmd/chive || skip "cmd/chive does not exist: there is no binary to build twice"
scratch

COMMIT=$(bash deploy/commit.sh) # the copies have no repository
export COMMIT
for copy in one two/deeper; do
    mkdir -p "$SCRATCH/$copy"
    tar --exclude=./.git -cf - . | tar -xf - -C "$SCRATCH/$copy"
    (cd "$SCRATCH/$copy" && CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w -buildid= -X main.built=$(bash deploy/commit.sh)" \
        -o "$SCRATCH/$copy.out" ./cmd/chive)
done
cmp "$SCRATCH/one.out" "$SCRATCH/two/deeper.out" || die "two builds of the same source differ"
sum=$(sha256sum <"$SCRATCH/one.out")
if [ -n "$COMMIT" ]; then
    said=$("$SCRATCH/one.out" version --json | sed -n 's/.*"commit":"\([0-9a-f]*\)".*/\1/p')
    [ "$said" = "${COMMIT%+changes}" ] || die "a release says that it is of commit ${said:-none}, and is of $COMMIT"
else
    warn "no repository is here: what a release says of its commit was not tried"
fi
say "two builds are equal: ${sum%% *}, $(wc -c <"$SCRATCH/one.out") bytes"

# What is signed is what users check: as docs/installing.md says, with a key of the moment.
have ssh-keygen || skip "ssh-keygen is missing: signing a release was not tried"
mkdir "$SCRATCH/dist"
cp "$SCRATCH/one.out" "$SCRATCH/dist/chive_test"
(cd "$SCRATCH/dist" && sha256sum -- chive_* >SHA256SUMS)
ssh-keygen -q -t ed25519 -N "" -C release -f "$SCRATCH/key"
bash deploy/sign.sh "$SCRATCH/key" "$SCRATCH/dist/SHA256SUMS"
printf 'chive %s\n' "$(cat "$SCRATCH/key.pub")" >"$SCRATCH/dist/chive.signers"
commands=$(grep -A1 '^ssh-keygen -Y verify' docs/installing.md) # and sha256sum
verify() { (cd "$SCRATCH/dist" && bash -euc "$commands") 2>&1; }
verify || die "the commands of docs/installing.md refuse a release as it was signed"
echo x >>"$SCRATCH/dist/chive_test"
! verify || die "a changed binary is taken"
! bash deploy/sign.sh "$SCRATCH/key" "$SCRATCH/dist/SHA256SUMS" 2>/dev/null || die "a list is signed that does not hold"
(cd "$SCRATCH/dist" && sha256sum -- chive_* >SHA256SUMS)
! verify || die "a changed list is taken"
ssh-keygen -q -t ed25519 -N "" -C other -f "$SCRATCH/other"
bash deploy/sign.sh "$SCRATCH/other" "$SCRATCH/dist/SHA256SUMS"
! verify || die "another key's signature is taken"
say "a signed release is checked as docs/installing.md says; changed files, lists and keys are refused"
