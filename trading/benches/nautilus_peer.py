"""The same candles, strategy and costs through NautilusTrader: its speed and memory, and its fills for `explain.py`.

nautilus_peer.py CANDLES.csv candles|strict|ticks [COUNT]

`candles`: the SMA cross as its own examples write it, the fast average above or equal to the slow one being long. `strict`:
a tie changes nothing, as with us. `ticks`: the open of each candle as a trade, an order every 1 000.
"""

import resource
import sys
import time
from decimal import Decimal

import numpy as np
import pandas as pd
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.config import LoggingConfig, RiskEngineConfig
from nautilus_trader.indicators import SimpleMovingAverage
from nautilus_trader.model.currencies import BTC, USDT
from nautilus_trader.model.data import BarType
from nautilus_trader.model.enums import AccountType, OmsType, OrderSide
from nautilus_trader.model.identifiers import InstrumentId, Symbol, Venue
from nautilus_trader.model.instruments import CurrencyPair
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.persistence.wranglers import BarDataWrangler, TradeTickDataWrangler
from nautilus_trader.trading.strategy import Strategy

SIM = Venue("SIM")
MINUTE_NS = 60_000_000_000


def instrument():
    return CurrencyPair(
        instrument_id=InstrumentId(Symbol("BTCUSDT"), SIM),
        raw_symbol=Symbol("BTCUSDT"),
        base_currency=BTC,
        quote_currency=USDT,
        price_precision=2,
        size_precision=6,
        price_increment=Price.from_str("0.01"),
        size_increment=Quantity.from_str("0.000001"),
        margin_init=Decimal(0),
        margin_maint=Decimal(0),
        maker_fee=Decimal("0.0001"),
        taker_fee=Decimal("0.0001"),
        ts_event=0,
        ts_init=0,
    )


class Recorded(Strategy):
    def __init__(self, pair):
        super().__init__()
        self.pair = pair
        self.fills = []

    def market(self, side, size):
        self.submit_order(self.order_factory.market(self.pair.id, side, self.pair.make_qty(size)))

    def on_order_filled(self, fill):
        row = (fill.ts_event, "Buy" if fill.order_side == OrderSide.BUY else "Sell", fill.last_qty, fill.last_px)
        self.fills.append(row)


class Cross(Recorded):
    def __init__(self, pair, bar_type, strict):
        super().__init__(pair)
        self.bar_type, self.strict, self.side = bar_type, strict, None
        self.fast, self.slow = SimpleMovingAverage(10), SimpleMovingAverage(30)

    def on_start(self):
        self.register_indicator_for_bars(self.bar_type, self.fast)
        self.register_indicator_for_bars(self.bar_type, self.slow)
        self.subscribe_bars(self.bar_type)

    def on_bar(self, bar):
        if not self.slow.initialized:
            return
        fast, slow = self.fast.value, self.slow.value
        if self.strict and fast == slow:
            return
        side = OrderSide.BUY if fast >= slow else OrderSide.SELL
        if side != self.side:
            self.market(side, 1 if self.side is None else 2)
            self.side = side


class Every(Recorded):
    def on_start(self):
        self.count, self.long = 0, False
        self.subscribe_trade_ticks(self.pair.id)

    def on_trade_tick(self, tick):
        self.count += 1
        if self.count % 1000 == 0:
            self.market(OrderSide.SELL if self.long else OrderSide.BUY, 1)
            self.long = not self.long


def main(path, mode, count=None):
    rows = pd.read_csv(path, nrows=None if count is None else int(count))
    pair = instrument()
    engine = BacktestEngine(
        BacktestEngineConfig(
            logging=LoggingConfig(bypass_logging=True), risk_engine=RiskEngineConfig(bypass=True), run_analysis=False
        )
    )
    engine.add_venue(
        venue=SIM,
        oms_type=OmsType.NETTING,
        account_type=AccountType.MARGIN,
        base_currency=None,
        starting_balances=[Money(100_000_000, USDT)],
        trade_execution=mode == "ticks",
    )
    engine.add_instrument(pair)
    if mode == "ticks":
        index = pd.to_datetime(rows.time_ns, utc=True)
        frame = pd.DataFrame(
            {
                "price": rows.open.to_numpy(),
                "quantity": rows.volume.to_numpy(),
                # A market has two sides only when both have traded.
                "buyer_maker": np.arange(len(rows)) % 2 == 0,
                "trade_id": np.arange(len(rows)).astype(str),
            },
            index=index,
        )
        engine.add_data(TradeTickDataWrangler(pair).process(frame))
        strategy = Every(pair)
    else:
        bar_type = BarType.from_str("BTCUSDT.SIM-1-MINUTE-LAST-EXTERNAL")
        # Bars are stamped with their close.
        index = pd.to_datetime(rows.time_ns + MINUTE_NS, utc=True)
        frame = rows[["open", "high", "low", "close", "volume"]].set_index(index)
        engine.add_data(BarDataWrangler(bar_type, pair).process(frame))
        strategy = Cross(pair, bar_type, mode == "strict")
    del frame
    engine.add_strategy(strategy)
    begin = time.perf_counter()
    engine.run()
    rate = len(rows) / (time.perf_counter() - begin) / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"NautilusTrader, {mode}: {rate:.4f} M/s, {len(strategy.fills)} fills, peak {peak:.0f} MB", flush=True)
    with open(f"{path}.nautilus-{mode}", "w") as file:
        file.write("time_ns,direction,size,price\n")
        file.writelines(f"{t},{side},{size},{price}\n" for t, side, size, price in strategy.fills)


main(*sys.argv[1:])
