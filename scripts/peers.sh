#!/bin/sh
# Builds the foreign clients of the tests: the workspace `peers`, which has its own Cargo.lock (docs/adr/0013). It is
# not rebuilt when nothing changed. Their programs lie in peers/target/release; TOUCHMARK_PEERS_TARGET names another
# folder in the place of peers/target.
#
# Where something does not build (no network for the crates, a library missing), the tests that need it say so and are
# skipped; with TOUCHMARK_REQUIRE_PEERS=1 this script ends with 1.
set -u
cd "$(dirname "$0")/../peers" || exit 1

target="${TOUCHMARK_PEERS_TARGET:-target}"
if ! CARGO_TARGET_DIR="$target" "${CARGO:-cargo}" build --release --locked --keep-going --quiet; then
    echo "not all foreign clients of the tests could be built (workspace peers)" >&2
    [ "${TOUCHMARK_REQUIRE_PEERS:-0}" = 1 ] && exit 1
fi
exit 0
