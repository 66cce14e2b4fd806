//! The pure domain core of trading: what is computed from market data, without I/O, async or a wall clock.
//!
//! Today that is the technical indicators and the [`backtest`] engine. One implementation serves the page, the stream, the
//! backtest and Python, so each indicator is incremental: [`Indicator::update`] takes one candle and costs O(1) (amortised where
//! a window slides; O(n) for [`Cci`] alone). `docs/indicators.md` has them in a table, beside TA-Lib.
//! Each module states the published definition that it follows and its warm-up rule. Invariants:
//!
//! - a value is `None` until enough candles were seen, never a guess from fewer;
//! - no value is NaN or infinite;
//! - sums do not drift: those of prices are exact, so a simple average does not depend on where a series was started; those of
//!   computed values are only ever added to, never subtracted from;
//! - indicator values are floats, for looking at; money is never computed from them.

pub mod backtest;

mod adx;
mod aroon;
mod atr;
mod averages;
mod bar;
mod bollinger;
mod catalog;
mod cci;
mod channels;
mod deviation;
mod ema;
mod exact_sum;
mod extremes;
mod indicator;
mod kama;
mod macd;
mod moments;
mod momentum;
mod parabolic;
mod rsi;
mod sliding;
mod sma;
mod spec;
mod stochastic;
mod volume;
mod vwap;
mod weighted;
mod wilder;

pub use adx::{Adx, Directional};
pub use aroon::{Aroon, AroonValue};
pub use atr::Atr;
pub use averages::{Dema, Hma, Tema, Wma};
pub use bar::Bar;
pub use bollinger::{Bands, Bollinger};
pub use catalog::IndicatorKind;
pub use cci::Cci;
pub use channels::{Donchian, Keltner};
pub use deviation::StandardDeviation;
pub use ema::Ema;
pub use indicator::{Indicator, Values};
pub use kama::Kama;
pub use macd::{Macd, MacdValue};
pub use momentum::{LinearSlope, Momentum, Roc};
pub use parabolic::ParabolicSar;
pub use rsi::Rsi;
pub use sma::Sma;
pub use spec::{IndicatorSpec, MAX_PERIOD, SpecError, WarmUp};
pub use stochastic::{StochRsi, Stochastic, StochasticValue, WilliamsR};
pub use volume::{AccumulationDistribution, Cmf, Mfi, Obv};
pub use vwap::Vwap;
