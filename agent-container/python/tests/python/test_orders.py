"""Orders and the account from Python: fixtures computed by hand, to the last digit."""

import unittest

from module import MINUTE, START, candles, error, run, ticks

ROWS = [
    ["100", "100", "100", "100"],
    ["101.5", "103", "101", "102"],
    ["102", "110", "102", "109"],
    ["108.25", "109", "108", "108"],
]
HEAD = "import dexorder\nfrom decimal import Decimal\nclass S(dexorder.Strategy):\n at = -1\n"


def at(**actions):
    """A strategy that does something after each numbered candle."""
    lines = [HEAD, " def on_candle(self, candle):\n  self.at += 1\n"]
    lines += [f"  if self.at == {number[1:]}: {action}\n" for number, action in actions.items()]
    return "".join(lines)


class Orders(unittest.TestCase):
    def test_a_round_trip_is_right_to_the_last_digit(self):
        source = at(c0="self.buy(size='2.5')", c2="self.sell(size=Decimal('2.5'))")
        report = run(source, candles(ROWS), terms={"cash": "1000", "taker_fee": "0.001"})
        # Bought at 101.5: 253.75 and a fee of 0.25375; sold at 108.25: 270.625 and a fee of 0.270625.
        self.assertEqual(report["summary"]["end_equity"], "1016.350625")
        self.assertEqual(report["summary"]["fees"], "0.524375")
        self.assertEqual([fill["price"] for fill in report["fills"]], ["101.5", "108.25"])
        self.assertEqual([fill["time_ns"] for fill in report["fills"]], [START + MINUTE, START + 3 * MINUTE])
        trip = report["round_trips"][0]
        self.assertEqual((trip["profit"], trip["fees"], trip["size"]), ("16.350625", "0.524375", "2.5"))
        equity = [point["equity"] for point in report["curve"]]
        self.assertEqual(equity, ["1000", "1000.99625", "1018.49625", "1016.350625"])
        # Holding 1000 / 100 from the first open.
        self.assertEqual([point["benchmark"] for point in report["curve"]], [1000, 1020, 1090, 1080])

    def test_limit_stop_and_stop_limit_orders_fill_where_they_should(self):
        for action, price in [
            ("self.buy(1, limit='101.25')", "101.25"),
            ("self.buy(1, stop='102.5')", "102.5"),
            ("self.buy(1, stop='102.5', limit='102.75')", "102.5"),
            ("self.sell(1, limit=105)", "105"),
            ("self.sell(1, stop='101.25')", "101.25"),
            ("self.target(0.5)", "101.5"),
        ]:
            report = run(at(c0=action), candles(ROWS))
            self.assertEqual([fill["price"] for fill in report["fills"]], [price], action)

    def test_the_account_is_exact_and_seen_as_decimals(self):
        source = at(
            c0="self.buy(2)",
            c1="""
   assert (self.position, self.cash, self.equity) == (Decimal(2), Decimal(797), Decimal(1001)), (self.position, self.cash)
   assert type(self.equity) is Decimal and self.equity is self.equity
   self.sell(1, limit=500)""",
            c2="""
   orders = self.open_orders
   assert [(o.id, o.side, o.size, o.remaining, o.limit, o.stop) for o in orders] == [(1, 'sell', 1, 1, 500, None)], orders
   assert self.cancel(1) and not self.cancel(7)
   assert self.now == candle.time + 60_000_000_000""",
            c3="assert self.open_orders == []",
        )
        self.assertEqual(run(source, candles(ROWS))["summary"]["fills"], 1)

    def test_candles_are_floats_and_exact_and_may_be_kept(self):
        source = HEAD + """
 def start(self):
  self.seen = []
 def on_candle(self, candle):
  self.seen.append(candle)
  if len(self.seen) == 4:
   assert [c.close for c in self.seen] == [100.0, 102.0, 109.0, 108.0], self.seen
   assert self.seen[3].open == 108.25 and self.seen[3].open_exact == Decimal('108.25')
   assert [c.time for c in self.seen] == [1700000040000000000 + n * 60000000000 for n in range(4)]
   self.buy(1)
"""
        self.assertEqual(len(run(source, candles(ROWS))["open_orders"]), 1)

    def test_prices_are_the_floats_that_python_reads_from_their_digits(self):
        prices = ["61837.63", "0.1", "0.3", "2.675", "1234567.12345678", "0.000000000000000001", "99999999999.999999999"]
        rows = [[price] * 4 for price in prices]
        source = HEAD + f" def on_candle(self, candle):\n  self.at += 1\n  assert candle.close == {prices}[self.at].__float__()\n"
        source = source.replace(".__float__()", "").replace(str(prices), f"[{', '.join(prices)}]")
        self.assertEqual(run(source, candles(rows))["summary"]["events"], len(prices))

    def test_fills_and_refusals_are_told(self):
        source = HEAD + """
 def start(self):
  self.told = []
 def on_candle(self, candle):
  self.at += 1
  if self.at == 0: self.buy('2.5')
  if self.at == 1: self.buy(1000)
  if self.at == 3: assert self.told == [('buy', Decimal('101.5'), Decimal('2.5'), False), (1, 'not enough funds')], self.told
 def on_fill(self, fill):
  self.told.append((fill.side, fill.price, fill.position, fill.maker))
 def on_refusal(self, order, reason):
  self.told.append((order, reason))
"""
        report = run(source, candles(ROWS))
        self.assertEqual([row["reason"] for row in report["refused"]], ["not enough funds"])

    def test_ticks_fill_at_the_next_tick(self):
        source = HEAD + """
 def on_tick(self, tick):
  self.at += 1
  assert (tick.price, tick.size) == [(100.0, 1.0), (101.5, 0.5), (103.0, 2.0)][self.at]
  if self.at == 0: self.buy(size=2)
"""
        data = {"path": ticks([("100", "1"), ("101.5", "0.5"), ("103", "2")]), "form": "ticks"}
        report = run(source, "", data=data)
        self.assertEqual([fill["price"] for fill in report["fills"]], ["101.5"])
        self.assertEqual(report["summary"]["end_equity"], "1003")
        part = run(source, "", data=data, terms={"cash": "1000", "participation": 1})
        self.assertEqual([fill["size"] for fill in part["fills"]], ["0.5", "1.5"])

    def test_floats_are_rounded_by_the_strategy_or_refused(self):
        steps = {"cash": "1000", "tick_size": "0.05", "lot_size": "0.01"}
        source = at(c0="""
   assert self.lots(1.239) == Decimal('1.23') and self.lots(-1.239) == Decimal('-1.23')
   assert self.ticks(99.974) == Decimal('99.95') and self.ticks(99.975) == Decimal('100.00')
   self.buy(self.lots(1.239), limit=self.ticks(101.26))""")
        report = run(source, candles(ROWS), terms=steps)
        self.assertEqual([(fill["size"], fill["price"]) for fill in report["fills"]], [("1.23", "101.25")])
        for action, told in [
            ("self.buy(0.1)", "size: a float is not exact"),
            ("self.buy(1, limit=100.0)", "limit: a float is not exact"),
            ("self.buy('0.015')", "multiple of lot_size"),
            ("self.buy(1, stop='100.01')", "multiple of tick_size"),
            ("self.buy(0)", "size: must be greater than 0"),
            ("self.buy(True)", "not a bool"),
            ("self.buy(None)", "NoneType"),
            ("self.buy('x')", "not a decimal number"),
            ("self.target(1.5)", "leverage"),
            ("self.target(-0.5)", "leverage"),
            ("self.target(float('nan'))", "finite"),
        ]:
            problem = error(at(c0=action), candles(ROWS), terms=steps)
            self.assertIn(told, problem["message"], action)
            self.assertEqual((problem["kind"], problem["line"]), ("user_code", 7), action)

    def test_a_target_is_asked_for_once_unless_it_is_to_rebalance(self):
        rows = [[price] * 4 for price in ("100", "100", "120", "90")]
        ask = HEAD + " def on_candle(self, candle): self.target('0.5'{})\n"
        self.assertEqual(run(ask.format(""), candles(rows))["summary"]["fills"], 1)
        self.assertEqual(run(ask.format(", rebalance=True"), candles(rows))["summary"]["fills"], 3)


if __name__ == "__main__":
    unittest.main()
