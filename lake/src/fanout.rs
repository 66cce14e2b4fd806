//! Which rows go into which file, and in which order. Pure.

use crate::columns::{CandleBuffer, TickBuffer};
use crate::encode::Values;
use crate::error::{LakeError, Result};
use crate::schema::BUCKETS;
use ahash::RandomState;
use hashbrown::HashTable;
use proto::limits::TRADE_ID_BYTES;
use proto::market::{Candle, Tick};
use proto::{Symbol, Venue};
use std::collections::{BTreeMap, HashMap};

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// Most rows of one append.
pub(crate) const MOST_ROWS: usize = 1 << 24;

/// What the fan-out needs to know of a row.
pub(crate) trait LakeRow: Sync + Sized {
    /// Order of rows within a series; equal keys keep the order of arrival.
    type Key: Ord + Copy;
    /// The columns that rows are gathered in.
    type Buffer: Buffer<Self>;
    fn venue(&self) -> &Venue;
    fn symbol(&self) -> &Symbol;
    /// Time in nanoseconds, of which the day partition is made.
    fn time_ns(&self) -> u64;
    fn key(&self) -> Self::Key;
    /// The field and the rule that the row breaks.
    fn check(&self) -> std::result::Result<(), (&'static str, &'static str)>;
}

/// Columns that grow by rows.
pub(crate) trait Buffer<R>: Default + Send {
    fn push(&mut self, row: &R);
    /// Adds the rows of another one at the end.
    fn append(&mut self, other: Self);
    /// The columns after venue and symbol, in the order of the schema.
    fn columns(self) -> Vec<Values>;
}

impl LakeRow for Tick {
    type Key = u64;
    type Buffer = TickBuffer;

    fn venue(&self) -> &Venue {
        &self.venue
    }
    fn symbol(&self) -> &Symbol {
        &self.symbol
    }
    fn time_ns(&self) -> u64 {
        self.event_time_ns
    }
    fn key(&self) -> u64 {
        self.event_time_ns / 1000
    }
    fn check(&self) -> std::result::Result<(), (&'static str, &'static str)> {
        if i64::try_from(self.receive_time_ns).is_err() {
            return Err(("receive_time_ns", "must be at most 2262"));
        }
        if self.trade_id.len() > TRADE_ID_BYTES {
            return Err(("trade_id", "must be at most 64 bytes"));
        }
        Ok(())
    }
}

impl LakeRow for Candle {
    type Key = (u32, u64, u32);
    type Buffer = CandleBuffer;

    fn venue(&self) -> &Venue {
        &self.venue
    }
    fn symbol(&self) -> &Symbol {
        &self.symbol
    }
    fn time_ns(&self) -> u64 {
        self.open_time_ns
    }
    fn key(&self) -> (u32, u64, u32) {
        (self.interval.seconds(), self.open_time_ns, self.revision)
    }
    fn check(&self) -> std::result::Result<(), (&'static str, &'static str)> {
        if !self.open_time_ns.is_multiple_of(self.interval.nanos()) {
            return Err(("open_time_ns", "must be a multiple of the interval"));
        }
        if i32::try_from(self.revision).is_err() {
            return Err(("revision", "must be below 2^31"));
        }
        if i64::try_from(self.trades).is_err() {
            return Err(("trades", "must be below 2^63"));
        }
        Ok(())
    }
}

/// Microseconds since the epoch.
pub(crate) fn micros(time_ns: u64) -> Option<i64> {
    i64::try_from(time_ns).ok().map(|ns| ns / 1000)
}

/// Days since the epoch.
pub(crate) fn day(time_us: i64) -> i32 {
    i32::try_from(time_us.div_euclid(MICROS_PER_DAY)).unwrap_or(i32::MAX)
}

/// The first microsecond after a day.
pub(crate) fn day_end(day: i32) -> i64 {
    (i64::from(day) + 1).saturating_mul(MICROS_PER_DAY)
}

/// Iceberg's `bucket[16]` of a text: murmur3 (x86, 32 bits) of its bytes, without the sign, modulo 16.
pub(crate) fn bucket(text: &str) -> i32 {
    let hash = murmur3(text.as_bytes()) & 0x7FFF_FFFF;
    i32::try_from(hash % BUCKETS).unwrap_or(0)
}

fn murmur3(bytes: &[u8]) -> u32 {
    let scramble = |word: u32| word.wrapping_mul(0xCC9E_2D51).rotate_left(15).wrapping_mul(0x1B87_3593);
    let mut hash = 0u32;
    let mut words = bytes.chunks_exact(4);
    for word in &mut words {
        let word = word.iter().rev().fold(0u32, |acc, byte| acc << 8 | u32::from(*byte));
        hash = (hash ^ scramble(word)).rotate_left(13).wrapping_mul(5).wrapping_add(0xE654_6B64);
    }
    hash ^= scramble(words.remainder().iter().rev().fold(0u32, |acc, byte| acc << 8 | u32::from(*byte)));
    hash ^= u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    hash = (hash ^ (hash >> 16)).wrapping_mul(0x85EB_CA6B);
    hash = (hash ^ (hash >> 13)).wrapping_mul(0xC2B2_AE35);
    hash ^ (hash >> 16)
}

/// A venue's symbol.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Series {
    pub(crate) venue: Venue,
    pub(crate) symbol: Symbol,
}

/// The rows of one file in order.
pub(crate) struct Partition {
    pub(crate) day: i32,
    pub(crate) bucket: i32,
    /// Each series with its number of rows, ascending.
    pub(crate) series: Vec<(Series, usize)>,
    /// The columns after venue and symbol.
    pub(crate) columns: Vec<Values>,
}

/// Rows of one series and day.
struct Group<R: LakeRow> {
    series: usize,
    day: i32,
    rows: Vec<u32>,
    buffer: R::Buffer,
    last: R::Key,
    sorted: bool,
}

/// Assigns rows to groups, each of which is a run of rows in one file, and gathers their columns.
pub(crate) struct Fanout<R: LakeRow> {
    hasher: RandomState,
    series: Vec<Series>,
    by_series: HashTable<usize>,
    /// For each series its latest day and group.
    latest: Vec<(i32, usize)>,
    by_day: HashMap<(usize, i32), usize>,
    groups: Vec<Group<R>>,
    count: usize,
}

impl<R: LakeRow> Fanout<R> {
    pub(crate) fn new() -> Self {
        Self {
            hasher: RandomState::with_seeds(1, 2, 3, 4),
            series: Vec::new(),
            by_series: HashTable::new(),
            latest: Vec::new(),
            by_day: HashMap::new(),
            groups: Vec::new(),
            count: 0,
        }
    }

    /// Adds the next rows.
    ///
    /// # Errors
    /// Names the first row that does not fit the table.
    pub(crate) fn add(&mut self, rows: &[R]) -> Result<()> {
        for row in rows {
            let index = self.count;
            let refuse = |(field, rule)| LakeError::Row { row: index, field, rule };
            row.check().map_err(refuse)?;
            let number = u32::try_from(index).ok().filter(|_| index < MOST_ROWS);
            let number = number.ok_or_else(|| refuse(("rows", "must be at most 2^24 in one append")))?;
            let time_us = micros(row.time_ns()).ok_or_else(|| refuse(("time", "must be at most 2262")))?;
            let key = row.key();
            let series = self.series_of(row.venue(), row.symbol());
            let group = self.group_of(series, day(time_us), key);
            group.sorted &= group.last <= key;
            group.last = key;
            group.rows.push(number);
            group.buffer.push(row);
            self.count += 1;
        }
        Ok(())
    }

    fn series_of(&mut self, venue: &Venue, symbol: &Symbol) -> usize {
        let hash_of = |venue: &str, symbol: &str| self.hasher.hash_one((venue, symbol));
        let is = |index: &usize| {
            let series = &self.series[*index];
            series.symbol.as_str() == symbol.as_str() && series.venue.as_str() == venue.as_str()
        };
        let hash = hash_of(venue.as_str(), symbol.as_str());
        if let Some(found) = self.by_series.find(hash, is) {
            return *found;
        }
        let next = self.series.len();
        self.series.push(Series { venue: venue.clone(), symbol: symbol.clone() });
        self.latest.push((i32::MIN, usize::MAX));
        let series = &self.series;
        let rehash =
            |index: &usize| self.hasher.hash_one((series[*index].venue.as_str(), series[*index].symbol.as_str()));
        self.by_series.insert_unique(hash, next, rehash);
        next
    }

    fn group_of(&mut self, series: usize, day: i32, key: R::Key) -> &mut Group<R> {
        let (latest_day, latest) = self.latest[series];
        if latest_day == day {
            return &mut self.groups[latest];
        }
        let next = self.groups.len();
        let group = *self.by_day.entry((series, day)).or_insert(next);
        if group == next {
            let (rows, buffer) = (Vec::new(), R::Buffer::default());
            self.groups.push(Group { series, day, rows, buffer, last: key, sorted: true });
        }
        self.latest[series] = (day, group);
        &mut self.groups[group]
    }

    /// The files of all rows, which are `rows`.
    pub(crate) fn partitions(mut self, rows: &[R]) -> Vec<Partition> {
        for group in self.groups.iter_mut().filter(|group| !group.sorted) {
            group.rows.sort_by_key(|row| rows[*row as usize].key());
            group.buffer = R::Buffer::default();
            for row in &group.rows {
                group.buffer.push(&rows[*row as usize]);
            }
        }
        let mut files: BTreeMap<(i32, i32), BTreeMap<Series, Group<R>>> = BTreeMap::new();
        for group in self.groups {
            let series = self.series[group.series].clone();
            files.entry((group.day, bucket(series.symbol.as_str()))).or_default().insert(series, group);
        }
        let partition = |((day, bucket), groups): ((i32, i32), BTreeMap<Series, Group<R>>)| {
            let mut series = Vec::with_capacity(groups.len());
            let mut buffer: Option<R::Buffer> = None;
            for (name, group) in groups {
                series.push((name, group.rows.len()));
                match &mut buffer {
                    Some(buffer) => buffer.append(group.buffer),
                    None => buffer = Some(group.buffer),
                }
            }
            Partition { day, bucket, series, columns: buffer.unwrap_or_default().columns() }
        };
        files.into_iter().map(partition).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use iceberg::spec::{Datum, Transform};
    use iceberg::transform::create_transform_function;

    #[test]
    fn buckets_and_days_are_those_of_iceberg() {
        let bucket_of = create_transform_function(&Transform::Bucket(BUCKETS)).unwrap();
        for text in ["BTC/USDT", "ETH/USDT", "SOL/USDT", "1INCH/USD", "A/B", "AB/C", "ABC/DE", "ABCD/EFG"] {
            let theirs = bucket_of.transform_literal_result(&Datum::string(text)).unwrap();
            assert_eq!(theirs, Datum::int(bucket(text)), "{text}");
        }
        let day_of = create_transform_function(&Transform::Day).unwrap();
        for time_us in [0, 1, 86_399_999_999, 86_400_000_000, 1_723_161_255_342_000] {
            let theirs = day_of.transform_literal_result(&Datum::timestamptz_micros(time_us)).unwrap();
            assert_eq!(theirs, Datum::date(day(time_us)), "{time_us}");
        }
    }
}
