"""@ABOUT@

Buys a close below the lower band and leaves when the price is back at the middle one. When a trend begins, prices walk along the band
and each purchase is too early. There is no stop in it.
"""
import dexorder


class BollingerReversion(dexorder.Strategy):
    period = @PERIOD@        # candles of the bands; a run may change these
    deviations = 2.0   # how far away the bands are
    exposure = 0.95    # part of the equity that is put in

    def start(self):
        self.bands = dexorder.Bollinger(self.period, self.deviations)

    def on_candle(self, candle):
        self.bands.update(candle)
        if self.bands.lower is None:   # warming up
            return
        if candle.close < self.bands.lower:
            self.target(self.exposure)
        elif candle.close > self.bands.upper:
            self.target(@SHORT@)
        elif self.position > 0 and candle.close >= self.bands.middle:
            self.target(0)
        elif self.position < 0 and candle.close <= self.bands.middle:
            self.target(0)
