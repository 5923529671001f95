#!/bin/sh
# Runs the fuzz targets, each for some seconds: `scripts/fuzz.sh SECONDS [TARGET...]`, all of them when none is named;
# `keys` stands for those of key stores and evidence.
#
# cargo-fuzz wants a nightly toolchain for its coverage counters and the address sanitizer. Without one the targets are
# built by the installed compiler without the sanitizer; coverage still guides them.
# Inputs that were found are kept in fuzz/corpus, failures in fuzz/artifacts, what each target printed in fuzz/target/logs; they
# stay out of the repository.
set -eu
cd "$(dirname "$0")/.."
seconds="${1:?seconds for each target}"
shift
case "$seconds" in
    '' | *[!0-9]*) echo "usage: $0 SECONDS [TARGET...]" >&2; exit 2 ;;
esac
keys="apdu tlv_se05x scp03_unwrap t1_frames element_apdus element_driver tpm_structures tpm_answers tpm_event_log
    evidence_cbor evidence_envelope attest_chain attest_element attest_tpm key_assurance_der"
test "$*" != keys || set -- $keys
scripts/ensure-tool.sh cargo-fuzz

if cargo +nightly --version >/dev/null 2>&1; then
    fuzz() { cargo +nightly fuzz "$@"; }
    sanitizer=address
else
    echo "no nightly toolchain: fuzzing without the address sanitizer" >&2
    export RUSTC_BOOTSTRAP=1
    fuzz() { cargo fuzz "$@"; }
    sanitizer=none
fi
target_dir="${CARGO_TARGET_DIR:-fuzz/target}"
mkdir -p "$target_dir"
target_dir=$(cd "$target_dir" && pwd)

# Elements and key stores write through to their medium at each step; in memory that costs nothing.
memory=/dev/shm
test -w "$memory" || memory="${TMPDIR:-/tmp}"
work=$(mktemp -d -p "$memory" touchmark-fuzz.XXXXXX)
trap 'rm -rf "$work"' EXIT
trap 'exit 4' INT TERM
export TMPDIR="$work"

CARGO_TARGET_DIR="$target_dir" cargo run --quiet --release --locked --manifest-path fuzz/Cargo.toml --example seeds fuzz/corpus
if [ "$#" -gt 0 ]; then
    for target in "$@"; do
        fuzz build "$target" --sanitizer "$sanitizer" --target-dir "$target_dir"
    done
else
    fuzz build --sanitizer "$sanitizer" --target-dir "$target_dir"
    set -- $(fuzz list)
fi
mkdir -p "$target_dir/logs"
failed=""
for target in "$@"; do
    printf '%-20s ' "$target"
    log="$target_dir/logs/$target.log"
    # An input that takes more than ten seconds, or two gigabytes, is a failure too.
    if fuzz run "$target" --sanitizer "$sanitizer" --target-dir "$target_dir" -- \
        -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 >"$log" 2>&1; then
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
