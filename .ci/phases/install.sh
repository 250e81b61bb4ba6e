#!/usr/bin/env bash
# Installs the programs that other phases and tests drive. A program that cannot
# be had is said aloud; whatever needs it skips by itself.

# shellcheck source=.ci/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

# Program and the package that brings it.
readonly ALWAYS="
curl         curl
git          git
jq           jq
gcc          gcc
ssh          openssh-client
sshd         openssh-server
nc.openbsd   netcat-openbsd
torsocks     torsocks
proxychains4 proxychains4
dig          dnsutils
shellcheck   shellcheck
miniupnpd    miniupnpd-nftables
nft          nftables
ip           iproute2
zsh          zsh
fish         fish
apparmor_parser apparmor
buildah      buildah
nsenter      util-linux
"

# The same, for programs that are fetched only if a test names them.
readonly IF_NAMED="
chromium     chromium
aria2c       aria2
tor-resolve  tor
wget         wget
python3      python3
"

# sshd stands where a user's PATH does not look.
PATH=$PATH:/usr/sbin:/sbin

named_by_a_test() { grep -rqs --include='*_test.go' -e "\"$1\"" testnet cmd internal client; }

missing=()
while read -r program package; do
    [ -z "$program" ] || have "$program" || missing+=("$package")
done <<<"$ALWAYS"
while read -r program package; do
    [ -z "$program" ] || have "$program" || ! named_by_a_test "$program" || missing+=("$package")
done <<<"$IF_NAMED"
[ "${#missing[@]}" -gt 0 ] || {
    say "every program is there"
    exit 0
}

# gcc is of use only with the C library's headers (the race detector links it).
[[ " ${missing[*]} " != *" gcc "* ]] || missing+=(libc6-dev)

say "missing: ${missing[*]}"
have apt-get || skip "no apt-get here; the tests that drive these programs will skip: ${missing[*]}"
[ "$(id -u)" = 0 ] || skip "not root; the tests that drive these programs will skip: ${missing[*]}"

export DEBIAN_FRONTEND=noninteractive

# Packages that bring a daemon must not start it on this machine.
readonly POLICY=/usr/sbin/policy-rc.d
if [ ! -e "$POLICY" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$POLICY"
    chmod 755 "$POLICY"
    trap 'rm -f "$POLICY"' EXIT
fi

install() { apt-get install -y -qq --no-install-recommends -o Dpkg::Use-Pty=0 "$@" </dev/null >/dev/null; }

apt-get update -qq </dev/null || warn "apt-get update failed; trying with the lists that are there"
if ! install "${missing[@]}"; then
    # One package that cannot be had must not cost the others.
    for package in "${missing[@]}"; do
        install "$package" || warn "could not install $package: what needs it will skip"
    done
fi
