"""The same candles and costs through vectorbt: one SMA cross of 10 and 30, and a sweep of 1 000.

vectorbt_peer.py CANDLES.csv one|sweep

Everything is compiled by a small run first. The sweep gets the first 100 000 candles, 100 columns at a time: more would not
fit into memory, and it is not slower by that.
"""

import resource
import sys
import time

import numpy as np
import pandas as pd
import vectorbt as vbt

GRID = [(fast, 45 + 5 * step) for fast in range(2, 42) for step in range(25)]
SWEEP = 100_000
COLUMNS = 100


def portfolio(close, fasts, slows):
    """Always 1 long or short, decided and filled at the close: the next open is the same price in these data."""
    fast = vbt.MA.run(close, fasts, per_column=False).ma.to_numpy()
    slow = vbt.MA.run(close, slows, per_column=False).ma.to_numpy()
    return vbt.Portfolio.from_signals(
        close,
        entries=fast > slow,
        short_entries=fast < slow,
        size=1,
        fees=0.0001,
        init_cash=1e8,
        freq="1min",
    )


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def one(path, close, trips):
    begin = time.perf_counter()
    result = portfolio(close, 10, 30)
    end = result.total_return()
    rate = len(close) / (time.perf_counter() - begin) / 1e6
    print(f"vectorbt, one: {rate:.3f} M candles/s, return {float(np.ravel(end)[0]):.6f}, peak {peak():.0f} MB")
    theirs = result.trades.records
    theirs = theirs[theirs.status == 1]
    ours = pd.read_csv(trips)
    mine = set(zip(ours.opened_ns, ours.closed_ns, ours.entry_price.round(2), ours.exit_price.round(2)))
    times = pd.read_csv(path, usecols=["time_ns"]).time_ns.to_numpy() + 60_000_000_000
    other = set(
        zip(
            times[theirs.entry_idx],
            times[theirs.exit_idx],
            theirs.entry_price.round(2),
            theirs.exit_price.round(2),
        )
    )
    print(f"trades: {len(mine)} ours, {len(other)} vectorbt's, {len(mine - other)} of ours are not among its own")


def sweep(close):
    begin = time.perf_counter()
    returns = []
    for at in range(0, len(GRID), COLUMNS):
        part = GRID[at : at + COLUMNS]
        result = portfolio(close, [fast for fast, _ in part], [slow for _, slow in part])
        returns.append(np.asarray(result.total_return()))
    rate = len(close) * len(GRID) / (time.perf_counter() - begin) / 1e6
    best = np.concatenate(returns).max()
    print(f"vectorbt, sweep: {rate:.2f} M candle-combinations/s, best return {best:.6f}, peak {peak():.0f} MB")


def main(path, mode):
    close = pd.read_csv(path).close.astype(float)
    small = close[:1000]
    portfolio(small, 10, 30).total_return()
    portfolio(small, [10, 11], [30, 31]).total_return()
    if mode == "one":
        one(path, close, path + ".trips")
    else:
        sweep(close[:SWEEP])


main(*sys.argv[1:])
