//! Coinbase: live over the Advanced Trade feed, history over the Exchange REST API. Neither wants a key, and both count
//! trades with the same ids.

mod frame;
mod rest;

use crate::symbol::{Names, split_at_dash, symbol_of};
use crate::{
    Adapter, Answer, CandlesPage, CandlesQuery, Connection, Event, Instrument, Instruments, Pacing, Profile, Rejection,
    RestError, RestLimits, RestRequest, SymbolError, TradeIds, TradesPage, TradesQuery,
};
use proto::{Symbol, Venue};
use std::sync::Arc;
use std::time::Duration;

/// The adapter.
#[derive(Debug, Clone)]
pub(crate) struct Coinbase {
    venue: Venue,
    names: Names,
}

const PROFILE: Profile = Profile {
    ws_url: "wss://advanced-trade-ws.coinbase.com",
    rest_url: "https://api.exchange.coinbase.com",
    // The heartbeats channel speaks every second.
    mute_timeout: Duration::from_secs(15),
    ping: None,
    symbols_per_connection: 100,
    subscribe_pacing: Pacing { count: 4, per: Duration::from_secs(1) },
    connect_pacing: Pacing { count: 1, per: Duration::from_secs(1) },
    trade_ids: TradeIds::Contiguous,
    rest: RestLimits {
        budget: 10,
        interval: Duration::from_secs(1),
        reserve_for_orders_percent: 30,
        used_weight_header: None,
    },
    partial_quotes: false,
    candle_quote_volume: false,
    candle_trades: false,
};

impl Coinbase {
    pub(crate) fn new() -> Self {
        let venue = "COINBASE".parse().expect("a valid venue id");
        Self { venue, names: Names::by_rule(symbol_by_rule, name_by_rule) }
    }
}

/// `BTC-USD`. Names with a second dash (`BTC-PERP-INTX`) are derivatives, whose sizes are contracts.
fn symbol_by_rule(name: &str) -> Option<Symbol> {
    let (base, quote) = split_at_dash(name)?;
    symbol_of(base, quote)
}

fn name_by_rule(symbol: &Symbol) -> Option<String> {
    Some(format!("{}-{}", symbol.base(), symbol.quote()))
}

impl Adapter for Coinbase {
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
            let names: Result<Vec<String>, SymbolError> =
                symbols.iter().map(|symbol| Ok(format!("\"{}\"", self.names.name(symbol)?))).collect();
            let names = names?.join(",");
            let subscribe =
                |channel: &str| format!(r#"{{"type":"subscribe","product_ids":[{names}],"channel":"{channel}"}}"#);
            connections.push(Connection {
                url: base.to_owned(),
                subscribe: vec![
                    subscribe("market_trades"),
                    subscribe("ticker"),
                    // Without it a quiet connection is closed after a minute or two.
                    r#"{"type":"subscribe","channel":"heartbeats"}"#.to_owned(),
                ],
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
        Some(RestRequest::new("/products".to_owned(), 1))
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
