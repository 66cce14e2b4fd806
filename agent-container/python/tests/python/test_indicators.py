"""Indicators in both forms, users' own ones, and the examples of docs/strategies.md."""

import math
import os
import re
import unittest

import numpy as np
import pandas as pd

from module import ask, candles, dexorder, run, walk

KINDS = sorted(name for name in dir(dexorder) if isinstance(getattr(dexorder, name), type)
               and issubclass(getattr(dexorder, name), dexorder.BuiltinIndicator) and name != "BuiltinIndicator")


def compute(source, path, **more):
    answer = ask({"kind": "indicator", "indicator": {"source": source}, "data": {"path": path}, **more})
    if answer["kind"] != "indicator":
        raise AssertionError(answer)
    return answer


class BuiltIn(unittest.TestCase):
    def test_every_kind_has_a_class_and_a_function_that_agree(self):
        self.assertTrue({"Sma", "Ema", "Rsi", "Macd", "Bollinger", "Vwap", "Atr"} <= set(KINDS), KINDS)
        source = "import dexorder\n" + f"KINDS = {KINDS}\n" + """
import math
def indicator(candles):
    rows, found = [], {}
    for name in KINDS:
        kind = getattr(dexorder, name)
        whole = getattr(dexorder, kind.kind)(candles)
        whole = whole if isinstance(whole, tuple) else (whole,)
        for at, array in zip(kind().outputs, whole):
            found[f"{name}.{at}"] = array
    return dict(list(found.items())[:32])
"""
        steps = "import dexorder\n" + f"KINDS = {KINDS}\n" + """
class All(dexorder.Indicator):
    outputs = tuple(f"{name}.{at}" for name in KINDS for at in getattr(dexorder, name)().outputs)[:32]
    def start(self):
        self.all = [getattr(dexorder, name)() for name in KINDS]
    def update(self, candle):
        values = []
        for one in self.all:
            value = one.update(candle)
            assert one.value == value
            values += value if type(value) is tuple else [value] * len(one.outputs)
        return tuple(values[:32])
"""
        path = walk(500)
        whole, stepped = compute(source, path)["outputs"], compute(steps, path)["outputs"]
        self.assertEqual(whole, stepped)
        for name, values in whole.items():
            self.assertIsNotNone(values[-1], name)

    def test_values_by_hand_from_numbers_lists_and_arrays(self):
        sma = dexorder.Sma(3)
        self.assertEqual([sma.update(x) for x in (1, "2", 6.0, 0.1, 0.1, 0.1)], [None, None, 3.0, 2.7, 6.2 / 3, 0.1])
        self.assertEqual((sma.value, sma.outputs, sma.sma, repr(sma)), (0.1, ("sma",), 0.1, "Sma(3)"))
        for values in ([1, 2, 6], np.array([1, 2, 6]), np.array([1.0, 2, 6]), pd.Series([1, 2, 6]), (1, 2.0, 6)):
            got = dexorder.sma(values, 3)
            self.assertTrue(isinstance(got, np.ndarray) and math.isnan(got[1]) and got[2] == 3.0, got)
        strided = np.arange(20, dtype=float)[::2]
        self.assertEqual(dexorder.sma(strided, 2)[-1], 17.0)
        upper = dexorder.bollinger([2, 4, 4, 4, 5, 5, 7, 9], 8, 1.5)[1]
        self.assertAlmostEqual(upper[-1], 8.0)
        bands = dexorder.Bollinger(8, 1.5)
        for value in [2, 4, 4, 4, 5, 5, 7, 9]:
            self.assertIsNone(bands.value)
            bands.update(value)
        self.assertEqual((bands.middle, bands.value), (5.0, (bands.middle, bands.upper, bands.lower)))

    def test_averages_of_floats_are_as_exact_as_those_of_their_digits(self):
        cents = np.random.default_rng(1).integers(1, 10**9, 5000)
        sma = dexorder.Sma(5)
        exact = [sma.update(f"{value // 100}.{value % 100:02}") for value in cents]
        self.assertEqual(list(dexorder.sma(cents / 100, 5))[4:], exact[4:])
        # 0.1 + 0.2 is 0.30000000000000004 as a float, and 0.3 in 15 digits.
        sums = dexorder.sma([0.1 + 0.2, 1e-7, 12345.678901234567, 1e-30], 1)
        self.assertEqual(list(sums), [0.3, 1e-7, 12345.6789012346, 0.0])

    def test_what_is_wrong_is_said(self):
        for call, told in [
            (lambda: dexorder.Sma(0), "sma: params: value 1"),
            (lambda: dexorder.Sma(1, 2), "1 values expected"),
            (lambda: dexorder.Macd(26, 12, 9), "less than"),
            (lambda: dexorder.sma([1.0, float("nan")], 1), "value 1: must be finite"),
            (lambda: dexorder.sma(np.ones((2, 2)), 1), "one dimension"),
            (lambda: dexorder.sma(3, 1), "array or a list"),
            (lambda: dexorder.sma(), "expected first"),
            (lambda: dexorder.atr([1.0, 2.0]), "takes candles"),
            (lambda: dexorder.Vwap().update(1), "takes candles"),
            (lambda: dexorder.BuiltinIndicator(), "kind"),
        ]:
            with self.assertRaises((ValueError, TypeError, AttributeError)) as raised:
                call()
            self.assertIn(told, str(raised.exception))
        with self.assertRaises(AttributeError):
            dexorder.Sma(3).signal


class OfUsers(unittest.TestCase):
    def test_the_last_rows_are_given_with_their_times_and_null_for_nan(self):
        source = "import dexorder\nclass Twice(dexorder.Indicator):\n by = 2\n"
        source += " def update(self, candle):\n  return None if candle.close > 101 else candle.close * self.by\n"
        path = candles([[price] * 4 for price in ("99", "100", "102", "101")])
        answer = compute(source, path, params={"by": 3}, rows=3)
        self.assertEqual((answer["name"], answer["parameters"], answer["candles"]), ("Twice", {"by": 3}, 4))
        self.assertEqual(answer["outputs"], {"twice": [300.0, None, 303.0]})
        self.assertEqual(len(answer["open_time_ns"]), 3)

    def test_errors_are_told_like_those_of_strategies(self):
        path = walk(10)
        for source, kind, told in [
            ("def indicator(candles): return 1 / 0\n", "user_code", "ZeroDivisionError"),
            ("def indicator(candles): return [1.0]\n", "job", "one value for each of the 10 candles"),
            ("import dexorder\nclass I(dexorder.Indicator):\n def update(self, c): return 'x'\n", "user_code", "TypeError"),
            ("import dexorder\nclass I(dexorder.Indicator): pass\n", "user_code", "update"),
            ("x = 1\n", "job", "must hold a class that extends dexorder.Indicator or a function indicator"),
        ]:
            answer = ask({"kind": "indicator", "indicator": {"source": source}, "data": {"path": path}})
            self.assertEqual((answer["kind"], answer["error"]["kind"]), ("error", kind), answer)
            self.assertIn(told, answer["error"]["message"])


class Documentation(unittest.TestCase):
    def test_every_example_runs(self):
        with open(os.environ["DEXORDER_DOCS"]) as file:
            examples = re.findall(r"```python\n(.*?)```", file.read(), re.S)
        self.assertGreaterEqual(len(examples), 6)
        path, fills = walk(3_000), []
        terms = {"cash": "100000", "shorting": True, "lot_size": "0.001", "tick_size": "0.01", "leverage": 2}
        for source in examples:
            if "dexorder.Strategy" in source or "def targets" in source:
                fills.append(run(source, path, terms=terms)["summary"]["fills"])
                self.assertGreater(fills[-1], 10, source)
            else:
                outputs = compute(source, path)["outputs"]
                self.assertTrue(outputs and all(values[-1] is not None for values in outputs.values()), source)
        self.assertEqual(fills[0], fills[2], "the first class and the function are the same strategy")


if __name__ == "__main__":
    unittest.main()
