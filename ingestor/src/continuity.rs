//! Whether the trades of each symbol are complete: holes between ids, and what a lost connection may have hidden.
//!
//! With contiguous ids the first trade after a reconnect shows what was missed. When none comes for a while, and always
//! where ids tell nothing, the time since the last known trade is fetched and the aggregator drops what it already has.
//!
//! The first trade ever of a symbol lies somewhere in its minute, its hour and its day: what happened before it is fetched
//! once.

use crate::gaps::{GapLimits, GapTracker, Hole, Observed, RepairOutcome};
use proto::Symbol;
use std::collections::HashMap;
use std::time::Duration;
use venues::TradeIds;

/// What is to be fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Repair {
    /// Trades with known ids.
    Hole(Hole),
    /// Whatever happened since a time.
    Since {
        /// Event time of the last known trade.
        from_ns: u64,
    },
    /// What happened before the first trade that the log holds.
    Start {
        /// Event time of that trade.
        first_ns: u64,
    },
}

/// Bounds and times of the continuity check.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ContinuityLimits {
    pub(crate) gaps: GapLimits,
    /// How long after a reconnect the next trade may take before the time between is fetched.
    pub(crate) catch_up_after: Duration,
    /// Longest time that is fetched after a pause; older trades are given up.
    pub(crate) catch_up_longest: Duration,
    /// How long after the first trade the time before it is fetched.
    pub(crate) start_fetch_after: Duration,
}

/// Whether the log holds what happened before the first trade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    Known,
    Wanted { first_ns: u64, due_ns: u64, attempts: u32, in_repair: bool },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    /// Nothing can be missing.
    Sound,
    /// Disconnected, or connected again but not yet known to be complete.
    Doubtful { from_ns: u64, due_ns: Option<u64>, in_repair: bool },
}

#[derive(Debug)]
struct SymbolState {
    last_event_ns: u64,
    link: Link,
    start: Start,
}

/// The state of all symbols of a venue.
#[derive(Debug)]
pub(crate) struct Continuity {
    ids: TradeIds,
    limits: ContinuityLimits,
    tracker: GapTracker,
    symbols: HashMap<Symbol, SymbolState>,
}

impl Continuity {
    pub(crate) fn new(ids: TradeIds, limits: ContinuityLimits) -> Self {
        Self { ids, limits, tracker: GapTracker::new(limits.gaps), symbols: HashMap::new() }
    }

    /// A trade that the log already holds, read when the process starts.
    pub(crate) fn recall(&mut self, symbol: &Symbol, trade_id: &str, event_time_ns: u64, now_ns: u64) {
        self.note(symbol, trade_id, event_time_ns, now_ns);
        let from_ns = self.symbols.get(symbol).map_or(event_time_ns, |state| state.last_event_ns);
        self.symbol(symbol).link = Link::Doubtful { from_ns, due_ns: None, in_repair: false };
    }

    /// The log holds the first trades of a symbol, but not what happened before them.
    pub(crate) fn recall_start(&mut self, symbol: &Symbol, first_ns: u64, now_ns: u64) {
        let due_ns = now_ns.saturating_add(nanos(self.limits.start_fetch_after));
        self.symbol(symbol).start = Start::Wanted { first_ns, due_ns, attempts: 0, in_repair: false };
    }

    /// A trade came from the live feed.
    pub(crate) fn live(&mut self, symbol: &Symbol, trade_id: &str, event_time_ns: u64, now_ns: u64) -> Observed {
        if !self.symbols.contains_key(symbol) {
            self.recall_start(symbol, event_time_ns, now_ns);
        }
        let observed = self.note(symbol, trade_id, event_time_ns, now_ns);
        if self.ids == TradeIds::Contiguous {
            // The tracker now knows exactly what is missing. A fetch that runs may go on; it does no harm.
            self.symbol(symbol).link = Link::Sound;
        }
        observed
    }

    /// A trade came from a repair.
    pub(crate) fn fetched(&mut self, symbol: &Symbol, trade_id: &str, event_time_ns: u64, now_ns: u64) -> Observed {
        self.note(symbol, trade_id, event_time_ns, now_ns)
    }

    fn symbol(&mut self, symbol: &Symbol) -> &mut SymbolState {
        self.symbols.entry(symbol.clone()).or_insert(SymbolState {
            last_event_ns: 0,
            link: Link::Sound,
            start: Start::Known,
        })
    }

    fn note(&mut self, symbol: &Symbol, trade_id: &str, event_time_ns: u64, now_ns: u64) -> Observed {
        match self.symbols.get_mut(symbol) {
            Some(state) => state.last_event_ns = state.last_event_ns.max(event_time_ns),
            None => self.symbol(symbol).last_event_ns = event_time_ns,
        }
        match trade_id.parse() {
            Ok(id) if self.ids == TradeIds::Contiguous => self.tracker.observe(symbol, id, event_time_ns, now_ns),
            _ => Observed::Next,
        }
    }

    /// The connection that carries these symbols is gone.
    pub(crate) fn disconnected(&mut self, symbols: &[Symbol]) {
        for symbol in symbols {
            let Some(state) = self.symbols.get_mut(symbol) else { continue };
            let from_ns = match state.link {
                Link::Sound => state.last_event_ns,
                Link::Doubtful { from_ns, .. } => from_ns,
            };
            state.link = Link::Doubtful { from_ns, due_ns: None, in_repair: false };
        }
    }

    /// They are subscribed to again.
    pub(crate) fn connected(&mut self, symbols: &[Symbol], now_ns: u64) {
        // Not at once even where ids tell nothing: until the subscription works, trades reach neither it nor the fetch.
        let wait = nanos(self.limits.catch_up_after);
        for symbol in symbols {
            if let Some(SymbolState { link: Link::Doubtful { due_ns, .. }, .. }) = self.symbols.get_mut(symbol) {
                *due_ns = Some(now_ns.saturating_add(wait));
            }
        }
    }

    /// What is to be fetched now; each repair is handed out once until [`Self::finished`].
    pub(crate) fn due(&mut self, now_ns: u64) -> Vec<(Symbol, Repair)> {
        let holes = self.tracker.due(now_ns).into_iter();
        let mut due: Vec<_> = holes.map(|(symbol, hole)| (symbol, Repair::Hole(hole))).collect();
        let earliest_ns = now_ns.saturating_sub(nanos(self.limits.catch_up_longest));
        for (symbol, state) in &mut self.symbols {
            if let Link::Doubtful { from_ns, due_ns: Some(at), in_repair } = &mut state.link
                && *at <= now_ns
                && !*in_repair
            {
                *in_repair = true;
                due.push((symbol.clone(), Repair::Since { from_ns: (*from_ns).max(earliest_ns) }));
            }
            if let Start::Wanted { first_ns, due_ns, in_repair: in_repair @ false, .. } = &mut state.start
                && *due_ns <= now_ns
            {
                *in_repair = true;
                due.push((symbol.clone(), Repair::Start { first_ns: *first_ns }));
            }
        }
        due
    }

    /// When something will be due, if nothing else happens.
    pub(crate) fn next_due_ns(&self) -> Option<u64> {
        let links = self.symbols.values().filter_map(|state| match state.link {
            Link::Doubtful { due_ns, in_repair: false, .. } => due_ns,
            _ => None,
        });
        let starts = self.symbols.values().filter_map(|state| match state.start {
            Start::Wanted { due_ns, in_repair: false, .. } => Some(due_ns),
            _ => None,
        });
        links.chain(starts).chain(self.tracker.next_due_ns()).min()
    }

    /// Says how a repair ended. Returns how many trades were given up.
    pub(crate) fn finished(&mut self, symbol: &Symbol, repair: &Repair, outcome: RepairOutcome, now_ns: u64) -> u64 {
        match repair {
            Repair::Hole(hole) => self.tracker.finished(symbol, hole, outcome, now_ns),
            Repair::Since { .. } => {
                let retry_ns = now_ns.saturating_add(nanos(self.limits.gaps.retry).saturating_mul(8));
                if let Some(state) = self.symbols.get_mut(symbol)
                    && let Link::Doubtful { due_ns: due_ns @ Some(_), in_repair: in_repair @ true, .. } =
                        &mut state.link
                {
                    if outcome == RepairOutcome::NotAsked {
                        (*due_ns, *in_repair) = (Some(retry_ns), false);
                    } else {
                        state.link = Link::Sound;
                    }
                }
                0
            }
            Repair::Start { .. } => {
                let limits = self.limits.gaps;
                if let Some(state) = self.symbols.get_mut(symbol)
                    && let Start::Wanted { due_ns, attempts, in_repair, .. } = &mut state.start
                {
                    *attempts += u32::from(outcome != RepairOutcome::NotAsked);
                    if outcome == RepairOutcome::NotAsked
                        || (outcome == RepairOutcome::Failed && *attempts < limits.attempts)
                    {
                        let wait = limits.retry.saturating_mul(8 << (*attempts).min(8));
                        (*due_ns, *in_repair) = (now_ns.saturating_add(nanos(wait)), false);
                    } else {
                        state.start = Start::Known;
                    }
                }
                0
            }
        }
    }

    /// True if nothing is known or suspected to be missing since the first trade.
    pub(crate) fn is_complete(&self, symbol: &Symbol) -> bool {
        self.symbols.get(symbol).is_none_or(|state| state.link == Link::Sound) && !self.tracker.is_incomplete(symbol)
    }

    /// Trades that are known to be missing and will not be fetched.
    pub(crate) const fn abandoned(&self) -> u64 {
        self.tracker.abandoned()
    }

    /// Trades known to be missing now.
    pub(crate) fn missing(&self) -> u64 {
        self.tracker.missing()
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;
    const T: u64 = 1_700_000_000 * S;

    fn limits() -> ContinuityLimits {
        ContinuityLimits {
            gaps: GapLimits {
                holes: 100,
                hole_trades: 1_000,
                grace: Duration::ZERO,
                attempts: 3,
                retry: Duration::from_millis(100),
            },
            catch_up_after: Duration::from_secs(5),
            catch_up_longest: Duration::from_secs(3600),
            start_fetch_after: Duration::from_secs(1_000_000),
        }
    }

    fn btc() -> Symbol {
        "BTC/USDT".parse().unwrap()
    }

    #[test]
    fn after_a_reconnect_the_first_trade_shows_the_hole_and_ends_the_doubt() {
        let mut continuity = Continuity::new(TradeIds::Contiguous, limits());
        continuity.live(&btc(), "10", T, T);
        continuity.disconnected(&[btc()]);
        assert!(!continuity.is_complete(&btc()));
        continuity.connected(&[btc()], T + S);
        assert!(continuity.due(T + S).is_empty());
        assert_eq!(continuity.live(&btc(), "13", T + 2 * S, T + 2 * S), Observed::Gap { missing: 2 });
        let due = continuity.due(T + 2 * S);
        assert!(matches!(&due[..], [(_, Repair::Hole(hole))] if hole.first == 11 && hole.last == 12), "{due:?}");
        continuity.fetched(&btc(), "11", T + S, T + 3 * S);
        continuity.fetched(&btc(), "12", T + S, T + 3 * S);
        assert!(continuity.is_complete(&btc()));
        assert!(continuity.due(T + 20 * S).is_empty());
    }

    #[test]
    fn when_no_trade_comes_after_a_reconnect_the_time_between_is_fetched() {
        let mut continuity = Continuity::new(TradeIds::Contiguous, limits());
        continuity.live(&btc(), "10", T, T);
        continuity.disconnected(&[btc()]);
        continuity.connected(&[btc()], T + 9 * S);
        assert_eq!(continuity.next_due_ns(), Some(T + 14 * S));
        let due = continuity.due(T + 14 * S);
        assert_eq!(due, [(btc(), Repair::Since { from_ns: T })]);
        assert!(continuity.due(T + 15 * S).is_empty());
        continuity.finished(&btc(), &due[0].1, RepairOutcome::Answered, T + 15 * S);
        assert!(continuity.is_complete(&btc()));
    }

    #[test]
    fn opaque_ids_are_caught_up_though_trades_came_and_again_after_each_loss() {
        let mut continuity = Continuity::new(TradeIds::Opaque, limits());
        continuity.live(&btc(), "a-1", T, T);
        continuity.disconnected(&[btc()]);
        continuity.connected(&[btc()], T + S);
        continuity.live(&btc(), "a-9", T + 2 * S, T + 2 * S);
        let due = continuity.due(T + 6 * S);
        assert_eq!(due, [(btc(), Repair::Since { from_ns: T })]);
        // Lost again before the fetch ended: the answer of the old fetch must not end the doubt.
        continuity.disconnected(&[btc()]);
        continuity.finished(&btc(), &due[0].1, RepairOutcome::Answered, T + 7 * S);
        assert!(!continuity.is_complete(&btc()));
        continuity.connected(&[btc()], T + 8 * S);
        assert_eq!(continuity.due(T + 13 * S), [(btc(), Repair::Since { from_ns: T })]);
    }

    #[test]
    fn a_venue_that_cannot_be_asked_is_asked_again_later() {
        let mut continuity = Continuity::new(TradeIds::Opaque, limits());
        continuity.live(&btc(), "a-1", T, T);
        continuity.disconnected(&[btc()]);
        continuity.connected(&[btc()], T);
        let due = continuity.due(T + 5 * S);
        continuity.finished(&btc(), &due[0].1, RepairOutcome::NotAsked, T + 5 * S);
        assert!(continuity.due(T + 5 * S).is_empty());
        assert_eq!(continuity.due(T + 6 * S).len(), 1);
    }

    #[test]
    fn what_the_log_holds_at_start_frames_the_hole_to_the_first_live_trade() {
        let mut continuity = Continuity::new(TradeIds::Contiguous, limits());
        for id in ["5", "6", "9"] {
            continuity.recall(&btc(), id, T, T);
        }
        continuity.connected(&[btc()], T + S);
        continuity.live(&btc(), "12", T + S, T + S);
        let mut holes: Vec<_> = continuity
            .due(T + S)
            .into_iter()
            .filter_map(|(_, r)| if let Repair::Hole(h) = r { Some((h.first, h.last)) } else { None })
            .collect();
        holes.sort_unstable();
        assert_eq!(holes, [(7, 8), (10, 11)]);
    }

    #[test]
    fn after_a_long_pause_only_the_longest_allowed_time_is_fetched() {
        let mut continuity = Continuity::new(TradeIds::Opaque, limits());
        continuity.recall(&btc(), "x", T, T);
        let now = T + 10 * 3600 * S;
        continuity.connected(&[btc()], now - 5 * S);
        assert_eq!(continuity.due(now), [(btc(), Repair::Since { from_ns: now - 3600 * S })]);
    }

    #[test]
    fn a_symbol_never_seen_is_complete_and_needs_nothing() {
        let mut continuity = Continuity::new(TradeIds::Opaque, limits());
        continuity.disconnected(&[btc()]);
        continuity.connected(&[btc()], T);
        assert!(continuity.due(T).is_empty() && continuity.is_complete(&btc()));
    }

    #[test]
    fn what_was_before_the_first_trade_is_wanted_until_the_venue_answered() {
        let start = ContinuityLimits { start_fetch_after: Duration::from_secs(2), ..limits() };
        let mut continuity = Continuity::new(TradeIds::Contiguous, start);
        continuity.live(&btc(), "10", T, T);
        continuity.live(&btc(), "11", T + S, T + S);
        assert_eq!(continuity.next_due_ns(), Some(T + 2 * S));
        assert_eq!(continuity.due(T + S), []);
        let wanted = (btc(), Repair::Start { first_ns: T });
        assert_eq!(continuity.due(T + 2 * S), std::slice::from_ref(&wanted));
        assert_eq!(continuity.due(T + 2 * S), [], "handed out once");
        // A venue that cannot be asked costs no attempt; one that answers nonsense does.
        for (outcome, tries) in [(RepairOutcome::NotAsked, 5), (RepairOutcome::Failed, 2)] {
            for _ in 0..tries {
                continuity.finished(&btc(), &wanted.1, outcome, T);
                assert_eq!(continuity.due(T + 1_000 * S), std::slice::from_ref(&wanted));
            }
        }
        continuity.finished(&btc(), &wanted.1, RepairOutcome::Failed, T);
        assert_eq!(continuity.due(T + 10_000 * S), [], "given up");
        assert!(continuity.is_complete(&btc()));
    }

    #[test]
    fn a_recalled_symbol_is_asked_for_its_start_only_if_the_log_lacks_it() {
        let mut continuity = Continuity::new(TradeIds::Contiguous, limits());
        continuity.recall(&btc(), "10", T, T + S);
        continuity.live(&btc(), "11", T + S, T + S);
        assert_eq!(continuity.next_due_ns(), None);
        continuity.recall_start(&btc(), T, T + S);
        assert_eq!(continuity.due(T + 2_000_000 * S), [(btc(), Repair::Start { first_ns: T })]);
    }
}
