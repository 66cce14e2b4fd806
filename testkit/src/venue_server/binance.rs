//! Binance, spot and USD-margined futures.

use super::dialect::{Asked, Dialect, Request, list, symbol_named};
use super::table::{Table, TableTrade};
use proto::Symbol;

/// One of the two markets.
#[derive(Debug)]
pub(super) struct Binance {
    pub(super) usdm: bool,
}

fn name(symbol: &Symbol) -> String {
    [symbol.base(), symbol.quote()].concat()
}

const PAGE: usize = 1000;

impl Binance {
    fn row(trade: &TableTrade) -> String {
        format!(
            r#"{{"id":{},"price":"{}","qty":"{}","time":{},"isBuyerMaker":{},"isBestMatch":true}}"#,
            trade.id, trade.price, trade.size, trade.time_ms, !trade.buy
        )
    }

    fn instruments(&self, table: &Table, rows: usize) -> String {
        let contract = if self.usdm { r#""contractType":"PERPETUAL","# } else { "" };
        let row = |symbol: &Symbol| {
            format!(
                r#"{{"symbol":"{}","status":"TRADING",{contract}"baseAsset":"{}","quoteAsset":"{}","filters":[{{"filterType":"PRICE_FILTER","tickSize":"0.01"}},{{"filterType":"LOT_SIZE","stepSize":"0.0001"}},{{"filterType":"MIN_NOTIONAL","notional":"5"}}]}}"#,
                name(symbol),
                symbol.base(),
                symbol.quote()
            )
        };
        format!(r#"{{"symbols":[{}]}}"#, list(table.symbols(), rows, row))
    }

    fn candles(request: &Request, table: &Table, symbol: &Symbol, rows: usize) -> Option<String> {
        let seconds = match request.text("interval") {
            "1s" => 1,
            "1m" => 60,
            "5m" => 300,
            "15m" => 900,
            "1h" => 3600,
            "4h" => 14_400,
            "1d" => 86_400,
            _ => return None,
        };
        let candles = table.candles(symbol, seconds, request.number("startTime")?, request.number("endTime")? + 1);
        let row = |c: &super::table::TableCandle| {
            let close_ms = c.open_ms + seconds * 1000 - 1;
            format!(
                r#"[{},"{}","{}","{}","{}","{}",{close_ms},"{}",{},"0","0","0"]"#,
                c.open_ms, c.open, c.high, c.low, c.close, c.volume, c.quote_volume, c.trades
            )
        };
        Some(format!("[{}]", list(candles.iter(), rows.min(PAGE), row)))
    }
}

impl Dialect for Binance {
    fn trade(&self, symbol: &Symbol, trade: &TableTrade) -> String {
        let (name, cause) = (name(symbol), if self.usdm { r#","X":"MARKET""# } else { "" });
        format!(
            r#"{{"stream":"{}@trade","data":{{"e":"trade","E":{},"s":"{name}","t":{},"p":"{}","q":"{}","T":{},"m":{},"M":true{cause}}}}}"#,
            name.to_lowercase(),
            trade.time_ms + 1,
            trade.id,
            trade.price,
            trade.size,
            trade.time_ms,
            !trade.buy
        )
    }

    fn quote(&self, symbol: &Symbol, trade: &TableTrade) -> String {
        let name = name(symbol);
        let time = if self.usdm { format!(r#""E":{0},"T":{0},"#, trade.time_ms) } else { String::new() };
        format!(
            r#"{{"stream":"{}@bookTicker","data":{{"e":"bookTicker","u":{},{time}"s":"{name}","b":"{}","B":"1","a":"{}","A":"2"}}}}"#,
            name.to_lowercase(),
            trade.id,
            trade.price,
            trade.price
        )
    }

    fn asked(&self, text: &str) -> Asked {
        if !text.contains("SUBSCRIBE") {
            return Asked::default();
        }
        Asked {
            trades: text.contains("@trade"),
            quotes: text.contains("@bookTicker"),
            replies: vec![r#"{"result":null,"id":1}"#.to_owned()],
        }
    }

    fn rest(&self, request: &Request, table: &Table, rows: usize) -> Option<String> {
        let path = request.path.strip_prefix(if self.usdm { "/fapi/v1/" } else { "/api/v3/" })?;
        if path == "exchangeInfo" {
            return Some(self.instruments(table, rows));
        }
        let Some(symbol) = symbol_named(table, request.text("symbol"), name) else {
            return Some(r#"{"code":-1121,"msg":"Invalid symbol."}"#.to_owned());
        };
        let trades = table.trades(&symbol);
        let limit = usize::try_from(request.number("limit").unwrap_or(500)).ok()?.min(PAGE).min(rows);
        match path {
            "aggTrades" => {
                let start_ms = request.number("startTime")?;
                let found = trades.iter().filter(|trade| trade.time_ms >= start_ms);
                let row = |t: &TableTrade| {
                    format!(
                        r#"{{"a":{0},"p":"{1}","q":"{2}","f":{0},"l":{0},"T":{3},"m":true}}"#,
                        t.id, t.price, t.size, t.time_ms
                    )
                };
                Some(format!("[{}]", list(found, limit, row)))
            }
            "historicalTrades" if !self.usdm => {
                let from_id = request.number("fromId")?;
                Some(format!("[{}]", list(trades.iter().filter(|t| t.id >= from_id), limit, Self::row)))
            }
            "trades" => {
                let newest = trades.iter().skip(trades.len().saturating_sub(limit));
                Some(format!("[{}]", list(newest, limit, Self::row)))
            }
            "klines" => Self::candles(request, table, &symbol, limit),
            _ => None,
        }
    }
}
