//! Records of three markets with everything that makes trouble: late, much too late, duplicate and fetched trades, ids with
//! and without order, venue candles, heartbeats.

use super::world::{Entry, Expected, World};
use crate::update::Ticker;
use proto::market::{Candle, Side, Source, Tick};
use proto::{Decimal, Interval};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const START: u64 = 1_723_158_000_000_000_000;
const SECOND: u64 = 1_000_000_000;

/// A market.
struct Market {
    ticker: Ticker,
    clock: u64,
    count: u64,
    sent: Vec<Tick>,
}

impl Market {
    fn trade_id(&self, at: usize) -> String {
        match at {
            0 => (1_000 + self.count).to_string(),
            // Too sparse for the memory of ids: old ones are doubtful.
            1 => (5_000 + self.count * 2).to_string(),
            _ => format!("x-{}", self.count),
        }
    }

    fn trade(&mut self, at: usize, random: &mut StdRng) -> Tick {
        let ahead = if random.random_bool(0.97) { random.random_range(0..2 * SECOND) } else { 400 * SECOND };
        self.clock += ahead;
        let back = match random.random_range(0..100) {
            0..=79 => 0,
            80..=91 => random.random_range(0..5 * SECOND),
            92..=97 => random.random_range(0..600 * SECOND),
            _ => random.random_range(0..7_000 * SECOND),
        };
        self.count += 1;
        let source = if back > 60 * SECOND { Source::Backfill } else { Source::Live };
        let price = Decimal::new(random.random_range(100_000..100_200), 3).unwrap();
        Tick {
            venue: self.ticker.venue.clone(),
            symbol: self.ticker.symbol.clone(),
            trade_id: self.trade_id(at),
            event_time_ns: self.clock - back + random.random_range(0..5_000),
            receive_time_ns: self.clock,
            price,
            size: Decimal::new(random.random_range(1..1_000_000), 6).unwrap(),
            side: Side::Sell,
            source,
            repaired: source == Source::Backfill,
        }
    }
}

/// All records of a run and what they must become.
pub(super) struct Script {
    pub(super) tickers: Vec<Ticker>,
    pub(super) entries: Vec<Entry>,
    pub(super) expected: Expected,
}

impl Script {
    pub(super) fn new(seed: u64, length: usize, world: &mut World) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let tickers: Vec<Ticker> = [("SIM", "A/USDT"), ("SIM", "B/USDT"), ("OTHER", "C/USD")]
            .map(|(venue, symbol)| Ticker { venue: venue.parse().unwrap(), symbol: symbol.parse().unwrap() })
            .into();
        let market = |ticker: &Ticker| Market { ticker: ticker.clone(), clock: START, count: 0, sent: Vec::new() };
        let mut markets: Vec<Market> = tickers.iter().map(market).collect();
        let mut script = Self { tickers, entries: Vec::new(), expected: Expected::default() };
        for _ in 0..length {
            let at = random.random_range(0..markets.len());
            script.step(at, &mut markets[at], &mut random, world);
        }
        for market in &markets {
            script.entries.push(Entry::heartbeat(&market.ticker, market.clock, true));
        }
        script
    }

    fn step(&mut self, at: usize, market: &mut Market, random: &mut StdRng, world: &mut World) {
        match random.random_range(0..100) {
            0..=7 if !market.sent.is_empty() => {
                let again = &market.sent[random.random_range(0..market.sent.len())];
                self.entries.push(Entry::tick(again));
            }
            8..=10 => self.entries.push(Entry::heartbeat(&market.ticker, market.clock + SECOND, false)),
            11 if market.sent.len() > 20 => {
                let candle = venue_candle(&market.sent[random.random_range(0..market.sent.len())]);
                self.expected.venue(&candle);
                self.entries.push(Entry::candles(&market.ticker, &[candle], world.request()));
            }
            12 => {
                let ticks: Vec<Tick> = (0..5).map(|_| market.trade(at, random)).collect();
                self.entries.push(Entry::ticks(&market.ticker, &ticks, world.request()));
                self.sent(market, ticks);
            }
            _ => {
                let tick = market.trade(at, random);
                self.entries.push(Entry::tick(&tick));
                self.sent(market, vec![tick]);
            }
        }
    }

    fn sent(&mut self, market: &mut Market, ticks: Vec<Tick>) {
        ticks.iter().for_each(|tick| self.expected.tick(tick));
        market.sent.extend(ticks);
    }
}

/// What the venue says about the minute of a trade: more volume than we have.
fn venue_candle(tick: &Tick) -> Candle {
    let price = Decimal::from_int(100);
    Candle {
        venue: tick.venue.clone(),
        symbol: tick.symbol.clone(),
        interval: Interval::M1,
        open_time_ns: Interval::M1.open_time(tick.event_time_ns),
        open: price,
        high: price,
        low: price,
        close: price,
        volume: Decimal::from_int(1_000_000),
        quote_volume: Decimal::from_int(100_000_000),
        trades: 7_777,
        revision: 0,
        closed: true,
        repaired: false,
    }
}
