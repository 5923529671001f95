#!/bin/sh
# Measures the monitor on one file of events, and in the same run, on the same file, engines that others built, with the
# least that finds a copy: an identity that goes from network A to B and back to A within half an hour.
#
#   scripts/bench-monitor.sh [DEVICES] [DIR]
#
# DEVICES: how many identities the file has, 1 000 000 without it (8 million events, 4 GB). DIR: where the file is made; it
# stays there and is used again. Without it a temporary directory, which is removed.
#
# DuckDB and Flink come from the Python package index into a temporary directory. Where they cannot be had, or Flink finds
# no Java development kit, that is said and they are left out. SKIP="duckdb flink" leaves them out without asking.
#
# Compare processor time, not wall time, where something else runs: events for each second that processors worked.
set -eu
cd "$(dirname "$0")/.."
devices="${1:-1000000}"
case "$devices" in
    '' | *[!0-9]*) echo "usage: $0 [DEVICES] [DIR]" >&2; exit 2 ;;
esac
command -v python3 >/dev/null 2>&1 || { echo "python3 is needed to measure processes" >&2; exit 3; }
touchmark="${CARGO_TARGET_DIR:-target}/release/touchmark"
test -x "$touchmark" || { echo "there is no $touchmark: make build" >&2; exit 3; }
touchmark=$(realpath "$touchmark")
scenario=$(realpath contrib/scenarios/bench.toml)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 4' INT TERM
data="${2:-$work/data}"
mkdir -p "$data"
data=$(realpath "$data")

load=$(cut -d' ' -f1 /proc/loadavg)
commit=$(git rev-parse --short HEAD 2>/dev/null || echo unknown)
processor=$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -1)

# Runs a command; seconds of processors, wall seconds and peak memory in KiB of it and all that it started.
cat >"$work/measure.py" <<'PY'
import resource, subprocess, sys, time
begun = time.monotonic()
with open(sys.argv[1], "wb") as out:
    code = subprocess.call(sys.argv[3:], stdout=out)
wall = time.monotonic() - begun
used = resource.getrusage(resource.RUSAGE_CHILDREN)
with open(sys.argv[2], "w") as report:
    report.write(f"{used.ru_utime + used.ru_stime:.2f} {wall:.2f} {used.ru_maxrss}\n")
sys.exit(code)
PY
measure() { python3 "$work/measure.py" "$work/out" "$work/measured" "$@"; }
# A row: what, events, whether its memory is the state of the identities.
row() {
    awk -v what="$1" -v events="$2" -v identities="$3" '{
        each = identities > 0 ? sprintf("%.0f", $3 * 1024 / identities) : "–"
        printf "| %s | %s | %s | %.0f | %.2f | %s |\n", what, $1, $2, events / $1, $3 / 1048576, each
    }' "$work/measured" >>"$work/table"
    tail -1 "$work/table" >&2
}

if ! test -s "$data/manifest.json" || ! grep -q "\"devices\": $devices," "$data/manifest.json"; then
    echo "simulating $devices devices in $data" >&2
    "$touchmark" monitor simulate --scenario "$scenario" --seed 1 --devices "$devices" --out "$data"
    rm -f "$data/events.tmb"
fi
events=$(sed -n 's/.*"events": \([0-9]*\).*/\1/p' "$data/manifest.json")
registered=$(sed -n 's/.*"registry": \([0-9]*\).*/\1/p' "$data/manifest.json")

convert="$touchmark monitor convert --from touchmark --to batch --in $data/events.ndjson"
# shellcheck disable=SC2086 # several arguments
measure $convert
mv "$work/out" "$data/events.tmb"
row "lines into batches" "$events" 0
: >"$work/none"
measure "$touchmark" monitor replay --events "$work/none" --registry "$data/registry.ndjson" --workers 1
row "registry alone, 1 worker (lines, not events)" "$registered" "$registered"
for form in ndjson tmb; do
    for workers in 1 2; do
        # The first reading brings the file into memory, as the others will find it.
        cat "$data/events.$form" >/dev/null
        measure "$touchmark" monitor replay --events "$data/events.$form" --workers "$workers"
        row "touchmark, all rules, $(test $form = tmb && echo batches || echo lines), $workers workers" "$events" "$devices"
        # The order of findings, and what they say, is the same for any number of workers.
        if test "$workers" = 1; then mv "$work/out" "$work/one"; else cmp "$work/one" "$work/out"; fi
    done
done
echo "findings: $(wc -l <"$work/one")" >&2

wanted() { case " ${SKIP-} " in *" $1 "*) echo "$1 is left out, as SKIP says" >&2; return 1 ;; esac; }
# Packages into a directory of this run's own: install DIRECTORY PIP-ARGUMENTS...
install() {
    into="$1"
    shift
    echo "installing $* into $into" >&2
    python3 -m pip install --quiet --disable-pip-version-check --target "$into" "$@" >&2
}

if wanted duckdb; then
    if install "$work/duckdb" duckdb; then
        cat >"$work/query.py" <<'PY'
import sys
import duckdb
duckdb.execute("SET threads = 2")
duckdb.execute("SET preserve_insertion_order = false")
print(duckdb.__version__, duckdb.execute("""
    WITH seen AS (
        SELECT coalesce(identity.spki_sha256, identity.cert_sha256, identity.common_name, identity.client_id) AS id,
               CAST("time" AS TIMESTAMPTZ) AS t, peer.asn AS asn
        FROM read_json(?, format = 'newline_delimited', columns = {
            "time": 'VARCHAR', peer: 'STRUCT(asn UBIGINT)',
            identity: 'STRUCT(spki_sha256 VARCHAR, cert_sha256 VARCHAR, common_name VARCHAR, client_id VARCHAR)'})
        WHERE peer.asn IS NOT NULL)
    SELECT count(DISTINCT id) FROM (
        SELECT id, t, asn, lag(asn) OVER w AS one, lag(asn, 2) OVER w AS two, lag(t, 2) OVER w AS since
        FROM seen WINDOW w AS (PARTITION BY id ORDER BY t))
    WHERE asn = two AND asn <> one AND t - since <= INTERVAL 30 MINUTE""", [sys.argv[1]]).fetchone()[0])
PY
        cat "$data/events.ndjson" >/dev/null
        PYTHONPATH="$work/duckdb" measure python3 "$work/query.py" "$data/events.ndjson"
        read -r version found <"$work/out"
        row "DuckDB $version, A-B-A alone, lines, 2 threads: $found identities" "$events" 0
    else
        echo "SKIPPED: DuckDB cannot be installed here" >&2
    fi
fi

if wanted flink; then
    if ! command -v javac >/dev/null 2>&1; then
        echo "SKIPPED: Flink needs a Java development kit" >&2
    elif install "$work/flink" --no-deps apache-flink-libraries; then
        jars="$work/flink/pyflink/lib"
        # Event time with a watermark of two minutes, state by key, rows in the order of time: as a stream, not a batch.
        cat >"$work/flink.sql" <<SQL
CREATE TABLE events (
    \`time\` TIMESTAMP_LTZ(3), peer ROW<asn BIGINT>,
    \`identity\` ROW<spki_sha256 STRING, cert_sha256 STRING, common_name STRING, client_id STRING>,
    WATERMARK FOR \`time\` AS \`time\` - INTERVAL '2' MINUTE
) WITH ('connector' = 'filesystem', 'path' = 'file://$data/events.ndjson', 'format' = 'json',
    'json.timestamp-format.standard' = 'ISO-8601', 'json.ignore-parse-errors' = 'true');
CREATE TABLE found (id STRING) WITH ('connector' = 'filesystem', 'path' = 'file://$work/flink-found', 'format' = 'raw');
INSERT INTO found SELECT id FROM (
    SELECT id, \`time\` AS at0, asn, LAG(asn, 1) OVER w AS asn1, LAG(asn, 2) OVER w AS asn2, LAG(\`time\`, 2) OVER w AS at2
    FROM (SELECT \`time\`, COALESCE(\`identity\`.spki_sha256, \`identity\`.cert_sha256, \`identity\`.common_name,
        \`identity\`.client_id) AS id, peer.asn AS asn FROM events WHERE peer.asn IS NOT NULL)
    WINDOW w AS (PARTITION BY id ORDER BY \`time\`))
WHERE asn = asn2 AND asn <> asn1 AND TIMESTAMPDIFF(SECOND, at2, at0) <= 1800;
SQL
        # The wheel has the engine and no start script: a program of one file runs the statements in one process.
        cat >"$work/Job.java" <<'JAVA'
import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableEnvironment;

public class Job {
    public static void main(String[] arguments) throws Exception {
        TableEnvironment tables = TableEnvironment.create(EnvironmentSettings.inStreamingMode());
        tables.getConfig().set("parallelism.default", "2");
        for (String statement : Files.readString(Path.of(arguments[0])).split(";")) {
            if (!statement.isBlank()) tables.executeSql(statement).await();
        }
    }
}
JAVA
        opens=""
        for package in java.lang java.util java.time java.net java.nio java.util.concurrent; do
            opens="$opens --add-opens=java.base/$package=ALL-UNNAMED"
        done
        cat "$data/events.ndjson" >/dev/null
        # shellcheck disable=SC2086 # several arguments
        if measure java -Xmx8g $opens --add-exports=java.base/sun.net.util=ALL-UNNAMED -cp "$jars/*" \
            "$work/Job.java" "$work/flink.sql" 2>"$work/flink-log"; then
            found=$(find "$work/flink-found" -type f -exec cat {} + | sort -u | wc -l)
            version=$(find "$jars" -name 'flink-dist-*.jar' | sed 's/.*dist-\(.*\)\.jar/\1/')
            row "Flink $version SQL, A-B-A alone, lines, 2 slots: $found identities" "$events" 0
        else
            echo "SKIPPED: Flink did not run; the last that it said:" >&2
            tail -20 "$work/flink-log" >&2
        fi
    else
        echo "SKIPPED: Flink cannot be installed here" >&2
    fi
fi

echo
echo "Commit $commit, $(nproc) cores of ${processor:-an unnamed processor}, load at the beginning $load, $events events of $devices identities."
echo
echo "| Engine | Processor s | Wall s | Events for each processor s | Peak memory, GiB | Bytes for each identity |"
echo "|---|---|---|---|---|---|"
cat "$work/table"
