#!/bin/sh
# The harness beside LiteLLM's proxy, against the same model without latency, in the same run. Prints one line per measurement.
# LiteLLM goes into a venv of its own, $BENCH_VENV (default target/bench-litellm); without network and venv it is left out, and said so.
set -eu
cd "$(dirname "$0")/../../.."
dir=$(mktemp -d)
pids=""
cleanup() {
    for pid in $pids; do kill "$pid" 2>/dev/null || true; done
    rm -rf "$dir"
}
trap cleanup EXIT INT TERM
seconds=${BENCH_SECONDS:-10}
target=${CARGO_TARGET_DIR:-target}
venv=${BENCH_VENV:-$target/bench-litellm}

# BENCH_TURNS names a binary that is built already.
turns=${BENCH_TURNS:-}
if [ -z "$turns" ]; then
    cargo bench -p harness --bench turns --no-run
    turns=$(ls -t "$target"/release/deps/turns-* | grep -v '\.d$' | head -1)
fi

port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
wait_for() { # port
    for _ in $(seq 300); do
        if python3 -c "import socket; socket.create_connection(('127.0.0.1', $1), 1)" 2>/dev/null; then return; fi
        sleep 0.2
    done
    echo "nothing listens on port $1" >&2
    exit 1
}

model_port=$(port)
"$turns" model "$model_port" & model=$!
pids="$pids $model"
wait_for "$model_port"

harness() { # chunks; sets harness and harness_port
    harness_port=$(port)
    mkdir -p "$dir/$1"
    "$turns" harness "$harness_port" "$model_port" "$dir/$1" "$1" & harness=$!
    pids="$pids $harness"
    wait_for "$harness_port"
}

echo "machine: $(nproc) processors; $(uname -sr); commit $(git rev-parse --short HEAD 2>/dev/null || echo unknown)"
harness 1
"$turns" load "$harness_port" /turn 1 2 32 0 "$harness" >/dev/null
printf 'harness, saturated, 32 connections, 1 chunk: '; "$turns" load "$harness_port" /turn 1 "$seconds" 32 0 "$harness"
printf 'harness, 1 connection, 1 chunk:              '; "$turns" load "$harness_port" /turn 1 "$seconds" 1 0 "$harness"
printf 'harness, 1000 turns/s, 1 chunk:              '; "$turns" load "$harness_port" /turn 1 "$seconds" 16 1000 "$harness"
kill "$harness"
harness 201
printf 'harness, saturated, 32 connections, 201 chunks: '; "$turns" load "$harness_port" /turn 201 "$seconds" 32 0 "$harness"
kill "$harness"
printf 'model alone, 1000 turns/s, 1 chunk:          '; "$turns" load "$model_port" /v1/chat/completions 1 "$seconds" 16 1000 "$model"
echo "cost of a chunk: (processor time of a turn of 201 chunks - that of 1 chunk) / 200"

if [ ! -x "$venv/bin/litellm" ]; then
    python3 -m venv "$venv" && "$venv/bin/pip" install -q uv && "$venv/bin/uv" pip install -q --python "$venv/bin/python" 'litellm[proxy]' || {
        echo "left out: LiteLLM cannot be installed"
        exit 0
    }
fi
cat >"$dir/litellm.yaml" <<YAML
model_list:
  - model_name: chunks-1
    litellm_params: {model: openai/chunks-1, api_base: "http://127.0.0.1:$model_port/v1", api_key: x}
  - model_name: chunks-201
    litellm_params: {model: openai/chunks-201, api_base: "http://127.0.0.1:$model_port/v1", api_key: x}
YAML
litellm_port=$(port)
env LITELLM_LOG=ERROR LITELLM_LOCAL_MODEL_COST_MAP=True "$venv/bin/litellm" --config "$dir/litellm.yaml" --host 127.0.0.1 --port "$litellm_port" --telemetry False >"$dir/litellm.log" 2>&1 & litellm=$!
pids="$pids $litellm"
wait_for "$litellm_port"
"$turns" load "$litellm_port" /v1/chat/completions 1 3 4 0 "$litellm" >/dev/null
printf 'LiteLLM, saturated, 32 connections, 1 chunk: '; "$turns" load "$litellm_port" /v1/chat/completions 1 "$seconds" 32 0 "$litellm"
printf 'LiteLLM, 1 connection, 1 chunk:              '; "$turns" load "$litellm_port" /v1/chat/completions 1 "$seconds" 1 0 "$litellm"
printf 'LiteLLM, saturated, 32 connections, 201 chunks: '; "$turns" load "$litellm_port" /v1/chat/completions 201 "$seconds" 32 0 "$litellm"
