//! Highest high and lowest low of a sliding window, and where they are.

use crate::Bar;
use crate::sliding::{Sliding, Total};

/// Highest and lowest price with the numbers of their candles; of equal ones the newest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Extremes {
    pub(crate) high: f64,
    pub(crate) high_at: u64,
    pub(crate) low: f64,
    pub(crate) low_at: u64,
}

impl Total for Extremes {
    fn merge(self, newer: Self) -> Self {
        let (high, high_at) =
            if newer.high >= self.high { (newer.high, newer.high_at) } else { (self.high, self.high_at) };
        let (low, low_at) = if newer.low <= self.low { (newer.low, newer.low_at) } else { (self.low, self.low_at) };
        Self { high, high_at, low, low_at }
    }
}

impl Extremes {
    /// Where a price lies between the lowest, 0, and the highest, 1; in the middle of a range below `least`.
    pub(crate) fn place(&self, price: f64, least: f64) -> f64 {
        let range = self.high - self.low;
        if range > least { ((price - self.low) / range).clamp(0.0, 1.0) } else { 0.5 }
    }
}

/// The extremes of the last `length` candles.
#[derive(Debug, Clone)]
pub(crate) struct SlidingExtremes {
    window: Sliding<Extremes>,
    next: u64,
}

impl SlidingExtremes {
    pub(crate) fn new(length: usize) -> Self {
        Self { window: Sliding::new(length), next: 0 }
    }

    pub(crate) fn update(&mut self, bar: &Bar) -> Option<Extremes> {
        self.push(bar.high.to_f64(), bar.low.to_f64())
    }

    pub(crate) fn push(&mut self, high: f64, low: f64) -> Option<Extremes> {
        let at = self.next;
        self.next += 1;
        self.window.push(Extremes { high, high_at: at, low, low_at: at })
    }

    /// Number of the newest candle.
    pub(crate) const fn newest(&self) -> u64 {
        self.next.saturating_sub(1)
    }
}
