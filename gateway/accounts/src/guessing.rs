//! How long a name or an address waits after wrong secrets: a decision over what was counted, without clock or store.

use std::time::Duration;

/// Wrong secrets that cost nothing.
pub const FREE: u32 = 5;
/// The longest wait.
pub const LONGEST: Duration = Duration::from_secs(15 * 60);
/// Wrong secrets are forgotten so long after the last one.
pub const FORGOTTEN: Duration = Duration::from_secs(24 * 3600);

/// What was counted of a name or an address.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Guesses {
    /// Wrong secrets in a row.
    pub failures: u32,
    /// No try is looked at before, ns.
    pub until_ns: u64,
    /// When it was last counted, ns.
    pub updated_ns: u64,
}

/// What becomes of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is looked at; if it is wrong, this is what was counted then.
    Look(Guesses),
    /// It is not looked at, and not counted either: who waits is not punished for asking.
    Wait(Duration),
}

/// The wait after so many wrong secrets in a row: none, then 1 s, then twice as long each time.
#[must_use]
pub fn wait(failures: u32) -> Duration {
    match failures.checked_sub(FREE) {
        None => Duration::ZERO,
        Some(doublings) => Duration::from_secs(1 << doublings.min(10)).min(LONGEST),
    }
}

impl Guesses {
    /// Judges a try.
    #[must_use]
    pub fn judge(self, now_ns: u64) -> Verdict {
        if now_ns < self.until_ns {
            // A clock that was set back must not lock anybody out for longer than the rule says.
            return Verdict::Wait(Duration::from_nanos(self.until_ns - now_ns).min(LONGEST));
        }
        let forgotten = now_ns.saturating_sub(self.updated_ns) > nanos(FORGOTTEN);
        let failures = if forgotten { 1 } else { self.failures.saturating_add(1) };
        let until_ns = now_ns.saturating_add(nanos(wait(failures)));
        Verdict::Look(Self { failures, until_ns, updated_ns: now_ns })
    }

    /// Takes back one try that was counted and turned out not to be wrong.
    #[must_use]
    pub fn forgive(self, now_ns: u64) -> Self {
        Self { failures: self.failures.saturating_sub(1), until_ns: now_ns.min(self.until_ns), updated_ns: now_ns }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn the_wait_begins_with_the_fifth_failure_and_doubles_up_to_a_quarter_of_an_hour() {
        let seconds: Vec<u64> = (0..18).map(|failures| wait(failures).as_secs()).collect();
        assert_eq!(seconds, [0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]);
        assert_eq!(wait(u32::MAX), LONGEST);
    }

    #[test]
    fn a_guesser_who_never_rests_gets_few_tries_in_a_day() {
        let (mut guesses, mut now, mut tries) = (Guesses::default(), SECOND, 0);
        while now < 86_400 * SECOND {
            match guesses.judge(now) {
                Verdict::Look(counted) => (guesses, tries) = (counted, tries + 1),
                Verdict::Wait(wait) => now += nanos(wait),
            }
        }
        assert!((95..=115).contains(&tries), "{tries}");
    }

    #[test]
    fn a_try_while_waiting_is_not_counted_and_a_quiet_day_forgets() {
        let counted = Guesses { failures: 7, until_ns: 10 * SECOND, updated_ns: 6 * SECOND };
        assert_eq!(counted.judge(9 * SECOND), Verdict::Wait(Duration::from_secs(1)));
        let Verdict::Look(next) = counted.judge(10 * SECOND) else { panic!("it has waited") };
        assert_eq!((next.failures, next.until_ns), (8, 18 * SECOND));
        let Verdict::Look(next) = counted.judge(7 * SECOND + nanos(FORGOTTEN)) else { panic!("it has waited") };
        assert_eq!((next.failures, next.until_ns), (1, 7 * SECOND + nanos(FORGOTTEN)));
    }

    #[test]
    fn a_clock_that_was_set_back_locks_nobody_out() {
        let counted = Guesses { failures: 9, until_ns: u64::MAX, updated_ns: u64::MAX };
        assert_eq!(counted.judge(SECOND), Verdict::Wait(LONGEST));
    }

    #[test]
    fn what_is_forgiven_was_never_a_failure_but_earlier_ones_stay() {
        let Verdict::Look(counted) = Guesses { failures: 5, ..Guesses::default() }.judge(SECOND) else { panic!() };
        let forgiven = counted.forgive(2 * SECOND);
        assert_eq!((forgiven.failures, forgiven.until_ns), (5, 2 * SECOND));
        assert_eq!(Guesses::default().forgive(SECOND).failures, 0);
    }
}
