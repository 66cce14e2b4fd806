#!/usr/bin/env bash
# Every figure of docs/performance.md, in one run, release build. Peers run beside what they are compared with.
set -euo pipefail
cd "$(dirname "$0")/.."
target="${CARGO_TARGET_DIR:-target}"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
title() { printf '\n== %s\n' "$*"; }

echo "machine: $(nproc) cores, $(uname -sr), commit $(git rev-parse --short HEAD)"
cargo build --workspace --release --quiet
cargo build --workspace --release --quiet --examples

title "aggregator: ticks/s on one thread, dedup and seven intervals"
cargo bench --quiet -p stream --bench aggregate

title "event log: append and read"
cargo bench --quiet -p eventlog --bench append

title "lake: appends beside pyiceberg, same rows and schema"
cargo bench --quiet -p lake --bench append -- --keep "$work/lake"
"$DEXORDER_PYTHON" lake/benches/append_pyiceberg.py "$work/lake"

title "lake: candles for a page"
cargo bench --quiet -p lake --bench query

title "tick in → WebSocket out, 50 clients"
"$target/release/examples/ws_latency" --clients 50

title "idle platform: resident memory after 30 s without venues"
"$target/release/dexorder" --log error up --venues none --data-dir "$work/idle" --listen 127.0.0.1:0 \
  --config testkit/any-ports.yaml >"$work/out" &
pid=$!
sleep 30
grep -E 'VmRSS|VmHWM' "/proc/$pid/status"
kill "$pid"
wait "$pid"
