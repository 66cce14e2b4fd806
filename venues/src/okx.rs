//! OKX spot (v5). Derivatives are refused: their sizes are contracts, not the base asset.

mod frame;
mod rest;

use crate::symbol::{Names, split_at_dash, symbol_of};
use crate::{
    Adapter, Answer, CandlesPage, CandlesQuery, Connection, Event, Instrument, Instruments, Pacing, Ping, Profile,
    Rejection, RestError, RestLimits, RestRequest, SymbolError, TradeIds, TradesPage, TradesQuery,
};
use proto::{Symbol, Venue};
use std::sync::Arc;
use std::time::Duration;

/// The adapter.
#[derive(Debug, Clone)]
pub(crate) struct Okx {
    venue: Venue,
    names: Names,
}

const PROFILE: Profile = Profile {
    ws_url: "wss://ws.okx.com:8443/ws/v5",
    rest_url: "https://www.okx.com",
    // The venue closes a connection after 30 s without a frame in either direction.
    mute_timeout: Duration::from_secs(45),
    ping: Some(Ping { every: Duration::from_secs(20), text: "ping" }),
    symbols_per_connection: 100,
    // 480 requests an hour for a connection.
    subscribe_pacing: Pacing { count: 2, per: Duration::from_secs(1) },
    connect_pacing: Pacing { count: 3, per: Duration::from_secs(1) },
    trade_ids: TradeIds::Contiguous,
    rest: RestLimits {
        budget: 20,
        interval: Duration::from_secs(2),
        reserve_for_orders_percent: 30,
        used_weight_header: None,
    },
    partial_quotes: false,
    candle_quote_volume: true,
    candle_trades: false,
};

impl Okx {
    pub(crate) fn new() -> Self {
        let venue = "OKX".parse().expect("a valid venue id");
        Self { venue, names: Names::by_rule(symbol_by_rule, name_by_rule) }
    }

    fn connection(&self, url: String, channel: &str, symbols: &[Symbol]) -> Result<Connection, SymbolError> {
        let arguments: Result<Vec<String>, SymbolError> = symbols
            .iter()
            .map(|symbol| Ok(format!(r#"{{"channel":"{channel}","instId":"{}"}}"#, self.names.name(symbol)?)))
            .collect();
        Ok(Connection {
            url,
            subscribe: vec![format!(r#"{{"op":"subscribe","args":[{}]}}"#, arguments?.join(","))],
            symbols: symbols.to_vec(),
            trades: channel == "trades-all",
            quotes: channel == "bbo-tbt",
        })
    }
}

/// `BTC-USDT`. Names with a second dash (`BTC-USDT-SWAP`, `BTC-USD-240628`) are derivatives.
fn symbol_by_rule(name: &str) -> Option<Symbol> {
    let (base, quote) = split_at_dash(name)?;
    symbol_of(base, quote)
}

fn name_by_rule(symbol: &Symbol) -> Option<String> {
    Some(format!("{}-{}", symbol.base(), symbol.quote()))
}

impl Adapter for Okx {
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

    /// `trades` merges trades of one price and names only the last id, so live and history would count differently;
    /// `trades-all` has each trade, and is served on `/business` only.
    fn connections(&self, base: &str, symbols: &[Symbol]) -> Result<Vec<Connection>, SymbolError> {
        let mut connections = Vec::new();
        for symbols in symbols.chunks(PROFILE.symbols_per_connection) {
            connections.push(self.connection(format!("{base}/business"), "trades-all", symbols)?);
            connections.push(self.connection(format!("{base}/public"), "bbo-tbt", symbols)?);
        }
        Ok(connections)
    }

    fn decode(&self, frame: &[u8], receive_time_ns: u64, out: &mut Vec<Event>) -> Result<(), Rejection> {
        self.decode_frame(frame, receive_time_ns, out)
    }

    fn instruments(&self) -> Option<RestRequest> {
        Some(RestRequest::new("/api/v5/public/instruments?instType=SPOT".to_owned(), 1))
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
