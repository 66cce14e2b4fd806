//! Binance: spot (`BINANCE`) and USD-margined futures (`BINANCE-USDM`). One feed format, two sets of URLs and limits.

mod frame;
mod names;
mod rest;

pub(crate) use frame::is_usdm;

use crate::symbol::Names;
use crate::{
    Adapter, Answer, CandlesPage, CandlesQuery, Connection, Event, Instrument, Instruments, Pacing, Profile, Rejection,
    RestError, RestLimits, RestRequest, SymbolError, TradeIds, TradesPage, TradesQuery,
};
use proto::{Symbol, Venue};
use std::sync::Arc;
use std::time::Duration;

/// Which of the two markets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Market {
    Spot,
    Usdm,
}

/// The adapter of one Binance market.
#[derive(Debug, Clone)]
pub(crate) struct Binance {
    market: Market,
    venue: Venue,
    names: Names,
}

/// Most streams in one SUBSCRIBE frame; the venue takes 1024 on a connection.
const STREAMS_PER_FRAME: usize = 200;

const SPOT: Profile = Profile {
    ws_url: "wss://stream.binance.com:9443",
    rest_url: "https://api.binance.com",
    // The venue pings every 20 s.
    mute_timeout: Duration::from_secs(60),
    ping: None,
    symbols_per_connection: 200,
    // The venue closes a connection that sends more than 5 frames a second, pongs included.
    subscribe_pacing: Pacing { count: 3, per: Duration::from_secs(1) },
    // 300 in 5 minutes.
    connect_pacing: Pacing { count: 5, per: Duration::from_secs(10) },
    trade_ids: TradeIds::Contiguous,
    rest: RestLimits {
        budget: 6000,
        interval: Duration::from_secs(60),
        reserve_for_orders_percent: 25,
        used_weight_header: Some("x-mbx-used-weight-1m"),
    },
    partial_quotes: false,
    candle_quote_volume: true,
    candle_trades: true,
};

const USDM: Profile = Profile {
    ws_url: "wss://fstream.binance.com",
    rest_url: "https://fapi.binance.com",
    // The venue pings every 3 minutes only: our own pings must show that it lives.
    mute_timeout: Duration::from_secs(60),
    subscribe_pacing: Pacing { count: 8, per: Duration::from_secs(1) },
    rest: RestLimits { budget: 2400, ..SPOT.rest },
    ..SPOT
};

impl Binance {
    /// Spot.
    pub(crate) fn spot() -> Self {
        let venue = "BINANCE".parse().expect("a valid venue id");
        Self { market: Market::Spot, venue, names: Names::by_rule(names::spot_symbol, names::spot_name) }
    }

    /// USD-margined futures.
    pub(crate) fn usdm() -> Self {
        let venue = "BINANCE-USDM".parse().expect("a valid venue id");
        Self { market: Market::Usdm, venue, names: Names::by_rule(names::usdm_symbol, names::usdm_name) }
    }

    /// One connection for the streams of `symbols`.
    fn connection(&self, url: String, symbols: &[Symbol], streams: &[&str]) -> Result<Connection, SymbolError> {
        let mut names = Vec::with_capacity(symbols.len() * streams.len());
        for symbol in symbols {
            let name = self.names.name(symbol)?.to_ascii_lowercase();
            names.extend(streams.iter().map(|stream| format!("\"{name}@{stream}\"")));
        }
        let frames = names.chunks(STREAMS_PER_FRAME).zip(1..);
        Ok(Connection {
            url,
            subscribe: frames
                .map(|(names, id)| format!(r#"{{"method":"SUBSCRIBE","params":[{}],"id":{id}}}"#, names.join(",")))
                .collect(),
            symbols: symbols.to_vec(),
            trades: streams.contains(&"trade"),
            quotes: streams.contains(&"bookTicker"),
        })
    }
}

impl Adapter for Binance {
    fn venue(&self) -> &Venue {
        &self.venue
    }

    fn profile(&self) -> &Profile {
        match self.market {
            Market::Spot => &SPOT,
            Market::Usdm => &USDM,
        }
    }

    fn venue_symbol(&self, symbol: &Symbol) -> Result<String, SymbolError> {
        self.names.name(symbol)
    }

    fn canonical(&self, venue_symbol: &str) -> Result<Symbol, SymbolError> {
        self.names.symbol(venue_symbol)
    }

    fn refined(&self, instruments: &[Instrument]) -> Arc<dyn Adapter> {
        Arc::new(Self { names: self.names.refined(&self.venue, instruments), ..self.clone() })
    }

    fn connections(&self, base: &str, symbols: &[Symbol]) -> Result<Vec<Connection>, SymbolError> {
        let mut connections = Vec::new();
        for symbols in symbols.chunks(self.profile().symbols_per_connection) {
            match self.market {
                Market::Spot => {
                    connections.push(self.connection(format!("{base}/stream"), symbols, &["trade", "bookTicker"])?);
                }
                // Since 2026-04-23 the futures feed is split by kind of data: trades on /market, books on /public.
                Market::Usdm => {
                    connections.push(self.connection(format!("{base}/market/stream"), symbols, &["trade"])?);
                    connections.push(self.connection(format!("{base}/public/stream"), symbols, &["bookTicker"])?);
                }
            }
        }
        Ok(connections)
    }

    fn decode(&self, frame: &[u8], receive_time_ns: u64, out: &mut Vec<Event>) -> Result<(), Rejection> {
        self.decode_frame(frame, receive_time_ns, out)
    }

    fn instruments(&self) -> Option<RestRequest> {
        Some(self.instruments_request())
    }

    fn parse_instruments(&self, body: &[u8]) -> Result<Instruments, Rejection> {
        self.read_instruments(body)
    }

    fn trades_page(&self, query: &TradesQuery) -> Option<RestRequest> {
        self.trades_request(query)
    }

    fn parse_trades(&self, query: &TradesQuery, body: &[u8], receive_time_ns: u64) -> Result<TradesPage, Rejection> {
        self.read_trades(query, body, receive_time_ns)
    }

    fn candles_page(&self, query: &CandlesQuery) -> Option<RestRequest> {
        self.candles_request(query)
    }

    fn parse_candles(&self, query: &CandlesQuery, body: &[u8], receive_time_ns: u64) -> Result<CandlesPage, Rejection> {
        self.read_candles(query, body, receive_time_ns)
    }

    fn check(&self, answer: &Answer<'_>) -> Result<(), RestError> {
        rest::check(answer)
    }
}
