//! The one place that assigns revisions to rows for the lake. Pure: it says what it must know, is told, and decides.
//!
//! One book lives for one flush. An exact update of the aggregator carries its revision: the aggregator counts them and
//! nobody else writes that window. Everything else (venue candles, windows made from the lake, windows that a venue
//! candle touched) is compared with the row that the lake holds, so that a book needs no memory of its own and a crash
//! cannot make it disagree with the table.

use crate::update::{Ticker, Trust, Update};
use crate::venue_marks::Series;
use proto::market::Candle;
use std::collections::{BTreeSet, HashMap, HashSet};

/// Something that may become a row, in the order in which it happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BookEvent {
    /// The aggregator reports a window; never with [`Trust::Recompute`].
    Window(Ticker, Update),
    /// A venue's candle.
    Venue(Candle),
    /// The aggregator reports a window that a venue's candle has sealed without saying all that we know.
    Fill(Ticker, Update),
}

/// A range of a series that the book must know from the lake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    /// Which series.
    pub series: Series,
    /// Least open time.
    pub from_ns: u64,
    /// Greatest open time, not included.
    pub to_ns: u64,
}

/// Longest range of one lookup, in windows.
const LOOKUP_WINDOWS: u64 = 10_000;
/// Windows this far apart are looked up separately.
const LOOKUP_GAP: u64 = 500;

/// What to write.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BookRows {
    /// Rows for the lake.
    pub rows: Vec<Candle>,
    /// Those of them that the live feed has not shown: corrections made here.
    pub corrections: Vec<Candle>,
}

/// The book of one flush.
#[derive(Debug, Default)]
pub struct CandleBook {
    known: HashMap<(Series, u64), Candle>,
    sealed: HashSet<(Series, u64)>,
    out: BookRows,
}

/// The lookups that a book needs for these events and for these windows made from the lake.
#[must_use]
pub fn lookups<'a>(events: &[BookEvent], recomputed: impl Iterator<Item = &'a Candle>) -> Vec<Lookup> {
    let mut windows: HashMap<Series, BTreeSet<u64>> = HashMap::new();
    let mut need = |series: Series, open_time_ns| {
        windows.entry(series).or_default().insert(open_time_ns);
    };
    for event in events {
        match event {
            BookEvent::Window(_, update) if update.trust == Trust::Exact => {}
            BookEvent::Window(ticker, update) | BookEvent::Fill(ticker, update) => {
                need(Series { ticker: ticker.clone(), interval: update.interval }, update.open_time_ns);
            }
            BookEvent::Venue(candle) => need(Series::of(candle), candle.open_time_ns),
        }
    }
    for candle in recomputed {
        need(Series::of(candle), candle.open_time_ns);
    }
    let mut lookups: Vec<_> = windows.into_iter().flat_map(|(series, opens)| ranges(&series, &opens)).collect();
    lookups.sort_unstable_by(|a, b| (&a.series, a.from_ns).cmp(&(&b.series, b.from_ns)));
    lookups
}

fn ranges(series: &Series, opens: &BTreeSet<u64>) -> Vec<Lookup> {
    let length = series.interval.nanos();
    let mut ranges: Vec<Lookup> = Vec::new();
    for open_time_ns in opens {
        match ranges.last_mut() {
            Some(range)
                if open_time_ns - range.to_ns.min(*open_time_ns) <= LOOKUP_GAP * length
                    && open_time_ns - range.from_ns < LOOKUP_WINDOWS * length =>
            {
                range.to_ns = open_time_ns + length;
            }
            _ => ranges.push(Lookup { series: series.clone(), from_ns: *open_time_ns, to_ns: open_time_ns + length }),
        }
    }
    ranges
}

impl CandleBook {
    /// Takes the lake's rows of the lookups.
    pub fn learn(&mut self, rows: impl IntoIterator<Item = Candle>) {
        for row in rows {
            self.known.insert((Series::of(&row), row.open_time_ns), row);
        }
    }

    /// Decides what the events become, in order.
    pub fn apply(&mut self, events: &[BookEvent]) {
        for event in events {
            match event {
                BookEvent::Window(ticker, update) => self.window(ticker, update),
                BookEvent::Venue(candle) => self.venue(candle.clone()),
                BookEvent::Fill(ticker, update) => self.fill(&update.candle(ticker)),
            }
        }
    }

    fn window(&mut self, ticker: &Ticker, update: &Update) {
        let candle = update.candle(ticker);
        match update.trust {
            Trust::Exact => self.write(candle, false),
            Trust::Verify | Trust::Recompute => self.merge(candle),
        }
    }

    /// Decides about a candle that was made from the ticks in the lake.
    pub fn recomputed(&mut self, candle: Candle) {
        self.merge(candle);
    }

    /// A candle of ours beside a row that may be there. A row that counts more volume was made from more trades than we
    /// have (a venue's candle): it stays, unless it was open and ours is closed.
    fn merge(&mut self, mut candle: Candle) {
        let place = (Series::of(&candle), candle.open_time_ns);
        if self.sealed.contains(&place) {
            return;
        }
        match self.known.get(&place) {
            None => {
                candle.revision = 0;
                self.write(candle, true);
            }
            Some(row) if row.closed && !candle.closed => {}
            Some(row) if row.closed == candle.closed && row.volume > candle.volume => {}
            Some(row) => {
                candle.repaired |= row.repaired;
                if !row.same_content(&candle) {
                    candle.revision = row.revision + 1;
                    self.write(candle, true);
                }
            }
        }
    }

    fn venue(&mut self, mut candle: Candle) {
        let place = (Series::of(&candle), candle.open_time_ns);
        if candle.closed {
            self.sealed.insert(place.clone());
        }
        candle.revision = 0;
        match self.known.get(&place) {
            None => self.write(candle, true),
            Some(row) if row.closed && !candle.closed => {}
            Some(row) if row.closed == candle.closed && agrees(row, &candle) => {}
            Some(row) if !candle.closed && row.volume > candle.volume => {}
            Some(row) => {
                complete(&mut candle, row);
                candle.revision = row.revision + 1;
                candle.repaired |= row.closed;
                self.write(candle, true);
            }
        }
    }

    /// Our own candle of a window that a venue's candle has sealed: it adds what the venue does not say.
    fn fill(&mut self, ours: &Candle) {
        let Some(row) = self.known.get(&(Series::of(ours), ours.open_time_ns)).filter(|row| row.closed) else { return };
        let mut filled = row.clone();
        if complete(&mut filled, ours) {
            filled.revision += 1;
            self.write(filled, true);
        }
    }

    fn write(&mut self, candle: Candle, correction: bool) {
        if correction && candle.revision > 0 {
            self.out.corrections.push(candle.clone());
        }
        self.known.insert((Series::of(&candle), candle.open_time_ns), candle.clone());
        self.out.rows.push(candle);
    }

    /// The rows, in order.
    #[must_use]
    pub fn finish(self) -> BookRows {
        self.out
    }
}

/// Puts what `ours` knows where a venue's candle says nothing; true if that was something. 0 stands for nothing: a candle
/// with volume has neither zero trades nor zero quote volume. Only if both count the same
/// volume: else trades are missing in ours, and what it says of them would be wrong beside the venue's numbers.
pub(crate) fn complete(venue: &mut Candle, ours: &Candle) -> bool {
    let before = (venue.trades, venue.quote_volume);
    if venue.volume == ours.volume {
        if venue.trades == 0 {
            venue.trades = ours.trades;
        }
        if !venue.quote_volume.is_positive() {
            venue.quote_volume = ours.quote_volume;
        }
    }
    before != (venue.trades, venue.quote_volume)
}

/// True if a venue's candle says the same as our row. What a venue leaves out cannot differ, and quote volume is left out
/// of the comparison because some venues round it or make it of an average price.
fn agrees(row: &Candle, venue: &Candle) -> bool {
    (row.open, row.high, row.low, row.close, row.volume)
        == (venue.open, venue.high, venue.low, venue.close, venue.volume)
        && (venue.trades == 0 || row.trades == 0 || row.trades == venue.trades)
}

#[cfg(test)]
mod tests;
