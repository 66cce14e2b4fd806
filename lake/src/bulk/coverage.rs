//! How much of a range has rows. Pure.

use std::collections::BTreeSet;

/// Holes that are remembered; beyond that the shortest are forgotten.
const MOST_HOLES: usize = 1024;

/// A stretch of windows without a row, ns since the epoch, `to_ns` not included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hole {
    /// Start of the first window.
    pub from_ns: u64,
    /// End of the last window.
    pub to_ns: u64,
}

/// What a range holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Coverage {
    /// Rows: closed candles, or distinct trades.
    pub rows: u64,
    /// Time of the first row.
    pub first_ns: Option<u64>,
    /// Time of the last row.
    pub last_ns: Option<u64>,
    /// Length of a window: the interval of the candles, a minute for trades.
    pub window_ns: u64,
    /// Windows of the range: of candles those that open in it, of trades the whole minutes in it.
    pub windows: u64,
    /// Windows without a row.
    pub missing: u64,
    /// The longest 1 024 holes, ascending by time.
    pub holes: Vec<Hole>,
}

/// Counts rows that come in order of time.
#[derive(Debug)]
pub(super) struct Gauge {
    window: i64,
    /// End of the last window that had a row; of those before the range, its start.
    covered: i64,
    from: i64,
    to: i64,
    rows: u64,
    first: Option<i64>,
    last: Option<i64>,
    missing: i64,
    /// By length, then by start.
    holes: BTreeSet<(i64, i64)>,
}

impl Gauge {
    /// For rows in `[from_us, to_us)`. `opens`: a window belongs to the range if it opens in it; otherwise it must also end in it.
    pub(super) fn new(from_us: i64, to_us: i64, window: i64, opens: bool) -> Self {
        let up = |time: i64| time.div_euclid(window) * window + if time.rem_euclid(window) == 0 { 0 } else { window };
        let from = up(from_us);
        let to = if opens { up(to_us) } else { to_us.div_euclid(window) * window }.max(from);
        Self { window, covered: from, from, to, rows: 0, first: None, last: None, missing: 0, holes: BTreeSet::new() }
    }

    pub(super) const fn rows(&self) -> u64 {
        self.rows
    }

    /// Takes the times of rows, ascending, after those taken before.
    pub(super) fn take(&mut self, times: &[i64]) {
        self.rows += times.len() as u64;
        self.first = self.first.or(times.first().copied());
        self.last = times.last().copied().or(self.last);
        for time in times {
            let start = time.div_euclid(self.window) * self.window;
            self.hole_until(start.min(self.to));
            self.covered = self.covered.max(start + self.window);
        }
    }

    fn hole_until(&mut self, end: i64) {
        if end <= self.covered {
            return;
        }
        self.missing += (end - self.covered) / self.window;
        self.holes.insert((end - self.covered, self.covered));
        if self.holes.len() > MOST_HOLES {
            self.holes.pop_first();
        }
    }

    pub(super) fn finish(mut self) -> Coverage {
        self.hole_until(self.to);
        let nanos = |time_us: i64| u64::try_from(time_us).unwrap_or(0).saturating_mul(1000);
        let hole = |(length, from): (i64, i64)| Hole { from_ns: nanos(from), to_ns: nanos(from + length) };
        let mut holes: Vec<Hole> = self.holes.into_iter().map(hole).collect();
        holes.sort_unstable_by_key(|hole| hole.from_ns);
        Coverage {
            rows: self.rows,
            first_ns: self.first.map(nanos),
            last_ns: self.last.map(nanos),
            window_ns: nanos(self.window),
            windows: u64::try_from((self.to - self.from) / self.window).unwrap_or(0),
            missing: u64::try_from(self.missing).unwrap_or(0),
            holes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn holes(coverage: &Coverage) -> Vec<(u64, u64)> {
        coverage.holes.iter().map(|hole| (hole.from_ns / 1000, hole.to_ns / 1000)).collect()
    }

    #[test]
    fn holes_at_both_ends_and_inside_are_counted() {
        let mut gauge = Gauge::new(95, 200, 10, true);
        gauge.take(&[110, 120]);
        gauge.take(&[150]);
        let coverage = gauge.finish();
        assert_eq!((coverage.rows, coverage.windows, coverage.missing), (3, 10, 7));
        assert_eq!(holes(&coverage), [(100, 110), (130, 150), (160, 200)]);
        assert_eq!((coverage.first_ns, coverage.last_ns), (Some(110_000), Some(150_000)));
    }

    #[test]
    fn an_empty_range_is_one_hole_and_no_range_none() {
        let coverage = Gauge::new(0, 100, 10, true).finish();
        assert_eq!((coverage.missing, holes(&coverage)), (10, vec![(0, 100)]));
        let coverage = Gauge::new(0, 0, 10, true).finish();
        assert_eq!((coverage.windows, coverage.missing, holes(&coverage)), (0, 0, vec![]));
        let coverage = Gauge::new(3, 9, 10, false).finish();
        assert_eq!((coverage.windows, coverage.missing), (0, 0), "no whole window");
    }

    #[test]
    fn trades_count_by_windows_and_those_at_the_edges_do_not_matter() {
        let mut gauge = Gauge::new(5, 45, 10, false);
        gauge.take(&[6, 11, 12, 19, 33, 44]);
        let coverage = gauge.finish();
        assert_eq!((coverage.rows, coverage.windows, coverage.missing), (6, 3, 1));
        assert_eq!(holes(&coverage), [(20, 30)]);
    }

    #[test]
    fn the_longest_holes_are_remembered() {
        let mut gauge = Gauge::new(0, 100_000, 10, true);
        let times: Vec<i64> = (0..4000).map(|n| n * 20).collect();
        gauge.take(&times);
        let coverage = gauge.finish();
        assert_eq!(coverage.missing, 6000);
        assert_eq!(coverage.holes.len(), MOST_HOLES);
        assert_eq!(coverage.holes.last().map(|hole| hole.from_ns / 1000), Some(79_990));
    }

    proptest! {
        #[test]
        fn missing_and_present_windows_are_all_windows(present in proptest::collection::btree_set(0i64..200, 0..60), from in 0i64..100, length in 0i64..100) {
            let mut gauge = Gauge::new(from * 10, (from + length) * 10, 10, true);
            let inside: Vec<i64> = present.into_iter().filter(|n| (from..from + length).contains(n)).map(|n| n * 10).collect();
            gauge.take(&inside);
            let coverage = gauge.finish();
            prop_assert_eq!(coverage.windows, length.cast_unsigned());
            prop_assert_eq!(coverage.missing + inside.len() as u64, length.cast_unsigned());
            let in_holes: u64 = coverage.holes.iter().map(|hole| (hole.to_ns - hole.from_ns) / 10_000).sum();
            prop_assert_eq!(in_holes, coverage.missing);
        }
    }
}
