//! Candles: the lake's rows merged with the live tail, kept in memory while they are looked at.
//!
//! `window` is one series in memory, `cache` the bounded set of them, `gaps` finds what is missing, `page` fills and cuts an
//! answer; all of these are pure. `candles` reads lake, memory and history together.

pub(crate) mod cache;
pub(crate) mod candles;
pub(crate) mod gaps;
pub(crate) mod page;
pub(crate) mod window;

use proto::{Interval, Symbol, Topic, Venue};

/// One series.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct SeriesKey {
    pub(crate) venue: Venue,
    pub(crate) symbol: Symbol,
    pub(crate) interval: Interval,
}

impl SeriesKey {
    pub(crate) fn topic(&self) -> Topic {
        Topic::Candle(self.venue.clone(), self.symbol.clone(), self.interval)
    }
}

/// The window that holds `time_ns`, or the next one if it is not the start of one.
pub(crate) fn ceil(interval: Interval, time_ns: u64) -> u64 {
    let floor = interval.open_time(time_ns);
    if floor == time_ns { floor } else { floor.saturating_add(interval.nanos()) }
}
