"""Every fill of ours beside NautilusTrader's: each difference is named, counted and shown by example; unnamed ones fail.

explain.py CANDLES.csv MODE: reads CANDLES.csv.fills and CANDLES.csv.nautilus-MODE.
"""

import sys
from collections import defaultdict
from decimal import Decimal

import numpy as np
import pandas as pd

FAST, SLOW = 10, 30
MINUTE_NS = 60_000_000_000


def read(path):
    rows = pd.read_csv(path, dtype={"size": str, "price": str})
    return {
        (row.time_ns, row.direction): (Decimal(row.size), Decimal(row.price)) for row in rows.itertuples(index=False)
    }


def sides(fills, ends):
    """+1 or -1 after the decision at each candle's end; the market was traded at that time."""
    decided = np.zeros(len(ends), np.int64)
    for time, direction in fills:
        at = np.searchsorted(ends, time)
        if at < len(ends) and ends[at] == time:
            decided[at] = 1 if direction == "Buy" else -1
    last = np.maximum.accumulate(np.where(decided != 0, np.arange(len(ends)), 0))
    return decided[last]


def stands(cents):
    """Fast to slow average, exactly, and in floats as a plain mean of the window."""
    total = np.concatenate([[0], np.cumsum(cents)])
    exact, rounded = np.zeros(len(cents), np.int64), np.zeros(len(cents), np.int64)
    fast, slow = total[SLOW:] - total[SLOW - FAST : -FAST], total[SLOW:] - total[:-SLOW]
    exact[SLOW - 1 :] = np.sign(fast * SLOW - slow * FAST)
    closes = cents / 100
    near = np.flatnonzero(np.abs(fast * SLOW - slow * FAST) <= 1) + SLOW - 1
    rounded[:] = exact
    for at in near:
        means = [sum(closes[at + 1 - n : at + 1].tolist()) / n for n in (FAST, SLOW)]
        rounded[at] = np.sign(means[0] - means[1])
    return exact, rounded


def name(at, mine, theirs, exact, rounded):
    """Why two engines hold different sides after the decision at a candle at which they still held the same before."""
    if exact[at] == 0:
        if rounded[at] == 0:
            return "tie: equal averages count as above there, change nothing here"
        return "tie that floats do not see: the averages are equal, their floats are not"
    if rounded[at] != exact[at]:
        return "rounding: the averages differ by less than their floats show"
    return None


def main(path, mode):
    candles = pd.read_csv(path, usecols=["time_ns", "open", "close"])
    ends = candles.time_ns.to_numpy() + MINUTE_NS
    cents = np.round(candles.close.to_numpy() * 100).astype(np.int64)
    opens = np.round(candles.open.to_numpy() * 100).astype(np.int64)
    ours, theirs = read(path + ".fills"), read(f"{path}.nautilus-{mode}")
    exact, rounded = stands(cents)
    mine, other = sides(ours, ends), sides(theirs, ends)
    found = defaultdict(list)

    differ = mine != other
    before = np.concatenate([[False], differ[:-1]])
    reasons, reason = {}, None
    for at in np.flatnonzero(differ | before):
        if differ[at] and not before[at]:
            reason = name(at, mine[at], other[at], exact, rounded)
        reasons[at] = reason

    for key in sorted(ours.keys() ^ theirs.keys()):
        at = int(np.searchsorted(ends, key[0]))
        whose = "only ours" if key in ours else "only theirs"
        if at == len(ends) - 1 and key in theirs:
            found["the last candle: no candle after it fills the order here"].append((whose, *key))
        else:
            found[reasons.get(at) or "unexplained"].append((whose, *key))
    for key in sorted(ours.keys() & theirs.keys()):
        at = int(np.searchsorted(ends, key[0]))
        (size, price), (their_size, their_price) = ours[key], theirs[key]
        if price != their_price:
            gap = their_price * 100 == cents[at] and price * 100 == opens[at + 1]
            reason = "price: filled at the close of the candle there, at the next open here" if gap else "unexplained"
            found[reason].append((key, price, their_price))
        if size != their_size:
            found["unexplained"].append((key, size, their_size))

    ties = int((exact[SLOW - 1 :] == 0).sum())
    print(f"NautilusTrader, {mode}: {len(ours)} fills of ours, {len(theirs)} of theirs, {ties} ties in the data")
    print(f"  the same time, side, size and price: {len(ours.keys() & theirs.keys()) - sum(len(v) for k, v in found.items() if k.startswith('price'))}")
    for reason, cases in sorted(found.items()):
        print(f"  {reason}: {len(cases)}")
        for case in cases[:3]:
            print("    ", *case)
    sys.exit(1 if found.get("unexplained") else 0)


main(*sys.argv[1:])
