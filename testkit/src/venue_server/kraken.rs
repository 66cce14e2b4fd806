//! Kraken: WebSocket v2 and REST v0.

use super::dialect::{Asked, Dialect, Request, list, rfc3339, symbol_named};
use super::table::{Table, TableCandle, TableTrade};
use proto::{Decimal, Symbol};

/// The venue.
#[derive(Debug)]
pub(super) struct Kraken;

/// `XBTUSD`
fn pair(symbol: &Symbol) -> String {
    let old = |asset: &str| if asset == "BTC" { "XBT".to_owned() } else { asset.to_owned() };
    old(symbol.base()) + &old(symbol.quote())
}

const PAGE: usize = 1000;
const CANDLES: usize = 720;

fn seconds(time_ms: u64) -> String {
    format!("{}.{:03}000000", time_ms / 1000, time_ms % 1000)
}

/// Price by volume to eight digits, as the venue gives it.
fn vwap(candle: &TableCandle) -> String {
    let (quote, volume) = (candle.quote_volume.units(), candle.volume.units().max(1));
    let digits = quote.saturating_mul(100_000_000) / volume;
    Decimal::new(digits, 8).unwrap_or_default().to_string()
}

impl Dialect for Kraken {
    fn trade(&self, symbol: &Symbol, trade: &TableTrade) -> String {
        format!(
            r#"{{"channel":"trade","type":"update","data":[{{"symbol":"{symbol}","side":"{}","price":{},"qty":{},"ord_type":"market","trade_id":{},"timestamp":"{}"}}]}}"#,
            if trade.buy { "buy" } else { "sell" },
            trade.price,
            trade.size,
            trade.id,
            rfc3339(trade.time_ms)
        )
    }

    fn quote(&self, symbol: &Symbol, trade: &TableTrade) -> String {
        format!(
            r#"{{"channel":"ticker","type":"update","data":[{{"symbol":"{symbol}","bid":{0},"bid_qty":1.5,"ask":{0},"ask_qty":2.5,"last":{0}}}]}}"#,
            trade.price
        )
    }

    fn asked(&self, text: &str) -> Asked {
        if text.contains(r#""method":"ping""#) {
            return Asked { replies: vec![r#"{"method":"pong"}"#.to_owned()], ..Asked::default() };
        }
        let (trades, quotes) = (text.contains(r#""channel":"trade""#), text.contains(r#""channel":"ticker""#));
        if !trades && !quotes {
            return Asked::default();
        }
        let channel = if trades { "trade" } else { "ticker" };
        let reply = format!(r#"{{"method":"subscribe","result":{{"channel":"{channel}"}},"success":true}}"#);
        Asked { trades, quotes, replies: vec![reply] }
    }

    fn rest(&self, request: &Request, table: &Table, rows: usize) -> Option<String> {
        let path = request.path.strip_prefix("/0/public/")?;
        if path == "AssetPairs" {
            let row = |symbol: &Symbol| {
                let name = pair(symbol);
                let (base, quote) = (symbol.base(), symbol.quote());
                format!(
                    r#""{name}":{{"altname":"{name}","wsname":"{}/{quote}","base":"{base}","quote":"{quote}","tick_size":"0.01","pair_decimals":2,"lot_decimals":4,"costmin":"0.5","status":"online"}}"#,
                    if base == "BTC" { "XBT" } else { base }
                )
            };
            return Some(format!(r#"{{"error":[],"result":{{{}}}}}"#, list(table.symbols(), rows, row)));
        }
        let Some(symbol) = symbol_named(table, request.text("pair"), pair) else {
            return Some(r#"{"error":["EQuery:Unknown asset pair"]}"#.to_owned());
        };
        let since = request.number("since").unwrap_or(0);
        match path {
            "Trades" => {
                let limit = usize::try_from(request.number("count").unwrap_or(1000)).ok()?.min(PAGE).min(rows);
                let found: Vec<&TableTrade> =
                    table.trades(&symbol).iter().filter(|t| t.time_ms * 1_000_000 > since).take(limit).collect();
                let last = found.last().map_or(since, |trade| trade.time_ms * 1_000_000);
                let row = |t: &TableTrade| {
                    let side = if t.buy { "b" } else { "s" };
                    format!(r#"["{}","{}",{},"{side}","m","",{}]"#, t.price, t.size, seconds(t.time_ms), t.id)
                };
                let rows = list(found.into_iter(), limit, row);
                Some(format!(r#"{{"error":[],"result":{{"{}":[{rows}],"last":"{last}"}}}}"#, pair(&symbol)))
            }
            "OHLC" => {
                let length = request.number("interval")? * 60;
                let candles = table.candles(&symbol, length, since * 1000 + 1, u64::MAX);
                let newest = candles.iter().skip(candles.len().saturating_sub(CANDLES));
                let row = |c: &TableCandle| {
                    format!(
                        r#"[{},"{}","{}","{}","{}","{}","{}",{}]"#,
                        c.open_ms / 1000,
                        c.open,
                        c.high,
                        c.low,
                        c.close,
                        vwap(c),
                        c.volume,
                        c.trades
                    )
                };
                let rows = list(newest, rows, row);
                Some(format!(r#"{{"error":[],"result":{{"{}":[{rows}],"last":0}}}}"#, pair(&symbol)))
            }
            _ => None,
        }
    }
}
