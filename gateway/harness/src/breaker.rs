//! A breaker per model: after several failures in a row it is left alone for a while, then one request tries again. Pure.

use std::time::Duration;
use tokio::time::Instant;

/// Whether a model may be asked now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Permit {
    /// Yes.
    Closed,
    /// Yes, as the one request that tries whether it is back.
    Probe,
    /// No.
    Open,
}

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Breaker {
    failures: u32,
    open_until: Option<Instant>,
    probing: bool,
}

impl Breaker {
    /// Asks for leave; a probe must be answered by [`Breaker::succeeded`], [`Breaker::failed`] or [`Breaker::gave_up`].
    pub(crate) fn permit(&mut self, now: Instant) -> Permit {
        match self.open_until {
            None => Permit::Closed,
            Some(until) if now < until || self.probing => Permit::Open,
            Some(_) => {
                self.probing = true;
                Permit::Probe
            }
        }
    }

    /// The model answered.
    pub(crate) const fn succeeded(&mut self) {
        *self = Self { failures: 0, open_until: None, probing: false };
    }

    /// The model failed; true if the breaker opened by it.
    pub(crate) fn failed(&mut self, now: Instant, most: u32, open: Duration) -> bool {
        self.failures = self.failures.saturating_add(1);
        let probe = std::mem::take(&mut self.probing);
        let opens = probe || (self.failures >= most && self.open_until.is_none());
        if opens {
            self.open_until = Some(now + open);
        }
        opens
    }

    /// The probe ended without an answer that says anything, as when the user stopped it.
    pub(crate) const fn gave_up(&mut self) {
        self.probing = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_opens_after_failures_and_lets_one_probe_through() {
        let (most, open) = (3, Duration::from_secs(30));
        let mut breaker = Breaker::default();
        let now = Instant::now();
        assert!(!breaker.failed(now, most, open));
        assert!(!breaker.failed(now, most, open));
        assert_eq!(breaker.permit(now), Permit::Closed);
        assert!(breaker.failed(now, most, open));
        assert_eq!(breaker.permit(now), Permit::Open);
        let later = now + open;
        assert_eq!(breaker.permit(later), Permit::Probe);
        assert_eq!(breaker.permit(later), Permit::Open, "one probe at a time");
        breaker.gave_up();
        assert_eq!(breaker.permit(later), Permit::Probe);
        assert!(breaker.failed(later, most, open), "a failed probe opens it again");
        assert_eq!(breaker.permit(later), Permit::Open);
        assert_eq!(breaker.permit(later + open), Permit::Probe);
        breaker.succeeded();
        assert_eq!(breaker.permit(later), Permit::Closed);
        assert!(!breaker.failed(later, most, open), "failures are counted anew");
    }
}
