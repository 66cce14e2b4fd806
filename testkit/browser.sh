#!/usr/bin/env bash
# Starts the platform with the simulated market and lets a real browser use the page: the market, then what a person does in the first
# minutes, then, against a server that misbehaves, what must not go wrong.
# usage: browser.sh DEXORDER [SCREENSHOT_DIR]
set -euo pipefail
root="$(cd "$(dirname "$0")/.." && pwd)"
dexorder="$(realpath "$1")"
shots="${2:-}"
work="$(mktemp -d)"
: >"$work/out" # read below, perhaps before the platform was started
"$dexorder" up --data-dir "$work/data" --listen 127.0.0.1:0 --venues sim --config "$root/testkit/any-ports.yaml" \
  >"$work/out" 2>"$work/log" &
pid=$!
trap 'kill "$pid" 2>/dev/null; wait "$pid" 2>/dev/null; rm -rf "$work"' EXIT

# `up` prints the address when the page answers, and then the link.
link=""
while [ -z "$link" ]; do
  kill -0 "$pid" 2>/dev/null || { cat "$work/log" >&2; echo "the platform ended before it was up" >&2; exit 1; }
  url="$(sed -n 's/^page: *//p' "$work/out")"
  link="$(sed -n 's/^login: *//p' "$work/out")"
  [ -n "$link" ] || read -rt 0.2 <> <(:) || true
done
cd "$root/gateway/web"
node tests/browser.mjs "$url" $shots || { tail -50 "$work/log" >&2; exit 1; }
node tests/journey.mjs "$url" "$link" ${shots:+--screenshots "$shots"} || { tail -50 "$work/log" >&2; exit 1; }
node tests/journey.mjs
