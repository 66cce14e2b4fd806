"""What goes wrong in user code, jobs or data is an answer that says where and why."""

import json
import os
import unittest

import pyarrow as pa

from module import CANDLES, START, ask, candles, dexorder, directory, error, job, run, walk, write

ROWS = [["100", "101", "99", "100"]] * 4
HEAD = "import dexorder\nclass S(dexorder.Strategy):\n"


class UserCode(unittest.TestCase):
    def test_an_exception_ends_the_run_with_its_line(self):
        source = HEAD + " at = 0\n def on_candle(self, candle):\n  self.at += 1\n  if self.at == 3:\n   self.helper()\n"
        source += " def helper(self):\n  raise KeyError('missing')\n"
        problem = error(source, candles(ROWS), strategy={"source": source, "path": "strategies/mine.py"})
        self.assertEqual((problem["kind"], problem["file"], problem["line"]), ("user_code", "strategies/mine.py", 9))
        self.assertEqual(problem["message"], "KeyError: 'missing'")
        self.assertIn("self.helper()", problem["traceback"])

    def test_each_place_where_user_code_runs_is_covered(self):
        for source, told in [
            ("def (", "SyntaxError"),
            ("import nothing_of_this_name", "ModuleNotFoundError"),
            (HEAD + " def __init__(self): 1 / 0\n def on_candle(self, c): pass\n", "ZeroDivisionError"),
            (HEAD + " def start(self): 1 / 0\n def on_candle(self, c): pass\n", "ZeroDivisionError"),
            (HEAD + " def on_candle(self, c): self.buy(1)\n def on_fill(self, fill): 1 / 0\n", "ZeroDivisionError"),
            (HEAD + " def on_candle(self, c): self.buy(100)\n def on_refusal(self, o, r): 1 / 0\n", "ZeroDivisionError"),
            (HEAD + " def on_candle(self): pass\n", "TypeError"),
            (HEAD + " def start(self): self.buy(1)\n def on_candle(self, c): pass\n", "within on_candle"),
            (HEAD + " def on_candle(self, c): raise SystemExit(3)\n", "SystemExit"),
            (HEAD + " def on_candle(self, c): self.on_candle(c)\n", "RecursionError"),
            (HEAD + " def on_candle(self, c): dexorder.Sma(0)\n", "value 1 must be a whole number"),
            (HEAD + " def on_candle(self, c): dexorder.Atr(3).update(1.5)\n", "takes candles"),
            ("def targets(candles): return 1 / 0\n", "ZeroDivisionError"),
            ("def targets(candles): return 'no'\n", "TypeError"),
            ("def targets(candles, fast): return []\n", "default"),
        ]:
            problem = error(source, candles(ROWS))
            self.assertEqual(problem["kind"], "user_code", source)
            self.assertIn(told, problem["message"], source)

    def test_nothing_of_user_code_makes_the_answer_large(self):
        source = HEAD + " def on_candle(self, c): raise ValueError('x' * 10_000_000)\n"
        self.assertLess(len(json.dumps(error(source, candles(ROWS)))), 30_000)
        evil = "class E(Exception):\n def __str__(self): raise self\n" + HEAD + " def on_candle(self, c): raise E\n"
        self.assertEqual(error(evil, candles(ROWS))["kind"], "user_code")

    def test_an_account_is_gone_after_the_run(self):
        source = HEAD + " def on_candle(self, c):\n  import sys\n  sys.kept = self\n"
        run(source, candles(ROWS))
        import sys

        with self.assertRaisesRegex(RuntimeError, "within on_candle"):
            sys.kept.buy(1)
        with self.assertRaisesRegex(RuntimeError, "within on_candle"):
            sys.kept.position

    def test_a_thread_of_user_code_meets_no_account_that_is_gone(self):
        source = HEAD + """
 def start(self):
  import threading
  self.stop, self.ends = False, []
  def poke():
   while not self.stop:
    try: self.position, self.cancel_all()
    except RuntimeError as e: self.ends.append(1)
  self.thread = threading.Thread(target=poke); self.thread.start()
 def on_candle(self, c):
  self.last = getattr(self, 'last', 0) + 1
  if self.last == 4: self.stop = True; self.thread.join()
"""
        self.assertEqual(run(source, candles(ROWS))["summary"]["events"], 4)

    def test_what_is_wrong_with_targets_is_named(self):
        for body, told in [
            ("return [0.5]", "one for each of the 4 candles"),
            ("return [0, 0.5, 2, 0]", "targets[2]"),
            ("return [0, float('inf'), 0, 0]", "targets[1]"),
            ("return [0, 0, 0, -0.5]", "targets[3]"),
        ]:
            problem = error(f"def targets(candles): {body}\n", candles(ROWS), terms={"cash": "1000"})
            self.assertIn(told, problem["message"])

    def test_which_class_is_meant_must_be_clear(self):
        one = " def on_candle(self, c): pass\n"
        two = HEAD + one + "class T(dexorder.Strategy):\n" + one
        self.assertIn("one of S, T", error(two, candles(ROWS))["message"])
        chosen = run(two, candles(ROWS), strategy={"source": two, "class": "T"})
        self.assertEqual(chosen["inputs"]["strategy"], "T")
        for source, told in [
            ("x = 1\n", "must hold a class"),
            (HEAD + " pass\n", "must define on_candle"),
            (HEAD + one + " def targets(self, c): pass\n", "not both"),
        ]:
            self.assertIn(told, error(source, candles(ROWS))["message"])
        missing = error(two, candles(ROWS), strategy={"source": two, "class": "U"})
        self.assertIn("U is not in the file, which has S, T", missing["message"])


class Jobs(unittest.TestCase):
    def test_a_wrong_job_is_refused_by_field(self):
        source, path = HEAD + " def on_candle(self, c): pass\n", candles(ROWS)
        for change, told in [
            ({"terms": {"cash": 0.5}}, "exact number"),
            ({"terms": {"cash": "0"}}, "cash: must be greater than 0"),
            ({"terms": {"cash": "1", "fee": "1"}}, "unknown field `fee`"),
            ({"surprise": 1}, "unknown field `surprise`"),
            ({"data": {"path": path}}, "interval_ns"),
            ({"strategy": {}}, "source or path"),
            ({"checks": {"walk_forward": {"folds": 2}}}, "needs a sweep"),
            ({"checks": {"sweep": {"parameters": {"x": []}}}}, "combinations"),
            ({"checks": {"sweep": {"parameters": {"x": [1]}}}}, "params.x"),
        ]:
            problem = error(source, path, **change)
            self.assertEqual((problem["kind"], told in problem["message"]), ("job", True), problem)
        self.assertEqual(json.loads(dexorder._run_job("no json"))["error"]["kind"], "job")

    def test_wrong_data_is_refused(self):
        source = HEAD + " def on_candle(self, c): pass\n"
        broken = os.path.join(directory.name, "broken.arrow")
        with open(broken, "wb") as file:
            file.write(b"nothing of arrow")
        schema = pa.schema([("open_time", pa.int64()), ("open", pa.float64())])
        nulls = pa.schema(list(CANDLES))
        columns = [[START], *[[None]] * 5]
        back = candles(ROWS)
        for path, told in [
            (os.path.join(directory.name, "none.arrow"), "No such file"),
            (broken, "data:"),
            (write("float.arrow", schema, [[1], [1.0]]), "decimal128"),
            (write("null.arrow", nulls, columns), "nulls"),
            (write("few.arrow", pa.schema([("open_time", pa.int64())]), [[1]]), "column open is missing"),
            (candles([["100", "90", "99", "100"]], "unsound.arrow"), "between low and high"),
        ]:
            problem = error(source, path)
            self.assertEqual((problem["kind"], told in problem["message"]), ("data", True), problem)

    def test_other_units_and_scales_are_the_same_candles(self):
        source = HEAD + " def on_candle(self, c): self.target('0.5')\n"
        from decimal import Decimal

        schema = pa.schema([("open_time", pa.timestamp("ms", "UTC"))] + [(f.name, pa.decimal128(18, 2)) for f in CANDLES][1:])
        times = [(START + at * 60_000_000_000) // 1_000_000 for at in range(4)]
        columns = [times, *[[Decimal(row[at]) for row in ROWS] for at in range(4)], [Decimal(10)] * 4]
        self.assertEqual(run(source, write("ms.arrow", schema, columns)), run(source, candles(ROWS)))

    def test_progress_is_told_and_can_end_the_job(self):
        source = HEAD + " def on_candle(self, c):\n  import time\n  time.sleep(0.01)\n"
        told = []
        ask(job(source, walk(150)), lambda done, total: told.append((done, total)))
        self.assertGreaterEqual(len(told), 2)
        self.assertTrue(all(0 < done <= 150 == total for done, total in told), told)

        class Cancelled(Exception):
            pass

        def cancel(done, total):
            raise Cancelled

        with self.assertRaises(Cancelled):
            ask(job(source, walk(500)), cancel)


class Memory(unittest.TestCase):
    def test_many_runs_leave_nothing_behind(self):
        def resident():
            with open("/proc/self/statm") as file:
                return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

        source = HEAD + """
 fast = 3
 def start(self): self.sma = dexorder.Sma(self.fast)
 def on_candle(self, candle):
  value = self.sma.update(candle)
  if value: self.target(0.5 if candle.close > value else 0)
"""
        whole = json.dumps(job(source, walk(300), params={"fast": 4}))
        fails = json.dumps(job(source.replace("value:", "valu:"), walk(300)))
        for _ in range(150):
            dexorder._run_job(whole)
            dexorder._run_job(fails)
        before = resident()
        for _ in range(500):
            dexorder._run_job(whole)
            dexorder._run_job(fails)
        self.assertLess(resident() - before, 2_000_000)


if __name__ == "__main__":
    unittest.main()
