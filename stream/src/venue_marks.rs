//! Which windows a venue's own candles touched: late trades leave those alone.

use crate::encoding::{CorruptState, Reader, Writer};
use crate::update::Ticker;
use proto::market::Candle;
use proto::{Decimal, Interval};
use std::collections::{BTreeMap, HashMap};

/// The candles of one ticker and one interval.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Series {
    /// Venue and symbol.
    pub ticker: Ticker,
    /// Length of the candles.
    pub interval: Interval,
}

impl Series {
    /// The series of a candle.
    #[must_use]
    pub fn of(candle: &Candle) -> Self {
        let ticker = Ticker { venue: candle.venue.clone(), symbol: candle.symbol.clone() };
        Self { ticker, interval: candle.interval }
    }
}

/// What venue candles did to a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark<'a> {
    /// Nothing.
    Untouched,
    /// The lake may hold a venue's row of it.
    Verify,
    /// The venue's closed candle is final.
    Sealed(&'a Candle),
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct SeriesMarks {
    /// Marks of windows that open before were dropped.
    verify_until_ns: u64,
    /// By open time; the candle if it seals the window.
    windows: BTreeMap<u64, Option<Candle>>,
}

/// The marks of all series; of each the newest ones, older windows are looked up in the lake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VenueMarks {
    per_series: usize,
    series: HashMap<Series, SeriesMarks>,
}

impl VenueMarks {
    /// No marks; at most `per_series` are kept of each series.
    #[must_use]
    pub fn new(per_series: usize) -> Self {
        Self { per_series: per_series.max(1), series: HashMap::new() }
    }

    /// Remembers a venue's candle: a closed one seals its window.
    pub fn note(&mut self, candle: &Candle) {
        let marks = self.series.entry(Series::of(candle)).or_default();
        let seal = candle.closed.then(|| candle.clone());
        let window = marks.windows.entry(candle.open_time_ns).or_default();
        if seal.is_some() {
            *window = seal;
        }
        while marks.windows.len() > self.per_series {
            if let Some((open_time_ns, _)) = marks.windows.pop_first() {
                marks.verify_until_ns = marks.verify_until_ns.max(open_time_ns + 1);
            }
        }
    }

    /// The mark of a window.
    #[must_use]
    pub fn of(&self, series: &Series, open_time_ns: u64) -> Mark<'_> {
        let Some(marks) = self.series.get(series) else { return Mark::Untouched };
        match marks.windows.get(&open_time_ns) {
            Some(Some(candle)) => Mark::Sealed(candle),
            Some(None) => Mark::Verify,
            None if open_time_ns < marks.verify_until_ns => Mark::Verify,
            None => Mark::Untouched,
        }
    }

    /// Windows with a mark.
    #[must_use]
    pub fn len(&self) -> usize {
        self.series.values().map(|marks| marks.windows.len()).sum()
    }

    /// True if there are no marks.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn encode(&self, out: &mut Writer) {
        out.count(self.series.len());
        let mut sorted: Vec<_> = self.series.iter().collect();
        sorted.sort_unstable_by_key(|(series, _)| *series);
        for (series, marks) in sorted {
            out.text(series.ticker.venue.as_str());
            out.text(series.ticker.symbol.as_str());
            out.u32(series.interval.seconds());
            out.u64(marks.verify_until_ns);
            out.count(marks.windows.len());
            for (open_time_ns, seal) in &marks.windows {
                out.u64(*open_time_ns);
                out.bool(seal.is_some());
                if let Some(candle) = seal {
                    encode_candle(candle, out);
                }
            }
        }
    }

    pub(crate) fn decode(per_series: usize, input: &mut Reader<'_>) -> Result<Self, CorruptState> {
        let mut state = Self::new(per_series);
        for _ in 0..input.count(30)? {
            let ticker = Ticker { venue: input.id("venue")?, symbol: input.id("symbol")? };
            let interval = Interval::from_seconds(input.u32()?).map_err(|_| input.corrupt("interval"))?;
            let series = Series { ticker, interval };
            let mut marks = SeriesMarks { verify_until_ns: input.u64()?, ..SeriesMarks::default() };
            for _ in 0..input.count(9)? {
                let open_time_ns = input.u64()?;
                let seal = if input.bool()? { Some(decode_candle(&series, open_time_ns, input)?) } else { None };
                marks.windows.insert(open_time_ns, seal);
            }
            state.series.insert(series, marks);
        }
        Ok(state)
    }
}

fn encode_candle(candle: &Candle, out: &mut Writer) {
    for number in [candle.open, candle.high, candle.low, candle.close, candle.volume, candle.quote_volume] {
        out.i128(number.units());
    }
    out.u64(candle.trades);
    out.bool(candle.repaired);
}

fn decode_candle(series: &Series, open_time_ns: u64, input: &mut Reader<'_>) -> Result<Candle, CorruptState> {
    let number = |input: &mut Reader<'_>| Decimal::from_units(input.i128()?).map_err(|_| input.corrupt("decimal"));
    Ok(Candle {
        venue: series.ticker.venue.clone(),
        symbol: series.ticker.symbol.clone(),
        interval: series.interval,
        open_time_ns,
        open: number(input)?,
        high: number(input)?,
        low: number(input)?,
        close: number(input)?,
        volume: number(input)?,
        quote_volume: number(input)?,
        trades: input.u64()?,
        revision: 0,
        closed: true,
        repaired: input.bool()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candle(minute: u64, closed: bool) -> Candle {
        let one = Decimal::ONE;
        Candle {
            venue: "SIM".parse().unwrap(),
            symbol: "BTC/USDT".parse().unwrap(),
            interval: Interval::M1,
            open_time_ns: minute * Interval::M1.nanos(),
            open: one,
            high: one,
            low: one,
            close: one,
            volume: one,
            quote_volume: one,
            trades: 1,
            revision: 0,
            closed,
            repaired: false,
        }
    }

    #[test]
    fn a_closed_candle_seals_and_an_open_one_does_not_unseal() {
        let mut marks = VenueMarks::new(10);
        let series = Series::of(&candle(1, true));
        marks.note(&candle(1, true));
        marks.note(&candle(1, false));
        marks.note(&candle(2, false));
        let minute = Interval::M1.nanos();
        assert_eq!(marks.of(&series, minute), Mark::Sealed(&candle(1, true)));
        assert_eq!(marks.of(&series, 2 * minute), Mark::Verify);
        assert_eq!(marks.of(&series, 3 * minute), Mark::Untouched);
    }

    #[test]
    fn a_dropped_mark_still_asks_for_a_look_into_the_lake() {
        let mut marks = VenueMarks::new(2);
        let series = Series::of(&candle(1, true));
        for minute in 1..=5 {
            marks.note(&candle(minute, true));
        }
        assert_eq!(marks.len(), 2);
        assert_eq!(marks.of(&series, 3 * Interval::M1.nanos()), Mark::Verify);
        assert_eq!(marks.of(&series, 0), Mark::Verify);
        assert!(matches!(marks.of(&series, 4 * Interval::M1.nanos()), Mark::Sealed(_)));
    }

    #[test]
    fn decoded_marks_equal_the_encoded_ones_and_each_prefix_is_refused() {
        let mut marks = VenueMarks::new(3);
        for minute in 1..=5 {
            marks.note(&candle(minute, minute % 2 == 0));
        }
        let mut out = Writer::new();
        marks.encode(&mut out);
        let bytes = out.finish();
        assert_eq!(VenueMarks::decode(3, &mut Reader::new(&bytes)), Ok(marks));
        for end in 0..bytes.len() {
            assert!(VenueMarks::decode(3, &mut Reader::new(&bytes[..end])).is_err(), "{end}");
        }
    }
}
