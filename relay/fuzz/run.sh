#!/usr/bin/env bash
# Fuzzes each target for a while on top of the corpus in the repository. What is new goes to target/corpus; what crashes to
# artifacts. `run.sh SECONDS`; keep what is worth keeping with: cargo +nightly fuzz cmin.
set -euo pipefail
cd "$(dirname "$0")"
command -v cargo-fuzz >/dev/null || { echo "cargo-fuzz is not installed: cargo install cargo-fuzz --locked"; exit 1; }
for target in request_path frames greeting subscriptions commands; do
  mkdir -p "target/corpus/$target"
  cargo +nightly fuzz run --fuzz-dir . "$target" "target/corpus/$target" "corpus/$target" -- \
    -max_total_time="$1" -rss_limit_mb=1024 -timeout=10 -max_len=4096 -print_final_stats=1
done
