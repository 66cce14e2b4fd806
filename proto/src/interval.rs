//! Candle intervals.

use std::fmt;
use std::str::FromStr;

/// The length of a candle in whole seconds, one of [`Interval::ALL`]. Shown as `60s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interval(u32);

/// The interval is not one of the platform's seven.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("interval: not one of 1s 60s 300s 900s 3600s 14400s 86400s (or 1s 1m 5m 15m 1h 4h 1d)")]
pub struct IntervalError;

impl Interval {
    /// One second.
    pub const S1: Self = Self(1);
    /// One minute.
    pub const M1: Self = Self(60);
    /// One hour.
    pub const H1: Self = Self(3600);
    /// One day.
    pub const D1: Self = Self(86_400);
    /// All intervals, shortest first; each divides the next.
    pub const ALL: [Self; 7] = [Self(1), Self(60), Self(300), Self(900), Self(3600), Self(14_400), Self(86_400)];

    /// From whole seconds.
    ///
    /// # Errors
    /// If it is not one of [`Self::ALL`].
    pub fn from_seconds(seconds: u32) -> Result<Self, IntervalError> {
        Self::ALL.into_iter().find(|i| i.0 == seconds).ok_or(IntervalError)
    }

    /// Whole seconds.
    #[must_use]
    pub const fn seconds(self) -> u32 {
        self.0
    }

    /// Nanoseconds.
    #[must_use]
    pub const fn nanos(self) -> u64 {
        self.0 as u64 * 1_000_000_000
    }

    /// Start of the candle that holds `time_ns`.
    #[must_use]
    pub const fn open_time(self, time_ns: u64) -> u64 {
        time_ns - time_ns % self.nanos()
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}s", self.0)
    }
}

impl FromStr for Interval {
    type Err = IntervalError;

    /// Accepts `60s` and the traders' short forms `1m 5m 15m 1h 4h 1d`.
    fn from_str(text: &str) -> Result<Self, IntervalError> {
        let seconds = match text {
            "1m" => 60,
            "5m" => 300,
            "15m" => 900,
            "1h" => 3600,
            "4h" => 14_400,
            "1d" => 86_400,
            _ => {
                let digits = text.strip_suffix('s').ok_or(IntervalError)?;
                if digits.starts_with(['0', '+']) {
                    return Err(IntervalError);
                }
                digits.parse().map_err(|_| IntervalError)?
            }
        };
        Self::from_seconds(seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_interval_divides_the_next_and_round_trips() {
        for pair in Interval::ALL.windows(2) {
            assert_eq!(pair[1].seconds() % pair[0].seconds(), 0);
        }
        for interval in Interval::ALL {
            assert_eq!(interval.to_string().parse(), Ok(interval));
        }
        for bad in ["60", "060s", "+60s", "2s", "s", "1M", ""] {
            assert!(bad.parse::<Interval>().is_err(), "{bad}");
        }
    }
}
