//! Runs recordings through the adapters, counts what becomes of each frame and row, and prints the table.

use crate::files::{Item, Recording, Rest};
use proto::{Interval, Symbol, Venue};
use std::collections::BTreeMap;
use venues::{
    Adapter, CandlesPage, CandlesQuery, Cursor, Event, Ignored, PartialQuotes, Reason, Rejection, TradesQuery,
};

/// What became of the items of one venue and collection.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) files: usize,
    pub(crate) frames: usize,
    pub(crate) bodies: usize,
    pub(crate) ticks: usize,
    pub(crate) void: usize,
    pub(crate) quotes: usize,
    pub(crate) candles: usize,
    pub(crate) instruments: usize,
    pub(crate) control: usize,
    pub(crate) ignored: BTreeMap<Ignored, usize>,
    pub(crate) refused: BTreeMap<Reason, usize>,
    pub(crate) other_endpoints: usize,
    pub(crate) not_json: usize,
    /// Some refusals with their file, for a reader who wants to know why.
    pub(crate) examples: Vec<(String, Rejection)>,
}

/// A receive time for frames whose recording has none.
const NOW_NS: u64 = 1_790_000_000_000_000_000;

/// One tally for each venue and collection.
pub(crate) fn tally(recordings: &[Recording]) -> BTreeMap<(&'static str, &'static str), Tally> {
    let mut all: BTreeMap<_, Tally> = BTreeMap::new();
    for recording in recordings {
        let venue: Venue = recording.venue.parse().expect("a venue id");
        let adapter = venues::adapter(&venue).expect("an adapter");
        let tally = all.entry((recording.venue, recording.collection)).or_default();
        tally.files += 1;
        let mut quotes = PartialQuotes::default();
        for item in &recording.items {
            tally.add(adapter, item, &mut quotes, &recording.path.to_string_lossy());
        }
    }
    all
}

impl Tally {
    fn add(&mut self, adapter: &dyn Adapter, item: &Item, quotes: &mut PartialQuotes, path: &str) {
        match item {
            Item::Frame(stamp, frame) => {
                self.frames += 1;
                let mut events = Vec::new();
                match adapter.decode(frame, stamp.unwrap_or(NOW_NS), &mut events) {
                    Ok(()) => events.into_iter().for_each(|event| self.event(quotes.complete(event), path)),
                    Err(rejection) => self.refuse(rejection, path),
                }
            }
            Item::Body(kind, body) => {
                self.bodies += 1;
                self.body(adapter, *kind, body, path);
            }
            Item::OtherEndpoint => self.other_endpoints += 1,
            Item::NotJson => self.not_json += 1,
        }
    }

    fn event(&mut self, event: Event, path: &str) {
        match event {
            Event::Tick(_) => self.ticks += 1,
            Event::VoidTrade { .. } => self.void += 1,
            Event::Quote(_) => self.quotes += 1,
            Event::Heartbeat | Event::Subscribed(_) | Event::VenueError { .. } => self.control += 1,
            Event::Ignored(kind) => *self.ignored.entry(kind).or_default() += 1,
            Event::Refused(rejection) => self.refuse(rejection, path),
            Event::QuoteChange(_) => unreachable!("PartialQuotes turns changes into quotes"),
        }
    }

    fn refuse(&mut self, rejection: Rejection, path: &str) {
        *self.refused.entry(rejection.reason).or_default() += 1;
        let path = path.rsplit_once("fixtures/").map_or(path, |(_, path)| path);
        self.examples.push((path.to_owned(), rejection));
    }

    fn body(&mut self, adapter: &dyn Adapter, kind: Rest, body: &[u8], path: &str) {
        let symbol = symbol_in(adapter, body);
        let refused = match kind {
            Rest::Instruments => adapter.parse_instruments(body).map(|answer| {
                self.instruments += answer.listed.len();
                answer.refused
            }),
            Rest::Trades => {
                let cursor = (adapter.venue().as_str() == "BINANCE").then_some(Cursor::FromId(0));
                let query = TradesQuery { cursor, ..TradesQuery::by_time(symbol, 0, u64::MAX) };
                adapter.parse_trades(&query, body, NOW_NS).map(|page| {
                    self.ticks += page.ticks.len();
                    self.void += page.void_ids.len();
                    page.refused
                })
            }
            // Answers with the id of a first trade only: read, and nothing to count.
            Rest::Aggregates => {
                adapter.parse_trades(&TradesQuery::by_time(symbol, 0, u64::MAX), body, NOW_NS).map(|page| page.refused)
            }
            Rest::Candles => best_candles(adapter, &symbol, body).map(|page| {
                self.candles += page.candles.len();
                page.refused
            }),
        };
        match refused {
            Ok(refused) => refused.into_iter().for_each(|rejection| self.refuse(rejection, path)),
            Err(rejection) => self.refuse(rejection, path),
        }
    }
}

/// The files do not tell the interval: the one that reads most.
fn best_candles(adapter: &dyn Adapter, symbol: &Symbol, body: &[u8]) -> Result<CandlesPage, Rejection> {
    let pages = Interval::ALL.into_iter().map(|interval| {
        let query = CandlesQuery { symbol: symbol.clone(), interval, from_ns: 0, to_ns: u64::MAX };
        adapter.parse_candles(&query, body, NOW_NS)
    });
    pages
        .reduce(|best, page| match (&best, &page) {
            (Ok(a), Ok(b)) if (b.refused.len(), a.candles.len()) < (a.refused.len(), b.candles.len()) => page,
            _ => best,
        })
        .expect("seven intervals")
}

/// The first symbol that a body names.
fn symbol_in(adapter: &dyn Adapter, body: &[u8]) -> Symbol {
    let text = String::from_utf8_lossy(body);
    let named = ["\"instId\"", "\"symbol\"", "\"product_id\""].iter().find_map(|key| {
        let rest = &text[text.find(key)? + key.len()..];
        adapter.canonical(rest.split('"').nth(1)?).ok()
    });
    named.unwrap_or_else(|| "BTC/USDT".parse().expect("a symbol"))
}

/// The table, a line for each venue and collection.
pub(crate) fn table(tallies: &BTreeMap<(&'static str, &'static str), Tally>) -> String {
    const COLUMNS: [&str; 13] = [
        "files", "frames", "bodies", "ticks", "void", "quotes", "candles", "instr.", "control", "ignored", "refused",
        "other", "no json",
    ];
    let mut out = line("venue", "source", COLUMNS);
    for ((venue, collection), t) in tallies {
        let (ignored, refused) = (t.ignored.values().sum(), t.refused.values().sum());
        let numbers = [
            t.files,
            t.frames,
            t.bodies,
            t.ticks,
            t.void,
            t.quotes,
            t.candles,
            t.instruments,
            t.control,
            ignored,
            refused,
            t.other_endpoints,
            t.not_json,
        ];
        out += &line(venue, collection, numbers);
        for (what, counts) in [("ignored", labels(&t.ignored)), ("refused", labels(&t.refused))] {
            if !counts.is_empty() {
                out += &format!("{:<33}{what}: {counts}\n", "");
            }
        }
    }
    out
}

fn line<T: std::fmt::Display>(venue: &str, collection: &str, cells: [T; 13]) -> String {
    let cells: String = cells.iter().map(|cell| format!("{cell:>9}")).collect();
    format!("{venue:<13}{collection:<20}{cells}\n")
}

fn labels<K: std::fmt::Display>(counts: &BTreeMap<K, usize>) -> String {
    counts.iter().map(|(label, count)| format!("{label} {count}")).collect::<Vec<_>>().join(", ")
}
