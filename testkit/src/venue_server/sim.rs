//! The simulated exchange of the ingestor, over real sockets.

use super::dialect::{Asked, Dialect, Request, list};
use super::table::{Table, TableCandle, TableTrade};
use proto::Symbol;

/// The venue.
#[derive(Debug)]
pub(super) struct Sim;

const PAGE: usize = 5_000;

const fn side(trade: &TableTrade) -> &'static str {
    if trade.buy { "buy" } else { "sell" }
}

impl Dialect for Sim {
    fn trade(&self, symbol: &Symbol, trade: &TableTrade) -> String {
        format!(
            r#"{{"e":"trade","s":"{symbol}","i":{},"T":{},"p":"{}","q":"{}","m":"{}"}}"#,
            trade.id,
            trade.time_ms,
            trade.price,
            trade.size,
            side(trade)
        )
    }

    fn quote(&self, symbol: &Symbol, trade: &TableTrade) -> String {
        format!(
            r#"{{"e":"quote","s":"{symbol}","T":{},"b":"{1}","B":"1","a":"{1}","A":"2"}}"#,
            trade.time_ms, trade.price
        )
    }

    fn asked(&self, text: &str) -> Asked {
        let subscribes = text.contains(r#""op":"subscribe""#);
        let replies = if subscribes { vec![r#"{"e":"subscribed","s":"BTC/USDT"}"#.to_owned()] } else { Vec::new() };
        Asked { trades: subscribes, quotes: subscribes, replies }
    }

    fn rest(&self, request: &Request, table: &Table, rows: usize) -> Option<String> {
        if request.path == "/v1/instruments" {
            let row = |s: &Symbol| format!(r#"{{"s":"{s}","tick":"0.01","lot":"0.0001","min":"5"}}"#);
            return Some(format!(r#"{{"instruments":[{}]}}"#, list(table.symbols(), rows, row)));
        }
        let symbol: Symbol = request.text("symbol").parse().ok()?;
        if !table.lists(&symbol) {
            return None;
        }
        match request.path.as_str() {
            "/v1/trades" => {
                let row =
                    |t: &TableTrade| format!(r#"[{},{},"{}","{}","{}"]"#, t.id, t.time_ms, t.price, t.size, side(t));
                let wanted = |t: &&TableTrade| match (request.number("from_id"), request.number("to_id")) {
                    (Some(from), Some(to)) => from <= t.id && t.id <= to,
                    _ => {
                        request.number("from_ms").is_some_and(|from| from <= t.time_ms)
                            && request.number("to_ms").is_some_and(|to| t.time_ms < to)
                    }
                };
                let trades = table.trades(&symbol).iter().filter(wanted);
                Some(format!(r#"{{"trades":[{}]}}"#, list(trades, rows.min(PAGE), row)))
            }
            "/v1/candles" => {
                let (from, to) = (request.number("from_ms")?, request.number("to_ms")?);
                let candles = table.candles(&symbol, request.number("interval")?, from, to);
                let row = |c: &TableCandle| {
                    format!(
                        r#"[{},"{}","{}","{}","{}","{}","{}",{}]"#,
                        c.open_ms, c.open, c.high, c.low, c.close, c.volume, c.quote_volume, c.trades
                    )
                };
                Some(format!(r#"{{"candles":[{}]}}"#, list(candles.iter(), rows.min(PAGE), row)))
            }
            _ => None,
        }
    }
}
