#!/usr/bin/env bash
# Makes the Debian package, installs it into a folder of its own, looks at what is there,
# removes and purges it. Nothing is installed on this machine, and nothing is started.

# shellcheck source=.ci/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

PATH=$PATH:/usr/sbin:/sbin # apparmor_parser
for program in dpkg dpkg-deb tar; do
    have "$program" || skip "$program is missing: no package can be checked"
done
[ "$(id -u)" = 0 ] || skip "not root: dpkg --root needs it"
scratch

arch=$(dpkg --print-architecture)
file=$(bash deploy/deb.sh "$arch")
rm -rf dist/pack
say "$file, $(stat -c %s "$file") bytes"

# A second system, with what the package's scripts call, and nothing that runs.
root=$SCRATCH/root
mkdir -p "$root"/{bin,etc,run,tmp,usr/bin,usr/sbin,var/lib/dpkg/{info,updates,triggers}}
touch "$root"/var/lib/dpkg/{status,available}
printf 'root:x:0:0::/root:/bin/sh\n' >"$root/etc/passwd"
printf 'root:x:0:\n' >"$root/etc/group"
install_it() { dpkg --root="$root" --force-depends --force-script-chrootless "$@" >"$SCRATCH/log" 2>&1 || { cat "$SCRATCH/log"; die "dpkg $1 failed"; }; }

# The scripts see stand-ins for whatever would touch this machine.
mkdir "$SCRATCH/stand-ins"
for name in systemd-sysusers useradd systemctl chgrp chmod getent; do
    printf '#!/bin/sh\necho "%s $*" >>"%s/calls"\n' "$name" "$SCRATCH" >"$SCRATCH/stand-ins/$name"
    /bin/chmod 755 "$SCRATCH/stand-ins/$name"
done
printf '#!/bin/sh\nexit 2\n' >"$SCRATCH/stand-ins/getent"
dpkg-deb -e "$file" "$SCRATCH/control"
for script in postinst prerm postrm; do
    [ -f "$SCRATCH/control/$script" ] || die "the package has no $script"
    # Every absolute folder they touch lies in the scratch folder here.
    sed -i -E "s#/(var/lib|etc|run/systemd)/#$SCRATCH/fake/\1/#g" "$SCRATCH/control/$script"
    sh -n "$SCRATCH/control/$script"
done
mkdir -p "$SCRATCH"/fake/{var/lib/chive,var/lib/chive-two,etc/chive,run/systemd/system}
script() { PATH=$SCRATCH/stand-ins:$PATH sh "$SCRATCH/control/$1" "${@:2}"; }
script postinst configure
grep -qE '^(systemd-sysusers|useradd)' "$SCRATCH/calls" || die "the installation makes no user"
! grep -qE 'systemctl.*(enable|start)' "$SCRATCH/calls" || die "the installation starts something"
script postinst configure 0.0.1
grep -q 'systemctl try-restart chive.service chive@\*.service' "$SCRATCH/calls" || die "an upgrade leaves an old daemon running"
script prerm remove
grep -q 'systemctl stop chive@\*.service' "$SCRATCH/calls" || die "a removal leaves an instance running"
grep -q 'systemctl.*disable --now chive.service' "$SCRATCH/calls" || die "a removal leaves the daemon running"
script postrm remove
[ -d "$SCRATCH/fake/var/lib/chive" ] || die "a removal takes keys away"
script postrm purge
if [ -e "$SCRATCH/fake/var/lib/chive" ] || [ -e "$SCRATCH/fake/var/lib/chive-two" ]; then die "a purge leaves state"; fi

# Unpack, look, remove. Without the scripts: they were tried above.
mkdir "$SCRATCH/repack"
dpkg-deb -R "$file" "$SCRATCH/repack"
rm -f "$SCRATCH/repack"/DEBIAN/{postinst,prerm,postrm}
dpkg-deb -b "$SCRATCH/repack" "$SCRATCH/plain.deb" >/dev/null
everything() { (cd "$root" && find . -path ./var/lib/dpkg -prune -o -print | sort); }
everything >"$SCRATCH/before"
install_it -i "$SCRATCH/plain.deb"
for path in usr/bin/chive usr/lib/systemd/system/chive.service usr/lib/systemd/system/chive@.service usr/lib/sysusers.d/chive.conf \
    etc/chive/chive.toml etc/apparmor.d/usr.bin.chive usr/share/bash-completion/completions/chive usr/share/zsh/vendor-completions/_chive \
    usr/share/fish/vendor_completions.d/chive.fish usr/share/man/man1/chive.1.gz usr/share/man/man1/chive-relay-run.1.gz usr/share/doc/chive/copyright; do
    [ -s "$root/$path" ] || die "the package lacks $path"
done
# What operators load into their own Prometheus and Grafana is there as it is here.
for path in deploy/grafana/* deploy/prometheus/*; do
    cmp "$path" "$root/usr/share/doc/chive/${path#deploy/}" || die "the package lacks $path"
done
grep -qx /etc/chive/chive.toml "$root/var/lib/dpkg/info/chive.conffiles" || die "chive.toml is no conffile"
commit=$(bash deploy/commit.sh)
"$root/usr/bin/chive" version | grep -F " ${commit:0:12}" || die "the package's program does not say that it is of commit $commit"
"$root/usr/bin/chive" -c "$root/etc/chive/chive.toml" config check >/dev/null || die "the configuration in the package is refused"
# Manual pages: one for each command that there is, each of them readable.
chive() { env -i PATH="$PATH" HOME=/nonexistent "$root/usr/bin/chive" "$@"; }
commands() { # of a group, with what it groups
    local name
    while read -r name; do
        [ -n "$name" ] || continue
        echo "$* $name"
        commands "$@" "$name"
    done < <(chive __complete "${@:2}" "" 2>/dev/null | awk -F '\t' 'NF > 1 && $1 ~ /^[a-z]+$/ { print $1 }')
}
all=$(commands chive | grep -v -e ' help$')
pages=0
while read -r words; do
    page=$root/usr/share/man/man1/${words// /-}.1.gz
    [ -s "$page" ] || die "$words has no manual page"
    zcat "$page" | head -n 5 | grep -q '^\.TH "CHIVE' || die "the manual page of $words is none"
    pages=$((pages + 1))
done <<<"$all"
for words in "chive relay init" "chive keys backup" "chive keys restore" "chive testnet up"; do
    grep -qx "$words" <<<"$all" || die "the completion does not know $words"
done
if have man; then
    for words in chive chive-relay-init chive-keys-restore; do
        complaints=$(man --warnings -E UTF-8 -l -Tutf8 -Z "$root/usr/share/man/man1/$words.1.gz" 2>&1 >/dev/null)
        [ -z "$complaints" ] || die "$words.1: $complaints"
    done
fi
say "$pages commands have a manual page"

# Completions: each shell that is here reads its own; bash completes with it.
bash -n "$root/usr/share/bash-completion/completions/chive"
completed=$(PATH=$root/usr/bin:$PATH bash --norc -c '
    . "$1"
    COMP_WORDS=(chive keys rest) COMP_CWORD=2 COMP_LINE="chive keys rest" COMP_POINT=15
    declare -F _get_comp_words_by_ref >/dev/null || _get_comp_words_by_ref() { cur=rest prev=keys words=("${COMP_WORDS[@]}") cword=2; }
    compopt() { :; }
    __start_chive >&2 && echo "${COMPREPLY[0]%% *}"' _ "$root/usr/share/bash-completion/completions/chive" 2>/dev/null || true)
[ "$completed" = restore ] || die "bash completes chive keys rest to: $completed"
# zsh and fish evaluate theirs: at the top, and in a group.
share=$root/usr/share
if have zsh; then
    zsh_completes() { PATH=$root/usr/bin:$PATH TERM=xterm timeout 20 zsh -f .ci/completions.zsh "$share/zsh/vendor-completions" "$SCRATCH/zsh-dump" "$@"; }
    zsh_completes 'chive ' version | grep -q 'relay .*-- carry' || die "zsh does not complete chive"
    zsh_completes 'chive keys rest' restore >/dev/null || die "zsh does not complete chive keys rest"
else
    warn "zsh is missing: its completion was not tried"
fi
if have fish; then
    # shellcheck disable=SC2016 # fish expands it
    fish_completes() { PATH=$root/usr/bin:$PATH HOME=$SCRATCH fish --no-config -c 'set -p fish_complete_path $argv[1]; complete -C $argv[2]' "$share/fish/vendor_completions.d" "$1"; }
    fish_completes 'chive ' | grep -q '^relay.*carry' || die "fish does not complete chive"
    [ "$(fish_completes 'chive keys rest' | cut -f 1)" = restore ] || die "fish does not complete chive keys rest"
else
    warn "fish is missing: its completion was not tried"
fi

# The profile: compiled to what a kernel would load, without loading it.
if have apparmor_parser; then
    apparmor_parser --skip-kernel-load --skip-cache "$root/etc/apparmor.d/usr.bin.chive" 2>"$SCRATCH/log" || { cat "$SCRATCH/log"; die "AppArmor refuses the profile"; }
    complaints=$(grep -v 'Cache read/write disabled' "$SCRATCH/log" || true)
    [ -z "$complaints" ] || die "AppArmor: $complaints"
else
    warn "apparmor_parser is missing: the profile was not compiled"
fi
! zgrep -l -e "$PWD" -e "${HOME:?}/" "$root"/usr/share/man/man1/* || die "a manual page names a folder of the builder's"

if have systemd-analyze; then
    for unit in chive.service chive@.service; do
        exposure=$(systemd-analyze security --offline=true --threshold=20 "$root/usr/lib/systemd/system/$unit" | tail -n 1) ||
            die "$unit is more exposed than 2.0: $exposure"
        say "$unit:$exposure"
    done
    # What every system has, and this root does not.
    mkdir -p "$root/etc/systemd/system"
    for unit in sysinit basic shutdown multi-user network network-online; do
        printf '[Unit]\nDefaultDependencies=no\n' >"$root/etc/systemd/system/$unit.target"
    done
    printf '[Unit]\n[Slice]\n' >"$root/etc/systemd/system/system.slice"
    install -m 755 /bin/true "$root/bin/kill"
    for unit in chive.service chive@one.service; do
        complaints=$(systemd-analyze verify --man=no --root="$root" "$unit" 2>&1 | grep -F chive || true)
        [ -z "$complaints" ] || die "systemd-analyze verify: $complaints"
    done
else
    warn "systemd-analyze is missing: the units were not checked"
fi

echo "# mine" >>"$root/etc/chive/chive.toml"
install_it -r chive
[ ! -e "$root/usr/bin/chive" ] || die "the removal left the program"
[ -e "$root/etc/chive/chive.toml" ] || die "the removal took the configuration"
install_it -P chive
left=$(find "$root" -name '*chive*')
[ -z "$left" ] || die "the purge left $left"
left=$(everything | grep -vE '^\./(etc/systemd|bin/kill)' | comm -13 "$SCRATCH/before" -)
[ -z "$left" ] || die "the purge leaves what was not there before: $left"

# The image: phase image builds and runs it where it can. Here its recipe is read, and what
# it copies is tried as the user that it names.
recipe=deploy/image/Dockerfile
make image-context >/dev/null
cmp "$recipe" dist/image/Dockerfile
while read -r copy source _; do
    [ "$copy" = COPY ] || die "what is $copy $source in $recipe"
    [ -e "dist/image/$source" ] || die "$recipe copies $source, which make image-context does not make"
done < <(sed -n 's/ --[a-z]*=[^ ]*//g; /^\(COPY\|ADD\)/p' "$recipe")
[ "$(stat -c %a dist/image/root/data)" = 700 ] || die "others can look into the image's /data"
image=$SCRATCH/image
mkdir "$image"
cp -a dist/image/root/. "$image"
chown -R 65532:65532 "$image/data"
cp dist/image/chive "$image/chive"
in_image() { env -i PATH="$PATH:/usr/sbin" STATE_DIRECTORY=/data RUNTIME_DIRECTORY=/data HOME=/data chroot --userspec=65532:65532 "$image" /chive "$@"; }
in_image relay init -q --yes --address 203.0.113.5:9240 >/dev/null || die "the image's program cannot use /data"
code=0
in_image health 2>/dev/null || code=$?
[ "$code" = 3 ] || die "chive health of the image ends with $code where nothing runs"
for line in '^FROM scratch$' '^USER 65532:65532$' '^VOLUME /data$' '^HEALTHCHECK .*"/chive", "health", "--alive"'; do
    grep -qE "$line" "$recipe" || die "$recipe lacks $line"
done
say "the package was installed, checked, removed and purged"
