"""The same candles, strategy and costs through backtesting.py: its speed, and its trades beside ours one by one.

backtest_peer.py CANDLES.csv: the file that `--write` of the bench wrote, with CANDLES.csv.trips beside it.
"""

import sys
import time
import warnings

import numpy as np
import pandas as pd
from backtesting import Backtest, Strategy

warnings.filterwarnings("ignore")


class Cross(Strategy):
    """Long 1 above, short 1 below; a tie changes nothing. Sums of whole cents, so that a tie is one."""

    def init(self):
        cents = np.round(np.asarray(self.data.Close) * 100).astype(np.int64)
        total = np.concatenate([[0], np.cumsum(cents)])
        fast, slow = np.zeros(len(cents), np.int64), np.zeros(len(cents), np.int64)
        fast[9:] = total[10:] - total[:-10]
        slow[29:] = total[30:] - total[:-30]
        side = np.sign(fast * 3 - slow)
        side[:29] = 0
        self.side = self.I(lambda: side, name="side")
        self.last = 0

    def next(self):
        side = self.side[-1]
        if side != 0 and side != self.last:
            self.last = side
            (self.buy if side > 0 else self.sell)(size=1)


def main(path):
    data = pd.read_csv(path)
    data.columns = ["time_ns", "Open", "High", "Low", "Close", "Volume"]
    times = data.pop("time_ns").to_numpy()
    data.index = pd.to_datetime(times)
    run = Backtest(data, Cross, cash=1e8, commission=0.0001, exclusive_orders=True, finalize_trades=False)
    begin = time.perf_counter()
    result = run.run()
    elapsed = time.perf_counter() - begin
    print(f"backtesting.py, candles: {len(data) / elapsed / 1e6:.3f} M/s")

    theirs = result["_trades"].sort_values(["EntryBar", "ExitBar"]).reset_index(drop=True)
    ours = pd.read_csv(path + ".trips")
    different = abs(len(ours) - len(theirs))
    for mine, other in zip(ours.itertuples(), theirs.itertuples()):
        same = (
            mine.opened_ns == times[other.EntryBar]
            and mine.closed_ns == times[other.ExitBar]
            and (mine.direction == "Buy") == (other.Size > 0)
            and mine.size == abs(other.Size)
            and abs(mine.entry_price - other.EntryPrice) < 1e-6
            and abs(mine.exit_price - other.ExitPrice) < 1e-6
            and abs(mine.profit - other.PnL) < 1e-5
        )
        if not same:
            different += 1
            if different <= 5:
                print("  ours:  ", tuple(mine)[1:])
                print("  theirs:", tuple(other)[1:])
    print(f"trades: {len(ours)} ours, {len(theirs)} theirs, {different} different")
    sys.exit(different > 0)


main(sys.argv[1])
