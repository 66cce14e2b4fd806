//! Any indicator behind one type: candles in, named values out.

use crate::{Atr, Bollinger, Ema, IndicatorSpec, Macd, Rsi, Sma, Vwap};
use proto::market::Candle;
use std::ops::Deref;

/// Most values that an indicator has.
const MOST: usize = 3;

/// The values of an indicator at one candle, in the order of [`IndicatorSpec::outputs`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Values {
    slots: [Option<f64>; MOST],
    count: usize,
}

impl Values {
    fn one(value: Option<f64>) -> Self {
        Self { slots: [value, None, None], count: 1 }
    }

    fn three(slots: [Option<f64>; MOST]) -> Self {
        Self { slots, count: MOST }
    }
}

impl Deref for Values {
    type Target = [Option<f64>];

    fn deref(&self) -> &[Option<f64>] {
        &self.slots[..self.count]
    }
}

/// An indicator in the middle of a series.
#[derive(Debug, Clone)]
pub struct Indicator(State);

#[derive(Debug, Clone)]
enum State {
    Sma(Sma),
    Ema(Ema),
    Rsi(Rsi),
    Macd(Macd),
    Bollinger(Bollinger),
    Vwap(Vwap),
    Atr(Atr),
}

impl Indicator {
    pub(crate) fn new(spec: &IndicatorSpec) -> Self {
        Self(match *spec {
            IndicatorSpec::Sma { period } => State::Sma(Sma::new(period as usize)),
            IndicatorSpec::Ema { period } => State::Ema(Ema::new(period as usize)),
            IndicatorSpec::Rsi { period } => State::Rsi(Rsi::new(period as usize)),
            IndicatorSpec::Macd { fast, slow, signal } => {
                State::Macd(Macd::new(fast as usize, slow as usize, signal as usize))
            }
            IndicatorSpec::Bollinger { period, multiplier } => {
                State::Bollinger(Bollinger::new(period as usize, multiplier.to_f64()))
            }
            IndicatorSpec::Vwap => State::Vwap(Vwap::new()),
            IndicatorSpec::Atr { period } => State::Atr(Atr::new(period as usize)),
        })
    }

    /// Adds the next candle of the series and returns the values at it. To show the values at a candle that is still open,
    /// update a clone.
    pub fn update(&mut self, candle: &Candle) -> Values {
        match &mut self.0 {
            State::Sma(sma) => Values::one(sma.update(candle.close)),
            State::Ema(ema) => Values::one(ema.update(candle.close.to_f64())),
            State::Rsi(rsi) => Values::one(rsi.update(candle.close.to_f64())),
            State::Vwap(vwap) => Values::one(vwap.update(candle)),
            State::Atr(atr) => Values::one(atr.update(candle)),
            State::Macd(macd) => {
                let value = macd.update(candle.close.to_f64());
                Values::three([value.map(|v| v.line), value.and_then(|v| v.signal), value.and_then(|v| v.histogram)])
            }
            State::Bollinger(bollinger) => {
                let bands = bollinger.update(candle.close);
                Values::three([bands.map(|b| b.middle), bands.map(|b| b.upper), bands.map(|b| b.lower)])
            }
        }
    }
}

#[cfg(test)]
mod tests;
