#!/usr/bin/env bash
# Builds and runs the bench; arguments are passed on (`--quick`, `--only TEXT`, `--help`).
set -euo pipefail
cd "$(dirname "$0")"
for need in nats-server pkg-config g++; do
  command -v "$need" >/dev/null || { echo "$need is missing: make setup-bench"; exit 1; }
done
pkg-config --exists libzmq || { echo "libzmq3-dev is missing: make setup-bench"; exit 1; }
cargo build --release --quiet
echo "machine: $(nproc) cores ($(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2 | xargs)), $(uname -sr)"
echo "commit: $(git rev-parse --short HEAD)$(git diff --quiet HEAD -- .. ../../zmtp || echo ' with changes')," \
  "libzmq $(pkg-config --modversion libzmq), $(nats-server --version), load $(cut -d' ' -f1 /proc/loadavg)"
exec "${CARGO_TARGET_DIR:-target}/release/relay-bench" "$@"
