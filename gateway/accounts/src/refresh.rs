//! What becomes of a refresh token that is presented: a decision over facts of its session.
//!
//! Each use of a token spends it and gives its successor. A spent token that comes again means that two hold it, a person and a
//! thief, and nobody knows which is which: the session ends. One exception keeps a lost answer, or two tabs with one cookie, from
//! signing a person out: the token that was spent last may be repeated for [`REPEAT_WITHIN`], as long as none of its
//! successors was used; it then gives a further successor, a sibling.
//!
//! A thief gains nothing lasting by it. Whoever holds a sibling holds a token of the same generation as the person's; the first
//! of them that is used makes all its siblings spent, and the next use of another one ends the session. So after the window, as
//! without the exception, two holders cannot both refresh even once without being noticed. Within it a thief can get no more than the
//! token stolen would have given anyway, and at most [`REPEATS`] times.

use std::time::Duration;

/// A spent token may be repeated for so long.
pub const REPEAT_WITHIN: Duration = Duration::from_secs(10);
/// Most siblings of a successor.
pub const REPEATS: u32 = 8;
/// Generations whose spent tokens are kept, to be known again; older ones are as unknown as invented ones.
pub const KEPT: u64 = 32;

/// What is known when a token is presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// The token's generation; the first of a session is 1.
    pub generation: u64,
    /// Generation of the token that was spent last; 0 if none was.
    pub spent_generation: u64,
    /// How the presented token is related to the one that was spent last.
    pub relation: Relation,
    /// When that was, ns.
    pub spent_ns: u64,
    /// Siblings that its successor has got.
    pub repeats: u32,
    /// When the session ends, ns.
    pub expires_ns: u64,
    /// Whether it has been ended.
    pub state: SessionState,
}

/// How a token is related to the one that was spent last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// It is the same.
    Same,
    /// It is another.
    Other,
}

/// Whether a session has been ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionState {
    /// Not yet.
    Open,
    /// It has.
    Ended,
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It is spent and gives its successor.
    Rotate,
    /// It was spent just now: a further successor.
    Repeat,
    /// It was repeated too often; the session lives on.
    TooOften,
    /// It was spent before: the session ends.
    EndSession,
    /// The session is over.
    Over,
}

/// Decides.
#[must_use]
pub fn decide(facts: &Facts, now_ns: u64) -> Decision {
    if facts.state == SessionState::Ended || now_ns >= facts.expires_ns {
        return Decision::Over;
    }
    if facts.generation > facts.spent_generation {
        return Decision::Rotate;
    }
    let fresh = u128::from(now_ns.saturating_sub(facts.spent_ns)) <= REPEAT_WITHIN.as_nanos();
    match facts.relation {
        Relation::Same if fresh && facts.repeats < REPEATS => Decision::Repeat,
        Relation::Same if fresh => Decision::TooOften,
        Relation::Same | Relation::Other => Decision::EndSession,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn facts() -> Facts {
        Facts {
            generation: 5,
            spent_generation: 4,
            relation: Relation::Other,
            spent_ns: 100 * SECOND,
            repeats: 0,
            expires_ns: 1000 * SECOND,
            state: SessionState::Open,
        }
    }

    #[test]
    fn the_newest_token_rotates_and_an_older_one_ends_the_session() {
        assert_eq!(decide(&facts(), 101 * SECOND), Decision::Rotate);
        for generation in 1..=4 {
            let old = Facts { generation, ..facts() };
            assert_eq!(decide(&old, 101 * SECOND), Decision::EndSession, "{generation}");
        }
    }

    #[test]
    fn the_last_spent_one_may_be_repeated_for_ten_seconds() {
        let last = Facts { generation: 4, relation: Relation::Same, ..facts() };
        assert_eq!(decide(&last, 100 * SECOND), Decision::Repeat);
        assert_eq!(decide(&last, 110 * SECOND), Decision::Repeat);
        assert_eq!(decide(&last, 110 * SECOND + 1), Decision::EndSession);
        assert_eq!(decide(&Facts { repeats: REPEATS, ..last }, 101 * SECOND), Decision::TooOften);
    }

    #[test]
    fn a_sibling_of_the_last_spent_one_ends_the_session_at_once() {
        let sibling = Facts { generation: 4, relation: Relation::Other, ..facts() };
        assert_eq!(decide(&sibling, 100 * SECOND), Decision::EndSession);
    }

    #[test]
    fn an_ended_or_expired_session_gives_nothing() {
        assert_eq!(decide(&Facts { state: SessionState::Ended, ..facts() }, SECOND), Decision::Over);
        assert_eq!(decide(&facts(), 1000 * SECOND), Decision::Over);
    }

    /// A person and a thief who share a token, in every order of a few refreshes: once both have refreshed more than once behind
    /// the window, the session is over.
    #[test]
    fn two_holders_never_both_go_on() {
        // Bit n of `order` says who refreshes n-th. Each holder presents the newest token it has; they are a minute apart.
        for order in 0_u32..256 {
            let mut session =
                Facts { generation: 0, spent_generation: 0, spent_ns: 0, expires_ns: u64::MAX, ..facts() };
            let mut held = [1_u64, 1];
            let mut ended_after = None;
            for turn in 0..8_u32 {
                let who = usize::from(order >> turn & 1 == 1);
                let now = u64::from(turn + 1) * 60 * SECOND;
                let shown = Facts { generation: held[who], ..session };
                match decide(&shown, now) {
                    Decision::Rotate => {
                        session = Facts { spent_generation: held[who], spent_ns: now, ..session };
                        held[who] += 1;
                    }
                    _ => {
                        ended_after = Some(turn);
                        break;
                    }
                }
            }
            let both = order != 0 && order != 255;
            assert_eq!(ended_after.is_some(), both, "{order:08b}");
        }
    }
}
