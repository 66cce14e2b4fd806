//! Candles and ticks from Arrow IPC streams.

use crate::error::JobError;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Decimal128Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};
use arrow_array::{Array, RecordBatch};
use arrow_ipc::reader::StreamReader;
use arrow_schema::{DataType, TimeUnit};
use proto::Decimal;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use trading::backtest::{Candle, Tick};

/// Most candles of a job: 96 bytes each are kept.
pub(crate) const CANDLES: usize = 10_000_000;
/// Digits after the point of a [`Decimal`].
const SCALE: i8 = 18;

fn problem(rule: impl Into<String>) -> JobError {
    JobError::Data { rule: rule.into() }
}

fn open(path: &Path) -> Result<StreamReader<BufReader<File>>, JobError> {
    Ok(StreamReader::try_new(BufReader::with_capacity(1 << 20, File::open(path)?), None)?)
}

/// A column of times: their numbers and how many ns one of them is.
fn times<'a>(batch: &'a RecordBatch, name: &str) -> Result<(&'a [i64], i64), JobError> {
    let column = column(batch, name)?;
    Ok(match column.data_type() {
        DataType::Int64 => (column.as_primitive::<Int64Type>().values(), 1),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => (column.as_primitive::<TimestampNanosecondType>().values(), 1),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            (column.as_primitive::<TimestampMicrosecondType>().values(), 1_000)
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            (column.as_primitive::<TimestampMillisecondType>().values(), 1_000_000)
        }
        DataType::Timestamp(TimeUnit::Second, _) => {
            (column.as_primitive::<TimestampSecondType>().values(), 1_000_000_000)
        }
        other => return Err(problem(format!("column {name}: a timestamp or int64 ns is expected, not {other}"))),
    })
}

/// A column of decimals: their mantissas and what makes one 10^-18.
fn decimals<'a>(batch: &'a RecordBatch, name: &str) -> Result<(&'a [i128], i128), JobError> {
    let column = column(batch, name)?;
    match column.data_type() {
        DataType::Decimal128(_, scale @ 0..=SCALE) => {
            let factor = 10i128.pow(u32::from((SCALE - scale).unsigned_abs()));
            Ok((column.as_primitive::<Decimal128Type>().values(), factor))
        }
        other => Err(problem(format!("column {name}: decimal128 with a scale up to 18 is expected, not {other}"))),
    }
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a dyn Array, JobError> {
    let column = batch.column_by_name(name).ok_or_else(|| problem(format!("column {name} is missing")))?;
    if column.null_count() > 0 {
        return Err(problem(format!("column {name}: must not hold nulls")));
    }
    Ok(column)
}

fn time(times: (&[i64], i64), row: usize) -> Result<u64, JobError> {
    let time = times.0[row].checked_mul(times.1).and_then(|time| u64::try_from(time).ok());
    time.ok_or_else(|| problem("a time is before 1970 or too late"))
}

fn decimal((mantissas, factor): (&[i128], i128), row: usize) -> Result<Decimal, JobError> {
    let units = mantissas[row].checked_mul(factor).and_then(|units| Decimal::from_units(units).ok());
    units.ok_or_else(|| problem("a number exceeds 10^20"))
}

/// All candles of a file: columns open_time, open, high, low, close, volume.
pub(crate) fn candles(path: &Path) -> Result<Vec<Candle>, JobError> {
    let mut candles = Vec::new();
    for batch in open(path)? {
        let batch = batch?;
        if candles.len() + batch.num_rows() > CANDLES {
            return Err(problem(format!("at most {CANDLES} candles")));
        }
        candles.reserve(batch.num_rows());
        let open_times = times(&batch, "open_time")?;
        let [opens, highs, lows] = [decimals(&batch, "open")?, decimals(&batch, "high")?, decimals(&batch, "low")?];
        let [closes, volumes] = [decimals(&batch, "close")?, decimals(&batch, "volume")?];
        for row in 0..batch.num_rows() {
            candles.push(Candle {
                open_time_ns: time(open_times, row)?,
                open: decimal(opens, row)?,
                high: decimal(highs, row)?,
                low: decimal(lows, row)?,
                close: decimal(closes, row)?,
                volume: decimal(volumes, row)?,
            });
        }
    }
    Ok(candles)
}

/// How many rows a file has, without keeping them.
pub(crate) fn count(path: &Path) -> Result<u64, JobError> {
    let mut rows = 0;
    for batch in open(path)? {
        rows += batch?.num_rows() as u64;
    }
    Ok(rows)
}

/// The ticks of a file one by one, one batch of it in memory: columns time, price, size.
pub(crate) struct Ticks {
    reader: StreamReader<BufReader<File>>,
    batch: std::vec::IntoIter<Tick>,
}

impl Ticks {
    pub(crate) fn open(path: &Path) -> Result<Self, JobError> {
        Ok(Self { reader: open(path)?, batch: Vec::new().into_iter() })
    }

    fn read(&mut self) -> Result<Option<Tick>, JobError> {
        loop {
            if let Some(tick) = self.batch.next() {
                return Ok(Some(tick));
            }
            let Some(batch) = self.reader.next().transpose()? else { return Ok(None) };
            let (at, prices, sizes) = (times(&batch, "time")?, decimals(&batch, "price")?, decimals(&batch, "size")?);
            let tick =
                |row| Ok(Tick { time_ns: time(at, row)?, price: decimal(prices, row)?, size: decimal(sizes, row)? });
            self.batch = (0..batch.num_rows()).map(tick).collect::<Result<Vec<_>, JobError>>()?.into_iter();
        }
    }
}

impl Iterator for Ticks {
    type Item = Result<Tick, JobError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}
