//! How long to wait before the next try: exponential, with full jitter, and forgotten after a healthy time.

use rand::Rng;
use std::time::Duration;

/// Waits between tries of one thing.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
    failures: u32,
}

impl Backoff {
    pub(crate) const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, failures: 0 }
    }

    /// The wait before the next try: between half and the whole of `first * 2^failures`, at most `longest`. The lower
    /// half is never drawn, so that a venue that refuses at once is not hammered.
    pub(crate) fn next_wait(&mut self, random: &mut impl Rng) -> Duration {
        let whole = self.first.saturating_mul(1 << self.failures.min(20)).min(self.longest);
        self.failures = self.failures.saturating_add(1);
        whole.mul_f64(random.random_range(0.5..=1.0))
    }

    /// The thing works again.
    pub(crate) const fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn waits_double_up_to_the_longest_and_start_over_after_a_reset() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
        for whole in [100, 200, 400, 800, 1600, 2000, 2000] {
            let wait = backoff.next_wait(&mut random);
            assert!(
                wait >= Duration::from_millis(whole / 2) && wait <= Duration::from_millis(whole),
                "{whole}: {wait:?}"
            );
        }
        backoff.reset();
        assert!(backoff.next_wait(&mut random) <= Duration::from_millis(100));
    }

    #[test]
    fn two_clients_that_fail_together_do_not_come_back_together() {
        let waits = |seed| {
            let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            (0..5).map(|_| backoff.next_wait(&mut random)).collect::<Vec<_>>()
        };
        assert_ne!(waits(1), waits(2));
    }
}
