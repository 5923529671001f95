#!/bin/sh
# Makes sure that a cargo subcommand is there: `scripts/ensure-tool.sh cargo-nextest`. It is built, when it is
# missing, from the versions its authors locked.
set -eu
tool="$1"
if command -v "$tool" >/dev/null 2>&1; then
    exit 0
fi
echo "installing $tool with: cargo install --locked $tool (some minutes, once)" >&2
exec cargo install --locked "$tool" >&2
