//! The venue's REST budget, kept by us: a token bucket that leaves room for orders, and waits that the venue ordered.
//!
//! With a burst of `c` tokens and a refill of `(B - c)` per interval no interval, wherever it begins, ever sees more than
//! `B` spent, so a venue that counts in fixed windows is satisfied too. `B` is the budget without the share reserved for
//! orders ([`RestLimits::market_data_budget`]). History leaves half of the burst to the repair of gaps. A request heavier
//! than the whole burst goes when the bucket is full and leaves a debt; what it overspends comes out of the reserve.

use std::time::Duration;
use venues::RestLimits;

/// What a request is for; decides how deep it may reach into the bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Purpose {
    /// A hole in live data: first in line.
    Repair,
    /// A client's history request, or the list of instruments.
    History,
}

/// Wait if the venue says "too many" without saying for how long.
const LIMITED_DEFAULT: Duration = Duration::from_secs(1);
/// Longest wait that we choose ourselves.
const LIMITED_LONGEST: Duration = Duration::from_secs(60);
/// Wait if the venue bans us without saying for how long.
const BANNED_DEFAULT: Duration = Duration::from_secs(120);
/// Tokens are counted in millionths, so that slow refills lose nothing to rounding.
const MICRO: i128 = 1_000_000;

/// The budget of one venue in this process.
#[derive(Debug)]
pub(crate) struct RateLimiter {
    budget: i128,
    burst: i128,
    /// Refill per interval.
    refill: i128,
    interval_ns: i128,
    /// May be negative: a request heavier than the burst goes into debt.
    tokens: i128,
    filled_at_ns: u64,
    blocked_until_ns: u64,
    refusals: u32,
}

impl RateLimiter {
    pub(crate) fn new(limits: &RestLimits, now_ns: u64) -> Self {
        let budget = i128::from(limits.market_data_budget()) * MICRO;
        let burst = (budget / 4).max(MICRO);
        Self {
            budget,
            burst,
            refill: (budget - burst).max(MICRO / 2),
            interval_ns: i128::try_from(limits.interval.as_nanos()).unwrap_or(i128::MAX).max(1),
            tokens: burst,
            filled_at_ns: now_ns,
            blocked_until_ns: 0,
            refusals: 0,
        }
    }

    fn fill(&mut self, now_ns: u64) {
        let elapsed = i128::from(now_ns.saturating_sub(self.filled_at_ns));
        self.filled_at_ns = self.filled_at_ns.max(now_ns);
        self.tokens = (self.tokens + elapsed * self.refill / self.interval_ns).min(self.burst);
    }

    /// Spends `weight`, or tells when to ask again.
    ///
    /// # Errors
    /// The time, ns since the epoch, before which it makes no sense to ask again.
    pub(crate) fn acquire(&mut self, weight: u32, purpose: Purpose, now_ns: u64) -> Result<(), u64> {
        if now_ns < self.blocked_until_ns {
            return Err(self.blocked_until_ns);
        }
        self.fill(now_ns);
        let cost = i128::from(weight) * MICRO;
        let floor = if purpose == Purpose::History { self.burst / 2 } else { 0 };
        // A request that is heavier than the burst may go when the bucket is full.
        let need = (cost + floor).min(self.burst);
        if self.tokens >= need {
            self.tokens -= cost;
            return Ok(());
        }
        let wait = ((need - self.tokens) * self.interval_ns).div_euclid(self.refill) + 1;
        Err(now_ns.saturating_add(u64::try_from(wait).unwrap_or(u64::MAX)))
    }

    /// The venue answered properly.
    pub(crate) const fn answered(&mut self) {
        self.refusals = 0;
    }

    /// The venue says that `used` of its whole budget is spent in this interval, by us or by others at this address.
    pub(crate) fn used_weight(&mut self, used: u32, now_ns: u64) {
        self.fill(now_ns);
        self.tokens = self.tokens.min(self.budget - i128::from(used) * MICRO);
    }

    /// The venue said "too many requests". Returns how long nothing is sent.
    pub(crate) fn limited(&mut self, retry_after: Option<Duration>, now_ns: u64) -> Duration {
        let own = LIMITED_DEFAULT.saturating_mul(1 << self.refusals.min(10)).min(LIMITED_LONGEST);
        self.refusals = self.refusals.saturating_add(1);
        self.block(retry_after.unwrap_or(own), now_ns)
    }

    /// The venue banned this address. Returns how long nothing is sent.
    pub(crate) fn banned(&mut self, retry_after: Option<Duration>, now_ns: u64) -> Duration {
        self.refusals = self.refusals.saturating_add(1);
        self.block(retry_after.unwrap_or(BANNED_DEFAULT), now_ns)
    }

    fn block(&mut self, wait: Duration, now_ns: u64) -> Duration {
        self.tokens = self.tokens.min(0);
        let until = now_ns.saturating_add(u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX));
        self.blocked_until_ns = self.blocked_until_ns.max(until);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: u64 = 1_000_000_000;
    const START: u64 = 1_700_000_000 * SECOND;

    fn limits(budget: u32) -> RestLimits {
        RestLimits {
            budget,
            interval: Duration::from_secs(60),
            reserve_for_orders_percent: 50,
            used_weight_header: None,
        }
    }

    proptest! {
        #[test]
        fn no_interval_sees_more_than_the_budget_without_the_reserve(
            budget in 80u32..6_000, weight in 1u32..10, steps in proptest::collection::vec(0u64..3 * SECOND, 1..400),
        ) {
            let mut limiter = RateLimiter::new(&limits(budget), START);
            let (mut now, mut spent) = (START, Vec::new());
            for step in steps {
                now += step;
                while limiter.acquire(weight, Purpose::Repair, now).is_ok() {
                    spent.push(now);
                }
            }
            for (i, start) in spent.iter().enumerate() {
                let inside = spent[i..].iter().take_while(|t| **t < start + 60 * SECOND).count();
                prop_assert!(u64::try_from(inside).unwrap() * u64::from(weight) <= u64::from(budget / 2) + 1);
            }
        }

        #[test]
        fn asking_again_at_the_told_time_succeeds(budget in 8u32..6_000, weight in 1u32..200, rounds in 1usize..20) {
            let mut limiter = RateLimiter::new(&limits(budget), START);
            let mut now = START;
            for _ in 0..rounds {
                if let Err(until) = limiter.acquire(weight, Purpose::History, now) {
                    prop_assert!(until > now);
                    now = until;
                    prop_assert!(limiter.acquire(weight, Purpose::History, now).is_ok());
                }
            }
        }
    }

    #[test]
    fn history_leaves_half_of_the_burst_to_repairs() {
        let mut limiter = RateLimiter::new(&limits(800), START);
        let mut history = 0;
        while limiter.acquire(1, Purpose::History, START).is_ok() {
            history += 1;
        }
        assert_eq!(history, 50);
        assert!(limiter.acquire(50, Purpose::Repair, START).is_ok());
        assert!(limiter.acquire(1, Purpose::Repair, START).is_err());
    }

    #[test]
    fn nothing_is_sent_before_the_venue_allows_it() {
        let mut limiter = RateLimiter::new(&limits(800), START);
        limiter.limited(Some(Duration::from_secs(7)), START);
        assert_eq!(limiter.acquire(1, Purpose::Repair, START + 6 * SECOND), Err(START + 7 * SECOND));
        assert!(limiter.acquire(1, Purpose::Repair, START + 8 * SECOND).is_ok());
        limiter.banned(Some(Duration::from_secs(600)), START + 8 * SECOND);
        assert_eq!(limiter.acquire(1, Purpose::Repair, START + 9 * SECOND), Err(START + 608 * SECOND));
    }

    #[test]
    fn without_a_time_from_the_venue_refusals_wait_longer_each_time() {
        let mut limiter = RateLimiter::new(&limits(800), START);
        let waits: Vec<u64> = (0..8).map(|_| limiter.limited(None, START).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
        limiter.answered();
        assert_eq!(limiter.limited(None, START).as_secs(), 1);
    }

    #[test]
    fn weight_that_others_spent_at_this_address_counts() {
        let mut limiter = RateLimiter::new(&limits(800), START);
        limiter.used_weight(399, START);
        assert!(limiter.acquire(1, Purpose::Repair, START).is_ok());
        assert!(limiter.acquire(1, Purpose::Repair, START).is_err());
    }
}
