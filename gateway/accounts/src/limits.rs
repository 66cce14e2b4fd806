//! How often something may be done: token buckets in a hot store, which all replicas share if it is Redis.
//!
//! A bucket is one number, the time at which it will be full again (GCRA). Taking from it moves that time on by the share of one
//! request; who would move it further than a whole window ahead is refused and told when to come back.

mod in_process;
mod redis;

pub use self::in_process::InProcess;
pub use self::redis::RedisStore;

use crate::tier::Rate;
use async_trait::async_trait;
use std::time::Duration;

/// What became of a request for one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is allowed.
    Granted,
    /// Not before so long.
    Refused {
        /// When there is the next one.
        retry_after: Duration,
    },
}

/// The hot store did not answer.
#[derive(Debug, thiserror::Error)]
#[error("the hot store failed")]
pub struct HotStoreError {
    /// The cause.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// Where buckets are kept.
#[async_trait]
pub trait HotStore: Send + Sync + std::fmt::Debug {
    /// Takes one from a bucket. Two replicas that take at the same time take two.
    ///
    /// # Errors
    /// If the store does not answer in time.
    async fn take(&self, key: &str, rate: Rate, now_ns: u64) -> Result<Taken, HotStoreError>;
}

/// A bucket's arithmetic, in microseconds: Redis counts exactly up to 2^53.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bucket {
    /// What one request takes.
    pub(crate) share_us: u64,
    /// How far ahead the bucket may be.
    pub(crate) window_us: u64,
}

impl Bucket {
    pub(crate) fn new(rate: Rate) -> Self {
        let window_us = u64::try_from(rate.window.as_micros()).unwrap_or(u64::MAX).max(1);
        Self { share_us: (window_us / u64::from(rate.count.max(1))).max(1), window_us }
    }

    /// The bucket's next state, or how long to wait, µs.
    pub(crate) fn take(self, full_at_us: Option<u64>, now_us: u64) -> Result<u64, u64> {
        // A bucket that is further ahead than a window was written by a clock that ran ahead; nobody waits for longer.
        let full_at_us = full_at_us.unwrap_or(0).clamp(now_us, now_us.saturating_add(self.window_us));
        let next = full_at_us + self.share_us;
        let ahead = next - now_us;
        if ahead > self.window_us { Err(ahead - self.window_us) } else { Ok(next) }
    }
}

#[cfg(test)]
mod tests;
