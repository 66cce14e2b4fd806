//! Rows as Arrow batches: the columns of docs/protocol/11-history-http.md.

use crate::error::{LakeError, Result};
use crate::read::decode::{CandleRow, TickRow};
use arrow_array::{
    ArrayRef, BooleanArray, Decimal128Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef, TimeUnit};
use proto::Decimal;
use proto::market::Side;
use std::sync::{Arc, LazyLock};

const PRECISION: u8 = 38;
const SCALE: i8 = 18;

fn time(name: &str) -> Field {
    Field::new(name, DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), false)
}

fn number(name: &str) -> Field {
    Field::new(name, DataType::Decimal128(PRECISION, SCALE), false)
}

static CANDLES: LazyLock<SchemaRef> = LazyLock::new(|| {
    let mut fields = vec![time("open_time")];
    fields.extend(["open", "high", "low", "close", "volume", "quote_volume"].map(number));
    fields.extend([Field::new("trades", DataType::Int64, false), Field::new("repaired", DataType::Boolean, false)]);
    Arc::new(Schema::new(fields))
});

static TICKS: LazyLock<SchemaRef> = LazyLock::new(|| {
    let text = |name: &str| Field::new(name, DataType::Utf8, false);
    Arc::new(Schema::new(vec![time("event_time"), number("price"), number("size"), text("side"), text("trade_id")]))
});

pub(super) fn candle_schema() -> SchemaRef {
    CANDLES.clone()
}

pub(super) fn tick_schema() -> SchemaRef {
    TICKS.clone()
}

fn times(times: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC"))
}

fn decimals(numbers: impl Iterator<Item = Decimal>) -> Result<ArrayRef, ArrowError> {
    let numbers = Decimal128Array::from_iter_values(numbers.map(Decimal::units));
    Ok(Arc::new(numbers.with_precision_and_scale(PRECISION, SCALE)?))
}

fn failed(error: ArrowError) -> LakeError {
    LakeError::Damaged { path: "a batch of rows".to_owned(), detail: error.to_string() }
}

pub(super) fn of_candles(rows: &[CandleRow]) -> Result<RecordBatch> {
    let build = || {
        let mut columns = vec![times(rows.iter().map(|row| row.open_us))];
        for column in 0..6 {
            columns.push(decimals(rows.iter().map(|row| row.prices[column]))?);
        }
        columns.push(Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.trades.cast_signed()))));
        columns.push(Arc::new(rows.iter().map(|row| Some(row.repaired)).collect::<BooleanArray>()));
        RecordBatch::try_new(candle_schema(), columns)
    };
    build().map_err(failed)
}

pub(super) fn of_ticks(rows: &[TickRow]) -> Result<RecordBatch> {
    let side = |row: &TickRow| match row.side {
        Side::Buy => "buy",
        Side::Sell => "sell",
        Side::Unknown => "unknown",
    };
    let build = || {
        let columns = vec![
            times(rows.iter().map(|row| row.event_us)),
            decimals(rows.iter().map(|row| row.price))?,
            decimals(rows.iter().map(|row| row.size))?,
            Arc::new(StringArray::from_iter_values(rows.iter().map(side))),
            Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.trade_id.as_str()))),
        ];
        RecordBatch::try_new(tick_schema(), columns)
    };
    build().map_err(failed)
}
