//! The only place that reads the wall clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Now, in nanoseconds since the Unix epoch, by the wall clock.
#[must_use]
#[allow(clippy::disallowed_methods, reason = "this is the place where the clock is read")]
pub fn now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| u64::try_from(age.as_nanos()).unwrap_or(u64::MAX))
}

/// A wall clock that a test can drive.
#[derive(Debug, Clone, Default)]
pub enum Clock {
    /// The machine's clock.
    #[default]
    System,
    /// A clock that stands still until it is set.
    Manual(Arc<AtomicU64>),
}

impl Clock {
    /// A manual clock that shows `now_ns`.
    #[must_use]
    pub fn manual(now_ns: u64) -> Self {
        Self::Manual(Arc::new(AtomicU64::new(now_ns)))
    }

    /// Nanoseconds since the Unix epoch.
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        match self {
            Self::System => now_ns(),
            Self::Manual(time) => time.load(Ordering::Acquire),
        }
    }

    /// Sets a manual clock; the system clock is not changed.
    pub fn set_ns(&self, now_ns: u64) {
        if let Self::Manual(time) = self {
            time.store(now_ns, Ordering::Release);
        }
    }
}
