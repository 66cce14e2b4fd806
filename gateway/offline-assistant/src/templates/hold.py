"""@ABOUT@

Buys at the first candle and does nothing more. The yardstick for everything else: what does not beat it after fees is not worth its trouble.
"""
import dexorder


class BuyAndHold(dexorder.Strategy):
    exposure = 0.95    # part of the equity that is put in

    def on_candle(self, candle):
        self.target(self.exposure)     # asked again for the same exposure it does nothing
