#!/bin/sh
# Runs every benchmark, and foreign programs that do comparable work, in one go on one machine, and prints a table for
# docs/performance.md. Figures are of use only when nothing else runs.
#
# The anchors: OpenSSL's own signature rates, `openssl ca` issuing from files, a durable write of one block, and what
# wc and jq (when it is there) need for lines of events.
set -eu
cd "$(dirname "$0")/.."
PATH="$PATH:/usr/sbin:/sbin"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 4' INT TERM

load=$(cut -d' ' -f1 /proc/loadavg)
if awk -v load="$load" 'BEGIN { exit !(load > 0.5) }'; then
    echo "the load is $load: something else runs, and the figures will be too low" >&2
fi
commit=$(git rev-parse --short HEAD 2>/dev/null || echo unknown)
processor=$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -1)

row() { printf '| %s | `%s` | %s |\n' "$1" "$2" "$3" >>"$work/table"; }
now_ms() { date +%s%3N; }
# Things a second, from a count and milliseconds.
rate() { awk -v n="$1" -v ms="$2" 'BEGIN { printf "%.0f/s", n * 1000 / (ms > 0 ? ms : 1) }'; }

# criterion prints a name, on the same line or the next `time: [least middle most]`, and for some `thrpt: [...]`.
table_of() {
    awk -v command="$1" '
        function middle(text, part) { sub(/.*\[/, "", text); split(text, part, " "); return part[3] " " part[4] }
        # Lines with per cent compare with an earlier run.
        /time: *\[/ && !/%/ {
            name = $0; sub(/ *time:.*/, "", name); sub(/^ +/, "", name)
            if (name == "") name = last
            if (held != "") print held " |"
            held = "| " name " | `" command "` | " middle($0)
        }
        /thrpt: *\[/ && !/%/ && held != "" { held = held ", " middle($0) }
        { if ($0 !~ /^ / && $0 != "") last = $0 }
        END { if (held != "") print held " |" }
    '
}

bench() {
    echo "cargo bench -p touchmark-$1 --bench $2" >&2
    cargo bench --quiet --locked -p "touchmark-$1" --bench "$2" -- --noplot >"$work/out" 2>"$work/err" || {
        cat "$work/out" "$work/err" >&2
        exit 1
    }
    table_of "cargo bench -p touchmark-$1 --bench $2" <"$work/out" >"$work/rows"
    test -s "$work/rows" || { echo "no figure in the output of $1 $2" >&2; exit 1; }
    cat "$work/rows" >>"$work/table"
}

bench authority issue
bench keystore sign
bench element transports
bench pcsclite pcsc
bench attest appraise
bench monitor observe
bench lab search
bench economics plan

echo "anchors" >&2
openssl speed -seconds 2 ecdsap256 >"$work/speed" 2>/dev/null
speed="openssl speed -seconds 2 ecdsap256"
row "anchor: OpenSSL, P-256 signatures" "$speed" "$(awk '/nistp256/ { print $(NF - 1) "/s" }' "$work/speed")"
row "anchor: OpenSSL, P-256 verifications" "$speed" "$(awk '/nistp256/ { print $NF "/s" }' "$work/speed")"

# A CA of OpenSSL's own: requests as files, a text file as registry.
(
    cd "$work"
    requests=200
    mkdir -p ca/new
    : >ca/index.txt
    echo 1000 >ca/serial
    cat >ca/ca.cnf <<CNF
[ca]
default_ca = a
[a]
dir = ca
database = ca/index.txt
serial = ca/serial
new_certs_dir = ca/new
certificate = ca/ca.pem
private_key = ca/ca.key
default_md = sha256
default_days = 1
policy = p
unique_subject = no
[p]
commonName = supplied
CNF
    p256="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
    # shellcheck disable=SC2086 # several arguments
    {
        openssl req -x509 -sha256 $p256 -subj /CN=anchor -keyout ca/ca.key -out ca/ca.pem -days 2
        for number in $(seq "$requests"); do
            openssl req -new -sha256 $p256 -subj "/CN=meter-$number" -keyout key -out "ca/$number.csr"
        done
    } 2>/dev/null
    begun=$(now_ms)
    openssl ca -config ca/ca.cnf -batch -notext -out /dev/null -infiles ca/*.csr 2>/dev/null
    row "anchor: OpenSSL's CA, one process, requests from files" "openssl ca -infiles" "$(rate "$requests" $(($(now_ms) - begun)))"
    test "$(grep -c . ca/index.txt)" -eq "$requests"
    begun=$(now_ms)
    for number in $(seq 50); do
        openssl ca -config ca/ca.cnf -batch -notext -out /dev/null -in "ca/$number.csr" 2>/dev/null
    done
    row "anchor: OpenSSL's CA, a process for each request" "openssl ca -in" "$(rate 50 $(($(now_ms) - begun)))"
)

begun=$(now_ms)
dd if=/dev/zero of="$work/block" bs=4096 count=200 oflag=dsync 2>/dev/null
row "anchor: a durable write of 4 KiB" "dd bs=4096 count=200 oflag=dsync" \
    "$(awk -v ms=$(($(now_ms) - begun)) 'BEGIN { printf "%.2f ms", ms / 200 }')"

lines=200000
awk -v n="$lines" 'BEGIN {
    for (i = 0; i < n; i++) printf "{\"schema\":\"touchmark.event/1\",\"type\":\"heartbeat\",\"time\":\"2026-11-20T22:00:00Z\",\"source\":\"gate\",\"event_id\":\"%d\",\"identity\":{\"spki_sha256\":\"%064d\"},\"peer\":{\"ip\":\"192.0.2.7\",\"asn\":64500},\"counter\":%d,\"uptime_ms\":%d,\"boot_count\":3,\"firmware\":\"2.4.1\",\"security_version\":7}\n", i, i % 10000, i, i * 10
}' >"$work/events"
cat "$work/events" >/dev/null
begun=$(now_ms)
wc -l "$work/events" >/dev/null
row "anchor: lines of events counted" "wc -l" "$(rate "$lines" $(($(now_ms) - begun)))"
if command -v jq >/dev/null 2>&1; then
    begun=$(now_ms)
    jq -c 'select(.counter < 0)' "$work/events"
    row "anchor: events parsed and one field compared" "jq 'select(.counter < 0)'" "$(rate "$lines" $(($(now_ms) - begun)))"
fi

echo
echo "Commit $commit, $(nproc) cores of ${processor:-an unnamed processor}, load at the beginning $load,"
echo "$(rustc --version), $(openssl version | cut -d' ' -f1-2)."
echo
echo "| What | Command | Figure |"
echo "|---|---|---|"
cat "$work/table"
