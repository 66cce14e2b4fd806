"""Look-ahead, equal forms, hashes, sweeps: what is said about a strategy."""

import unittest

from module import candles, error, run, ticks, walk

CALLBACK = """
import dexorder

class Cross(dexorder.Strategy):
    fast = 10
    slow = 30

    def start(self):
        self.a, self.b = dexorder.Sma(self.fast), dexorder.Sma(self.slow)

    def on_candle(self, candle):
        a, b = self.a.update(candle), self.b.update(candle)
        # A tie changes nothing.
        if b is not None and a != b:
            self.target(0.9 if a > b else -0.9)
"""
VECTOR = """
import dexorder
import numpy as np

def targets(candles, fast=10, slow=30):
    a, b = dexorder.sma({input}, fast), dexorder.sma({input}, slow)
    return np.where(a > b, 0.9, np.where(a < b, -0.9, np.nan))
"""
AHEAD = """
import numpy as np

def targets(candles):
    rise = np.append(np.diff(candles.close), 0)   # the next candle's
    return np.where(rise > 0, 0.9, 0.0)
"""
TERMS = {"cash": "100000", "shorting": True, "taker_fee": "0.0005", "lot_size": "0.00001"}


def results(report):
    """All of a document but what names its source."""
    return {key: value for key, value in report.items() if key not in ("hash", "inputs", "checks")}


class Forms(unittest.TestCase):
    def test_candle_and_vector_form_give_equal_results(self):
        path = walk(20_000)
        by_candle = run(CALLBACK, path, terms=TERMS)
        self.assertGreater(by_candle["summary"]["round_trips"], 300)
        for source in (VECTOR.format(input="candles"), VECTOR.format(input="candles.close")):
            self.assertEqual(results(run(source, path, terms=TERMS)), results(by_candle))
        as_class = VECTOR.format(input="candles").replace("def targets(candles, fast=10, slow=30):", "")
        as_class = "import dexorder\nimport numpy as np\nclass V(dexorder.Strategy):\n fast = 10\n slow = 30\n" + """
 def targets(self, candles):
  a, b = dexorder.sma(candles, self.fast), dexorder.sma(candles, self.slow)
  return [None if b != b or a == b else 0.9 if a > b else -0.9 for a, b in zip(a, b)]
"""
        self.assertEqual(results(run(as_class, path, terms=TERMS)), results(by_candle))

    def test_a_tie_changes_nothing(self):
        # Averages of 1 and 2: equal at the flat candles, which keep the position of the candle before.
        rows = [[price] * 4 for price in ("10", "11", "11", "12", "12", "11", "11", "11")]
        ties = CALLBACK.replace("10", "1").replace("30", "2")
        report = run(ties, candles(rows), terms={"cash": "1000", "shorting": True})
        self.assertEqual([fill["direction"] for fill in report["fills"]], ["buy", "sell"])
        otherwise = ties.replace("and a != b", "")
        self.assertGreater(len(run(otherwise, candles(rows), terms=TERMS)["fills"]), 2)


class LookAhead(unittest.TestCase):
    def check(self, source, path=None, **more):
        report = run(source, path or walk(5_000), terms=TERMS, checks={"look_ahead": True}, **more)
        return report["checks"]["look_ahead"]

    def test_the_honest_ones_are_not_accused(self):
        chance = CALLBACK.replace("import dexorder\n", "import dexorder, random\n", 1)
        chance = chance.replace("self.target(", "random.random() > 0.5 and self.target(")
        memory = "import numpy as np\nimport pandas as pd\ndef targets(candles):\n" + """
  close = candles.frame()["close"]
  fast, slow = close.ewm(span=10).mean(), close.rolling(30).mean()
  volatility = close.pct_change().rolling(50).std()
  return (np.sign(fast - slow) * (0.0005 / volatility).clip(upper=0.9)).to_numpy()
"""
        grown = CALLBACK.replace("import dexorder\n", "import dexorder\nseen = []\n", 1)
        grown = grown.replace("self.target(", "seen.append(1); len(seen) < 2500 and self.target(")
        for source in (CALLBACK, VECTOR.format(input="candles"), chance, memory, grown):
            found = self.check(source)
            self.assertEqual(found["verdict"], "clean", source)
            self.assertGreater(found["cuts"], 15)

    def test_those_who_look_ahead_are_named(self):
        by_one = self.check(AHEAD)
        self.assertEqual((by_one["verdict"], by_one["candle"]), ("found", by_one["candles"] - 1), by_one)
        self.assertNotEqual(by_one["with_future"], by_one["without"])
        whole = "import numpy as np\ndef targets(candles):\n  return np.where(candles.close < candles.close.mean(), 0.9, 0.0)\n"
        smooth = "import numpy as np\ndef targets(candles):\n"
        smooth += "  return np.where(candles.close > np.convolve(candles.close, np.ones(11) / 11, 'same'), 0.0, 0.9)\n"
        filled = "import numpy as np\nimport pandas as pd\ndef targets(candles):\n"
        filled += "  low = candles.frame()['low']\n  return (low == low.rolling(21, center=True).min()).astype(float)\n"
        for source in (whole, smooth, filled):
            self.assertEqual(self.check(source)["verdict"], "found", source)

    def test_chance_is_not_called_look_ahead(self):
        source = CALLBACK.replace("import dexorder\n", "import dexorder, os\n", 1)
        source = source.replace("self.target(", "os.urandom(1)[0] > 128 and self.target(")
        self.assertEqual(self.check(source)["verdict"], "not_deterministic")

    def test_ticks_are_not_judged(self):
        data = {"path": ticks([("100", "1")]), "form": "ticks"}
        source = "import dexorder\nclass S(dexorder.Strategy):\n def on_tick(self, tick): pass\n"
        self.assertEqual(self.check(source, "", data=data)["verdict"], "not_possible")


class Hash(unittest.TestCase):
    def test_equal_runs_have_equal_hashes_and_each_input_changes_it(self):
        path = walk(3_000)
        base = {"terms": TERMS, "seed": 1, "provenance": {"snapshot": "7", "commit": "abc"}}
        first = run(CALLBACK, path, **base)["hash"]
        self.assertRegex(first, "^[0-9a-f]{64}$")
        self.assertEqual(run(CALLBACK, path, **base)["hash"], first)
        self.assertEqual(run(CALLBACK, path, **base, checks={"look_ahead": True})["hash"], first)
        self.assertEqual(run(CALLBACK, path, **base, params={"fast": 10})["hash"], first, "the default said aloud")
        changes = [
            {"seed": 2},
            {"provenance": {"snapshot": "8", "commit": "abc"}},
            {"provenance": {"snapshot": "7", "commit": "abd"}},
            {"terms": {**TERMS, "taker_fee": "0.0006"}},
            {"params": {"fast": 11}},
        ]
        hashes = {run(CALLBACK, path, **{**base, **change})["hash"] for change in changes}
        hashes.add(run(CALLBACK + "\n", path, **base)["hash"])
        hashes.add(run(CALLBACK, walk(3_000, seed=43, name="other.arrow"), **base)["hash"])
        self.assertEqual(len(hashes | {first}), len(changes) + 3)


class Parameters(unittest.TestCase):
    def test_a_sweep_tries_all_and_walk_forward_chooses_on_the_past(self):
        path = walk(6_000)
        values = {"fast": [5, 10], "slow": [20, 30, 40]}
        checks = {
            "sweep": {"parameters": values, "score": "total_return"},
            "walk_forward": {"folds": 3},
            "monte_carlo": {"runs": 200},
        }
        for source in (CALLBACK, VECTOR.format(input="candles")):
            found = run(source, path, terms=TERMS, checks=checks)["checks"]
            runs = found["sweep"]["runs"]
            self.assertEqual(len(runs), 6)
            self.assertEqual(runs[1]["parameters"], {"fast": 5, "slow": 30})
            alone = run(source, path, terms=TERMS, params={"fast": 10, "slow": 40})
            self.assertEqual(runs[5]["score"], alone["statistics"]["total_return"])
            best = max(range(6), key=lambda at: runs[at]["score"])
            self.assertEqual(found["sweep"]["best"], best)
            steps = found["walk_forward"]["steps"]
            self.assertEqual((len(steps), found["walk_forward"]["train"], found["walk_forward"]["test"]), (3, 3000, 1000))
            self.assertEqual(steps[1]["train_begin_ns"] + 3000 * 60_000_000_000, steps[1]["test_begin_ns"])
            self.assertEqual(found["monte_carlo"]["verdict"], "done")
            self.assertEqual(len(found["monte_carlo"]["end_equity"]), 5)

    def test_parameters_are_in_place_before_init_and_keep_their_types(self):
        source = """
import dexorder
from decimal import Decimal
class Base(dexorder.Strategy):
    size = Decimal("1")
    name = "x"
class S(Base):
    ratio = 0.5
    on = True
    _hidden = 3
    def __init__(self):
        self.at_init = self.ratio
    def on_candle(self, candle):
        assert (self.at_init, self.size, self.name, self.on) == (2.0, Decimal("0.1"), "y", False), vars(self)
        assert type(self.ratio) is float and type(self.size) is Decimal
"""
        path = walk(10)
        report = run(source, path, params={"ratio": 2, "size": "0.1", "name": "y", "on": False})
        self.assertEqual(report["inputs"]["parameters"], {"ratio": 2.0, "size": "0.1", "name": "y", "on": False})
        self.assertEqual(report["inputs"]["strategy"], "S")
        for name, value in [("ratio", "2"), ("on", 1), ("size", 0.1), ("name", 1), ("_hidden", 4), ("lots", 1)]:
            problem = error(source, path, params={name: value})
            self.assertEqual((problem["kind"], f"params.{name}" in problem["message"]), ("job", True), problem)


if __name__ == "__main__":
    unittest.main()
