//! Which candles of a range are missing, and what is known to be complete.

/// Disjoint, ascending ranges `[from, to)`; a bounded number of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RangeSet {
    ranges: Vec<(u64, u64)>,
}

impl RangeSet {
    /// Most ranges; beyond that the shortest is forgotten, which costs one more request, never a wrong answer.
    const MOST: usize = 64;

    pub(crate) fn insert(&mut self, from: u64, to: u64) {
        if from >= to {
            return;
        }
        let start = self.ranges.partition_point(|range| range.1 < from);
        let end = self.ranges.partition_point(|range| range.0 <= to);
        let (mut low, mut high) = (from, to);
        if start < end {
            low = low.min(self.ranges[start].0);
            high = high.max(self.ranges[end - 1].1);
        }
        self.ranges.splice(start..end, [(low, high)]);
        if self.ranges.len() > Self::MOST
            && let Some(shortest) = (0..self.ranges.len()).min_by_key(|at| self.ranges[*at].1 - self.ranges[*at].0)
        {
            self.ranges.remove(shortest);
        }
    }

    /// The parts of `[from, to)` that are not in the set.
    pub(crate) fn without(&self, from: u64, to: u64) -> Vec<(u64, u64)> {
        let mut rest = Vec::new();
        let mut at = from;
        for (low, high) in &self.ranges {
            if *low >= to {
                break;
            }
            if *high <= at {
                continue;
            }
            if *low > at {
                rest.push((at, *low));
            }
            at = *high;
        }
        if at < to {
            rest.push((at, to));
        }
        rest
    }

    #[cfg(test)]
    pub(crate) fn contains(&self, from: u64, to: u64) -> bool {
        self.without(from, to).is_empty()
    }
}

/// A range of windows to look for holes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// First window.
    pub(crate) from: u64,
    /// End, a multiple of the interval.
    pub(crate) to: u64,
    /// Length of a window.
    pub(crate) step: u64,
    /// Holes of fewer windows do not count: quiet markets have them.
    pub(crate) least: u64,
}

/// The smallest range that holds every hole worth asking for, given the open times that are there (ascending) and the
/// ranges known to be complete.
pub(crate) fn missing(wanted: Wanted, open_times: impl Iterator<Item = u64>, known: &RangeSet) -> Option<(u64, u64)> {
    let mut hull: Option<(u64, u64)> = None;
    let mut hole = |from: u64, to: u64| {
        for (low, high) in known.without(from, to) {
            if (high - low) / wanted.step >= wanted.least.max(1) {
                hull = Some(hull.map_or((low, high), |(first, _)| (first, high)));
            }
        }
    };
    let mut at = wanted.from;
    for open in open_times.filter(|open| (wanted.from..wanted.to).contains(open)) {
        if open > at {
            hole(at, open);
        }
        at = open + wanted.step;
    }
    if at < wanted.to {
        hole(at, wanted.to);
    }
    hull
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn find(present: &[u64], known: &[(u64, u64)], least: u64) -> Option<(u64, u64)> {
        let mut set = RangeSet::default();
        for (from, to) in known {
            set.insert(*from, *to);
        }
        missing(Wanted { from: 100, to: 200, step: 10, least }, present.iter().copied(), &set)
    }

    #[test]
    fn holes_at_both_ends_and_inside_are_found() {
        let all: Vec<u64> = (100..200).step_by(10).collect();
        assert_eq!(find(&all, &[], 1), None);
        assert_eq!(find(&[], &[], 1), Some((100, 200)));
        assert_eq!(find(&all[3..], &[], 1), Some((100, 130)));
        assert_eq!(find(&all[..7], &[], 1), Some((170, 200)));
        assert_eq!(find(&[100, 110, 150, 160, 170, 180, 190], &[], 1), Some((120, 150)));
        assert_eq!(find(&[100, 120, 130, 140, 150, 160, 180, 190], &[], 1), Some((110, 180)), "the hull of two");
        assert_eq!(find(&[50, 210], &[], 1), Some((100, 200)), "what is outside does not count");
    }

    #[test]
    fn short_holes_and_known_ranges_do_not_count() {
        assert_eq!(find(&[100, 120, 130, 140, 150, 160, 180, 190], &[], 2), None);
        assert_eq!(find(&[100, 110, 150, 160, 170, 180, 190], &[(120, 150)], 1), None);
        assert_eq!(find(&[100, 110, 150, 160, 170, 180, 190], &[(130, 140)], 1), Some((120, 150)));
        assert_eq!(find(&[], &[(0, 170)], 3), Some((170, 200)));
        assert_eq!(find(&[], &[(0, 180)], 3), None);
    }

    proptest! {
        #[test]
        fn a_range_set_equals_a_set_of_points(inserts in proptest::collection::vec((0u64..60, 0u64..12), 0..40), from in 0u64..60, length in 0u64..20) {
            let mut set = RangeSet::default();
            let mut points = std::collections::BTreeSet::new();
            for (from, length) in inserts {
                set.insert(from, from + length);
                points.extend(from..from + length);
            }
            let rest: Vec<u64> = set.without(from, from + length).into_iter().flat_map(|(low, high)| low..high).collect();
            let expected: Vec<u64> = (from..from + length).filter(|point| !points.contains(point)).collect();
            prop_assert_eq!(&rest, &expected);
            prop_assert_eq!(set.contains(from, from + length), expected.is_empty());
            prop_assert!(set.ranges.windows(2).all(|pair| pair[0].1 < pair[1].0));
        }

        #[test]
        fn the_number_of_ranges_is_bounded(starts in proptest::collection::vec(0u64..1_000_000, 0..300)) {
            let mut set = RangeSet::default();
            for start in starts {
                set.insert(start * 10, start * 10 + 1 + start % 5);
            }
            prop_assert!(set.ranges.len() <= RangeSet::MOST);
        }
    }
}
