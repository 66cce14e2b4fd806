//! From when on the trades of a key are known: a stream that first hears of a key in the middle of a day has not seen the
//! start of that day's candles. Pure.

use crate::encoding::{CorruptState, Reader, Writer};

/// Nothing of the live feed was seen yet.
const NEVER: u64 = u64::MAX;

/// Which trades of a key are in its partition. A function of the partition's records, like everything derived from them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Coverage {
    /// All trades from here on are known.
    known_from_ns: u64,
    /// The earliest event time of the live feed.
    first_ns: u64,
    /// A range whose trades were fetched before the live feed began.
    fetched: (u64, u64),
}

impl Coverage {
    /// Of a key that nothing is known of.
    pub(crate) const fn unknown() -> Self {
        Self { known_from_ns: NEVER, first_ns: NEVER, fetched: (0, 0) }
    }

    /// Of a key whose past is in the lake.
    pub(crate) const fn whole() -> Self {
        Self { known_from_ns: 0, first_ns: 0, fetched: (0, 0) }
    }

    /// A trade of the live feed. Others of its very time may have come before it, unseen.
    #[inline]
    pub(crate) const fn live(&mut self, time_ns: u64) {
        if time_ns < self.first_ns {
            self.begin(time_ns);
            self.first_ns = time_ns;
        }
    }

    /// The live feed speaks for the first time.
    pub(crate) const fn begin(&mut self, time_ns: u64) {
        if self.known_from_ns == NEVER {
            let (from_ns, to_ns) = self.fetched;
            self.known_from_ns =
                if from_ns <= time_ns && time_ns < to_ns { from_ns } else { time_ns.saturating_add(1) };
            self.first_ns = time_ns;
        }
    }

    /// All trades of a range are in the partition. True if more is known now about the time before the live feed.
    pub(crate) fn fetched(&mut self, from_ns: u64, to_ns: u64) -> bool {
        if self.known_from_ns == NEVER {
            let touches = from_ns <= self.fetched.1 && self.fetched.0 <= to_ns;
            self.fetched = match self.fetched {
                (known_from, known_to) if touches => (from_ns.min(known_from), to_ns.max(known_to)),
                _ => (from_ns, to_ns),
            };
            return false;
        }
        let more = from_ns < self.known_from_ns && self.known_from_ns <= to_ns;
        if more {
            self.known_from_ns = from_ns;
        }
        more
    }

    /// True if a window lacks trades from before the live feed began. One that ends before has fetched trades only.
    #[inline]
    pub(crate) const fn is_partial(&self, open_time_ns: u64, end_ns: u64) -> bool {
        open_time_ns < self.known_from_ns && self.first_ns < end_ns
    }

    /// The last instant that is not known.
    pub(crate) const fn unknown_until_ns(&self) -> u64 {
        self.known_from_ns.saturating_sub(1)
    }

    pub(crate) fn encode(&self, out: &mut Writer) {
        for time_ns in [self.known_from_ns, self.first_ns, self.fetched.0, self.fetched.1] {
            out.u64(time_ns);
        }
    }

    pub(crate) fn decode(input: &mut Reader<'_>) -> Result<Self, CorruptState> {
        let (known_from_ns, first_ns) = (input.u64()?, input.u64()?);
        Ok(Self { known_from_ns, first_ns, fetched: (input.u64()?, input.u64()?) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_partial_if_the_feed_began_in_it() {
        let mut coverage = Coverage::unknown();
        assert!(!coverage.is_partial(0, 100), "only fetched trades");
        coverage.live(50);
        coverage.live(60);
        let partial =
            [(0, 50), (0, 51), (50, 60), (51, 60), (60, 70)].map(|(open, end)| coverage.is_partial(open, end));
        assert_eq!(partial, [false, true, true, false, false]);
        coverage.live(45);
        assert!(coverage.is_partial(40, 50), "a late one of the feed shows that it misses others");
    }

    #[test]
    fn fetched_trades_count_if_they_reach_to_the_feed() {
        let mut coverage = Coverage::unknown();
        coverage.live(50);
        assert!(!coverage.fetched(10, 50), "not those of the first one's own time");
        assert!(!coverage.fetched(51, 90));
        assert!(coverage.fetched(20, 51));
        assert!(coverage.is_partial(10, 100) && !coverage.is_partial(20, 100));
        assert!(coverage.fetched(5, 20), "further back, a step at a time");
        assert!(!coverage.is_partial(5, 100));
    }

    #[test]
    fn what_was_fetched_before_the_feed_began_counts_too() {
        for (ranges, partial) in
            [(vec![(10, 30), (30, 51)], false), (vec![(10, 50)], true), (vec![(10, 30), (40, 60)], true)]
        {
            let mut coverage = Coverage::unknown();
            for (from, to) in &ranges {
                coverage.fetched(*from, *to);
            }
            coverage.live(50);
            assert_eq!(coverage.is_partial(10, 100), partial, "{ranges:?}");
        }
    }
}
