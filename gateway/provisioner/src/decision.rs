//! What to do when somebody needs a container: facts in, a decision out. No clock, no process, no file.
//!
//! Times are since any fixed moment of a monotonic clock.

use crate::provisioner::How;
use std::time::Duration;

/// What is found of a user's container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Nothing: the user never had one.
    Nothing,
    /// It runs and answers.
    Ready,
    /// It runs, and has not answered for so long.
    Silent {
        /// Since the first question that it did not answer.
        since: Duration,
    },
    /// It ended with code 42 and left its marker: it sleeps.
    Asleep,
    /// It ended as it was told to, or went with the platform that had started it.
    Stopped,
    /// It ended by itself, and not to sleep.
    Crashed,
}

/// Whether what runs is what is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// It is.
    Same,
    /// It runs for another tier.
    OtherTier,
    /// It was started by another template: keys, addresses, version.
    OtherTemplate,
}

/// How often it crashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Crashes {
    /// Within the window.
    pub count: u32,
    /// The first of them.
    pub first: Duration,
    /// The last of them.
    pub last: Duration,
}

/// Whether another container may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// There is a place.
    Free,
    /// All places are taken.
    Taken,
}

/// Everything that the decision needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// What is there.
    pub found: Found,
    /// Whether it fits; of something that runs.
    pub fit: Fit,
    /// When what runs was started.
    pub started: Duration,
    /// Its crashes.
    pub crashes: Crashes,
    /// Places for another one.
    pub room: Room,
    /// Now.
    pub now: Duration,
}

/// Bounds of the decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// What runs may be silent for so long before it is replaced.
    pub silence: Duration,
    /// Two replicas with different templates replace each other's containers at most this often.
    pub template_every: Duration,
    /// The pause after the second crash; each further one doubles it.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
    /// So many crashes within the window are too many.
    pub crashes: u32,
    /// A crash longer ago does not count.
    pub window: Duration,
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Give out what runs.
    Reuse,
    /// Look again then.
    Wait {
        /// When.
        until: Duration,
    },
    /// Start one.
    Start(How),
    /// End what runs, then start one.
    Replace(How),
    /// As many run as may.
    Full,
    /// It crashes again and again: leave it alone until then.
    GiveUp {
        /// When the first of the crashes no longer counts.
        until: Duration,
    },
}

/// What to do when a container is needed.
#[must_use]
pub fn decide(facts: &Facts, rules: &Rules) -> Decision {
    match facts.found {
        Found::Ready => match facts.fit {
            Fit::Same => Decision::Reuse,
            Fit::OtherTier => Decision::Replace(How::Replaced),
            Fit::OtherTemplate if facts.now < facts.started + rules.template_every => Decision::Reuse,
            Fit::OtherTemplate => Decision::Replace(How::Replaced),
        },
        Found::Silent { since } if facts.now < since + rules.silence => Decision::Wait { until: since + rules.silence },
        Found::Silent { .. } => Decision::Replace(How::Restarted),
        Found::Nothing => start(How::Created, facts.room),
        Found::Asleep => start(How::Woken, facts.room),
        Found::Stopped => start(How::Restarted, facts.room),
        Found::Crashed => restart(facts, rules),
    }
}

const fn start(how: How, room: Room) -> Decision {
    match room {
        Room::Free => Decision::Start(how),
        Room::Taken => Decision::Full,
    }
}

fn restart(facts: &Facts, rules: &Rules) -> Decision {
    let Crashes { count, first, last } = facts.crashes;
    if count >= rules.crashes {
        return Decision::GiveUp { until: first + rules.window };
    }
    let until = last + pause(count, rules);
    if facts.now < until { Decision::Wait { until } } else { start(How::Restarted, facts.room) }
}

/// One crash is an accident: the container is back at once. Then each pause is twice the one before.
fn pause(crashes: u32, rules: &Rules) -> Duration {
    match crashes.checked_sub(2) {
        None => Duration::ZERO,
        Some(doublings) => {
            let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
            rules.first_pause.saturating_mul(factor).min(rules.longest_pause)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules {
        silence: Duration::from_secs(10),
        template_every: Duration::from_secs(60),
        first_pause: Duration::from_secs(1),
        longest_pause: Duration::from_secs(5),
        crashes: 6,
        window: Duration::from_secs(600),
    };

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn facts(found: Found) -> Facts {
        let crashes = Crashes::default();
        Facts { found, fit: Fit::Same, started: s(100), crashes, room: Room::Free, now: s(1000) }
    }

    #[test]
    fn what_is_found_decides() {
        let cases = [
            ("none", Found::Nothing, Decision::Start(How::Created)),
            ("answers", Found::Ready, Decision::Reuse),
            ("asleep", Found::Asleep, Decision::Start(How::Woken)),
            ("stopped", Found::Stopped, Decision::Start(How::Restarted)),
            ("crashed once", Found::Crashed, Decision::Start(How::Restarted)),
            ("silent for a moment", Found::Silent { since: s(995) }, Decision::Wait { until: s(1005) }),
            ("silent for long", Found::Silent { since: s(990) }, Decision::Replace(How::Restarted)),
        ];
        for (name, found, expected) in cases {
            let crashes = Crashes { count: 1, first: s(1000), last: s(1000) };
            assert_eq!(decide(&Facts { crashes, ..facts(found) }, &RULES), expected, "{name}");
        }
    }

    #[test]
    fn what_does_not_fit_is_replaced_but_templates_do_not_fight() {
        let ready = |fit, started| decide(&Facts { fit, started, ..facts(Found::Ready) }, &RULES);
        assert_eq!(ready(Fit::OtherTier, s(999)), Decision::Replace(How::Replaced));
        assert_eq!(ready(Fit::OtherTemplate, s(999)), Decision::Reuse);
        assert_eq!(ready(Fit::OtherTemplate, s(940)), Decision::Replace(How::Replaced));
    }

    #[test]
    fn nothing_is_started_without_room_and_nothing_that_runs_is_refused() {
        for found in [Found::Nothing, Found::Asleep, Found::Stopped, Found::Crashed] {
            assert_eq!(decide(&Facts { room: Room::Taken, ..facts(found) }, &RULES), Decision::Full, "{found:?}");
        }
        assert_eq!(decide(&Facts { room: Room::Taken, ..facts(Found::Ready) }, &RULES), Decision::Reuse);
        let silent = Facts { room: Room::Taken, ..facts(Found::Silent { since: s(0) }) };
        assert_eq!(decide(&silent, &RULES), Decision::Replace(How::Restarted), "its own place");
    }

    #[test]
    fn crashes_make_pauses_and_too_many_an_end() {
        let after = |count, ago: u64| {
            let crashes = Crashes { count, first: s(900), last: s(1000 - ago) };
            decide(&Facts { crashes, ..facts(Found::Crashed) }, &RULES)
        };
        assert_eq!(after(1, 0), Decision::Start(How::Restarted));
        assert_eq!(after(2, 0), Decision::Wait { until: s(1001) });
        assert_eq!(after(2, 1), Decision::Start(How::Restarted));
        assert_eq!(after(3, 1), Decision::Wait { until: s(1001) });
        assert_eq!(after(4, 1), Decision::Wait { until: s(1003) });
        assert_eq!(after(5, 1), Decision::Wait { until: s(1004) }, "at most the longest pause");
        assert_eq!(after(6, 500), Decision::GiveUp { until: s(1500) });
        assert_eq!(after(u32::MAX, 0), Decision::GiveUp { until: s(1500) });
    }

    #[test]
    fn a_pause_never_overflows() {
        let rules = Rules { crashes: u32::MAX, longest_pause: Duration::MAX, first_pause: s(u64::MAX), ..RULES };
        assert_eq!(pause(64, &rules), Duration::MAX);
        assert_eq!(pause(2, &RULES), s(1));
    }
}
