//! When to start the next fdatasync: appenders that one fdatasync released are usually back within microseconds, and should
//! share the next one instead of waiting for the one after it.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The wait is at most this part of the last fdatasync.
const PART: u32 = 8;
/// And at most this.
const WAIT_MAX: Duration = Duration::from_millis(1);

/// Counts appenders that come to wait for an fdatasync.
#[derive(Debug, Default)]
pub(crate) struct Gathering {
    came: Mutex<u64>,
    arrived: Condvar,
    rhythm: Mutex<Rhythm>,
}

/// What the last fdatasync teaches about the next.
#[derive(Debug, Default)]
struct Rhythm {
    /// Appenders whose records are on disk.
    served: u64,
    /// Appenders that are likely to come again: those it served and those that came meanwhile.
    expected: u64,
    /// No wait after this moment.
    until: Option<Instant>,
}

impl Gathering {
    /// One more appender waits.
    pub(crate) fn arrive(&self) {
        *self.came.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.arrived.notify_one();
    }

    /// Waits a moment for the expected appenders, runs `sync`, and learns from it. One thread at a time.
    pub(crate) fn sync_together(&self, sync: impl FnOnce()) {
        let mut rhythm = self.rhythm.lock().unwrap_or_else(PoisonError::into_inner);
        let came = self.wait(&rhythm);
        let start = Instant::now();
        sync();
        let took = start.elapsed();
        let came_meanwhile = *self.came.lock().unwrap_or_else(PoisonError::into_inner);
        rhythm.expected = came_meanwhile - rhythm.served;
        rhythm.served = came;
        rhythm.until = Some(Instant::now() + (took / PART).min(WAIT_MAX));
    }

    /// Waits while too few have come and it is not too late; tells how many came.
    fn wait(&self, rhythm: &Rhythm) -> u64 {
        let mut came = self.came.lock().unwrap_or_else(PoisonError::into_inner);
        // A single appender has nobody to wait for.
        let missing = |came: u64| rhythm.expected > 1 && came - rhythm.served < rhythm.expected;
        while missing(*came) {
            let left = rhythm.until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                break;
            }
            came = self.arrived.wait_timeout(came, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        *came
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rhythm(served: u64, expected: u64, left: Duration) -> Rhythm {
        Rhythm { served, expected, until: Instant::now().checked_add(left) }
    }

    fn gathering(came: u64) -> Gathering {
        let gathering = Gathering::default();
        (0..came).for_each(|_| gathering.arrive());
        gathering
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn the_next_sync_starts_when_all_expected_appenders_have_come() {
        let gathering = gathering(8);
        std::thread::scope(|scope| {
            scope.spawn(|| gathering.arrive());
            // One was served and seven came meanwhile: the eighth to come is the one that was released.
            assert_eq!(gathering.wait(&rhythm(1, 8, LONG)), 9);
        });
    }

    #[test]
    fn nobody_waits_for_those_who_do_not_come_longer_than_the_moment() {
        assert_eq!(gathering(3).wait(&rhythm(1, 8, Duration::ZERO)), 3);
        assert_eq!(gathering(3).wait(&Rhythm { served: 1, expected: 8, until: None }), 3);
    }

    #[test]
    fn a_single_appender_never_waits() {
        assert_eq!(gathering(1).wait(&rhythm(1, 1, LONG)), 1);
    }

    #[test]
    fn a_sync_expects_those_it_served_and_those_that_came_meanwhile() {
        let gathering = gathering(3);
        gathering.sync_together(|| (0..5).for_each(|_| gathering.arrive()));
        let rhythm = gathering.rhythm.lock().unwrap();
        assert_eq!((rhythm.served, rhythm.expected), (3, 8));
    }
}
