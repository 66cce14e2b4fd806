//! Which trades of a key were seen before. Bounded memory, and honest about what it has forgotten.

use crate::encoding::{CorruptState, Reader, Writer};
use crate::trade::TradeId;
use std::collections::{HashSet, VecDeque};

/// Two prints of one trade may differ this much in event time: venues cut it to different units on different channels.
pub const SAME_TRADE_NS: u64 = 1_000_000_000;

/// How much is remembered per key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DedupLimits {
    /// Ranges of numeric ids. Contiguous ids are one range however many they are.
    pub ranges: usize,
    /// Ids that are no numbers.
    pub ids: usize,
}

/// What is known about a trade id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// Certainly the first time.
    New,
    /// Certainly not the first time.
    Before,
    /// Not remembered, but so old that it may have been forgotten: only the lake can tell.
    Perhaps,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    first: u64,
    last: u64,
    /// Newest event time of its trades, ns.
    newest_ns: u64,
}

/// The memory of one key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dedup {
    /// Sorted, disjoint, never adjacent.
    ranges: Vec<Range>,
    order: VecDeque<(u128, u64)>,
    opaque: HashSet<u128>,
    /// Trades up to this event time may have been forgotten.
    forgotten_until_ns: u64,
}

impl Dedup {
    /// Nothing before this event time is known: an id from before it is at best [`Seen::Perhaps`].
    pub fn forget_until(&mut self, time_ns: u64) {
        self.forgotten_until_ns = self.forgotten_until_ns.max(time_ns.saturating_add(SAME_TRADE_NS));
    }

    /// Remembers the id and tells whether it was known.
    #[inline]
    pub fn insert(&mut self, id: TradeId, event_time_ns: u64, limits: &DedupLimits) -> Seen {
        let new = match id {
            TradeId::Numeric(number) => self.insert_number(number, event_time_ns, limits.ranges),
            TradeId::Opaque(hash) => self.insert_hash(hash, event_time_ns, limits.ids),
        };
        match new {
            false => Seen::Before,
            true if event_time_ns <= self.forgotten_until_ns => Seen::Perhaps,
            true => Seen::New,
        }
    }

    #[inline]
    fn insert_number(&mut self, id: u64, time_ns: u64, limit: usize) -> bool {
        // The live case: the next id, or one of the other ingestor that is already there.
        if let Some(range) = self.ranges.last_mut() {
            if id > range.last && id - range.last == 1 {
                range.last = id;
                range.newest_ns = range.newest_ns.max(time_ns);
                return true;
            }
            if id >= range.first && id <= range.last {
                return false;
            }
        }
        self.insert_elsewhere(id, time_ns, limit)
    }

    fn insert_elsewhere(&mut self, id: u64, time_ns: u64, limit: usize) -> bool {
        let at = self.ranges.partition_point(|range| range.first <= id);
        let before = at.checked_sub(1);
        if before.is_some_and(|i| id <= self.ranges[i].last) {
            return false;
        }
        let joins_before = before.filter(|i| self.ranges[*i].last.checked_add(1) == Some(id));
        let joins_after = self.ranges.get(at).is_some_and(|range| id.checked_add(1) == Some(range.first));
        match (joins_before, joins_after) {
            (Some(i), true) => {
                let after = self.ranges.remove(at);
                self.ranges[i].last = after.last;
                self.ranges[i].newest_ns = self.ranges[i].newest_ns.max(after.newest_ns).max(time_ns);
            }
            (Some(i), false) => {
                self.ranges[i].last = id;
                self.ranges[i].newest_ns = self.ranges[i].newest_ns.max(time_ns);
            }
            (None, true) => {
                self.ranges[at].first = id;
                self.ranges[at].newest_ns = self.ranges[at].newest_ns.max(time_ns);
            }
            (None, false) => {
                self.ranges.insert(at, Range { first: id, last: id, newest_ns: time_ns });
                self.forget_lowest(limit);
            }
        }
        true
    }

    /// Drops an eighth of the ranges at once when there are too many, so that the shift is paid rarely.
    fn forget_lowest(&mut self, limit: usize) {
        if self.ranges.len() <= limit.max(1) {
            return;
        }
        let excess = self.ranges.len() - limit.max(1);
        let drop = excess.max(limit / 8).min(self.ranges.len() - 1);
        let newest = self.ranges.drain(..drop).map(|range| range.newest_ns).max();
        self.forget_until(newest.unwrap_or(0));
    }

    fn insert_hash(&mut self, hash: u128, time_ns: u64, limit: usize) -> bool {
        if !self.opaque.insert(hash) {
            return false;
        }
        self.order.push_back((hash, time_ns));
        while self.order.len() > limit.max(1) {
            if let Some((oldest, time_ns)) = self.order.pop_front() {
                self.opaque.remove(&oldest);
                self.forget_until(time_ns);
            }
        }
        true
    }

    /// Number of ranges and of other ids in memory.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        (self.ranges.len(), self.order.len())
    }

    pub(crate) fn encode(&self, out: &mut Writer) {
        out.u64(self.forgotten_until_ns);
        out.count(self.ranges.len());
        for range in &self.ranges {
            out.u64(range.first);
            out.u64(range.last);
            out.u64(range.newest_ns);
        }
        out.count(self.order.len());
        for (hash, time_ns) in &self.order {
            out.u128(*hash);
            out.u64(*time_ns);
        }
    }

    pub(crate) fn decode(input: &mut Reader<'_>) -> Result<Self, CorruptState> {
        let mut state = Self { forgotten_until_ns: input.u64()?, ..Self::default() };
        for _ in 0..input.count(24)? {
            let range = Range { first: input.u64()?, last: input.u64()?, newest_ns: input.u64()? };
            if range.first > range.last || state.ranges.last().is_some_and(|before| before.last >= range.first) {
                return Err(input.corrupt("id ranges"));
            }
            state.ranges.push(range);
        }
        for _ in 0..input.count(24)? {
            let (hash, time_ns) = (input.u128()?, input.u64()?);
            state.opaque.insert(hash);
            state.order.push_back((hash, time_ns));
        }
        Ok(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: DedupLimits = DedupLimits { ranges: 8, ids: 8 };
    const SECOND: u64 = 1_000_000_000;

    fn number(dedup: &mut Dedup, id: u64) -> Seen {
        dedup.insert(TradeId::Numeric(id), (1_000 + id) * SECOND, &LIMITS)
    }

    #[test]
    fn contiguous_ids_are_one_range_however_many() {
        let mut dedup = Dedup::default();
        for id in 1..100_000 {
            assert_eq!(number(&mut dedup, id), Seen::New);
        }
        assert_eq!(dedup.size(), (1, 0));
        assert_eq!(number(&mut dedup, 77), Seen::Before);
    }

    #[test]
    fn a_filled_hole_joins_its_neighbours() {
        let mut dedup = Dedup::default();
        for id in [1, 3, 5, 4, 2] {
            assert_eq!(number(&mut dedup, id), Seen::New);
        }
        assert_eq!(dedup.size(), (1, 0));
    }

    #[test]
    fn what_was_forgotten_is_never_called_new() {
        let mut dedup = Dedup::default();
        for id in (0..100).map(|n| n * 10) {
            assert_eq!(number(&mut dedup, id), Seen::New, "{id}");
        }
        assert!(dedup.size().0 <= 8);
        assert_eq!(number(&mut dedup, 0), Seen::Perhaps);
        assert_eq!(number(&mut dedup, 990), Seen::Before);
        assert_eq!(number(&mut dedup, 995), Seen::New);
    }

    #[test]
    fn opaque_ids_are_remembered_in_a_bounded_window() {
        let mut dedup = Dedup::default();
        let mut insert = |n: u64| dedup.insert(TradeId::parse(&format!("t{n}")), (1_000 + n) * SECOND, &LIMITS);
        for n in 0..10 {
            assert_eq!(insert(n), Seen::New);
        }
        assert_eq!(insert(9), Seen::Before);
        assert_eq!(insert(0), Seen::Perhaps);
        assert_eq!(insert(10), Seen::New);
        assert_eq!(dedup.size(), (0, 8));
    }

    #[test]
    fn the_ends_of_the_number_range_do_not_overflow() {
        let mut dedup = Dedup::default();
        for id in [u64::MAX, 0, u64::MAX - 1, 1] {
            assert_eq!(dedup.insert(TradeId::Numeric(id), SECOND, &LIMITS), Seen::New);
        }
        assert_eq!(dedup.size(), (2, 0));
        assert_eq!(dedup.insert(TradeId::Numeric(u64::MAX), SECOND, &LIMITS), Seen::Before);
    }

    proptest! {
        #[test]
        fn within_its_bounds_it_agrees_with_a_set(ids in proptest::collection::vec(0u64..300, 0..400)) {
            let limits = DedupLimits { ranges: 300, ids: 300 };
            let (mut dedup, mut set) = (Dedup::default(), HashSet::new());
            for id in ids {
                let expected = if set.insert(id) { Seen::New } else { Seen::Before };
                prop_assert_eq!(dedup.insert(TradeId::Numeric(id), 5, &limits), expected);
            }
        }

        #[test]
        fn beyond_its_bounds_it_may_doubt_but_never_errs(
            ids in proptest::collection::vec((0u64..2_000, 0..SECOND), 0..600), opaque in any::<bool>(),
        ) {
            let (mut dedup, mut set) = (Dedup::default(), HashSet::new());
            for (id, time) in ids {
                let key = if opaque { TradeId::Opaque(u128::from(id)) } else { TradeId::Numeric(id) };
                let first = set.insert(id);
                match dedup.insert(key, (1_000 + id) * SECOND + time, &LIMITS) {
                    Seen::New => prop_assert!(first),
                    Seen::Before => prop_assert!(!first),
                    Seen::Perhaps => {}
                }
                prop_assert!(dedup.size().0 <= LIMITS.ranges && dedup.size().1 <= LIMITS.ids);
            }
        }

        #[test]
        fn a_decoded_memory_equals_the_encoded_one(ids in proptest::collection::vec((0u64..500, any::<bool>()), 0..200)) {
            let mut dedup = Dedup::default();
            for (id, opaque) in ids {
                let key = if opaque { TradeId::Opaque(u128::from(id)) } else { TradeId::Numeric(id) };
                dedup.insert(key, (1_000 + id) * SECOND, &LIMITS);
            }
            let mut out = Writer::new();
            dedup.encode(&mut out);
            let bytes = out.finish();
            let mut input = Reader::new(&bytes);
            prop_assert_eq!(Dedup::decode(&mut input).unwrap(), dedup);
            input.end().unwrap();
        }
    }
}
