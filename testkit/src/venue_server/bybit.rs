//! Bybit v5 spot: trade ids that do not count up, and only the newest 60 trades.

use super::dialect::{Asked, Dialect, Request, list, symbol_named};
use super::table::{Table, TableCandle, TableTrade};
use proto::Symbol;

/// The venue.
#[derive(Debug)]
pub(super) struct Bybit;

fn name(symbol: &Symbol) -> String {
    [symbol.base(), symbol.quote()].concat()
}

const TRADES: usize = 60;
const CANDLES: usize = 1000;

const fn side(trade: &TableTrade) -> &'static str {
    if trade.buy { "Buy" } else { "Sell" }
}

fn answer(rows: &str) -> String {
    format!(r#"{{"retCode":0,"retMsg":"OK","result":{{"category":"spot","list":[{rows}]}},"time":1}}"#)
}

impl Dialect for Bybit {
    fn trade(&self, symbol: &Symbol, trade: &TableTrade) -> String {
        let name = name(symbol);
        format!(
            r#"{{"topic":"publicTrade.{name}","type":"snapshot","ts":{0},"data":[{{"T":{0},"s":"{name}","S":"{1}","v":"{2}","p":"{3}","i":"{4}","BT":false}}]}}"#,
            trade.time_ms,
            side(trade),
            trade.size,
            trade.price,
            self.shown_id(trade.id)
        )
    }

    fn quote(&self, symbol: &Symbol, trade: &TableTrade) -> String {
        let name = name(symbol);
        format!(
            r#"{{"topic":"orderbook.1.{name}","type":"snapshot","ts":{},"data":{{"s":"{name}","b":[["{1}","1"]],"a":[["{1}","2"]],"u":1,"seq":1}}}}"#,
            trade.time_ms, trade.price
        )
    }

    fn shown_id(&self, id: u64) -> String {
        // Unlike a number, and not in order.
        format!("{:08x}-trade", id.wrapping_mul(0x9E37_79B9) & 0xFFFF_FFFF)
    }

    fn asked(&self, text: &str) -> Asked {
        if text.contains(r#""op":"ping""#) {
            let reply = r#"{"success":true,"ret_msg":"pong","conn_id":"a","op":"ping"}"#;
            return Asked { replies: vec![reply.to_owned()], ..Asked::default() };
        }
        if !text.contains(r#""op":"subscribe""#) {
            return Asked::default();
        }
        Asked {
            trades: text.contains("publicTrade"),
            quotes: text.contains("orderbook"),
            replies: vec![r#"{"success":true,"ret_msg":"","conn_id":"a","req_id":"1","op":"subscribe"}"#.to_owned()],
        }
    }

    fn rest(&self, request: &Request, table: &Table, rows: usize) -> Option<String> {
        let path = request.path.strip_prefix("/v5/market/")?;
        if path == "instruments-info" {
            let row = |symbol: &Symbol| {
                format!(
                    r#"{{"symbol":"{}","baseCoin":"{}","quoteCoin":"{}","status":"Trading","lotSizeFilter":{{"basePrecision":"0.0001","minOrderAmt":"1"}},"priceFilter":{{"tickSize":"0.01"}}}}"#,
                    name(symbol),
                    symbol.base(),
                    symbol.quote()
                )
            };
            return Some(answer(&list(table.symbols(), rows, row)));
        }
        let Some(symbol) = symbol_named(table, request.text("symbol"), name) else {
            return Some(r#"{"retCode":10001,"retMsg":"params error: symbol invalid","result":{}}"#.to_owned());
        };
        match path {
            "recent-trade" => {
                let row = |t: &TableTrade| {
                    format!(
                        r#"{{"execId":"{}","symbol":"{}","price":"{}","size":"{}","side":"{}","time":"{}","isBlockTrade":false}}"#,
                        self.shown_id(t.id),
                        name(&symbol),
                        t.price,
                        t.size,
                        side(t),
                        t.time_ms
                    )
                };
                Some(answer(&list(table.trades(&symbol).iter().rev(), rows.min(TRADES), row)))
            }
            "kline" => {
                let seconds = match request.text("interval") {
                    "D" => 86_400,
                    minutes => minutes.parse::<u64>().ok()? * 60,
                };
                let candles = table.candles(&symbol, seconds, request.number("start")?, request.number("end")? + 1);
                let row = |c: &TableCandle| {
                    format!(
                        r#"["{}","{}","{}","{}","{}","{}","{}"]"#,
                        c.open_ms, c.open, c.high, c.low, c.close, c.volume, c.quote_volume
                    )
                };
                Some(answer(&list(candles.iter().rev(), rows.min(CANDLES), row)))
            }
            _ => None,
        }
    }
}
