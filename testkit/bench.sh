#!/usr/bin/env bash
# Every figure of docs/performance.md, in one run, release build. Peers run beside what they are compared with.
set -euo pipefail
cd "$(dirname "$0")/.."
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
title() { printf '\n== %s\n' "$*"; }

echo "machine: $(nproc) cores, $(uname -sr), commit $(git rev-parse --short HEAD)"
# The whole workspace each time, so that every part has the same dependencies.
cargo bench --quiet --workspace --bench aggregate --bench append --bench query --no-run --message-format=json >"$work/built"
cargo build --quiet --workspace --release --example ws_latency --bin dexorder --message-format=json >>"$work/built"
built() { # built PACKAGE TARGET: the executable
  python3 - "$work/built" "$1" "$2" <<'PY'
import json, sys
path, package, target = sys.argv[1:]
for line in open(path):
    built = json.loads(line)
    if built.get("executable") and built["target"]["name"] == target and f"/{package}#" in built["package_id"]:
        print(built["executable"])
PY
}

title "aggregator: ticks/s on one thread, dedup and seven intervals"
(cd stream && "$(built stream aggregate)")

title "event log: append and read"
(cd eventlog && "$(built eventlog append)")

title "lake: appends beside pyiceberg, same rows and schema"
(cd lake && "$(built lake append)" --keep "$work/lake")
"$DEXORDER_PYTHON" lake/benches/append_pyiceberg.py "$work/lake"

title "lake: candles for a page"
(cd lake && "$(built lake query)")

title "tick in → WebSocket out, 50 clients, 1000 ticks/s: publisher → gateway → clients"
"$(built gateway ws_latency)" --clients 50

title "idle platform: resident memory after 30 s without venues"
"$(built dexorder dexorder)" --log error up --venues none --data-dir "$work/idle" --listen 127.0.0.1:0 \
  --config testkit/any-ports.yaml >"$work/out" &
pid=$!
sleep 30
grep -E 'VmRSS|VmHWM' "/proc/$pid/status"

title "the same through the whole platform: publisher → relay → gateway → clients"
publishers="$(sed -nE 's/^relay:.* publishers=(\S+).*/\1/p' "$work/out")"
page="$(sed -nE 's|^page: *http://||p' "$work/out")"
"$(built gateway ws_latency)" --clients 50 --publish "$publishers" --ws "$page"
kill "$pid"
wait "$pid"
