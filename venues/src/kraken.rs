//! Kraken spot: WebSocket v2 (symbols as `BTC/USD`, bare numbers) and REST v0 (pairs as `XBTUSD`).

mod frame;
mod names;
mod rest;

use crate::symbol::Names;
use crate::{
    Adapter, Answer, CandlesPage, CandlesQuery, Connection, Event, Instrument, Instruments, Pacing, Ping, Profile,
    Rejection, RestError, RestLimits, RestRequest, SymbolError, TradeIds, TradesPage, TradesQuery,
};
use proto::{Symbol, Venue};
use std::sync::Arc;
use std::time::Duration;

/// The adapter.
#[derive(Debug, Clone)]
pub(crate) struct Kraken {
    venue: Venue,
    names: Names,
}

const PROFILE: Profile = Profile {
    ws_url: "wss://ws.kraken.com/v2",
    rest_url: "https://api.kraken.com",
    // A heartbeat comes every second while there is a subscription.
    mute_timeout: Duration::from_secs(15),
    ping: Some(Ping { every: Duration::from_secs(30), text: r#"{"method":"ping"}"# }),
    symbols_per_connection: 100,
    subscribe_pacing: Pacing { count: 4, per: Duration::from_secs(1) },
    // 150 in 10 minutes for an address.
    connect_pacing: Pacing { count: 2, per: Duration::from_secs(10) },
    trade_ids: TradeIds::Contiguous,
    // About one public request a second for an address and pair.
    rest: RestLimits {
        budget: 10,
        interval: Duration::from_secs(10),
        reserve_for_orders_percent: 20,
        used_weight_header: None,
    },
    partial_quotes: false,
    candle_quote_volume: false,
    candle_trades: true,
};

impl Kraken {
    pub(crate) fn new() -> Self {
        let venue = "KRAKEN".parse().expect("a valid venue id");
        Self { venue, names: Names::by_rule(names::symbol, names::name) }
    }
}

impl Adapter for Kraken {
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
            connections.push(Connection {
                url: base.to_owned(),
                subscribe: vec![
                    format!(
                        r#"{{"method":"subscribe","params":{{"channel":"trade","symbol":[{names}],"snapshot":true}},"req_id":1}}"#
                    ),
                    format!(
                        r#"{{"method":"subscribe","params":{{"channel":"ticker","symbol":[{names}],"event_trigger":"bbo"}},"req_id":2}}"#
                    ),
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
        Some(RestRequest::new("/0/public/AssetPairs".to_owned(), 1))
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
