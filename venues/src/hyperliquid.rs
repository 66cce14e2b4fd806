//! Hyperliquid perpetuals: live trades and best bid/ask. No history: the venue's REST API takes POST requests only.

mod frame;

use crate::rest::by_status;
use crate::symbol::{Names, is_plain, symbol_of};
use crate::{
    Adapter, Answer, CandlesPage, CandlesQuery, Connection, Event, Instrument, Instruments, Pacing, Ping, Profile,
    Reason, Rejection, RestError, RestLimits, RestRequest, SymbolError, TradeIds, TradesPage, TradesQuery,
};
use proto::{Symbol, Venue};
use std::sync::Arc;
use std::time::Duration;

/// The adapter.
#[derive(Debug, Clone)]
pub(crate) struct Hyperliquid {
    venue: Venue,
    names: Names,
}

const PROFILE: Profile = Profile {
    ws_url: "wss://api.hyperliquid.xyz/ws",
    rest_url: "https://api.hyperliquid.xyz",
    // The venue closes a connection to which it sent nothing for 60 s.
    mute_timeout: Duration::from_secs(60),
    ping: Some(Ping { every: Duration::from_secs(25), text: r#"{"method":"ping"}"# }),
    symbols_per_connection: 100,
    subscribe_pacing: Pacing { count: 20, per: Duration::from_secs(1) },
    connect_pacing: Pacing { count: 1, per: Duration::from_secs(2) },
    trade_ids: TradeIds::Opaque,
    rest: RestLimits {
        budget: 1200,
        interval: Duration::from_secs(60),
        reserve_for_orders_percent: 50,
        used_weight_header: None,
    },
    partial_quotes: false,
    candle_quote_volume: false,
    candle_trades: false,
};

/// All perpetuals are quoted and settled in this.
const QUOTE: &str = "USDC";

impl Hyperliquid {
    pub(crate) fn new() -> Self {
        let venue = "HYPERLIQUID".parse().expect("a valid venue id");
        Self { venue, names: Names::by_rule(symbol_by_rule, name_by_rule) }
    }
}

/// `BTC`. Spot pairs (`@107`, `PURR/USDC`) and markets of other builders (`xyz:TSLA`) are not read.
fn symbol_by_rule(name: &str) -> Option<Symbol> {
    if is_plain(name) { symbol_of(name, QUOTE) } else { None }
}

fn name_by_rule(symbol: &Symbol) -> Option<String> {
    (symbol.quote() == QUOTE).then(|| symbol.base().to_owned())
}

fn no_history() -> Rejection {
    Rejection::new(Reason::UnknownChannel, "this venue has no history here")
}

impl Adapter for Hyperliquid {
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
            let mut subscribe = Vec::with_capacity(symbols.len() * 2);
            for symbol in symbols {
                let name = self.names.name(symbol)?;
                for channel in ["trades", "bbo"] {
                    subscribe.push(format!(
                        r#"{{"method":"subscribe","subscription":{{"type":"{channel}","coin":"{name}"}}}}"#
                    ));
                }
            }
            let (url, symbols) = (base.to_owned(), symbols.to_vec());
            connections.push(Connection { url, subscribe, symbols, trades: true, quotes: true });
        }
        Ok(connections)
    }

    fn decode(&self, frame: &[u8], receive_time_ns: u64, out: &mut Vec<Event>) -> Result<(), Rejection> {
        self.decode_frame(frame, receive_time_ns, out)
    }

    fn instruments(&self) -> Option<RestRequest> {
        None
    }

    fn parse_instruments(&self, _body: &[u8]) -> Result<Instruments, Rejection> {
        Err(no_history())
    }

    fn trades_page(&self, _query: &TradesQuery) -> Option<RestRequest> {
        None
    }

    fn parse_trades(&self, _query: &TradesQuery, _body: &[u8], _receive_time_ns: u64) -> Result<TradesPage, Rejection> {
        Err(no_history())
    }

    fn candles_page(&self, _query: &CandlesQuery) -> Option<RestRequest> {
        None
    }

    fn parse_candles(&self, _query: &CandlesQuery, _body: &[u8], _now_ns: u64) -> Result<CandlesPage, Rejection> {
        Err(no_history())
    }

    fn check(&self, answer: &Answer<'_>) -> Result<(), RestError> {
        by_status(answer, "")
    }
}
