#!/usr/bin/env bash
# The backtest engine beside backtesting.py: same candles, strategy and costs; fails if a trade differs.
set -euo pipefail
cd "$(dirname "$0")/../.."
work="${CARGO_TARGET_DIR:-target}/bench-backtest"
mkdir -p "$work"
if [ ! -e "$work/venv/ready" ]; then
  python3 -m venv "$work/venv"
  "$work/venv/bin/pip" install --quiet backtesting==0.6.5 pandas==3.1.1 numpy==2.4.6
  touch "$work/venv/ready"
fi
work="$(realpath "$work")"
cargo bench --quiet --workspace --bench backtest -- --write "$work/candles.csv"
"$work/venv/bin/python" trading/benches/backtest_peer.py "$work/candles.csv"
