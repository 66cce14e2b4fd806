//! The REST side of the simulated exchange: instruments, trades and candles in pages, as JSON.
//!
//! - `/v1/instruments`: `{"instruments":[{"s":"BTC/USDT","tick":"0.01","lot":"0.00001","min":"5"}]}`
//! - `/v1/trades?symbol=S&from_id=N&to_id=N` or `&from_ms=T&to_ms=T`: `{"trades":[[id,ms,"price","size","buy"],…]}`
//! - `/v1/candles?symbol=S&interval=60&from_ms=T&to_ms=T`:
//!   `{"candles":[[open ms,"open","high","low","close","volume","quote volume",trades],…]}`
//!
//! At most [`PAGE_ROWS`] rows a page. A candle appears when no late print can change it any more.

use super::frames;
use super::listing::specifications;
use super::market::{SimCandle, SimMarket, SimTrade};
use crate::sim::SimConfig;
use bytes::Bytes;
use proto::{Interval, Symbol};
use service::clock::Clock;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::sync::Arc;

/// Most rows of a page.
pub(crate) const PAGE_ROWS: usize = 5_000;
/// Prints arrive at most this late, so candles are final after it.
const SETTLED_AFTER_MS: u64 = 6_000;

/// The simulated exchange.
#[derive(Debug)]
pub(crate) struct SimExchange {
    config: SimConfig,
    clock: Clock,
    markets: BTreeMap<Symbol, Arc<SimMarket>>,
}

impl SimExchange {
    /// An exchange that lists the usual symbols and `wanted`.
    pub(crate) fn new(config: SimConfig, wanted: &[Symbol], clock: Clock) -> Self {
        let specs = specifications(&config, wanted);
        let market =
            |spec: super::market::Specification| (spec.symbol.clone(), Arc::new(SimMarket::new(config.seed, spec)));
        let markets = specs.into_iter().map(market).collect();
        Self { config, clock, markets }
    }

    pub(crate) const fn config(&self) -> &SimConfig {
        &self.config
    }

    pub(crate) fn market(&self, symbol: &Symbol) -> Option<&Arc<SimMarket>> {
        self.markets.get(symbol)
    }

    /// Milliseconds since the epoch.
    pub(crate) fn now_ms(&self) -> u64 {
        self.clock.now_ns() / 1_000_000
    }

    /// Answers a request: status and body.
    pub(crate) fn get(&self, path_and_query: &str) -> (u16, Bytes) {
        match self.answer(path_and_query) {
            Ok(body) => (200, Bytes::from(body)),
            Err((status, text)) => (status, Bytes::from(format!(r#"{{"error":"{text}"}}"#))),
        }
    }

    fn answer(&self, path_and_query: &str) -> Result<String, (u16, &'static str)> {
        let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
        let query: HashMap<&str, &str> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
        if path == "/v1/instruments" {
            return Ok(self.instruments());
        }
        let symbol: Symbol = query.get("symbol").and_then(|s| s.parse().ok()).ok_or((400, "no symbol"))?;
        let market = self.markets.get(&symbol).ok_or((404, "unknown symbol"))?;
        let number = |name: &str| query.get(name).and_then(|text| text.parse::<u64>().ok());
        match path {
            "/v1/trades" => {
                let now_ms = self.now_ms();
                let trades = match (number("from_id"), number("to_id"), number("from_ms"), number("to_ms")) {
                    (Some(from), Some(to), ..) => {
                        let mut trades = market.trades_from(from, now_ms, PAGE_ROWS);
                        trades.retain(|trade| trade.id <= to);
                        trades
                    }
                    (_, _, Some(from), Some(to)) => market.trades(from, to.min(now_ms), PAGE_ROWS),
                    _ => return Err((400, "no range")),
                };
                Ok(trades_json(market, &trades))
            }
            "/v1/candles" => {
                let interval = number("interval").and_then(|s| u32::try_from(s).ok());
                let interval = interval.and_then(|s| Interval::from_seconds(s).ok()).ok_or((400, "no interval"))?;
                let (Some(from), Some(to)) = (number("from_ms"), number("to_ms")) else {
                    return Err((400, "no range"));
                };
                let length_ms = u64::from(interval.seconds()) * 1000;
                let settled_ms = self.now_ms().saturating_sub(SETTLED_AFTER_MS);
                let to = to.min(settled_ms - settled_ms % length_ms);
                let from = from.next_multiple_of(length_ms);
                Ok(candles_json(market, &market.candles(interval, from, to, PAGE_ROWS)))
            }
            _ => Err((404, "unknown path")),
        }
    }

    fn instruments(&self) -> String {
        let row = |market: &Arc<SimMarket>| {
            let spec = market.spec();
            format!(r#"{{"s":"{}","tick":"{}","lot":"{}","min":"5"}}"#, spec.symbol, spec.tick_size, spec.lot_size)
        };
        let rows: Vec<String> = self.markets.values().map(row).collect();
        format!(r#"{{"instruments":[{}]}}"#, rows.join(","))
    }
}

fn trades_json(market: &SimMarket, trades: &[SimTrade]) -> String {
    let mut out = String::with_capacity(64 * trades.len() + 16);
    out.push_str(r#"{"trades":["#);
    for (index, trade) in trades.iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        let (price, size) = (market.price(trade.price), market.size(trade.lots));
        // Writing to a String cannot fail.
        let _infallible =
            write!(out, r#"{comma}[{},{},"{price}","{size}","{}"]"#, trade.id, trade.time_ms, frames::side(trade.buy));
    }
    out.push_str("]}");
    out
}

fn candles_json(market: &SimMarket, candles: &[SimCandle]) -> String {
    let mut out = String::with_capacity(128 * candles.len() + 16);
    out.push_str(r#"{"candles":["#);
    for (index, candle) in candles.iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        let [open, high, low, close] = [candle.open, candle.high, candle.low, candle.close].map(|p| market.price(p));
        let (volume, quote) = (market.size(candle.lots), market.turnover(candle.turnover));
        let _infallible = write!(
            out,
            r#"{comma}[{},"{open}","{high}","{low}","{close}","{volume}","{quote}",{}]"#,
            candle.open_ms, candle.trades
        );
    }
    out.push_str("]}");
    out
}
