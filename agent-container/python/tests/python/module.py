"""Loads the built module, writes market data and runs jobs: what the tests share."""

import importlib.util
import json
import os
import sys
import tempfile
from decimal import Decimal
from importlib.machinery import ExtensionFileLoader

import pyarrow as pa

MINUTE = 60_000_000_000
START = 1_700_000_040_000_000_000


def load():
    path = os.environ["DEXORDER_MODULE"]
    loader = ExtensionFileLoader("dexorder", path)
    spec = importlib.util.spec_from_file_location("dexorder", path, loader=loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules["dexorder"] = module
    loader.exec_module(module)
    return module


dexorder = load()
directory = tempfile.TemporaryDirectory()


def write(name, schema, columns, batches=1):
    path = os.path.join(directory.name, name)
    rows = len(columns[0])
    step = max(1, -(-rows // batches))
    with pa.ipc.new_stream(path, schema) as stream:
        for at in range(0, rows, step):
            part = [pa.array(column[at : at + step], field.type) for column, field in zip(columns, schema)]
            stream.write_batch(pa.record_batch(part, schema=schema))
    return path


DECIMAL = pa.decimal128(38, 18)
CANDLES = pa.schema(
    [("open_time", pa.timestamp("ns", "UTC"))] + [(name, DECIMAL) for name in ("open", "high", "low", "close", "volume")]
)
TICKS = pa.schema([("time", pa.int64()), ("price", DECIMAL), ("size", DECIMAL)])


def candles(rows, name="candles.arrow", batches=2, volume="10"):
    """Rows of open, high, low, close as text; one minute each."""
    times = [START + at * MINUTE for at in range(len(rows))]
    columns = [[Decimal(row[at]) for row in rows] for at in range(4)]
    volumes = [Decimal(volume)] * len(rows)
    return write(name, CANDLES, [times, *columns, volumes], batches)


def ticks(rows, name="ticks.arrow"):
    """Rows of price and size as text; one second apart."""
    times = [START + at * 1_000_000_000 for at in range(len(rows))]
    return write(name, TICKS, [times, [Decimal(r[0]) for r in rows], [Decimal(r[1]) for r in rows]], 2)


def walk(count, seed=42, step=600, name="walk.arrow"):
    """A reproducible walk in cents (splitmix64), coarse enough for averages to tie."""
    state = seed

    def random(below):
        nonlocal state
        state = (state + 0x9E3779B97F4A7C15) & (2**64 - 1)
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & (2**64 - 1)
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & (2**64 - 1)
        return ((z ^ (z >> 31)) >> 33) % below

    rows, close = [], 6_000_000
    for _ in range(count):
        open_ = close
        close = open_ + random(2 * step + 1) - step
        high, low = max(open_, close) + random(100), min(open_, close) - random(100)
        rows.append([str(Decimal(cents) / 100) for cents in (open_, high, low, close)])
    return candles(rows, name, 3)


def job(source, path, **more):
    """A backtest job; `more` overrides parts of it."""
    data = {"path": path, "interval_ns": MINUTE, "market": "SIM BTC/USDT"}
    whole = {"kind": "backtest", "strategy": {"source": source}, "data": data, "terms": {"cash": "1000", "shorting": True}}
    whole.update(more)
    return whole


def ask(whole, progress=None):
    return json.loads(dexorder._run_job(json.dumps(whole), progress))


def run(source, path, **more):
    """The document of a backtest."""
    answer = ask(job(source, path, **more))
    if answer["kind"] != "backtest":
        raise AssertionError(answer)
    return answer["document"]


def error(source, path, **more):
    """The error of a backtest that must fail."""
    answer = ask(job(source, path, **more))
    if answer["kind"] != "error":
        raise AssertionError(f"no error: {answer['document']['summary']}")
    return answer["error"]
