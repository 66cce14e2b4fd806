"""TA-Lib's values for the candles and indicators that the Rust test asks for.

talib_peer.py version                         prints TA-Lib's version, or why it cannot be used
talib_peer.py candles FILE.csv.xz             prints the candles of a CryptoDataDownload file, the oldest first
talib_peer.py compute IN OUT REQUEST...       REQUEST is `kind:1,2,3`

IN: little-endian doubles: high, low, close, volume, each of the same length. OUT: the values of each output of each
request, NaN where there is none. Where TA-Lib has no function of that name, it is put together from TA-Lib's parts; what
it has no part of is plain numpy, and said so.
"""

import lzma
import sys


def version():
    try:
        import talib
    except ImportError as error:
        print(f"missing: {error}")
    else:
        print(f"TA-Lib {talib.__ta_version__.decode().split()[0]}, wrapper {talib.__version__}")


def candles(path):
    rows = []
    with lzma.open(path, "rt") as file:
        for line in file:
            fields = line.strip().split(",")
            if len(fields) == 8 and fields[0][:1].isdigit():
                rows.append(",".join(fields[3:7]))
    print("\n".join(reversed(rows)))


def compute(source, target, requests):
    import numpy as np
    import talib as ta

    data = np.fromfile(source, "<f8")
    high, low, close, volume = np.split(data, 4)

    def hull(n):
        half, full = ta.WMA(close, max(n // 2, 1)) if n >= 4 else close, ta.WMA(close, n)
        return [ta.WMA(2 * half - full, int(n**0.5))]

    def keltner(n, m, k):
        middle, width = ta.EMA(close, n), k * ta.ATR(high, low, close, m)
        return [middle, middle + width, middle - width]

    def donchian(n):
        upper, lower = ta.MAX(high, n), ta.MIN(low, n)
        return [(upper + lower) / 2, upper, lower]

    def smooth(values, n):
        return ta.SMA(values, n) if n > 1 else values

    # Where the definition is 0/0, TA-Lib says 0 and we say the middle. TA-Lib's value stands wherever no such candle is
    # in the window; elsewhere what TA-Lib's parts give with the middle put in.
    def with_middle(direct, raw, flat, middle, *smoothings):
        raw = np.where(flat, middle, raw)
        reach, values = 1, []
        for n in smoothings:
            raw, reach = smooth(raw, n), reach + n - 1
            values.append(np.where(ta.MAX(flat.astype(float), reach) > 0 if reach > 1 else flat, raw, direct[len(values)]))
        if flat.any():
            print(f"{current}: {flat.sum()} candles where it is 0/0")
        return values

    def stochastic(n, k, d):
        flat = ta.MAX(high, n) - ta.MIN(low, n) == 0
        direct = list(ta.STOCH(high, low, close, n, k, 0, d, 0))
        return with_middle(direct, ta.STOCHF(high, low, close, n, 1, 0)[0], flat, 50, k, d)

    def stoch_rsi(n, m, k, d):
        fast, rsi = ta.STOCHRSI(close, n, m, 1)[0], ta.RSI(close, n)
        direct = [smooth(fast, k), smooth(smooth(fast, k), d)]
        return with_middle(direct, fast, ta.MAX(rsi, m) - ta.MIN(rsi, m) < 1e-9, 50, k, d)

    def williams(n):
        flat = ta.MAX(high, n) - ta.MIN(low, n) == 0
        direct = ta.WILLR(high, low, close, n)
        return with_middle([direct], direct, flat, -50, 1)

    def money_flow_index(n):
        typical = (high + low + close) / 3
        flow, step = typical * volume, np.sign(np.diff(typical, prepend=typical[0]))
        window = lambda x: np.concatenate([np.full(n - 1, np.nan), np.lib.stride_tricks.sliding_window_view(x, n).sum(axis=1)])
        rising, falling = window(flow * (step > 0)), window(flow * (step < 0))
        # TA-Lib takes any flow below 1 for none, and none for 0.
        little = (rising + falling < 1) & ~np.isnan(ta.MFI(high, low, close, volume, n))
        with np.errstate(invalid="ignore"):
            share = np.where(rising + falling > 0, 100 * rising / (rising + falling), 50)
        return with_middle([ta.MFI(high, low, close, volume, n)], share, little, share, 1)

    def bollinger(n, k):
        upper, middle, lower = ta.BBANDS(close, n, k, k)
        return [middle, upper, lower]

    def aroon(n):
        down, up = ta.AROON(high, low, n)
        return [up, down, ta.AROONOSC(high, low, n)]

    def money_flow(n):
        # TA-Lib has no CMF; the steps of its AD, summed by numpy.
        steps = np.diff(ta.AD(high, low, close, volume), prepend=0)
        window = lambda x: np.lib.stride_tricks.sliding_window_view(x, n).sum(axis=1)
        flow = window(steps) / window(volume)
        return [np.concatenate([np.full(n - 1, np.nan), flow])]

    functions = {
        "sma": lambda n: [ta.SMA(close, n)],
        "ema": lambda n: [ta.EMA(close, n)],
        "wma": lambda n: [ta.WMA(close, n)],
        "dema": lambda n: [ta.DEMA(close, n)],
        "tema": lambda n: [ta.TEMA(close, n)],
        "hma": hull,
        "kama": lambda n: [ta.KAMA(close, n)],
        "vwap": lambda: [np.cumsum((high + low + close) / 3 * volume) / np.cumsum(volume)],
        "psar": lambda step, most: [ta.SAR(high, low, step, most)],
        "bollinger": bollinger,
        "keltner": keltner,
        "donchian": donchian,
        "rsi": lambda n: [ta.RSI(close, n)],
        "macd": lambda *n: list(ta.MACD(close, *n)),
        "stochastic": stochastic,
        "stoch_rsi": stoch_rsi,
        "williams_r": williams,
        "cci": lambda n: [ta.CCI(high, low, close, n)],
        "momentum": lambda n: [ta.MOM(close, n)],
        "roc": lambda n: [ta.ROC(close, n)],
        "adx": lambda n: [f(high, low, close, n) for f in (ta.ADX, ta.PLUS_DI, ta.MINUS_DI)],
        "aroon": aroon,
        "atr": lambda n: [ta.ATR(high, low, close, n)],
        "stddev": lambda n: [ta.STDDEV(close, n)],
        "linreg_slope": lambda n: [ta.LINEARREG_SLOPE(close, n)],
        "obv": lambda: [ta.OBV(close, volume) - volume[0]],
        "ad": lambda: [ta.AD(high, low, close, volume)],
        "cmf": money_flow,
        "mfi": money_flow_index,
        # TA-Lib's own words, for the test of where the two differ.
        "rsi=": lambda n: [ta.RSI(close, n)],
        "stochastic=": lambda n, k, d: [ta.STOCH(high, low, close, n, k, 0, d, 0)[0]],
        "stoch_rsi=": lambda n, m, k, d: [ta.STOCHRSI(close, n, m, 1)[0]],
        "williams_r=": lambda n: [ta.WILLR(high, low, close, n)],
        "cci=": lambda n: [ta.CCI(high, low, close, n)],
        "mfi=": lambda n: [ta.MFI(high, low, close, volume, n)],
        "adx=": lambda n: [ta.ADX(high, low, close, n)],
        "kama=": lambda n: [ta.KAMA(close, n)],
    }
    current = ""
    with open(target, "wb") as file:
        for request in requests:
            kind, params = request.split(":")
            numbers = [float(p) if "." in p else int(p) for p in params.split(",") if p]
            if kind in ("bollinger", "keltner"):
                numbers[-1] = float(numbers[-1])
            current = request
            for values in functions[kind](*numbers):
                np.asarray(values, "<f8").tofile(file)


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    if command == "version":
        version()
    elif command == "candles":
        candles(*arguments)
    else:
        compute(arguments[0], arguments[1], arguments[2:])
