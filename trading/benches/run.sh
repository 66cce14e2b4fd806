#!/usr/bin/env bash
# The backtest engine beside backtesting.py, NautilusTrader and vectorbt: same candles, strategy and costs in one run. Fails if
# a trade differs and nothing explains it.
set -euo pipefail
cd "$(dirname "$0")/../.."
mkdir -p "${CARGO_TARGET_DIR:-target}/bench-backtest"
work="$(realpath "${CARGO_TARGET_DIR:-target}/bench-backtest")"
benches=trading/benches
candles="$work/candles.csv"

# One environment each: their pins exclude each other.
environment() {
  local name="$1"
  shift
  if [ ! -e "$work/$name/ready" ]; then
    python3 -m venv "$work/$name"
    "$work/$name/bin/pip" install --quiet --disable-pip-version-check uv
    "$work/$name/bin/uv" pip install --quiet --python "$work/$name/bin/python" "$@"
    touch "$work/$name/ready"
  fi
}
environment backtesting backtesting==0.6.5 pandas==3.1.1 numpy==2.4.6
environment nautilus nautilus_trader==1.221.0
environment vectorbt vectorbt==1.2.0

cargo bench --quiet -p trading --bench backtest --no-run
echo "machine: $(nproc) x $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1); commit $(git rev-parse --short HEAD); load $(cut -d' ' -f1-3 /proc/loadavg)"
bench() { cargo bench --quiet -p trading --bench backtest -- "$@"; }
bench one
bench forms
bench ticks
bench sweep
bench runs
bench write "$candles"

echo "--- peers"
"$work/backtesting/bin/python" $benches/backtest_peer.py "$candles"
for mode in candles strict; do
  "$work/nautilus/bin/python" $benches/nautilus_peer.py "$candles" $mode
  "$work/nautilus/bin/python" $benches/explain.py "$candles" $mode
done
"$work/nautilus/bin/python" $benches/nautilus_peer.py "$candles" ticks
"$work/vectorbt/bin/python" -W ignore $benches/vectorbt_peer.py "$candles" one
"$work/vectorbt/bin/python" -W ignore $benches/vectorbt_peer.py "$candles" sweep

# Strategies in Python: their module has a bench of its own; it needs numpy and pyarrow, which Nautilus brings.
strategies=agent-container/python/bench/strategy.py
if [ -e "$strategies" ]; then
  echo "--- Python strategies"
  cargo build --quiet -p agent-python --release
  "$work/nautilus/bin/python" "$strategies" "$(realpath "${CARGO_TARGET_DIR:-target}")/release/libagent_python.so" --runs 100
fi
