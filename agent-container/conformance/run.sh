#!/usr/bin/env bash
# The MCP server seen from outside: the conformance suite's generic scenarios on both revisions, the inspector, the token
# count of the tool list. Argument: the dexorder program. Needs Node 22, which npm installs here.
set -euo pipefail
program="$(realpath "$1")"
cd "$(dirname "$0")"
[ -x node_modules/.bin/conformance ] || npm install --no-audit --no-fund --silent
node="$PWD/node_modules/.bin/node"
work="$(mktemp -d)"
pids=()
stop() { for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done; wait 2>/dev/null || true; rm -rf "$work"; }
trap stop EXIT
free_port() { "$node" -e 'const s=require("net").createServer().listen(0,"127.0.0.1",()=>{console.log(s.address().port);s.close()})'; }

port="$(free_port)" front="$(free_port)" publish="$(free_port)"
: >"$work/agent"; : >"$work/proxy"
"$program" --log warn agent --data-dir "$work/data" --listen "127.0.0.1:$port" --publish "127.0.0.1:$publish" \
  --gateway "http://127.0.0.1:1" --python "${DEXORDER_PYTHON:-python3}" >"$work/agent" 2>"$work/agent.err" </dev/null &
pids+=($!)
ready() { until grep -q '^ready' "$1"; do kill -0 "$2" || { cat "$1"* >&2; exit 1; }; done; }
ready "$work/agent" "${pids[0]}"
MCP_TOKEN="$(sed -n 's/^token: //p' "$work/agent")"; export MCP_TOKEN
"$node" proxy.mjs "$front" "$port" >"$work/proxy" </dev/null &
pids+=($!)
ready "$work/proxy" "${pids[1]}"
url="http://localhost:$front/mcp"

failed=0
scenario() { # scenario REVISION NAME
  rm -rf "$work/results"
  "$node" node_modules/.bin/conformance server --url "$url" --scenario "$2" --spec-version "$1" --output-dir "$work/results" \
    >"$work/out" 2>&1 </dev/null || true
  "$node" verdict.mjs "$work/results" "$1 $2" || failed=1
}
for name in server-initialize server-session-lifecycle ping tools-list resources-list prompts-list \
  dns-rebinding-protection server-sse-multiple-streams; do
  scenario 2025-11-25 "$name"
done
for name in server-stateless tools-list resources-list prompts-list dns-rebinding-protection caching http-header-validation \
  sep-2164-resource-not-found server-sse-multiple-streams; do
  scenario 2026-07-28 "$name"
done

inspect() { "$node" node_modules/.bin/mcp-inspector --cli "$url" --transport http "$@" </dev/null; }
inspect --method tools/list >"$work/tools"
"$node" tokens.mjs 3000 <"$work/tools" || failed=1
inspect --method resources/list | grep -q 'context://user-profile' && echo "ok    inspector resources/list"
inspect --method tools/call --tool-name get_watchlist | grep -q 'symbols' && echo "ok    inspector tools/call"
exit "$failed"
