#!/bin/sh
# Builds the foreign clients (scripts/peers.sh), then runs all tests, with cargo-nextest where it can be had, else with
# cargo itself.
set -eu
cd "$(dirname "$0")/.."
scripts/peers.sh
[ -n "${TOUCHMARK_CLIENTS-}" ] || echo "further clients: not run (docs/clients.md)" >&2
if scripts/ensure-tool.sh cargo-nextest; then
    exec cargo nextest run --release --workspace --locked --no-fail-fast
fi
echo "cargo-nextest cannot be installed; using cargo test" >&2
# Peers that share a machine's ports and memory run beside each other under nextest, which limits them; here one test
# at a time does.
exec cargo test --release --workspace --locked --no-fail-fast --lib --bins --tests -- --test-threads=1
