//! OKX v5.

use super::dialect::{Asked, Dialect, Request, list, symbol_named};
use super::table::{Table, TableCandle, TableTrade};
use proto::Symbol;

/// The venue.
#[derive(Debug)]
pub(super) struct Okx;

fn name(symbol: &Symbol) -> String {
    format!("{}-{}", symbol.base(), symbol.quote())
}

const PAGE: usize = 100;

fn item(symbol: &Symbol, trade: &TableTrade) -> String {
    format!(
        r#"{{"instId":"{}","tradeId":"{}","px":"{}","sz":"{}","side":"{}","ts":"{}"}}"#,
        name(symbol),
        trade.id,
        trade.price,
        trade.size,
        if trade.buy { "buy" } else { "sell" },
        trade.time_ms
    )
}

fn answer(rows: &str) -> String {
    format!(r#"{{"code":"0","msg":"","data":[{rows}]}}"#)
}

impl Dialect for Okx {
    fn trade(&self, symbol: &Symbol, trade: &TableTrade) -> String {
        let name = name(symbol);
        format!(r#"{{"arg":{{"channel":"trades-all","instId":"{name}"}},"data":[{}]}}"#, item(symbol, trade))
    }

    fn quote(&self, symbol: &Symbol, trade: &TableTrade) -> String {
        format!(
            r#"{{"arg":{{"channel":"bbo-tbt","instId":"{}"}},"data":[{{"asks":[["{1}","1","0","1"]],"bids":[["{1}","2","0","1"]],"ts":"{2}","seqId":1}}]}}"#,
            name(symbol),
            trade.price,
            trade.time_ms
        )
    }

    fn asked(&self, text: &str) -> Asked {
        if text == "ping" {
            return Asked { replies: vec!["pong".to_owned()], ..Asked::default() };
        }
        if !text.contains(r#""op":"subscribe""#) {
            return Asked::default();
        }
        Asked {
            trades: text.contains("trades-all"),
            quotes: text.contains("bbo-tbt"),
            replies: vec![
                r#"{"event":"subscribe","arg":{"channel":"trades-all","instId":"X"},"connId":"a"}"#.to_owned(),
            ],
        }
    }

    fn rest(&self, request: &Request, table: &Table, rows: usize) -> Option<String> {
        let path = request.path.strip_prefix("/api/v5/")?;
        if path == "public/instruments" {
            let row = |symbol: &Symbol| {
                format!(
                    r#"{{"instType":"SPOT","instId":"{}","baseCcy":"{}","quoteCcy":"{}","tickSz":"0.01","lotSz":"0.0001","minSz":"0.0001","state":"live"}}"#,
                    name(symbol),
                    symbol.base(),
                    symbol.quote()
                )
            };
            return Some(answer(&list(table.symbols(), rows, row)));
        }
        let Some(symbol) = symbol_named(table, request.text("instId"), name) else {
            return Some(r#"{"code":"51001","msg":"Instrument ID does not exist","data":[]}"#.to_owned());
        };
        let (after, limit) = (request.number("after").unwrap_or(u64::MAX), rows.min(PAGE));
        match path {
            "market/history-trades" => {
                let by_id = request.text("type") != "2";
                let older = |t: &&TableTrade| if by_id { t.id < after } else { t.time_ms < after };
                let newest = table.trades(&symbol).iter().rev().filter(older);
                Some(answer(&list(newest, limit, |trade| item(&symbol, trade))))
            }
            "market/history-candles" => {
                let seconds = match request.text("bar") {
                    "1s" => 1,
                    "1m" => 60,
                    "5m" => 300,
                    "15m" => 900,
                    "1H" => 3600,
                    "4H" => 14_400,
                    "1Dutc" => 86_400,
                    _ => return None,
                };
                let candles = table.candles(&symbol, seconds, request.number("before")? + 1, after);
                let row = |c: &TableCandle| {
                    format!(
                        r#"["{}","{}","{}","{}","{}","{}","{}","{}","1"]"#,
                        c.open_ms, c.open, c.high, c.low, c.close, c.volume, c.volume, c.quote_volume
                    )
                };
                Some(answer(&list(candles.iter().rev(), limit, row)))
            }
            _ => None,
        }
    }
}
