//! Which trades are missing: a pure tracker for venues whose trade ids are contiguous per symbol.
//!
//! Everything below `next` was seen, except what lies in a hole. A hole waits for a grace time (the trade may only be
//! late), is then handed out for repair, and is closed by the trades that come, from wherever they come. Bounds: holes
//! per symbol (two neighbours are joined when there are too many: some known trades are then fetched again, none is
//! lost), size of a hole (its oldest part is given up, and counted), attempts.

use proto::Symbol;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// Bounds of the tracker.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GapLimits {
    /// Holes per symbol.
    pub(crate) holes: usize,
    /// Trades of one hole that are fetched; of a larger one only the newest.
    pub(crate) hole_trades: u64,
    /// How long a missing trade may be just late.
    pub(crate) grace: Duration,
    /// Tries before a hole is given up.
    pub(crate) attempts: u32,
    /// Wait between two tries; doubles each time.
    pub(crate) retry: Duration,
}

/// Ids that are missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hole {
    /// First missing id.
    pub(crate) first: u64,
    /// Last missing id.
    pub(crate) last: u64,
    /// Event time of the last known trade before it.
    pub(crate) from_ns: u64,
    /// Event time of the first known trade behind it.
    pub(crate) to_ns: u64,
    attempts: u32,
    not_before_ns: u64,
    in_repair: bool,
}

impl Hole {
    /// How many trades are missing.
    pub(crate) const fn len(&self) -> u64 {
        self.last - self.first + 1
    }
}

/// What an id tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Observed {
    /// The first id of this symbol.
    First,
    /// The one that had to come.
    Next,
    /// It was missing and is there now.
    Filled,
    /// Seen before, or older than all we know.
    Known,
    /// It jumped over ids.
    Gap {
        /// How many.
        missing: u64,
    },
}

/// How a repair ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RepairOutcome {
    /// The venue answered; what is still missing may come with the next try.
    Answered,
    /// The venue answered something that cannot be used.
    Failed,
    /// The venue no longer has the trades.
    Gone,
    /// The venue could not be asked; this try does not count.
    NotAsked,
}

#[derive(Debug)]
struct Ids {
    floor: u64,
    next: u64,
    last_time_ns: u64,
    holes: BTreeMap<u64, Hole>,
}

/// The ids of all symbols of a venue.
#[derive(Debug)]
pub(crate) struct GapTracker {
    limits: GapLimits,
    symbols: HashMap<Symbol, Ids>,
    abandoned: u64,
}

impl GapTracker {
    pub(crate) fn new(limits: GapLimits) -> Self {
        Self { limits, symbols: HashMap::new(), abandoned: 0 }
    }

    /// Takes note of a trade, from wherever it came.
    pub(crate) fn observe(&mut self, symbol: &Symbol, id: u64, event_time_ns: u64, now_ns: u64) -> Observed {
        let limits = self.limits;
        let Some(ids) = self.symbols.get_mut(symbol) else {
            let ids =
                Ids { floor: id, next: id.saturating_add(1), last_time_ns: event_time_ns, holes: BTreeMap::new() };
            self.symbols.insert(symbol.clone(), ids);
            return Observed::First;
        };
        if id < ids.next {
            return ids.fill(id, event_time_ns);
        }
        let missing = id - ids.next;
        let observed = if missing == 0 { Observed::Next } else { Observed::Gap { missing } };
        if missing > 0 {
            let given_up = missing.saturating_sub(limits.hole_trades);
            self.abandoned += given_up;
            let hole = Hole {
                first: ids.next + given_up,
                last: id - 1,
                from_ns: ids.last_time_ns,
                to_ns: event_time_ns,
                attempts: 0,
                not_before_ns: now_ns.saturating_add(nanos(limits.grace)),
                in_repair: false,
            };
            ids.holes.insert(hole.first, hole);
            if ids.holes.len() > limits.holes {
                ids.join_oldest();
            }
        }
        ids.next = id.saturating_add(1);
        ids.last_time_ns = event_time_ns;
        observed
    }

    /// The holes that are to be fetched now; each is handed out once until [`Self::finished`] says how it went.
    pub(crate) fn due(&mut self, now_ns: u64) -> Vec<(Symbol, Hole)> {
        let mut due = Vec::new();
        for (symbol, ids) in &mut self.symbols {
            for hole in ids.holes.values_mut().filter(|h| !h.in_repair && h.not_before_ns <= now_ns) {
                hole.in_repair = true;
                due.push((symbol.clone(), hole.clone()));
            }
        }
        due.sort_by_key(|(_, hole)| std::cmp::Reverse(hole.to_ns));
        due
    }

    /// When the next hole will be due, if any waits.
    pub(crate) fn next_due_ns(&self) -> Option<u64> {
        let waiting = self.symbols.values().flat_map(|ids| ids.holes.values()).filter(|h| !h.in_repair);
        waiting.map(|h| h.not_before_ns).min()
    }

    /// Says how the repair of a hole ended, after its trades were observed. Returns how many trades were given up.
    pub(crate) fn finished(&mut self, symbol: &Symbol, hole: &Hole, outcome: RepairOutcome, now_ns: u64) -> u64 {
        let limits = self.limits;
        let Some(ids) = self.symbols.get_mut(symbol) else { return 0 };
        let mut given_up = 0;
        ids.holes.retain(|_, rest| {
            if rest.first < hole.first || rest.last > hole.last || !rest.in_repair {
                return true;
            }
            rest.in_repair = false;
            rest.attempts += u32::from(outcome != RepairOutcome::NotAsked);
            let wait = limits.retry.saturating_mul(1 << rest.attempts.min(10));
            rest.not_before_ns = now_ns.saturating_add(nanos(wait));
            if outcome == RepairOutcome::Gone || rest.attempts >= limits.attempts {
                given_up += rest.len();
                return false;
            }
            true
        });
        self.abandoned += given_up;
        given_up
    }

    /// True if trades of the symbol are known to be missing.
    pub(crate) fn is_incomplete(&self, symbol: &Symbol) -> bool {
        self.symbols.get(symbol).is_some_and(|ids| !ids.holes.is_empty())
    }

    /// Missing trades that will not be fetched any more.
    pub(crate) const fn abandoned(&self) -> u64 {
        self.abandoned
    }

    /// Trades known to be missing now.
    pub(crate) fn missing(&self) -> u64 {
        self.symbols.values().flat_map(|ids| ids.holes.values()).map(Hole::len).sum()
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Ids {
    /// An id below `next`.
    fn fill(&mut self, id: u64, event_time_ns: u64) -> Observed {
        let Some((_, hole)) = self.holes.range(..=id).next_back().filter(|(_, hole)| id <= hole.last) else {
            self.floor = self.floor.min(id);
            return Observed::Known;
        };
        let hole = hole.clone();
        self.holes.remove(&hole.first);
        if hole.first < id {
            let before = Hole { last: id - 1, to_ns: event_time_ns, ..hole.clone() };
            self.holes.insert(before.first, before);
        }
        if id < hole.last {
            let behind = Hole { first: id + 1, from_ns: event_time_ns, ..hole };
            self.holes.insert(behind.first, behind);
        }
        Observed::Filled
    }

    /// Makes one hole of the two oldest, so that the number stays bounded and nothing is forgotten. A hole in repair
    /// keeps its bounds; then the next pair is joined.
    fn join_oldest(&mut self) {
        let firsts: Vec<u64> = self.holes.values().filter(|h| !h.in_repair).map(|h| h.first).take(2).collect();
        let [older, younger] = firsts[..] else { return };
        if let (Some(older), Some(younger)) = (self.holes.remove(&older), self.holes.remove(&younger)) {
            let joined = Hole { last: younger.last, to_ns: younger.to_ns, ..older };
            self.holes.insert(joined.first, joined);
        }
    }
}

#[cfg(test)]
#[path = "gaps/tests.rs"]
mod tests;
