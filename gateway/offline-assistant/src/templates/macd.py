"""@ABOUT@

In the market while the MACD is above its signal line. It follows momentum, with the same weakness as a cross: a market without a
direction turns it over again and again, and each turn costs fees.
"""
import dexorder


class MacdMomentum(dexorder.Strategy):
    fast = @FAST@          # candles of the fast average; a run may change these
    slow = @SLOW@          # candles of the slow average
    signal = @SIGNAL@         # candles of the signal line
    exposure = 0.95    # part of the equity that is put in

    def start(self):
        self.macd = dexorder.Macd(self.fast, self.slow, self.signal)

    def on_candle(self, candle):
        self.macd.update(candle)
        histogram = self.macd.histogram
        if histogram is None or histogram == 0:   # warming up, or a tie: nothing changes
            return
        self.target(self.exposure if histogram > 0 else @SHORT@)
