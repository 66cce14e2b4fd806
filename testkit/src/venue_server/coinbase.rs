//! Coinbase: the Advanced Trade feed and the Exchange REST API.

use super::dialect::{Asked, Dialect, Request, list, parse_rfc3339, rfc3339, symbol_named};
use super::table::{Table, TableCandle, TableTrade};
use proto::Symbol;

/// The venue.
#[derive(Debug)]
pub(super) struct Coinbase;

fn name(symbol: &Symbol) -> String {
    format!("{}-{}", symbol.base(), symbol.quote())
}

const TRADES: usize = 1000;
const CANDLES: usize = 300;

/// The venue reports the maker's side.
const fn maker(trade: &TableTrade) -> &'static str {
    if trade.buy { "SELL" } else { "BUY" }
}

impl Dialect for Coinbase {
    fn trade(&self, symbol: &Symbol, trade: &TableTrade) -> String {
        format!(
            r#"{{"channel":"market_trades","client_id":"","timestamp":"{0}","sequence_num":{1},"events":[{{"type":"update","trades":[{{"trade_id":"{1}","product_id":"{2}","price":"{3}","size":"{4}","side":"{5}","time":"{0}"}}]}}]}}"#,
            rfc3339(trade.time_ms),
            trade.id,
            name(symbol),
            trade.price,
            trade.size,
            maker(trade)
        )
    }

    fn quote(&self, symbol: &Symbol, trade: &TableTrade) -> String {
        format!(
            r#"{{"channel":"ticker","client_id":"","timestamp":"{}","sequence_num":1,"events":[{{"type":"update","tickers":[{{"type":"ticker","product_id":"{}","price":"{2}","best_bid":"{2}","best_bid_quantity":"1","best_ask":"{2}","best_ask_quantity":"2"}}]}}]}}"#,
            rfc3339(trade.time_ms),
            name(symbol),
            trade.price
        )
    }

    fn asked(&self, text: &str) -> Asked {
        if !text.contains(r#""type":"subscribe""#) {
            return Asked::default();
        }
        Asked {
            trades: text.contains("market_trades"),
            quotes: text.contains("ticker"),
            replies: vec![r#"{"channel":"subscriptions","timestamp":"2024-01-01T00:00:00Z","events":[{}]}"#.to_owned()],
        }
    }

    fn rest(&self, request: &Request, table: &Table, rows: usize) -> Option<String> {
        let rest = request.path.strip_prefix("/products")?;
        if rest.is_empty() {
            let row = |symbol: &Symbol| {
                format!(
                    r#"{{"id":"{}","base_currency":"{}","quote_currency":"{}","quote_increment":"0.01","base_increment":"0.0001","min_market_funds":"1","status":"online"}}"#,
                    name(symbol),
                    symbol.base(),
                    symbol.quote()
                )
            };
            return Some(format!("[{}]", list(table.symbols(), rows, row)));
        }
        let (product, kind) = rest.strip_prefix('/')?.split_once('/')?;
        let symbol = symbol_named(table, product, name)?;
        match kind {
            "trades" => {
                let limit = usize::try_from(request.number("limit").unwrap_or(100)).ok()?.min(TRADES).min(rows);
                let below = request.number("after").unwrap_or(u64::MAX);
                let newest = table.trades(&symbol).iter().rev().filter(|trade| trade.id < below);
                let row = |t: &TableTrade| {
                    format!(
                        r#"{{"trade_id":{},"side":"{}","size":"{}","price":"{}","time":"{}"}}"#,
                        t.id,
                        maker(t).to_lowercase(),
                        t.size,
                        t.price,
                        rfc3339(t.time_ms)
                    )
                };
                Some(format!("[{}]", list(newest, limit, row)))
            }
            "candles" => {
                let (from, to) = (parse_rfc3339(request.text("start"))?, parse_rfc3339(request.text("end"))?);
                let candles = table.candles(&symbol, request.number("granularity")?, from, to + 1);
                let row = |c: &TableCandle| {
                    format!("[{},{},{},{},{},{}]", c.open_ms / 1000, c.low, c.high, c.open, c.close, c.volume)
                };
                Some(format!("[{}]", list(candles.iter().rev(), rows.min(CANDLES), row)))
            }
            _ => None,
        }
    }
}
