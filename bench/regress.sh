#!/usr/bin/env bash
# Runs the benchmarks of the main figures and compares them with benchstat, which
# tools/go.mod pins.
#
#   bash bench/regress.sh COMMIT     this tree with a commit, in turns, here and now:
#                                    the comparison to trust
#   bash bench/regress.sh            this tree with bench/baseline.txt, which was
#                                    recorded on the machine that its head names
#   bash bench/regress.sh --record   write bench/baseline.txt
#
#   COUNT     turns (default 6: what benchstat needs to call a difference real)
#   BENCH     regular expression over benchmarks (default: all of them)
#
# About four minutes for each tree. Nothing else should run meanwhile.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly COUNT=${COUNT:-6} BENCH=${BENCH:-.}
readonly BASELINE=bench/baseline.txt OUT=runs/bench

# Package, benchmarks, time for each.
readonly SUITE="
circuit/cgo        ^BenchmarkLayer\$                 200ms
circuit/handshake  ^BenchmarkHandshake\$             200ms
circuit            ^BenchmarkPath\$                  1s
link               ^Benchmark(Link|Handshake)\$      500ms
testnet            ^Benchmark(Download|Fetch)\$      1s
"

die() {
    echo "$*" >&2
    exit 1
}

# build_tree puts the test binaries of the tree at $1 into $2.
build_tree() {
    local package
    mkdir -p "$2"
    while read -r package _; do
        [ -n "$package" ] || continue
        (cd "$1" && go test -c -o "$2/${package//\//_}" "./$package") || die "$1 does not build"
    done <<<"$SUITE"
}

# turn runs every benchmark once with the binaries in $1 and the data of the tree at $2.
turn() {
    local package name time
    while read -r package name time; do
        [ -n "$package" ] || continue
        if [ "$BENCH" != . ]; then name=$BENCH; fi
        echo "pkg: chive/$package"
        (cd "$2/$package" && "$1/${package//\//_}" -test.run '^$' -test.bench "$name" -test.benchtime "$time") >"$scratch/out" ||
            die "$(cat "$scratch/out")"
        sed -nE '/^(goos|goarch|cpu|Benchmark)/p' "$scratch/out"
    done <<<"$SUITE"
}

scratch=$(mktemp -d)
other=
cleanup() {
    [ -z "$other" ] || git worktree remove --force "$other" 2>/dev/null || true
    rm -rf "$scratch"
}
trap cleanup EXIT
mkdir -p "$OUT"

old=$BASELINE commit=
case ${1:-} in
    --record) ;;
    "") [ -s "$BASELINE" ] || die "$BASELINE is missing; record it with --record, or name a commit" ;;
    -h | --help)
        sed -n '2,/^$/s/^# \{0,1\}//p' bench/regress.sh
        exit 0
        ;;
    -*) die "usage: bash bench/regress.sh [COMMIT | --record | --help]" ;;
    *) commit=$(git rev-parse --verify --quiet "$1^{commit}") || die "$1 is no commit" ;;
esac

echo "building" >&2
build_tree . "$scratch/now"
if [ -n "$commit" ]; then
    other=$scratch/tree
    git worktree add --quiet --detach "$other" "$commit"
    build_tree "$other" "$scratch/old"
    old=$OUT/old.txt
    : >"$old"
fi

: >"$OUT/new.txt"
for ((i = 1; i <= COUNT; i++)); do
    echo "turn $i of $COUNT" >&2
    [ -z "$other" ] || turn "$scratch/old" "$other" >>"$old"
    turn "$scratch/now" "$PWD" >>"$OUT/new.txt"
done

if [ "${1:-}" = --record ]; then
    {
        echo "# $(go version | cut -d ' ' -f 3-), $(nproc) processors, $(date -u +%Y-%m-%d), $(git rev-parse --short HEAD)"
        cat "$OUT/new.txt"
    } >"$BASELINE"
    echo "written: $BASELINE"
    exit 0
fi
go tool -modfile=tools/go.mod benchstat "$old" "$OUT/new.txt"
