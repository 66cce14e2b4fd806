"""@ABOUT@

Buys a close above the highest high of the candles before, leaves below the lowest low of fewer candles (a Donchian channel, as the
Turtles traded it). Most breakouts fail; it needs the rare long one, and gives back part of each gain before it leaves.
"""
import dexorder


class Breakout(dexorder.Strategy):
    entry = @ENTRY@         # candles whose highest high must be passed; a run may change these
    exit = @EXIT@          # candles whose lowest low ends it
    exposure = 0.95    # part of the equity that is put in

    def start(self):
        self.highs, self.lows = [], []

    def on_candle(self, candle):
        # The candle that decides is not part of the channel that it breaks.
        highs, lows = self.highs[-self.entry:], self.lows[-self.entry:]
        longest = max(self.entry, self.exit)
        self.highs = (self.highs + [candle.high])[-longest:]
        self.lows = (self.lows + [candle.low])[-longest:]
        if len(highs) < self.entry:    # warming up
            return
        if candle.close > max(highs):
            self.target(self.exposure)
        elif candle.close < min(lows):
            self.target(@SHORT@)
        elif self.position > 0 and candle.close < min(lows[-self.exit:]):
            self.target(0)
        elif self.position < 0 and candle.close > max(highs[-self.exit:]):
            self.target(0)
