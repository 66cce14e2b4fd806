//! Bybit spot (v5). Trade ids do not count up, and history knows only the newest 60 trades.

mod frame;
mod rest;

use crate::symbol::{Names, is_plain, split_by_quote, symbol_of};
use crate::{
    Adapter, Answer, CandlesPage, CandlesQuery, Connection, Event, Instrument, Instruments, Pacing, Ping, Profile,
    Rejection, RestError, RestLimits, RestRequest, SymbolError, TradeIds, TradesPage, TradesQuery,
};
use proto::{Symbol, Venue};
use std::sync::Arc;
use std::time::Duration;

/// The adapter.
#[derive(Debug, Clone)]
pub(crate) struct Bybit {
    venue: Venue,
    names: Names,
}

const PROFILE: Profile = Profile {
    ws_url: "wss://stream.bybit.com/v5/public/spot",
    rest_url: "https://api.bybit.com",
    mute_timeout: Duration::from_secs(45),
    ping: Some(Ping { every: Duration::from_secs(20), text: r#"{"op":"ping"}"# }),
    symbols_per_connection: 100,
    subscribe_pacing: Pacing { count: 10, per: Duration::from_secs(1) },
    // 500 in 5 minutes.
    connect_pacing: Pacing { count: 1, per: Duration::from_secs(1) },
    trade_ids: TradeIds::Opaque,
    rest: RestLimits {
        budget: 600,
        interval: Duration::from_secs(5),
        reserve_for_orders_percent: 50,
        used_weight_header: None,
    },
    partial_quotes: true,
    candle_quote_volume: true,
    candle_trades: false,
};

/// Most topics in one subscribe frame of the spot feed.
const TOPICS_PER_FRAME: usize = 10;

/// Quote assets of the spot market. One that ends another stands after it.
const QUOTES: [&str; 15] =
    ["USDT", "USDC", "USDE", "USD1", "RLUSD", "BTC", "ETH", "EUR", "DAI", "BRZ", "BRL", "TRY", "PLN", "MNT", "SOL"];

impl Bybit {
    pub(crate) fn new() -> Self {
        let venue = "BYBIT".parse().expect("a valid venue id");
        Self { venue, names: Names::by_rule(symbol_by_rule, name_by_rule) }
    }
}

fn symbol_by_rule(name: &str) -> Option<Symbol> {
    let (base, quote) = split_by_quote(name, &QUOTES).filter(|_| is_plain(name))?;
    symbol_of(base, quote)
}

fn name_by_rule(symbol: &Symbol) -> Option<String> {
    Some([symbol.base(), symbol.quote()].concat())
}

impl Adapter for Bybit {
    fn venue(&self) -> &Venue {
        &self.venue
    }

    fn profile(&self) -> &Profile {
        &PROFILE
    }

    fn venue_symbol(&self, symbol: &Symbol) -> Result<String, SymbolError> {
        self.names.name(symbol)
    }

    fn canonical(&self, venue_symbol: &str) -> Result<Symbol, SymbolError> {
        self.names.symbol(venue_symbol)
    }

    fn refined(&self, instruments: &[Instrument]) -> Arc<dyn Adapter> {
        Arc::new(Self { names: self.names.refined(&self.venue, instruments), venue: self.venue.clone() })
    }

    fn connections(&self, base: &str, symbols: &[Symbol]) -> Result<Vec<Connection>, SymbolError> {
        let mut connections = Vec::new();
        for symbols in symbols.chunks(PROFILE.symbols_per_connection) {
            let mut topics = Vec::with_capacity(symbols.len() * 2);
            for symbol in symbols {
                let name = self.names.name(symbol)?;
                topics.push(format!("\"publicTrade.{name}\""));
                topics.push(format!("\"orderbook.1.{name}\""));
            }
            let frames = topics.chunks(TOPICS_PER_FRAME).zip(1..);
            connections.push(Connection {
                url: base.to_owned(),
                subscribe: frames
                    .map(|(topics, id)| {
                        format!(r#"{{"req_id":"{id}","op":"subscribe","args":[{}]}}"#, topics.join(","))
                    })
                    .collect(),
                symbols: symbols.to_vec(),
                trades: true,
                quotes: true,
            });
        }
        Ok(connections)
    }

    fn decode(&self, frame: &[u8], receive_time_ns: u64, out: &mut Vec<Event>) -> Result<(), Rejection> {
        self.decode_frame(frame, receive_time_ns, out)
    }

    fn instruments(&self) -> Option<RestRequest> {
        Some(RestRequest::new("/v5/market/instruments-info?category=spot".to_owned(), 1))
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
