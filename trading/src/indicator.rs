//! Any indicator behind one type: candles in, named values out.

use crate::{
    AccumulationDistribution, Adx, Aroon, Atr, Bands, Bar, Bollinger, Cci, Cmf, Dema, Donchian, Ema, Hma,
    IndicatorKind, IndicatorSpec, Kama, Keltner, LinearSlope, Macd, Mfi, Momentum, Obv, ParabolicSar, Roc, Rsi, Sma,
    StandardDeviation, StochRsi, Stochastic, StochasticValue, Tema, Vwap, WilliamsR, Wma,
};
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

    fn two(value: Option<StochasticValue>) -> Self {
        Self { slots: [value.map(|v| v.k), value.and_then(|v| v.d), None], count: 2 }
    }

    fn three(slots: [Option<f64>; MOST]) -> Self {
        Self { slots, count: MOST }
    }

    fn bands(bands: Option<Bands>) -> Self {
        Self::three([bands.map(|b| b.middle), bands.map(|b| b.upper), bands.map(|b| b.lower)])
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
    Wma(Wma),
    Dema(Dema),
    Tema(Tema),
    Hma(Hma),
    Kama(Kama),
    Vwap(Vwap),
    Psar(ParabolicSar),
    Bollinger(Bollinger),
    Keltner(Keltner),
    Donchian(Donchian),
    Rsi(Rsi),
    Macd(Macd),
    Stochastic(Stochastic),
    StochRsi(StochRsi),
    WilliamsR(WilliamsR),
    Cci(Cci),
    Momentum(Momentum),
    Roc(Roc),
    Adx(Adx),
    Aroon(Aroon),
    Atr(Atr),
    StdDev(StandardDeviation),
    LinearSlope(LinearSlope),
    Obv(Obv),
    AccumulationDistribution(AccumulationDistribution),
    Cmf(Cmf),
    Mfi(Mfi),
}

impl Indicator {
    pub(crate) fn new(spec: &IndicatorSpec) -> Self {
        use IndicatorKind as Kind;
        let [a, b, c, d] = [0, 1, 2, 3].map(|at| spec.period(at));
        Self(match spec.kind() {
            Kind::Sma => State::Sma(Sma::new(a)),
            Kind::Ema => State::Ema(Ema::new(a)),
            Kind::Wma => State::Wma(Wma::new(a)),
            Kind::Dema => State::Dema(Dema::new(a)),
            Kind::Tema => State::Tema(Tema::new(a)),
            Kind::Hma => State::Hma(Hma::new(a)),
            Kind::Kama => State::Kama(Kama::new(a)),
            Kind::Vwap => State::Vwap(Vwap::new()),
            Kind::Psar => State::Psar(ParabolicSar::new(spec.number(0), spec.number(1))),
            Kind::Bollinger => State::Bollinger(Bollinger::new(a, spec.number(1))),
            Kind::Keltner => State::Keltner(Keltner::new(a, b, spec.number(2))),
            Kind::Donchian => State::Donchian(Donchian::new(a)),
            Kind::Rsi => State::Rsi(Rsi::new(a)),
            Kind::Macd => State::Macd(Macd::new(a, b, c)),
            Kind::Stochastic => State::Stochastic(Stochastic::new(a, b, c)),
            Kind::StochRsi => State::StochRsi(StochRsi::new(a, b, c, d)),
            Kind::WilliamsR => State::WilliamsR(WilliamsR::new(a)),
            Kind::Cci => State::Cci(Cci::new(a)),
            Kind::Momentum => State::Momentum(Momentum::new(a)),
            Kind::Roc => State::Roc(Roc::new(a)),
            Kind::Adx => State::Adx(Adx::new(a)),
            Kind::Aroon => State::Aroon(Aroon::new(a)),
            Kind::Atr => State::Atr(Atr::new(a)),
            Kind::StdDev => State::StdDev(StandardDeviation::new(a)),
            Kind::LinearSlope => State::LinearSlope(LinearSlope::new(a)),
            Kind::Obv => State::Obv(Obv::new()),
            Kind::AccumulationDistribution => State::AccumulationDistribution(AccumulationDistribution::new()),
            Kind::Cmf => State::Cmf(Cmf::new(a)),
            Kind::Mfi => State::Mfi(Mfi::new(a)),
        })
    }

    /// Adds the next candle of the series and returns the values at it. To show the values at a candle that is still open,
    /// update a clone.
    pub fn update(&mut self, candle: &Candle) -> Values {
        self.add(&Bar::from(candle))
    }

    /// [`Self::update`] with what it looks at.
    pub fn add(&mut self, bar: &Bar) -> Values {
        let close = bar.close;
        match &mut self.0 {
            State::Sma(sma) => Values::one(sma.update(close)),
            State::Ema(ema) => Values::one(ema.update(close.to_f64())),
            State::Wma(wma) => Values::one(wma.update(close)),
            State::Dema(dema) => Values::one(dema.update(close.to_f64())),
            State::Tema(tema) => Values::one(tema.update(close.to_f64())),
            State::Hma(hma) => Values::one(hma.update(close)),
            State::Kama(kama) => Values::one(kama.update(close)),
            State::Vwap(vwap) => Values::one(vwap.update(bar)),
            State::Psar(psar) => Values::one(psar.update(bar)),
            State::Bollinger(bollinger) => Values::bands(bollinger.update(close)),
            State::Keltner(keltner) => Values::bands(keltner.update(bar)),
            State::Donchian(donchian) => Values::bands(donchian.update(bar)),
            State::Rsi(rsi) => Values::one(rsi.update(close.to_f64())),
            State::Macd(macd) => {
                let value = macd.update(close.to_f64());
                Values::three([value.map(|v| v.line), value.and_then(|v| v.signal), value.and_then(|v| v.histogram)])
            }
            State::Stochastic(stochastic) => Values::two(stochastic.update(bar)),
            State::StochRsi(stochastic) => Values::two(stochastic.update(close.to_f64())),
            State::WilliamsR(williams) => Values::one(williams.update(bar)),
            State::Cci(cci) => Values::one(cci.update(bar)),
            State::Momentum(momentum) => Values::one(momentum.update(close)),
            State::Roc(roc) => Values::one(roc.update(close)),
            State::Adx(adx) => {
                let value = adx.update(bar);
                Values::three([value.and_then(|v| v.adx), value.map(|v| v.plus), value.map(|v| v.minus)])
            }
            State::Aroon(aroon) => {
                let value = aroon.update(bar);
                Values::three([value.map(|v| v.up), value.map(|v| v.down), value.map(|v| v.oscillator)])
            }
            State::Atr(atr) => Values::one(atr.update(bar)),
            State::StdDev(deviation) => Values::one(deviation.update(close.to_f64())),
            State::LinearSlope(slope) => Values::one(slope.update(close)),
            State::Obv(obv) => Values::one(obv.update(bar)),
            State::AccumulationDistribution(line) => Values::one(line.update(bar)),
            State::Cmf(cmf) => Values::one(cmf.update(bar)),
            State::Mfi(mfi) => Values::one(mfi.update(bar)),
        }
    }
}

#[cfg(test)]
mod naive;
#[cfg(test)]
mod tests;
