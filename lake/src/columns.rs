//! Rows to columns, in the order of the table's schema. Pure.

use crate::encode::{Text, Values};
use crate::fanout::{Buffer, Partition, Series};
use proto::market::{Candle, Side, Source, Tick};

/// Words of `side`, ascending.
pub(crate) const SIDES: [&str; 3] = ["buy", "sell", "unknown"];
/// Words of `source`, ascending.
pub(crate) const SOURCES: [&str; 3] = ["backfill", "live", "replay"];

const fn side_key(side: Side) -> u8 {
    match side {
        Side::Buy => 0,
        Side::Sell => 1,
        Side::Unknown => 2,
    }
}

const fn source_key(source: Source) -> u8 {
    match source {
        Source::Backfill => 0,
        Source::Live => 1,
        Source::Replay => 2,
    }
}

/// Microseconds; the fan-out has checked that the time fits.
const fn micros(time_ns: u64) -> i64 {
    (time_ns / 1000).cast_signed()
}

/// The columns of [`crate::Table::Ticks`].
#[derive(Default)]
pub(crate) struct TickBuffer {
    ids: Text,
    events: Vec<i64>,
    receives: Vec<i64>,
    prices: Vec<i128>,
    sizes: Vec<i128>,
    sides: Vec<u8>,
    sources: Vec<u8>,
}

impl Buffer<Tick> for TickBuffer {
    fn push(&mut self, tick: &Tick) {
        self.ids.push(&tick.trade_id);
        self.events.push(micros(tick.event_time_ns));
        self.receives.push(micros(tick.receive_time_ns));
        self.prices.push(tick.price.units());
        self.sizes.push(tick.size.units());
        self.sides.push(side_key(tick.side));
        self.sources.push(source_key(tick.source));
    }

    fn append(&mut self, mut other: Self) {
        self.ids.append(&other.ids);
        self.events.append(&mut other.events);
        self.receives.append(&mut other.receives);
        self.prices.append(&mut other.prices);
        self.sizes.append(&mut other.sizes);
        self.sides.append(&mut other.sides);
        self.sources.append(&mut other.sources);
    }

    fn columns(self) -> Vec<Values> {
        vec![
            Values::Text(self.ids),
            Values::Long(self.events),
            Values::Long(self.receives),
            Values::Decimal(self.prices),
            Values::Decimal(self.sizes),
            Values::Keyed { words: &SIDES, keys: self.sides },
            Values::Keyed { words: &SOURCES, keys: self.sources },
        ]
    }
}

/// The columns of [`crate::Table::Candles`].
#[derive(Default)]
pub(crate) struct CandleBuffer {
    intervals: Vec<i32>,
    opens: Vec<i64>,
    /// Open, high, low, close, volume, quote volume.
    numbers: [Vec<i128>; 6],
    trades: Vec<i64>,
    revisions: Vec<i32>,
    closed: Vec<bool>,
    repaired: Vec<bool>,
}

impl Buffer<Candle> for CandleBuffer {
    fn push(&mut self, candle: &Candle) {
        let Candle { open, high, low, close, volume, quote_volume, .. } = candle;
        self.intervals.push(candle.interval.seconds().cast_signed());
        self.opens.push(micros(candle.open_time_ns));
        for (column, number) in self.numbers.iter_mut().zip([open, high, low, close, volume, quote_volume]) {
            column.push(number.units());
        }
        self.trades.push(candle.trades.cast_signed());
        self.revisions.push(candle.revision.cast_signed());
        self.closed.push(candle.closed);
        self.repaired.push(candle.repaired);
    }

    fn append(&mut self, mut other: Self) {
        self.intervals.append(&mut other.intervals);
        self.opens.append(&mut other.opens);
        for (column, more) in self.numbers.iter_mut().zip(&mut other.numbers) {
            column.append(more);
        }
        self.trades.append(&mut other.trades);
        self.revisions.append(&mut other.revisions);
        self.closed.append(&mut other.closed);
        self.repaired.append(&mut other.repaired);
    }

    fn columns(self) -> Vec<Values> {
        let mut columns = vec![Values::Int(self.intervals), Values::Long(self.opens)];
        columns.extend(self.numbers.map(Values::Decimal));
        columns.extend([Values::Long(self.trades), Values::Int(self.revisions)]);
        columns.extend([self.closed, self.repaired].map(Values::Flag));
        columns
    }
}

/// All columns of a partition.
pub(crate) fn columns(partition: Partition) -> Vec<Values> {
    let name = |of: fn(&Series) -> &str| {
        let runs = partition.series.iter().map(|(series, rows)| (Box::from(of(series)), *rows));
        Values::Runs(runs.collect())
    };
    let mut columns = vec![name(|series| series.venue.as_str()), name(|series| series.symbol.as_str())];
    columns.extend(partition.columns);
    columns
}
