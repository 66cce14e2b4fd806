# DexOrder. `make help` shows what there is.

SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON := .venv/bin/python
WEB := gateway/web
DATA ?= data
LISTEN ?= 127.0.0.1:3000
VENUES ?= auto
TARGET := $(or $(CARGO_TARGET_DIR),target)

export DEXORDER_PYTHON ?= $(CURDIR)/$(PYTHON)

.PHONY: help
help: ## Show this help
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F'\t' '{printf "  make %-12s %s\n", $$1, $$2}'

.PHONY: up
up: build ## Build everything and start the platform (DATA=dir LISTEN=addr VENUES=auto|live|sim|none)
	$(TARGET)/debug/dexorder up --data-dir $(DATA) --listen $(LISTEN) --venues $(VENUES)

.PHONY: build
build: $(WEB)/dist/.built ## Build the page and the dexorder command
	cargo build --workspace

.PHONY: test
test: lint test-rust test-web test-browser test-mcp ## Run every check: lints, Rust, page, browser

.PHONY: test-rust
test-rust: build .venv/.ready ## Rust tests (unit, interop, crash, whole platform; they start the programs that `build` makes)
	cargo test --workspace

.PHONY: test-web
test-web: $(WEB)/node_modules/.ready ## The page's own tests
	cd $(WEB) && npm run check && npm test

.PHONY: test-browser
test-browser: build .venv/.ready ## A real browser against the real platform
	testkit/browser.sh $(TARGET)/debug/dexorder

.PHONY: test-mcp
test-mcp: build .venv/.ready ## The MCP server against the conformance suite, the inspector and a tokenizer
	DEXORDER_PYTHON=$(CURDIR)/.venv/bin/python agent-container/conformance/run.sh $(TARGET)/debug/dexorder

.PHONY: lint
lint: $(WEB)/dist/.built ## Formatting, clippy, licences
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	@if command -v cargo-deny >/dev/null; then cargo deny check licenses bans sources; \
	else echo "left out: cargo-deny is not installed (cargo install cargo-deny --locked)"; fi

.PHONY: fmt
fmt: ## Format the code
	cargo fmt --all
	cd $(WEB) && npm run format

.PHONY: bench
bench: $(WEB)/dist/.built .venv/.ready ## Benchmarks against peers, release build
	testkit/bench.sh

.PHONY: bench-relay
bench-relay: ## The relay beside zmq_proxy, nats-server and the zeromq crate (ARGS=--quick; root once: make setup-bench)
	relay/bench-peers/run.sh $(ARGS)

.PHONY: bench-backtest
bench-backtest: ## The backtest engine beside backtesting.py, NautilusTrader and vectorbt, trade by trade
	trading/benches/run.sh

.PHONY: fuzz
fuzz: ## Fuzz what the relay's peers may send (SECONDS_EACH=1200; nightly and cargo-fuzz)
	relay/fuzz/run.sh $(or $(SECONDS_EACH),1200)

.PHONY: bench-mcp
bench-mcp: $(WEB)/dist/.built .venv/.ready ## The MCP server beside FastMCP and the official Python SDK, release build
	agent-container/benches/run.sh

.PHONY: setup-bench
setup-bench: ## Install the peers of bench-relay (root)
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
	  libzmq3-dev nats-server pkg-config g++ >/dev/null

.PHONY: setup
setup: ## Install what Debian packages provide (root)
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
	  ca-certificates chromium fonts-dejavu-core git make gcc libc6-dev pkg-config python3 python3-venv \
	  postgresql redis-server >/dev/null

.PHONY: clean
clean: ## Remove what was built (not the data)
	rm -rf .venv $(WEB)/dist $(WEB)/node_modules
	cargo clean

# The page: built once, and again when a source changed.
$(WEB)/node_modules/.ready: $(WEB)/package-lock.json
	cd $(WEB) && npm ci --no-audit --no-fund --loglevel=error
	touch $@

$(WEB)/dist/.built: $(WEB)/node_modules/.ready $(shell find $(WEB)/src $(WEB)/public -type f 2>/dev/null) \
    $(WEB)/index.html $(WEB)/vite.config.ts
	cd $(WEB) && npm run build --silent
	touch $@

# Python peers of the tests (pyzmq, pyiceberg, DuckDB).
.venv/.ready: testkit/requirements.txt
	python3 -m venv .venv
	.venv/bin/pip install -q --disable-pip-version-check uv
	.venv/bin/uv pip install -q --python $(PYTHON) -r $<
	touch $@
