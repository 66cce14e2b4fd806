#!/usr/bin/env bash
# The MCP server beside FastMCP and the official Python SDK: the same light tool, the same client, one after the other.
set -euo pipefail
cd "$(dirname "$0")/../.."
target="${CARGO_TARGET_DIR:-target}"
python="${DEXORDER_PYTHON:-$PWD/.venv/bin/python}"
seconds="${SECONDS_EACH:-4}"
work="$(mktemp -d)"
pids=()
stop() { for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done; rm -rf "$work"; }
trap stop EXIT
cargo build --quiet --workspace --release --bin dexorder-agent
cargo bench --quiet --workspace --bench mcp_load --no-run --message-format=json >"$work/built"
load="$(sed -n 's/.*"name":"mcp_load".*"executable":"\([^"]*\)".*/\1/p' "$work/built" | tail -1)"
echo "machine: $(nproc) cores, $(uname -sr), commit $(git rev-parse --short HEAD), load $(cut -d' ' -f1 /proc/loadavg)"

answers() { until "$load" "$@" 1 0 ${token:+"$token"} >/dev/null 2>&1; do :; done; }
memory() { awk '/VmRSS/{printf "%.1f MB", $2/1024}' "/proc/$1/status"; }
measure() { # measure NAME PID URL
  echo "$1: $(memory "$2") after the first call, then:"
  for clients in 1 50; do echo "  $("$load" "$3" get_watchlist "$clients" "$seconds" ${token:+"$token"})"; done
  echo "  $(memory "$2") after"
  kill "$2"; wait "$2" 2>/dev/null || true
}

begun="$(date +%s%N)"
"$target/release/dexorder-agent" --log error --data-dir "$work/data" --listen 127.0.0.1:28100 --publish 127.0.0.1:28101 \
  --gateway http://127.0.0.1:28102 --python "$python" >"$work/agent" 2>&1 &
pids+=($!)
until grep -q '^ready' "$work/agent" 2>/dev/null; do :; done
token="$(sed -n 's/^token: //p' "$work/agent")"
idle="$(memory "${pids[0]}")"
answers http://127.0.0.1:28100/mcp get_watchlist
echo "dexorder agent: start to first answer, new data directory, $(( ($(date +%s%N) - begun) / 1000000 )) ms; idle $idle"
measure "dexorder agent" "${pids[0]}" http://127.0.0.1:28100/mcp
token=
port=28110
for kind in fastmcp sdk; do
  "$python" agent-container/benches/fastmcp_server.py "$kind" "$port" >"$work/$kind" 2>&1 &
  pids+=($!)
  answers "http://127.0.0.1:$port/mcp" get_watchlist
  measure "$kind" "${pids[-1]}" "http://127.0.0.1:$port/mcp"
  port=$((port + 1))
done
