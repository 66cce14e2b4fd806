#!/usr/bin/env python3
"""Candles/s of an SMA cross of 10 and 30 in Python on a million candles, as callback and as vector.

strategy.py MODULE [--candles N] [--runs N]: the built libagent_python.so (release). Budget: 340 k candles/s for the callback form,
ten times NautilusTrader's 34 k on the same machine. Prints one line for each form and the peak memory; with --runs it does so
many runs in this process and prints the memory before and after. Needs numpy and pyarrow; candles are made by another process, so that
the memory is that of the runs.
"""

import argparse
import importlib.util
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.machinery import ExtensionFileLoader

MINUTE = 60_000_000_000
START = 1_700_000_040_000_000_000

CALLBACK = """
import dexorder

class Cross(dexorder.Strategy):
    def start(self):
        self.fast, self.slow = dexorder.Sma(10), dexorder.Sma(30)

    def on_candle(self, candle):
        fast, slow = self.fast.update(candle), self.slow.update(candle)
        if slow is not None and fast != slow:
            self.target(0.9 if fast > slow else -0.9)
"""
VECTOR = """
import dexorder
import numpy as np

def targets(candles):
    fast, slow = dexorder.sma(candles, 10), dexorder.sma(candles, 30)
    return np.where(fast > slow, 0.9, np.where(fast < slow, -0.9, np.nan))
"""


def load(path):
    loader = ExtensionFileLoader("dexorder", path)
    spec = importlib.util.spec_from_file_location("dexorder", path, loader=loader)
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def generate(count):
    """The walk of trading/benches/backtest.rs, in cents (splitmix64)."""
    import numpy as np

    mask, state = 2**64 - 1, 42

    def random(below):
        nonlocal state
        state = (state + 0x9E3779B97F4A7C15) & mask
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        return ((z ^ (z >> 31)) >> 33) % below

    rows, close = np.empty((count, 5), np.int64), 6_000_000
    for at in range(count):
        open_ = close
        # Rust divides towards zero.
        pull = 6_000_000 - open_
        close = open_ + random(6001) - 3000 + (pull // 4096 if pull >= 0 else -(-pull // 4096))
        rows[at] = open_, max(open_, close) + random(1000), min(open_, close) - random(1000), close, 1000 + random(100_000)
    return rows


def decimals(cents):
    import numpy as np
    import pyarrow as pa

    words = np.zeros((len(cents), 2), np.int64)
    words[:, 0] = cents
    return pa.Array.from_buffers(pa.decimal128(38, 2), len(cents), [None, pa.py_buffer(words.tobytes())])


def write(path, rows):
    import numpy as np
    import pyarrow as pa

    times = pa.array(START + np.arange(len(rows)) * MINUTE)
    names = ["open_time", "open", "high", "low", "close", "volume"]
    batch = pa.record_batch([times, *[decimals(rows[:, at].copy()) for at in range(5)]], names=names)
    with pa.ipc.new_stream(path, batch.schema) as stream:
        for at in range(0, len(rows), 65_536):
            stream.write_batch(batch.slice(at, 65_536))


def job(source, path):
    terms = {"cash": "100000000", "taker_fee": "0.0001", "lot_size": "0.000001", "shorting": True}
    data = {"path": path, "interval_ns": MINUTE}
    return json.dumps({"kind": "backtest", "strategy": {"source": source}, "data": data, "terms": terms})


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def measure(module, name, source, path, count):
    seconds = []
    for _ in range(5):
        begin = time.perf_counter()
        answer = module._run_job(job(source, path))
        seconds.append(time.perf_counter() - begin)
    document = json.loads(answer)["document"]
    rate = count / statistics.median(seconds) / 1e6
    summary = document["summary"]
    print(f"candles, Python {name}: {rate:.2f} M/s (reading the file and writing the report included), "
          f"{summary['fills']} fills, {summary['round_trips']} trips, end {float(summary['end_equity']):.2f}")
    return {key: document[key] for key in ("summary", "statistics", "curve", "fills")}


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("module")
    arguments.add_argument("--candles", type=int, default=1_000_000)
    arguments.add_argument("--runs", type=int, default=0)
    arguments.add_argument("--write", help="only write the candles to this file, and 2 000 of them to FILE.few")
    wanted = arguments.parse_args()
    if wanted.write:
        rows = generate(wanted.candles)
        write(wanted.write, rows)
        write(wanted.write + ".few", rows[:2000])
        return
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "candles.arrow")
        size = ["--candles", str(wanted.candles)]
        subprocess.run([sys.executable, __file__, wanted.module, *size, "--write", path], check=True)
        module = load(wanted.module)
        by_candle = measure(module, "callback", CALLBACK, path, wanted.candles)
        vector = measure(module, "vector", VECTOR, path, wanted.candles)
        if by_candle != vector:
            sys.exit("the two forms differ")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        print(f"memory: {peak:.0f} MB at most")
        if wanted.runs:
            for at in range(wanted.runs + 100):
                if at == 100:
                    before = resident()
                module._run_job(job(CALLBACK, path + ".few"))
            print(f"{wanted.runs} runs in one process: {before:.1f} MB before, {resident():.1f} MB after")


main()
