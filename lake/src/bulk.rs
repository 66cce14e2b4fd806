//! Whole series for backtests: pinned to a snapshot, in time order, piece by piece, so that memory does not grow with the
//! length of the answer.
//!
//! A piece is a stretch of time that is expected to hold [`PIECE_ROWS`] rows. Every file that may hold rows of it is read for
//! it alone; nothing is assumed about the order of rows in a file or of files in a day.

mod batch;
pub(crate) mod coverage;
mod keys;

use crate::error::{LakeError, Result};
use crate::fanout;
use crate::lake::Inner;
use crate::read::decode::{self, CandleRow, Row, TickRow};
use crate::read::plan::{self, SnapshotFiles, Wanted};
use crate::read::scan::replaces;
use crate::stats::count;
use crate::write::files::run;
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use coverage::{Coverage, Gauge};
use keys::{CandleKey, TickKey};
use proto::{Interval, Symbol, Venue};
use std::collections::VecDeque;
use std::sync::Arc;

/// Rows of a piece and of a batch, about.
const PIECE_ROWS: usize = 32_768;
/// Trades of a piece at most; a piece with more is read again in halves.
const MOST_TICKS: usize = 4 * PIECE_ROWS;
/// Days of a piece at most: long candles are few, but each day has its file.
const PIECE_DAYS: i64 = 366;
const MICROS_PER_DAY: i64 = 86_400_000_000;
/// The first piece of trades.
const FIRST_TICKS_US: i64 = 3_600_000_000;
/// How much longer a piece may be than the one before.
const GROWTH: i64 = 4;
/// Trades have no grid of their own: their coverage is told in minutes.
const TICK_WINDOW_US: i64 = 60_000_000;

/// A series, all of it in a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BulkQuery {
    /// Venue.
    pub venue: Venue,
    /// Symbol.
    pub symbol: Symbol,
    /// Length of the candles; trades if `None`.
    pub interval: Option<Interval>,
    /// Least time, ns since the epoch, included.
    pub from_ns: u64,
    /// Greatest time, not included.
    pub to_ns: u64,
    /// The snapshot to read; the newest if none. 0 is the table before its first snapshot.
    pub snapshot: Option<i64>,
}

/// A series pinned to a snapshot. Clones are cheap.
///
/// Two readers of the same query and snapshot get the same batches. Files of a snapshot that has expired may go while it is
/// read (docs/protocol/05-lake.md); reading fails then, and never leaves rows out.
#[derive(Debug, Clone)]
pub struct Bulk {
    inner: Arc<Inner>,
    query: Arc<BulkQuery>,
    snapshot_id: i64,
    files: Option<Arc<SnapshotFiles>>,
    wanted: Option<Arc<Wanted>>,
    /// Days with files, ascending.
    days: Arc<Vec<i32>>,
}

impl Bulk {
    pub(crate) fn new(
        inner: Arc<Inner>,
        query: BulkQuery,
        snapshot_id: i64,
        files: Option<Arc<SnapshotFiles>>,
    ) -> Self {
        let wanted = Wanted::new(&query.venue, &query.symbol, query.interval, query.from_ns, query.to_ns);
        let mut days = match (&files, &wanted) {
            (Some(files), Some(wanted)) => files.days(wanted),
            _ => Vec::new(),
        };
        days.reverse();
        let (query, days) = (Arc::new(query), Arc::new(days));
        Self { inner, query, snapshot_id, files, wanted: wanted.map(Arc::new), days }
    }

    /// The snapshot that is read; 0 if the table had none.
    #[must_use]
    pub const fn snapshot_id(&self) -> i64 {
        self.snapshot_id
    }

    /// The columns of the batches.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        if self.query.interval.is_some() { batch::candle_schema() } else { batch::tick_schema() }
    }

    /// Counts the rows and finds what is missing, without decoding prices.
    ///
    /// # Errors
    /// [`LakeError::TooManyRows`] as soon as there are more than `most`; otherwise if a file cannot be read.
    ///
    /// # Cancel safety
    /// Nothing is lost; the piece being read is read to its end in the background.
    pub async fn coverage(&self, most: usize) -> Result<Coverage> {
        let (from, to) = self.bounds();
        let mut gauge = Gauge::new(from, to, self.window_us(), self.query.interval.is_some());
        let mut pieces = Pieces::new(self);
        while let Some((from_us, to_us)) = pieces.next() {
            let (bulk, ticks) = (self.clone(), self.query.interval.is_none());
            let keys = self
                .work(move || if ticks { bulk.tick_times(from_us, to_us) } else { bulk.candle_times(from_us, to_us) });
            let Some(times) = keys.await? else {
                pieces.halve();
                continue;
            };
            gauge.take(&times);
            if gauge.rows() > most as u64 {
                return Err(LakeError::TooManyRows { most });
            }
            pieces.advance(times.len());
        }
        Ok(gauge.finish())
    }

    /// The rows, from the oldest.
    #[must_use]
    pub fn batches(&self) -> Batches {
        Batches { pieces: Pieces::new(self), bulk: self.clone(), ready: VecDeque::new() }
    }

    fn bounds(&self) -> (i64, i64) {
        self.wanted.as_ref().map_or((0, 0), |wanted| (wanted.from_us, wanted.to_us))
    }

    fn window_us(&self) -> i64 {
        self.query.interval.map_or(TICK_WINDOW_US, |interval| i64::from(interval.seconds()) * 1_000_000)
    }

    /// Runs off the async workers, with a reader's permit for this piece only: a slow client holds none.
    async fn work<T: Send + 'static>(&self, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        let permit = self.inner.permits.clone().acquire_owned().await;
        let permit = permit.map_err(|_| LakeError::Interrupted("query"))?;
        run(move || {
            // Held here, so that a cancelled read counts until its work ends.
            let _permit = permit;
            work()
        })
        .await
    }

    /// Hands every row of `[from_us, to_us)` to `take`.
    fn rows<R: Row>(&self, from_us: i64, to_us: i64, mut take: impl FnMut(R)) -> Result<()> {
        let (Some(files), Some(wanted)) = (&self.files, &self.wanted) else { return Ok(()) };
        let (cache, counters) = (&self.inner.files, &self.inner.counters);
        let wanted = Wanted { from_us, to_us, ..wanted.as_ref().clone() };
        for day in fanout::day(from_us)..=fanout::day(to_us - 1) {
            for file in plan::files_of_day(files, &wanted, day, cache, || count(&counters.manifests, 1))? {
                count(&counters.files, 1);
                count(&counters.bytes, file.bytes);
                decode::rows(&file, &wanted, &mut take)?;
            }
        }
        Ok(())
    }

    fn off_grid(&self) -> LakeError {
        let BulkQuery { venue, symbol, .. } = &*self.query;
        LakeError::Damaged { path: format!("candles of {venue} {symbol}"), detail: "an open time off its grid".into() }
    }

    /// The place of an open time among the windows of a piece; a piece may start within a window.
    fn slot(&self, from_us: i64, open_us: i64) -> Option<usize> {
        let window = self.window_us();
        let first = from_us.div_euclid(window);
        (open_us.rem_euclid(window) == 0).then(|| usize::try_from(open_us.div_euclid(window) - first).ok())?
    }

    fn slots<T: Clone>(&self, from_us: i64, to_us: i64, empty: T) -> Vec<T> {
        let window = self.window_us();
        let count = (to_us - 1).div_euclid(window) - from_us.div_euclid(window) + 1;
        vec![empty; usize::try_from(count).unwrap_or(0)]
    }

    fn candles(&self, from_us: i64, to_us: i64) -> Result<Vec<CandleRow>> {
        let mut slots: Vec<Option<CandleRow>> = self.slots(from_us, to_us, None);
        let mut aligned = true;
        self.rows(from_us, to_us, |row: CandleRow| {
            match self.slot(from_us, row.open_us).and_then(|at| slots.get_mut(at)) {
                Some(slot) => {
                    if slot.as_ref().is_none_or(|old| replaces(row.version(), old.version())) {
                        *slot = Some(row);
                    }
                }
                None => aligned = false,
            }
        })?;
        if !aligned {
            return Err(self.off_grid());
        }
        Ok(slots.into_iter().flatten().filter(|row| row.closed).collect())
    }

    fn candle_times(&self, from_us: i64, to_us: i64) -> Result<Option<Vec<i64>>> {
        let mut slots: Vec<Option<CandleKey>> = self.slots(from_us, to_us, None);
        let mut aligned = true;
        self.rows(from_us, to_us, |row: CandleKey| {
            match self.slot(from_us, row.open_us).and_then(|at| slots.get_mut(at)) {
                Some(slot) => {
                    if slot.as_ref().is_none_or(|old| replaces(row.version, old.version)) {
                        *slot = Some(row);
                    }
                }
                None => aligned = false,
            }
        })?;
        if !aligned {
            return Err(self.off_grid());
        }
        Ok(Some(slots.into_iter().flatten().filter(|row| row.version.closed).map(|row| row.open_us).collect()))
    }

    /// Collects the trades of a piece; `None` if there are too many for one.
    fn collect<R: Row>(&self, from_us: i64, to_us: i64) -> Result<Option<Vec<R>>> {
        let (mut rows, mut over) = (Vec::new(), false);
        // A piece of one microsecond cannot be halved.
        let most = if to_us - from_us > 1 { MOST_TICKS } else { usize::MAX };
        self.rows(from_us, to_us, |row: R| {
            if rows.len() < most {
                rows.push(row);
            } else {
                over = true;
            }
        })?;
        Ok((!over).then_some(rows))
    }

    fn ticks(&self, from_us: i64, to_us: i64) -> Result<Option<Vec<TickRow>>> {
        let Some(mut rows) = self.collect::<TickRow>(from_us, to_us)? else { return Ok(None) };
        // Down to the last column that is shown, so that the order does not depend on that of the files.
        let order = |row: &TickRow| (row.event_us, row.trade_number);
        let rest = |row: &TickRow| (row.price.units(), row.size.units(), row.side as i32);
        rows.sort_by(|a, b| {
            order(a).cmp(&order(b)).then_with(|| a.trade_id.cmp(&b.trade_id)).then_with(|| rest(a).cmp(&rest(b)))
        });
        rows.dedup_by(|a, b| a.event_us == b.event_us && a.trade_id == b.trade_id);
        Ok(Some(rows))
    }

    fn tick_times(&self, from_us: i64, to_us: i64) -> Result<Option<Vec<i64>>> {
        let Some(mut keys) = self.collect::<TickKey>(from_us, to_us)? else { return Ok(None) };
        keys.sort_unstable();
        keys.dedup();
        Ok(Some(keys.into_iter().map(|key| key.event_us).collect()))
    }
}

/// The rows of a [`Bulk`], in batches.
#[derive(Debug)]
pub struct Batches {
    bulk: Bulk,
    pieces: Pieces,
    ready: VecDeque<RecordBatch>,
}

impl Batches {
    /// The next batch, of at most 32 768 rows and never empty; `None` after the last one.
    ///
    /// # Errors
    /// If a file cannot be read. The same call may be made again.
    ///
    /// # Cancel safety
    /// Safe: a piece counts as read only once its rows are here.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Ok(Some(batch));
            }
            let Some((from_us, to_us)) = self.pieces.next() else { return Ok(None) };
            let (bulk, ticks) = (self.bulk.clone(), self.bulk.query.interval.is_none());
            let read = self.bulk.work(move || {
                if ticks {
                    let rows = bulk.ticks(from_us, to_us)?;
                    rows.map(|rows| rows.chunks(PIECE_ROWS).map(batch::of_ticks).collect::<Result<Vec<_>>>())
                        .transpose()
                } else {
                    let rows = bulk.candles(from_us, to_us)?;
                    Ok(Some(rows.chunks(PIECE_ROWS).map(batch::of_candles).collect::<Result<Vec<_>>>()?))
                }
            });
            match read.await? {
                Some(batches) => {
                    self.pieces.advance(batches.iter().map(RecordBatch::num_rows).sum());
                    self.ready.extend(batches);
                }
                None => self.pieces.halve(),
            }
        }
    }
}

/// Cuts the range into pieces; time without files is skipped.
#[derive(Debug)]
struct Pieces {
    days: Arc<Vec<i32>>,
    at_us: i64,
    to_us: i64,
    length_us: i64,
    /// True if the length follows the number of rows found.
    adapts: bool,
}

impl Pieces {
    fn new(bulk: &Bulk) -> Self {
        let (at_us, to_us) = bulk.bounds();
        let adapts = bulk.query.interval.is_none();
        let rows = i64::try_from(PIECE_ROWS).unwrap_or(i64::MAX);
        let length_us = if adapts { FIRST_TICKS_US } else { rows.saturating_mul(bulk.window_us()) };
        Self { days: bulk.days.clone(), at_us, to_us, length_us: length_us.min(PIECE_DAYS * MICROS_PER_DAY), adapts }
    }

    /// The piece to read; the same one until [`Self::advance`] or [`Self::halve`].
    fn next(&mut self) -> Option<(i64, i64)> {
        let next = self.days.partition_point(|day| fanout::day_end(*day) <= self.at_us);
        let days = &self.days[next..];
        let start = self.at_us.max(fanout::day_end(days.first()? - 1));
        self.at_us = start;
        let run = days.windows(2).take_while(|pair| pair[1] == pair[0] + 1).count();
        let end = fanout::day_end(days[run]).min(self.to_us).min(start.saturating_add(self.length_us));
        (start < end).then_some((start, end))
    }

    fn advance(&mut self, rows: usize) {
        let Some((_, end)) = self.next() else { return };
        self.at_us = end;
        if self.adapts {
            let (most, rows) = (self.length_us.saturating_mul(GROWTH), i64::try_from(rows.max(1)).unwrap_or(i64::MAX));
            let wanted = self.length_us.saturating_mul(i64::try_from(PIECE_ROWS).unwrap_or(i64::MAX)) / rows;
            self.length_us = wanted.min(most).clamp(1, MICROS_PER_DAY);
        }
    }

    fn halve(&mut self) {
        let length = self.next().map_or(1, |(start, end)| end - start);
        self.length_us = (length / 2).max(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(days: &[i32], from_us: i64, to_us: i64, length_us: i64) -> Pieces {
        Pieces { days: Arc::new(days.to_vec()), at_us: from_us, to_us, length_us, adapts: false }
    }

    #[test]
    fn pieces_cover_the_days_with_files_and_skip_the_others() {
        const DAY: i64 = MICROS_PER_DAY;
        let mut pieces = pieces(&[2, 3, 7], DAY, 7 * DAY + 10, DAY * 3 / 2);
        let mut found = Vec::new();
        while let Some(piece) = pieces.next() {
            assert_eq!(pieces.next(), Some(piece), "the same until it was read");
            found.push(piece);
            pieces.advance(1);
        }
        assert_eq!(found, [(2 * DAY, 3 * DAY + DAY / 2), (3 * DAY + DAY / 2, 4 * DAY), (7 * DAY, 7 * DAY + 10)]);
    }

    #[test]
    fn pieces_of_trades_get_shorter_where_there_are_many() {
        let mut pieces = Pieces { adapts: true, ..pieces(&[0], 0, MICROS_PER_DAY, FIRST_TICKS_US) };
        pieces.advance(PIECE_ROWS * 2);
        assert_eq!(pieces.length_us, FIRST_TICKS_US / 2);
        pieces.halve();
        assert_eq!(pieces.length_us, FIRST_TICKS_US / 4);
        pieces.advance(0);
        assert_eq!(pieces.length_us, FIRST_TICKS_US, "at most four times as long");
    }
}
