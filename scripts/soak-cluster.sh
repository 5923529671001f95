#!/bin/bash
# A NATS JetStream cluster of three nodes on loopback, workers on it, and for some minutes a random one of them killed by
# `kill -9` every few seconds while events come in. Afterwards the workers' findings have to be those of a replay of the same
# events in one process, each once.
#
#   scripts/soak-cluster.sh [MINUTES] [WORKERS]        10 minutes and 3 workers without them
#
# Exit code: 0 the findings are the same, 1 they are not, 3 something is missing here. SEED=N repeats the choice of events and
# victims. What was left behind when they differ is kept, and its place is said.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PATH:/usr/sbin:/sbin"
minutes="${1:-10}" workers="${2:-3}"
[[ "$minutes" =~ ^[0-9]+$ && "$workers" =~ ^[1-9][0-9]*$ ]] || { echo "usage: $0 [MINUTES] [WORKERS]" >&2; exit 2; }
seed="${SEED:-$(od -An -N2 -tu2 /dev/urandom | tr -d ' ')}"
RANDOM=$seed
echo "SEED=$seed" >&2
command -v nats-server >/dev/null || { echo "nats-server is needed" >&2; exit 3; }
touchmark=$(realpath "${CARGO_TARGET_DIR:-target}/release/touchmark") || { echo "there is no touchmark: make build" >&2; exit 3; }

work=$(mktemp -d -t touchmark-soak.XXXXXX)
declare -A pid
end() {
    for one in "${pid[@]}"; do kill -9 "$one" 2>/dev/null || true; done
    wait 2>/dev/null || true
    if [ "${1-}" = keep ]; then echo "everything is kept in $work" >&2; else rm -rf "$work"; fi
}
trap 'end' EXIT
trap 'exit 4' INT TERM

# Six neighbouring ports that nobody listens on.
free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
base=0
for _ in $(seq 100); do
    candidate=$((20000 + RANDOM % 12000))
    base=$candidate
    for offset in 0 1 2 3 4 5; do free $((candidate + offset)) || base=0; done
    [ "$base" -eq 0 ] || break
done
[ "$base" -ne 0 ] || { echo "no free ports" >&2; exit 3; }
routes="nats://127.0.0.1:$((base + 3)), nats://127.0.0.1:$((base + 4)), nats://127.0.0.1:$((base + 5))"
servers="nats://127.0.0.1:$base,nats://127.0.0.1:$((base + 1)),nats://127.0.0.1:$((base + 2))"

start_node() {
    cat >"$work/node-$1.conf" <<CONF
server_name: n$1
listen: 127.0.0.1:$((base + $1))
log_file: "$work/node-$1.log"
jetstream { store_dir: "$work/node-$1", max_mem: 64MB, max_file: 8GB }
cluster { name: soak, listen: 127.0.0.1:$((base + 3 + $1)), routes: [$routes] }
CONF
    nats-server -c "$work/node-$1.conf" >/dev/null 2>&1 &
    pid[node-$1]=$!
    disown $!
}
start_worker() {
    "$touchmark" monitor work --nats "$servers" --name "worker-$1" --lease-s 3 --checkpoint-s 5 \
        >/dev/null 2>>"$work/worker-$1.log" &
    pid[worker-$1]=$!
    disown $!
}
kill_one() {
    kill -9 "${pid[$1]}" 2>/dev/null || true
    while kill -0 "${pid[$1]}" 2>/dev/null; do sleep 0.05; done
    unset "pid[$1]"
}

# Every class of attack, and noise whose lines come within the watermark: what is later than that may be judged otherwise
# where it is read in other company.
sed 's/^count = .*/count = 4/' contrib/scenarios/small.toml >"$work/scenario.toml"
printf '\n[noise]\nlate = 0\nvery-late = 0\n' >>"$work/scenario.toml"
"$touchmark" monitor simulate --scenario "$work/scenario.toml" --seed "$seed" --out "$work/data" >&2
events="$work/data/events.ndjson" registry="$work/data/registry.ndjson"
"$touchmark" monitor replay --events "$events" --registry "$registry" 2>/dev/null | sort >"$work/expected"
lines=$(wc -l <"$events")
[ -s "$work/expected" ] || { echo "a replay finds nothing, so nothing could be compared" >&2; exit 3; }

for node in 0 1 2; do start_node $node; done
for worker in $(seq "$workers"); do start_worker "$worker"; done

# Ninety pieces over the time, so that there is something under way whenever something is killed. A publisher that gives up
# is started again with the same piece.
mkdir "$work/pieces"
split --number=l/90 --suffix-length=3 --numeric-suffixes "$events" "$work/pieces/"
publish() {
    until "$touchmark" monitor publish --nats "$servers" "$@" >/dev/null 2>>"$work/publish.log"; do
        echo "a publisher gave up and begins again" >>"$work/publish.log"
        sleep 1
    done
}
pause=$((minutes * 60 / 90))
(
    publish --events /dev/null --registry "$registry"
    for piece in "$work"/pieces/*; do
        begun=$SECONDS
        publish --events "$piece"
        sleep $((begun + pause > SECONDS ? begun + pause - SECONDS : 0))
    done
    # Some of it again: the answer was lost, as far as the publisher knows.
    publish --events "$work/pieces/089" --end
    : >"$work/published"
) &
pid[publisher]=$!

kills=0
until_s=$((SECONDS + minutes * 60))
while [ $SECONDS -lt $until_s ]; do
    sleep $((1 + RANDOM % 6))
    # One node at a time: two of three have to agree.
    if [ $((RANDOM % 3)) -eq 0 ]; then
        victim=node-$((RANDOM % 3))
        kill_one $victim
        sleep $((RANDOM % 6))
        start_node "${victim#node-}"
        # It has to catch up before the next one goes, or what only it lacks cannot be agreed upon.
        sleep 6
    else
        victim=worker-$((1 + RANDOM % workers))
        kill_one "$victim"
        sleep $((RANDOM % 4))
        start_worker "${victim#worker-}"
    fi
    kills=$((kills + 1))
done

echo "$kills killed; waiting for the last events" >&2
deadline=$((SECONDS + 300))
found=0
while [ $SECONDS -lt $deadline ]; do
    if [ -e "$work/published" ]; then
        "$touchmark" monitor collect --nats "$servers" 2>>"$work/collect.log" | sort >"$work/found" || true
        found=$(wc -l <"$work/found")
        [ "$found" -lt "$(wc -l <"$work/expected")" ] || break
    fi
    sleep 2
done
# What should not be there may come later than what should.
sleep 10
"$touchmark" monitor collect --nats "$servers" 2>>"$work/collect.log" | sort >"$work/found"
if cmp -s "$work/expected" "$work/found"; then
    echo "the same $(wc -l <"$work/found") findings of $lines events after $kills kills in $minutes minutes"
else
    trap - EXIT
    echo "missing: $(comm -23 "$work/expected" "$work/found" | wc -l), not expected: $(comm -13 "$work/expected" "$work/found" | wc -l)" >&2
    end keep
    exit 1
fi
