"""@ABOUT@

Buys after a fall and sells after a rise, in the hope that the price returns to its middle. In a strong trend it does not: the RSI stays
low, or high, while the loss grows. There is no stop in it.
"""
import dexorder


class RsiReversion(dexorder.Strategy):
    period = @PERIOD@        # candles of the RSI; a run may change these
    low = @LOW@           # buy below
    high = @HIGH@          # sell above
    exposure = 0.95    # part of the equity that is put in

    def start(self):
        self.rsi = dexorder.Rsi(self.period)

    def on_candle(self, candle):
        rsi = self.rsi.update(candle)
        if rsi is None:                # warming up
            return
        if rsi < self.low:
            self.target(self.exposure)
        elif rsi > self.high:
            self.target(@SHORT@)
