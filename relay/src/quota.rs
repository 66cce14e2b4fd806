//! How fast one client may ask: a leaky bucket in whole nanoseconds.

use crate::config::Quota;
use std::time::{Duration, Instant};

/// Rate and burst, prepared.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    interval: Duration,
    /// How far ahead of the clock a client may get.
    slack: Duration,
}

impl Rate {
    pub(crate) fn new(quota: &Quota) -> Self {
        let interval = Duration::from_secs(1) / quota.requests_per_second.max(1);
        Self { interval, slack: interval * quota.burst.saturating_sub(1) }
    }
}

/// What one client has used.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bucket {
    /// When the client would be even with its rate.
    even_at: Instant,
}

impl Bucket {
    pub(crate) const fn new(now: Instant) -> Self {
        Self { even_at: now }
    }

    /// Takes one request, or says how long to wait for the next.
    pub(crate) fn take(&mut self, rate: &Rate, now: Instant) -> Result<(), Duration> {
        let even_at = self.even_at.max(now);
        let ahead = even_at - now;
        if ahead > rate.slack {
            return Err(ahead - rate.slack);
        }
        self.even_at = even_at + rate.interval;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_granted_and_then_the_rate_holds() {
        let rate = Rate::new(&Quota { requests_per_second: 10, burst: 3 });
        let start = Instant::now();
        let mut bucket = Bucket::new(start);
        for _ in 0..3 {
            assert_eq!(bucket.take(&rate, start), Ok(()));
        }
        let wait = bucket.take(&rate, start).unwrap_err();
        assert_eq!(wait, Duration::from_millis(100));
        assert_eq!(bucket.take(&rate, start + wait), Ok(()), "exactly after the wait that was told");
        assert!(bucket.take(&rate, start + wait).is_err());
    }

    #[test]
    fn waiting_longer_than_the_burst_gains_nothing_more() {
        let rate = Rate::new(&Quota { requests_per_second: 10, burst: 2 });
        let start = Instant::now();
        let mut bucket = Bucket::new(start);
        let later = start + Duration::from_secs(3600);
        assert_eq!((0..5).filter(|_| bucket.take(&rate, later).is_ok()).count(), 2);
    }
}
