//! The pure domain core of trading: what is computed from market data, without I/O, async or a wall clock.
//!
//! Today that is the technical indicators and the [`backtest`] engine. One implementation serves the page, the stream and the backtest, so each
//! indicator is incremental: [`Indicator::update`] takes one candle and costs O(1) (amortised where a window slides).
//! Each module states the published definition that it follows and its warm-up rule. Invariants:
//!
//! - a value is `None` until enough candles were seen, never a guess from fewer;
//! - no value is NaN or infinite;
//! - window sums are exact, so a simple average does not depend on where a series was started;
//! - indicator values are floats, for looking at; money is never computed from them.

pub mod backtest;

mod atr;
mod bollinger;
mod ema;
mod exact_sum;
mod indicator;
mod macd;
mod moments;
mod rsi;
mod sma;
mod spec;
mod vwap;
mod wilder;

pub use atr::Atr;
pub use bollinger::{Bands, Bollinger};
pub use ema::Ema;
pub use indicator::{Indicator, Values};
pub use macd::{Macd, MacdValue};
pub use rsi::Rsi;
pub use sma::Sma;
pub use spec::{IndicatorKind, IndicatorSpec, MAX_PERIOD, SpecError, WarmUp};
pub use vwap::Vwap;
