# Touchmark. One build profile (release) for everything, so that nothing is compiled twice.

CARGO ?= cargo
# Passed on to the demonstration: `make demo ARGS=--exit` ends by itself.
ARGS ?=
# `make bench-monitor`: how many identities the file has.
DEVICES ?= 1000000
# `make fuzz`: seconds for each target, and which; none named means all.
SECONDS ?= 20
TARGETS ?=
BINARY := $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),target)/release/touchmark

.PHONY: help build demo test lint bench bench-monitor fuzz supply-chain clean-demo
.DEFAULT_GOAL := help

help: ## what there is
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS='	' read -r name says; do printf '%-14s %s\n' "$$name" "$$says"; done

build: ## the one binary, target/release/touchmark
	$(CARGO) build --release --locked -p touchmark-cli

demo: ## the demonstration; ARGS=--exit ends by itself
	@scripts/install-packages.sh demo
	$(CARGO) build --release --locked -p touchmark-cli
	$(BINARY) lab demo $(ARGS)

# The tests come last, so that their summary line closes the output.
test: export TOUCHMARK_REQUIRE_PEERS = 1
test: ## everything that must hold: format, lints, documentation, fuzzing for a moment, tests
	@scripts/install-packages.sh test
	@$(MAKE) --no-print-directory lint
	$(CARGO) test --release --doc --workspace --locked --quiet
	@SANITIZER=none scripts/fuzz.sh 4 keys
	@scripts/test.sh

lint: ## format, clippy, documentation
	$(CARGO) fmt --all --check
	$(CARGO) fmt --manifest-path fuzz/Cargo.toml --check
	$(CARGO) fmt --manifest-path peers/Cargo.toml --all --check
	$(CARGO) clippy --release --workspace --all-targets --locked --quiet -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release --workspace --no-deps --locked --quiet

bench: ## measured unit costs beside those of foreign programs, as a table
	@scripts/bench.sh

bench-monitor: build ## events a second beside DuckDB and Flink on the same file; DEVICES (1000000)
	@scripts/bench-monitor.sh $(DEVICES)

fuzz: ## every parser of foreign bytes; SECONDS for each target (20), TARGETS to choose
	@scripts/fuzz.sh $(SECONDS) $(TARGETS)

supply-chain: ## dependencies: duplicates, bans, licences, sources
	@scripts/ensure-tool.sh cargo-deny
	$(CARGO) deny --locked check bans licenses sources

clean-demo: ## removes what the demonstration and the tour left
	rm -rf demo-data tour
