//! Queries: day by day from the newest, file by file, until the answer is complete.

use super::cache::Cache;
use super::decode::{self, CandleRow, CandleVersion, TickRow};
use super::plan::{self, FileRange, SnapshotFiles, Wanted};
use crate::error::{LakeError, Result};
use crate::fanout;
use crate::query::Limit;
use crate::stats::{Counters, count};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// A file with more rows than this is read in slices of time when only the newest rows are wanted.
const SLICED_ROWS: u64 = 16_384;
/// Each slice is this many times as long as the one before.
const SLICE_GROWTH: i64 = 4;

/// Where a query reads.
pub(crate) struct Scan<'a> {
    pub(crate) snapshot: &'a SnapshotFiles,
    pub(crate) wanted: &'a Wanted,
    pub(crate) cache: &'a Cache<Vec<FileRange>>,
    pub(crate) counters: &'a Counters,
    /// Rows that an answer may have.
    pub(crate) most: usize,
}

/// Rows collected so far, from the newest files down.
trait Collected {
    type Row: decode::Row;
    fn take(&mut self, row: Self::Row);
    fn len(&self) -> usize;
    /// The time of the `n`-th newest row; rows of older files cannot be among the newest `n`.
    fn nth_newest(&mut self, n: usize) -> Option<i64>;
}

/// The highest revision of each open time.
#[derive(Default)]
struct Candles(BTreeMap<i64, CandleRow>);

/// The rule of docs/protocol/01-frames.md: a higher revision replaces a lower one; of equal revisions an open candle is
/// replaced by any later one, and a closed one by none.
pub(crate) fn replaces(new: CandleVersion, old: CandleVersion) -> bool {
    match new.revision.cmp(&old.revision) {
        // Rows of one file come in the order in which they were written.
        Ordering::Equal if new.closed && old.closed => new.sequence < old.sequence,
        Ordering::Equal if !old.closed => new.closed || new.sequence >= old.sequence,
        Ordering::Equal => false,
        order => order == Ordering::Greater,
    }
}

impl Collected for Candles {
    type Row = CandleRow;

    fn take(&mut self, row: CandleRow) {
        match self.0.entry(row.open_us) {
            Entry::Vacant(entry) => {
                entry.insert(row);
            }
            Entry::Occupied(mut entry) => {
                if replaces(row.version(), entry.get().version()) {
                    entry.insert(row);
                }
            }
        }
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn nth_newest(&mut self, n: usize) -> Option<i64> {
        self.0.keys().rev().nth(n.checked_sub(1)?).copied()
    }
}

#[derive(Default)]
struct Ticks(Vec<TickRow>);

impl Collected for Ticks {
    type Row = TickRow;

    fn take(&mut self, row: TickRow) {
        self.0.push(row);
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn nth_newest(&mut self, n: usize) -> Option<i64> {
        let index = n.checked_sub(1).filter(|index| *index < self.0.len())?;
        let (_, nth, _) = self.0.select_nth_unstable_by_key(index, |row| std::cmp::Reverse(row.event_us));
        Some(nth.event_us)
    }
}

impl Scan<'_> {
    /// Candles, ascending.
    pub(crate) fn candles(&self, limit: Limit) -> Result<Vec<CandleRow>> {
        let mut found = Candles::default();
        self.collect(&mut found, limit)?;
        let rows = found.0.into_values();
        Ok(cut(rows.collect(), limit))
    }

    /// Trades, ascending by time, then by number of the trade id, then by its text.
    pub(crate) fn ticks(&self, limit: Limit) -> Result<Vec<TickRow>> {
        let mut found = Ticks::default();
        self.collect(&mut found, limit)?;
        let order = |row: &TickRow| (row.event_us, row.trade_number);
        found.0.sort_by(|a, b| order(a).cmp(&order(b)).then_with(|| a.trade_id.cmp(&b.trade_id)));
        Ok(cut(found.0, limit))
    }

    fn collect<C: Collected>(&self, found: &mut C, limit: Limit) -> Result<()> {
        let mut days = self.snapshot.days(self.wanted);
        if matches!(limit, Limit::Oldest(_)) {
            days.reverse();
        }
        for day in days {
            // Rows of a day are before its end.
            let end = fanout::day_end(day);
            if let Limit::Newest(most) = limit
                && (most == 0 || found.nth_newest(most).is_some_and(|cutoff| end <= cutoff))
            {
                return Ok(());
            }
            let read = || count(&self.counters.manifests, 1);
            let files = plan::files_of_day(self.snapshot, self.wanted, day, self.cache, read)?;
            for file in &files {
                if let Limit::Newest(most) = limit
                    && found.nth_newest(most).is_some_and(|cutoff| *file.times.end() < cutoff)
                {
                    // Files come by falling end, and earlier days end before this one.
                    return Ok(());
                }
                count(&self.counters.files, 1);
                count(&self.counters.bytes, file.bytes);
                self.rows_of(file, found, limit)?;
                if found.len() > self.most && !matches!(limit, Limit::Newest(n) if n <= self.most) {
                    return Err(LakeError::TooManyRows { most: self.most });
                }
            }
            if matches!(limit, Limit::Oldest(most) if found.len() >= most) {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The rows of a file; of a large one, when the newest are wanted, from its end down until there are enough.
    fn rows_of<C: Collected>(&self, file: &FileRange, found: &mut C, limit: Limit) -> Result<()> {
        let (from_us, mut to_us) = (self.wanted.from_us, self.wanted.to_us.min(file.times.end().saturating_add(1)));
        let most = match limit {
            Limit::Newest(most) if file.rows > SLICED_ROWS => most,
            _ => return decode::rows(file, self.wanted, |row| found.take(row)),
        };
        let mut length = self.first_slice(file, most);
        while from_us < to_us && found.nth_newest(most).is_none_or(|cutoff| cutoff < to_us) {
            let start = from_us.max(to_us.saturating_sub(length));
            // What is left is read at once when it is little.
            let start = if start <= file.times.start().saturating_add(length) { from_us } else { start };
            let slice = Wanted { from_us: start, to_us, ..self.wanted.clone() };
            decode::rows(file, &slice, |row| found.take(row))?;
            to_us = start;
            length = length.saturating_mul(SLICE_GROWTH);
        }
        Ok(())
    }

    /// The time that probably holds the newest `most` rows, in microseconds: of candles exactly if none is absent, of
    /// trades as if they were spread evenly.
    fn first_slice(&self, file: &FileRange, most: usize) -> i64 {
        let most = i64::try_from(most).unwrap_or(i64::MAX).max(1);
        let each = match self.wanted.interval {
            Some(seconds) => i64::from(seconds).saturating_mul(1_000_000),
            None => {
                let span = file.times.end().saturating_sub(*file.times.start());
                (span / i64::try_from(file.rows).unwrap_or(i64::MAX).max(1)).saturating_mul(SLICE_GROWTH).max(1)
            }
        };
        most.saturating_mul(each)
    }
}

fn cut<R>(mut rows: Vec<R>, limit: Limit) -> Vec<R> {
    match limit {
        Limit::None => {}
        Limit::Oldest(most) => rows.truncate(most),
        Limit::Newest(most) => drop(rows.drain(..rows.len().saturating_sub(most))),
    }
    rows
}
