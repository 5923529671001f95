#!/bin/sh
# Runs further foreign clients that you have, against new virtual elements. TOUCHMARK_CLIENTS, or the argument, names a
# list of them, or a folder with lists; docs/clients.md says what stands in it and has worked entries.
#
#   scripts/clients.sh /path/to/clients.toml
#
# Prints `ran: NAME`, `FAILED: NAME: why` or `not run: NAME (reason)` for each, then how many there were of each, and ends
# with 1 if one failed.
set -eu
TOUCHMARK_CLIENTS="${1-${TOUCHMARK_CLIENTS-}}"
if [ -z "$TOUCHMARK_CLIENTS" ]; then
    echo "further clients: not run (docs/clients.md)"
    exit 0
fi
TOUCHMARK_CLIENTS=$(realpath "$TOUCHMARK_CLIENTS")
cd "$(dirname "$0")/.."
export TOUCHMARK_CLIENTS
# The library in the place of libpcsclite, and the test that runs the clients.
"${CARGO:-cargo}" build --release --locked --quiet -p touchmark-pcsclite
exec "${CARGO:-cargo}" test --release --locked --quiet -p touchmark-cli --test clients -- --nocapture further_clients
