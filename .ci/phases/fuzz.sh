#!/usr/bin/env bash
# Runs every fuzz target of the module for a while.
#
#   FUZZTIME     seconds per target, at most (default 20)
#   FUZZ_BUDGET  seconds for all targets, building included (default: no bound).
#                Each then gets an equal part, at least 3 s. Where that is more
#                than the budget, the targets take turns: the first one moves on
#                with each commit, and those left out are named.
#   FUZZ_ONLY    regular expression over "package Target", to run some by hand
#
# A finding is written below testdata/fuzz of its package and printed here.
# Commit it with the fix: it stays as a seed.

# shellcheck source=.ci/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

readonly LEAST=3       # seconds of fuzzing below which a turn is worth nothing
readonly OVERHEAD=4    # seconds of building and starting, about, per target
most=${FUZZTIME:-20}
most=${most%s}
budget=${FUZZ_BUDGET:-0}
[ "$budget" -ge 0 ] || die "no time left for fuzzing"
scratch

# list_targets prints "package Target" for each fuzz target.
list_targets() {
    go test -vet=off -list '^Fuzz' ./... >"$SCRATCH/list" || {
        cat "$SCRATCH/list" >&2
        die "the tests do not build"
    }
    awk '/^Fuzz/ { name[++n] = $1 }
         $1 == "ok" { for (i = 1; i <= n; i++) print $2, name[i] }
         $1 == "ok" || $1 == "?" { n = 0 }' "$SCRATCH/list"
}

# fuzz runs target $2 of package $1 for $3 seconds.
fuzz() {
    local log=$SCRATCH/log
    if go test -run '^$' -fuzz "^$2\$" -fuzztime "$3s" -fuzzminimizetime 5s "$1" >"$log" 2>&1; then
        say "$1 $2: $(grep -E '^fuzz: elapsed' "$log" | tail -n 1 | sed 's/^fuzz: //')"
        return 0
    fi
    # The fuzzing engine at times reports its own deadline as a failure.
    if grep -q 'context deadline exceeded' "$log" && ! grep -q 'Failing input written' "$log"; then
        say "$1 $2: ended by its own deadline, no finding"
        return 0
    fi
    cat "$log"
    sed -n 's/.*Failing input written to \(testdata[^ ]*\).*/\1/p' "$log" | while read -r input; do
        file=$(go list -f '{{.Dir}}' "$1")/$input
        say "--- $input of $1:"
        cat "$file"
    done
    return 1
}

list_targets >"$SCRATCH/all"
grep -E -e "${FUZZ_ONLY:-.}" "$SCRATCH/all" >"$SCRATCH/targets" || skip "no fuzz target found"
mapfile -t targets <"$SCRATCH/targets"
count=${#targets[@]}

per=$most
first=0
if [ "$budget" -gt 0 ]; then
    per=$(((budget - SECONDS) / count - OVERHEAD))
    [ "$per" -le "$most" ] || per=$most
    [ "$per" -ge "$LEAST" ] || per=$LEAST
    turns=$(git rev-list --count HEAD 2>/dev/null || echo 0)
    # A third of the list per commit: in three commits everybody was first.
    first=$((turns * (count / 3 + 1) % count))
fi
say "$count targets, $per s each$([ "$budget" -eq 0 ] || echo ", $budget s in all")"

failures=0
left_out=()
for ((i = 0; i < count; i++)); do
    target=${targets[(first + i) % count]}
    if [ "$budget" -gt 0 ] && [ $((SECONDS + per + OVERHEAD)) -gt "$budget" ]; then
        left_out+=("$target")
        continue
    fi
    read -r package name <<<"$target"
    fuzz "$package" "$name" "$per" || failures=$((failures + 1))
done
[ "${#left_out[@]}" -eq 0 ] || warn "no turn this time: $(printf '%s; ' "${left_out[@]}")"
[ "$failures" -eq 0 ] || die "$failures fuzz targets failed"
