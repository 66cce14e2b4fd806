//! Rows without their prices, for counting.

use crate::read::decode::{CandleVersion, Row, flags, numbers, strings};
use crate::read::plan::Wanted;
use ahash::RandomState;
use arrow_array::types::{Int32Type, TimestampMicrosecondType};
use arrow_array::{BooleanArray, PrimitiveArray, RecordBatch, StringArray};

/// Which candle a row is, and which version of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CandleKey {
    pub(super) open_us: i64,
    pub(super) version: CandleVersion,
}

pub(super) struct CandleKeyColumns {
    venue: StringArray,
    symbol: StringArray,
    interval: PrimitiveArray<Int32Type>,
    open_time: PrimitiveArray<TimestampMicrosecondType>,
    revision: PrimitiveArray<Int32Type>,
    closed: BooleanArray,
}

impl Row for CandleKey {
    type Columns = CandleKeyColumns;
    const COLUMNS: &'static [&'static str] = &["venue", "symbol", "interval_s", "open_time", "revision", "closed"];

    fn columns(batch: &RecordBatch) -> Option<CandleKeyColumns> {
        Some(CandleKeyColumns {
            venue: strings(batch, "venue")?,
            symbol: strings(batch, "symbol")?,
            interval: numbers(batch, "interval_s")?,
            open_time: numbers(batch, "open_time")?,
            revision: numbers(batch, "revision")?,
            closed: flags(batch, "closed")?,
        })
    }

    fn matches(columns: &CandleKeyColumns, row: usize, wanted: &Wanted) -> bool {
        Some(columns.interval.value(row)) == wanted.interval
            && (wanted.from_us..wanted.to_us).contains(&columns.open_time.value(row))
            && columns.symbol.value(row) == wanted.symbol
            && columns.venue.value(row) == wanted.venue
    }

    fn read(columns: &CandleKeyColumns, row: usize, sequence: i64) -> Option<Self> {
        let revision = u32::try_from(columns.revision.value(row)).ok()?;
        let version = CandleVersion { revision, sequence, closed: columns.closed.value(row) };
        Some(Self { open_us: columns.open_time.value(row), version })
    }
}

/// Which trade a row is. Two trades of one microsecond whose ids have one hash would count as one, once in 2^64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TickKey {
    pub(super) event_us: i64,
    id_hash: u64,
}

pub(super) struct TickKeyColumns {
    venue: StringArray,
    symbol: StringArray,
    trade_id: StringArray,
    event_time: PrimitiveArray<TimestampMicrosecondType>,
    hasher: RandomState,
}

impl Row for TickKey {
    type Columns = TickKeyColumns;
    const COLUMNS: &'static [&'static str] = &["venue", "symbol", "trade_id", "event_time"];

    fn columns(batch: &RecordBatch) -> Option<TickKeyColumns> {
        Some(TickKeyColumns {
            venue: strings(batch, "venue")?,
            symbol: strings(batch, "symbol")?,
            trade_id: strings(batch, "trade_id")?,
            event_time: numbers(batch, "event_time")?,
            // The same in every batch: equal ids must have equal hashes.
            hasher: RandomState::with_seeds(1, 2, 3, 4),
        })
    }

    fn matches(columns: &TickKeyColumns, row: usize, wanted: &Wanted) -> bool {
        (wanted.from_us..wanted.to_us).contains(&columns.event_time.value(row))
            && columns.symbol.value(row) == wanted.symbol
            && columns.venue.value(row) == wanted.venue
    }

    fn read(columns: &TickKeyColumns, row: usize, _sequence: i64) -> Option<Self> {
        let id_hash = columns.hasher.hash_one(columns.trade_id.value(row));
        Some(Self { event_us: columns.event_time.value(row), id_hash })
    }
}
