#!/bin/sh
# Runs the fuzz targets, each for some seconds: `scripts/fuzz.sh SECONDS [TARGET...]`, all of them when none is named;
# `keys` stands for those of key stores and evidence, which `make test` runs.
#
# cargo-fuzz is installed where it is missing. With a nightly toolchain the targets have the address sanitizer; without
# one, and with SANITIZER=none, the installed compiler builds them without it. Coverage guides them in either case.
#
# Inputs that were found are kept in fuzz/corpus, failures in fuzz/artifacts, what each target printed in fuzz/target/logs;
# they stay out of the repository.
set -eu
cd "$(dirname "$0")/.."
seconds="${1:?seconds for each target}"
shift
case "$seconds" in
    '' | *[!0-9]*) echo "usage: $0 SECONDS [TARGET...]" >&2; exit 2 ;;
esac

sanitizer="${SANITIZER:-address}"

# Each target, and whether it asks for the feature `all` (fuzz/Cargo.toml).
targets=$(awk '/^name = / { gsub(/"/, "", $3); name = $3 }
    /^path = "fuzz_targets/ { order[++count] = name } /^required-features/ { asks[name] = 1 }
    END { for (i = 1; i <= count; i++) print order[i], asks[order[i]] ? "all" : "keys" }' fuzz/Cargo.toml)
# Chosen one by one they are built one by one, else all that the features allow at once.
one_by_one=""
features="--features all"
case "$*" in
    "") set -- $(echo "$targets" | sed 's/ .*//') ;;
    keys) set -- $(echo "$targets" | sed -n 's/ keys$//p'); features="" ;;
    *) one_by_one=yes ;;
esac

if ! scripts/ensure-tool.sh cargo-fuzz; then
    echo "cargo-fuzz cannot be installed: nothing is fuzzed" >&2
    if [ "${TOUCHMARK_REQUIRE_PEERS:-0}" = 1 ] || [ -n "${CI-}" ]; then exit 1; fi
    exit 0
fi
toolchain=""
if [ "$sanitizer" != none ]; then
    if cargo +nightly --version >/dev/null 2>&1; then
        toolchain=+nightly
    else
        echo "no nightly toolchain: fuzzing without the address sanitizer" >&2
        sanitizer=none
    fi
fi
target_dir="${CARGO_TARGET_DIR:-fuzz/target}"
mkdir -p "$target_dir/logs"
target_dir=$(cd "$target_dir" && pwd)
fuzz() {
    subcommand="$1"
    shift
    # shellcheck disable=SC2086 # one word each, or none
    cargo $toolchain fuzz "$subcommand" --sanitizer "$sanitizer" --target-dir "$target_dir" $features "$@"
}

# Elements and key stores write through to their medium at each step; in memory that costs nothing.
memory=/dev/shm
test -w "$memory" || memory="${TMPDIR:-/tmp}"
work=$(mktemp -d -p "$memory" touchmark-fuzz.XXXXXX)
trap 'rm -rf "$work"' EXIT
trap 'exit 4' INT TERM
export TMPDIR="$work"

# cargo-fuzz passes no --locked on.
cargo tree --quiet --locked --manifest-path fuzz/Cargo.toml >/dev/null
echo "building the fuzz targets" >&2
log="$target_dir/logs/build.log"
{
    if [ -n "$one_by_one" ]; then
        for target in seeds "$@"; do fuzz build "$target"; done
    else
        fuzz build
    fi
    mkdir -p fuzz/corpus
    fuzz run seeds fuzz/corpus
} >"$log" 2>&1 || { tail -40 "$log" >&2; exit 1; }

failed=""
for target in "$@"; do
    printf '%-20s ' "$target"
    log="$target_dir/logs/$target.log"
    # An input that takes more than ten seconds, or two gigabytes, is a failure too.
    if fuzz run "$target" -- -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 >"$log" 2>&1; then
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
        cover=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -1)
        echo "held: ${runs:-0} runs, ${cover:-0} edges"
    else
        echo "FAILED"
        tail -40 "$log" >&2
        failed="$failed $target"
    fi
    # What a process that was ended left behind.
    find "$work" -mindepth 1 -maxdepth 1 -type d -exec rm -rf {} +
done
if [ -n "$failed" ]; then
    echo "failed:$failed; the inputs are in fuzz/artifacts" >&2
    exit 1
fi
