"""@ABOUT@

Follows trends: in the market while the fast average is above the slow one. It loses a little each time a market without a trend
crosses back and forth, and lives on the few long moves.
"""
import dexorder


class Cross(dexorder.Strategy):
    fast = @FAST@          # candles of the fast average; a run may change these
    slow = @SLOW@          # candles of the slow average
    exposure = 0.95    # part of the equity that is put in

    def start(self):
        self.fast_average = dexorder.@AVERAGE@(self.fast)
        self.slow_average = dexorder.@AVERAGE@(self.slow)

    def on_candle(self, candle):
        fast = self.fast_average.update(candle)
        slow = self.slow_average.update(candle)
        if fast is None or slow is None or fast == slow:   # warming up, or a tie: nothing changes
            return
        self.target(self.exposure if fast > slow else @SHORT@)
