#!/usr/bin/env bash
# Builds the image by its recipe, without an engine, and runs what it holds as the image
# says: as a client and as a relay of a testnet that is started for it. Loopback only.

# shellcheck source=.ci/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

# How long the testnet, a client and a relay may take to be ready, and to stop, in seconds.
readonly READY_SECONDS=30

for program in buildah jq curl nsenter; do
    have "$program" || skip "$program is missing: the image was not built (apt-get install buildah jq curl util-linux)"
done
[ "$(id -u)" = 0 ] || skip "not root: buildah without an engine needs it here"
scratch
chmod 755 "$SCRATCH"

make image-context >/dev/null
builder=(buildah --storage-driver vfs --root "$SCRATCH/root" --runroot "$SCRATCH/run")
"${builder[@]}" bud -q --isolation chroot --format docker -t chive-check dist/image >"$SCRATCH/log" 2>&1 ||
    { cat "$SCRATCH/log"; skip "buildah cannot build here, so the image was only read (phase deb)"; }
config=$("${builder[@]}" inspect --type image chive-check | jq -c '.Docker.config // .OCIv1.config')
jq -e '.User == "65532:65532" and .Entrypoint == ["/chive"] and .Cmd == ["up", "--no-relay"] and (.Volumes | has("/data"))
    and (.ExposedPorts | keys) == ["9240/tcp"] and .StopSignal == "SIGTERM" and .Healthcheck.Test == ["CMD", "/chive", "health", "--alive"]' \
    <<<"$config" >/dev/null || die "the image says something else than its recipe: $config"
box=$("${builder[@]}" from --isolation chroot chive-check)
mapfile -t entry < <(jq -r '.Entrypoint[]' <<<"$config")
mapfile -t usual < <(jq -r '.Cmd[]' <<<"$config")
mapfile -t variables < <(jq -r '.Env[]' <<<"$config")
listed=$(cd "$("${builder[@]}" mount "$box")" && find . -type f)
"${builder[@]}" umount "$box" >/dev/null
[ "$listed" = ./chive ] || die "the image holds other files than the program: $listed"

# Everything that runs ends with the phase.
started=()
cleanup() {
    for pid in "${started[@]}"; do
        kill -KILL -- "-$pid" 2>/dev/null || continue
        wait "$pid" 2>/dev/null || true
    done
    rm -rf "$SCRATCH"
}
trap cleanup EXIT

# start NAME COMMAND... runs in a process group of its own; its pid is in $pid.
start() {
    setsid "${@:2}" >"$SCRATCH/$1.out" 2>"$SCRATCH/$1.err" &
    pid=$!
    started+=("$pid")
}
# await NAME waits for a ready line.
await() {
    local until=$((SECONDS + READY_SECONDS))
    until grep -qs '^ready ' "$SCRATCH/$1.out"; do
        [ "$SECONDS" -lt "$until" ] || { cat "$SCRATCH/$1".{out,err}; die "the $1 is not ready after $READY_SECONDS s"; }
        sleep 0.1
    done
    grep '^ready ' "$SCRATCH/$1.out"
}
# contained PID prints the program's own pid, of the buildah that runs it.
contained() {
    local child
    for child in $(ps -o pid= --ppid "$1"); do
        [ "$(ps -o args= -p "$child" | cut -d ' ' -f 1)" != /chive ] || echo "$child"
        contained "$child"
    done
}
# inside PID ARGUMENTS... starts the program again where PID runs, as an engine's exec does.
inside() { env -i "${variables[@]}" nsenter -t "$1" -m -r -S 65532 -G 65532 "${entry[@]}" "${@:2}"; }
# stop NAME PID of the program, and of its buildah: as an engine stops it.
stop() {
    local code=0
    kill -TERM "$2"
    wait "$3" || code=$?
    [ "$code" = 0 ] || { cat "$SCRATCH/$1.err"; die "the $1 ends with $code when it is stopped"; }
}
free_port() {
    local port
    while port=$((20000 + RANDOM % 12000)); (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do :; done
    echo "$port"
}

start testnet dist/image/chive testnet up --keep "$SCRATCH/net" --socks "127.0.0.1:$(free_port)" --web off --control off
await testnet
chmod 755 "$SCRATCH/net" # others read the document, as the image's user
chmod 644 "$SCRATCH/net/genesis.chive"

# A client by the command that docs/installing.md gives, with its socket in the volume.
mkdir -m 700 "$SCRATCH/data"
document=(-v "$SCRATCH/net/genesis.chive:/genesis.chive:ro")
client=("${builder[@]}" run "${document[@]}" -v "$SCRATCH/data:/data" "$box" -- "${entry[@]}" "${usual[@]}" --genesis /genesis.chive --web off --socks unix:/data/socks)
if setsid "${client[@]}" >"$SCRATCH/refused" 2>&1; then die "a volume that is root's is taken"; fi
grep -q 'Fix: ' "$SCRATCH/refused" || { cat "$SCRATCH/refused"; die "it does not say what to do about a volume that is root's"; }
chown 65532:65532 "$SCRATCH/data"
start client "${client[@]}"
buildah=$pid
await client
program=$(contained "$buildah")
[ "$(stat -c %u "/proc/$program")" = 65532 ] || die "the program does not run as the image's user"
inside "$program" health || die "the health check of a ready client fails"
page=$(curl -sS --max-time 20 --proxy "socks5h://localhost$SCRATCH/data/socks" http://hello.test/) || die "nothing comes through the client"
[[ $page == Hello* ]] || die "the page is not the testnet's: $page"
strange=$(find "$SCRATCH/data" ! -user 65532 -o -perm /077)
[ -z "$strange" ] || die "in the volume others may look at $strange"
stop client "$program" "$buildah"

# A relay, in the image's own /data.
port=$(free_port)
"${builder[@]}" run "$box" -- "${entry[@]}" relay init -q --yes --address "127.0.0.1:$port" >/dev/null 2>"$SCRATCH/log" || { cat "$SCRATCH/log"; die "relay init fails in the image"; }
start relay "${builder[@]}" run "${document[@]}" "$box" -- "${entry[@]}" relay run --genesis /genesis.chive --listen "127.0.0.1:$port"
buildah=$pid
await relay
program=$(contained "$buildah")
inside "$program" relay status | grep -F "127.0.0.1:$port" || die "the relay does not say where it is"
stop relay "$program" "$buildah"

say "the image was built and run: a client with health check, volume and page, and a relay"
