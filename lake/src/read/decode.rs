//! Rows of one data file: only the row groups and pages that may hold them are decoded.

use super::plan::{FileRange, Wanted};
use crate::columns::{SIDES, SOURCES};
use crate::disk;
use crate::error::{LakeError, Result};
use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, BooleanArray, PrimitiveArray, RecordBatch, StringArray};
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector,
};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::reader::ChunkReader;
use parquet::file::statistics::Statistics;
use proto::market::{Side, Source as TickSource};
use proto::{Decimal, Interval, Symbol, Venue};
use std::fs::{self, File};
use std::panic::{self, AssertUnwindSafe};

/// Files up to this size are read in one go, larger ones by the pages needed.
const WHOLE_BYTES: u64 = 1 << 20;
/// Rows decoded at a time.
const BATCH_ROWS: usize = 8192;

/// A data file as its manifest describes it.
#[derive(Clone, Copy)]
struct Source<'a> {
    path: &'a str,
    bytes: u64,
    rows: u64,
}

impl Source<'_> {
    fn damaged(self, detail: impl Into<String>) -> LakeError {
        LakeError::Damaged { path: self.path.to_owned(), detail: detail.into() }
    }
}

/// Decodes the rows of `file` that the query wants and hands each to `take`.
///
/// # Errors
/// If the file is missing, damaged or not of this table.
pub(crate) fn rows<R: Row>(file: &FileRange, wanted: &Wanted, mut take: impl FnMut(R)) -> Result<()> {
    let source = Source { path: &file.path, bytes: file.bytes, rows: file.rows };
    batches(source, Some(wanted), R::COLUMNS, |batch| {
        let columns = R::columns(batch).ok_or("a column is absent or of another type")?;
        for row in (0..batch.num_rows()).filter(|row| R::matches(&columns, *row, wanted)) {
            take(R::read(&columns, row, file.sequence).ok_or("a value is not valid")?);
        }
        Ok(())
    })
}

/// Decodes all rows of a file.
///
/// # Errors
/// If the file is missing, damaged or not of this table.
pub(crate) fn whole<R: Whole>(path: &str, bytes: u64, rows: u64, mut take: impl FnMut(R)) -> Result<()> {
    let mut names = R::Names::default();
    batches(Source { path, bytes, rows }, None, R::Row::COLUMNS, |batch| {
        let columns = R::Row::columns(batch).ok_or("a column is absent or of another type")?;
        for row in 0..batch.num_rows() {
            take(R::whole(&columns, row, &mut names).ok_or("a value is not valid")?);
        }
        Ok(())
    })
}

/// Hands the batches of a file to `each`; without `wanted` all of them. Only `columns` are decoded.
fn batches(
    source: Source<'_>,
    wanted: Option<&Wanted>,
    columns: &[&str],
    each: impl FnMut(&RecordBatch) -> std::result::Result<(), &'static str>,
) -> Result<()> {
    let path = disk::local_path(source.path);
    let decode = || {
        if source.bytes <= WHOLE_BYTES {
            let bytes = Bytes::from(fs::read(&path).map_err(LakeError::io(&path))?);
            return decode(bytes, source, (wanted, columns), each);
        }
        decode(File::open(&path).map_err(LakeError::io(&path))?, source, (wanted, columns), each)
    };
    // The parquet crate panics on some damaged files; rows taken so far are thrown away with the error.
    let done = panic::catch_unwind(AssertUnwindSafe(decode));
    done.unwrap_or_else(|_| Err(source.damaged("its structure is broken")))
}

fn decode<C: ChunkReader + 'static>(
    reader: C,
    source: Source<'_>,
    (wanted, columns): (Option<&Wanted>, &[&str]),
    mut each: impl FnMut(&RecordBatch) -> std::result::Result<(), &'static str>,
) -> Result<()> {
    let fail = |error| LakeError::parquet(source.path)(error);
    // One page a column is the rule in small files: their index would say no more than the row group.
    let policy = if source.bytes <= WHOLE_BYTES { PageIndexPolicy::Skip } else { PageIndexPolicy::Optional };
    // Another writer's Arrow schema may ask for other string types.
    let options = ArrowReaderOptions::new().with_page_index_policy(policy).with_skip_arrow_metadata(true);
    let metadata = ArrowReaderMetadata::load(&reader, options).map_err(fail)?;
    let stored = metadata.metadata().file_metadata().num_rows();
    if i64::try_from(source.rows).ok() != Some(stored) {
        return Err(source.damaged(format!("{stored} rows, but its manifest says {}", source.rows)));
    }
    let selected = wanted.map(|wanted| select(metadata.metadata(), wanted));
    let mask = ProjectionMask::columns(metadata.parquet_schema(), columns.iter().copied());
    let mut builder = ParquetRecordBatchReaderBuilder::new_with_metadata(reader, metadata)
        .with_batch_size(BATCH_ROWS)
        .with_projection(mask);
    if let Some((groups, selection)) = selected {
        if groups.is_empty() {
            return Ok(());
        }
        builder = builder.with_row_groups(groups);
        if let Some(selection) = selection {
            builder = builder.with_row_selection(selection);
        }
    }
    for batch in builder.build().map_err(fail)? {
        let batch = batch.map_err(|error| source.damaged(error.to_string()))?;
        each(&batch).map_err(|detail| source.damaged(detail))?;
    }
    Ok(())
}

/// The row groups that may hold rows of the query, and in them the pages.
fn select(metadata: &ParquetMetaData, wanted: &Wanted) -> (Vec<usize>, Option<RowSelection>) {
    let (mut groups, mut selectors) = (Vec::new(), Vec::new());
    let mut indexed = true;
    for (group, columns) in metadata.row_groups().iter().enumerate() {
        let may_hold = columns.columns().iter().all(|column| {
            column
                .statistics()
                .is_none_or(|statistics| group_may_hold(column.column_path().string().as_str(), statistics, wanted))
        });
        if !may_hold {
            continue;
        }
        groups.push(group);
        match pages(metadata, group, wanted) {
            Some(pages) => selectors.extend(pages),
            None => indexed = false,
        }
    }
    (groups, indexed.then(|| RowSelection::from(selectors)))
}

fn group_may_hold(column: &str, statistics: &Statistics, wanted: &Wanted) -> bool {
    match (column, statistics) {
        ("interval_s", Statistics::Int32(s)) => within(s.min_opt(), s.max_opt(), wanted.interval.as_ref()),
        ("event_time" | "open_time", Statistics::Int64(s)) => {
            s.min_opt().is_none_or(|least| *least < wanted.to_us)
                && s.max_opt().is_none_or(|most| *most >= wanted.from_us)
        }
        ("venue", Statistics::ByteArray(s)) => text_within(s.min_bytes_opt(), s.max_bytes_opt(), &wanted.venue),
        ("symbol", Statistics::ByteArray(s)) => text_within(s.min_bytes_opt(), s.max_bytes_opt(), &wanted.symbol),
        _ => true,
    }
}

fn within(least: Option<&i32>, greatest: Option<&i32>, wanted: Option<&i32>) -> bool {
    wanted.is_none_or(|value| least.is_none_or(|least| least <= value) && greatest.is_none_or(|most| value <= most))
}

fn text_within(least: Option<&[u8]>, greatest: Option<&[u8]>, wanted: &str) -> bool {
    least.is_none_or(|least| least <= wanted.as_bytes()) && greatest.is_none_or(|most| wanted.as_bytes() <= most)
}

/// Which rows of a row group lie in pages that may hold rows of the query; `None` without an index.
fn pages(metadata: &ParquetMetaData, group: usize, wanted: &Wanted) -> Option<Vec<RowSelector>> {
    let rows = usize::try_from(metadata.row_group(group).num_rows()).ok()?;
    let indexes = metadata.column_index()?.get(group)?;
    let offsets = metadata.offset_index()?.get(group)?;
    // Our pages start at the same rows in every column; another writer's need not, and then only one column counts.
    let starts = |column: usize| -> Vec<i64> {
        offsets[column].page_locations().iter().map(|page| page.first_row_index).collect()
    };
    let names: Vec<String> =
        metadata.row_group(group).columns().iter().map(|column| column.column_path().string()).collect();
    let time = names.iter().position(|name| name == "event_time" || name == "open_time")?;
    let first = starts(time);
    let mut keep = vec![true; first.len()];
    for (column, name) in names.iter().enumerate().filter(|(column, _)| starts(*column) == first) {
        for (page, keep) in keep.iter_mut().enumerate() {
            *keep &= page_may_hold(name, &indexes[column], page, wanted);
        }
    }
    let mut selectors = Vec::with_capacity(keep.len());
    for (page, keep) in keep.into_iter().enumerate() {
        let end = first.get(page + 1).map_or(Ok(rows), |next| usize::try_from(*next)).ok()?;
        let count = end.checked_sub(usize::try_from(first[page]).ok()?)?;
        selectors.push(if keep { RowSelector::select(count) } else { RowSelector::skip(count) });
    }
    Some(selectors)
}

fn page_may_hold(column: &str, index: &ColumnIndexMetaData, page: usize, wanted: &Wanted) -> bool {
    match (column, index) {
        ("interval_s", ColumnIndexMetaData::INT32(index)) => {
            within(index.min_value(page), index.max_value(page), wanted.interval.as_ref())
        }
        ("event_time" | "open_time", ColumnIndexMetaData::INT64(index)) => {
            index.min_value(page).is_none_or(|least| *least < wanted.to_us)
                && index.max_value(page).is_none_or(|most| *most >= wanted.from_us)
        }
        ("venue", ColumnIndexMetaData::BYTE_ARRAY(index)) => {
            text_within(index.min_value(page), index.max_value(page), &wanted.venue)
        }
        ("symbol", ColumnIndexMetaData::BYTE_ARRAY(index)) => {
            text_within(index.min_value(page), index.max_value(page), &wanted.symbol)
        }
        _ => true,
    }
}

/// A row type that can be read from batches of its table.
pub(crate) trait Row: Sized {
    type Columns;
    /// The columns that are decoded.
    const COLUMNS: &'static [&'static str];
    fn columns(batch: &RecordBatch) -> Option<Self::Columns>;
    fn matches(columns: &Self::Columns, row: usize, wanted: &Wanted) -> bool;
    /// `None` if a value is not one that the platform writes.
    fn read(columns: &Self::Columns, row: usize, sequence: i64) -> Option<Self>;
}

/// A whole row, with its series, for rewriting.
pub(crate) trait Whole: Sized {
    type Row: Row;
    type Names: Default;
    fn whole(columns: &<Self::Row as Row>::Columns, row: usize, names: &mut Self::Names) -> Option<Self>;
}

/// The last series seen: rows of a file are sorted by it.
#[derive(Default)]
pub(crate) struct LastSeries(Option<(Venue, Symbol)>);

impl LastSeries {
    fn of(&mut self, venue: &str, symbol: &str) -> Option<&(Venue, Symbol)> {
        let same = |(v, s): &(Venue, Symbol)| s.as_str() == symbol && v.as_str() == venue;
        if !self.0.as_ref().is_some_and(same) {
            self.0 = Some((venue.parse().ok()?, symbol.parse().ok()?));
        }
        self.0.as_ref()
    }
}

impl Whole for proto::market::Candle {
    type Row = CandleRow;
    type Names = LastSeries;

    fn whole(columns: &CandleColumns, row: usize, names: &mut LastSeries) -> Option<Self> {
        let (venue, symbol) = names.of(columns.venue.value(row), columns.symbol.value(row))?;
        CandleRow::read(columns, row, 0)?.candle(venue, symbol)
    }
}

impl Whole for proto::market::Tick {
    type Row = TickRow;
    type Names = LastSeries;

    fn whole(columns: &TickColumns, row: usize, names: &mut LastSeries) -> Option<Self> {
        let (venue, symbol) = names.of(columns.venue.value(row), columns.symbol.value(row))?;
        TickRow::read(columns, row, 0)?.tick(venue, symbol)
    }
}

pub(crate) fn strings(batch: &RecordBatch, name: &str) -> Option<StringArray> {
    batch.column_by_name(name)?.as_string_opt::<i32>().filter(|a| a.null_count() == 0).cloned()
}

pub(crate) fn flags(batch: &RecordBatch, name: &str) -> Option<BooleanArray> {
    batch.column_by_name(name)?.as_boolean_opt().filter(|a| a.null_count() == 0).cloned()
}

pub(crate) fn numbers<T: arrow_array::ArrowPrimitiveType>(
    batch: &RecordBatch,
    name: &str,
) -> Option<PrimitiveArray<T>> {
    batch.column_by_name(name)?.as_primitive_opt::<T>().filter(|a| a.null_count() == 0).cloned()
}

fn decimals(batch: &RecordBatch, name: &str) -> Option<PrimitiveArray<Decimal128Type>> {
    numbers::<Decimal128Type>(batch, name).filter(|array| array.scale() == 18)
}

fn nanos(time_us: i64) -> Option<u64> {
    u64::try_from(time_us).ok()?.checked_mul(1000)
}

fn decimal(array: &PrimitiveArray<Decimal128Type>, row: usize) -> Option<Decimal> {
    Decimal::from_units(array.value(row)).ok()
}

/// A candle without its series, which the query has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CandleRow {
    pub(crate) open_us: i64,
    pub(crate) revision: u32,
    pub(crate) sequence: i64,
    pub(crate) interval: Interval,
    pub(crate) prices: [Decimal; 6],
    pub(crate) trades: u64,
    pub(crate) closed: bool,
    pub(crate) repaired: bool,
}

/// What decides which row of an open time counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CandleVersion {
    pub(crate) revision: u32,
    pub(crate) sequence: i64,
    pub(crate) closed: bool,
}

impl CandleRow {
    pub(crate) const fn version(&self) -> CandleVersion {
        CandleVersion { revision: self.revision, sequence: self.sequence, closed: self.closed }
    }

    pub(crate) fn candle(self, venue: &Venue, symbol: &Symbol) -> Option<proto::market::Candle> {
        let [open, high, low, close, volume, quote_volume] = self.prices;
        Some(proto::market::Candle {
            venue: venue.clone(),
            symbol: symbol.clone(),
            interval: self.interval,
            open_time_ns: nanos(self.open_us)?,
            open,
            high,
            low,
            close,
            volume,
            quote_volume,
            trades: self.trades,
            revision: self.revision,
            closed: self.closed,
            repaired: self.repaired,
        })
    }
}

/// The columns of the candles table.
pub(crate) struct CandleColumns {
    venue: StringArray,
    symbol: StringArray,
    interval: PrimitiveArray<Int32Type>,
    open_time: PrimitiveArray<TimestampMicrosecondType>,
    prices: [PrimitiveArray<Decimal128Type>; 6],
    trades: PrimitiveArray<Int64Type>,
    revision: PrimitiveArray<Int32Type>,
    closed: BooleanArray,
    repaired: BooleanArray,
}

impl Row for CandleRow {
    type Columns = CandleColumns;
    const COLUMNS: &'static [&'static str] = &[
        "venue",
        "symbol",
        "interval_s",
        "open_time",
        "open",
        "high",
        "low",
        "close",
        "volume",
        "quote_volume",
        "trades",
        "revision",
        "closed",
        "repaired",
    ];

    fn columns(batch: &RecordBatch) -> Option<CandleColumns> {
        Some(CandleColumns {
            venue: strings(batch, "venue")?,
            symbol: strings(batch, "symbol")?,
            interval: numbers(batch, "interval_s")?,
            open_time: numbers(batch, "open_time")?,
            prices: [
                decimals(batch, "open")?,
                decimals(batch, "high")?,
                decimals(batch, "low")?,
                decimals(batch, "close")?,
                decimals(batch, "volume")?,
                decimals(batch, "quote_volume")?,
            ],
            trades: numbers(batch, "trades")?,
            revision: numbers(batch, "revision")?,
            closed: flags(batch, "closed")?,
            repaired: flags(batch, "repaired")?,
        })
    }

    fn matches(columns: &CandleColumns, row: usize, wanted: &Wanted) -> bool {
        let time = columns.open_time.value(row);
        Some(columns.interval.value(row)) == wanted.interval
            && (wanted.from_us..wanted.to_us).contains(&time)
            && columns.symbol.value(row) == wanted.symbol
            && columns.venue.value(row) == wanted.venue
    }

    fn read(columns: &CandleColumns, row: usize, sequence: i64) -> Option<Self> {
        let mut prices = [Decimal::ZERO; 6];
        for (price, column) in prices.iter_mut().zip(&columns.prices) {
            *price = decimal(column, row)?;
        }
        Some(Self {
            open_us: columns.open_time.value(row),
            revision: u32::try_from(columns.revision.value(row)).ok()?,
            sequence,
            interval: Interval::from_seconds(u32::try_from(columns.interval.value(row)).ok()?).ok()?,
            prices,
            trades: u64::try_from(columns.trades.value(row)).ok()?,
            closed: columns.closed.value(row),
            repaired: columns.repaired.value(row),
        })
    }
}

/// A trade without its series, which the query has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TickRow {
    pub(crate) event_us: i64,
    /// The trade id as a number, as it is at most venues; the greatest number if it is none.
    pub(crate) trade_number: u64,
    pub(crate) trade_id: String,
    receive_us: i64,
    pub(crate) price: Decimal,
    pub(crate) size: Decimal,
    pub(crate) side: Side,
    source: TickSource,
}

impl TickRow {
    pub(crate) fn tick(self, venue: &Venue, symbol: &Symbol) -> Option<proto::market::Tick> {
        Some(proto::market::Tick {
            venue: venue.clone(),
            symbol: symbol.clone(),
            trade_id: self.trade_id,
            event_time_ns: nanos(self.event_us)?,
            receive_time_ns: nanos(self.receive_us)?,
            price: self.price,
            size: self.size,
            side: self.side,
            source: self.source,
            repaired: self.source == TickSource::Backfill,
        })
    }
}

/// The columns of the ticks table.
pub(crate) struct TickColumns {
    venue: StringArray,
    symbol: StringArray,
    trade_id: StringArray,
    event_time: PrimitiveArray<TimestampMicrosecondType>,
    receive_time: PrimitiveArray<TimestampMicrosecondType>,
    price: PrimitiveArray<Decimal128Type>,
    size: PrimitiveArray<Decimal128Type>,
    side: StringArray,
    source: StringArray,
}

impl Row for TickRow {
    type Columns = TickColumns;
    const COLUMNS: &'static [&'static str] =
        &["venue", "symbol", "trade_id", "event_time", "receive_time", "price", "size", "side", "source"];

    fn columns(batch: &RecordBatch) -> Option<TickColumns> {
        Some(TickColumns {
            venue: strings(batch, "venue")?,
            symbol: strings(batch, "symbol")?,
            trade_id: strings(batch, "trade_id")?,
            event_time: numbers(batch, "event_time")?,
            receive_time: numbers(batch, "receive_time")?,
            price: decimals(batch, "price")?,
            size: decimals(batch, "size")?,
            side: strings(batch, "side")?,
            source: strings(batch, "source")?,
        })
    }

    fn matches(columns: &TickColumns, row: usize, wanted: &Wanted) -> bool {
        let time = columns.event_time.value(row);
        (wanted.from_us..wanted.to_us).contains(&time)
            && columns.symbol.value(row) == wanted.symbol
            && columns.venue.value(row) == wanted.venue
    }

    fn read(columns: &TickColumns, row: usize, _sequence: i64) -> Option<Self> {
        let position = |words: &[&str; 3], word: &str| words.iter().position(|w| *w == word);
        let trade_id = columns.trade_id.value(row);
        Some(Self {
            event_us: columns.event_time.value(row),
            trade_number: trade_id.parse().unwrap_or(u64::MAX),
            trade_id: trade_id.to_owned(),
            receive_us: columns.receive_time.value(row),
            price: decimal(&columns.price, row)?,
            size: decimal(&columns.size, row)?,
            side: [Side::Buy, Side::Sell, Side::Unknown][position(&SIDES, columns.side.value(row))?],
            source: [TickSource::Backfill, TickSource::Live, TickSource::Replay]
                [position(&SOURCES, columns.source.value(row))?],
        })
    }
}
