//! A market out of formulas and the REST servers of the venues over it, as their documentation describes them: order,
//! page size, which ends are included.

use std::collections::BTreeMap;

/// The time of trade 0 and the start of the candles, ns: 2024-08-08 00:00 UTC.
pub(crate) const START_NS: u64 = 1_723_075_200_000_000_000;
const MS: u64 = 1_000_000;

/// The parameters of a request.
struct Query<'a>(BTreeMap<&'a str, &'a str>);

impl Query<'_> {
    fn number(&self, key: &str) -> u64 {
        self.0[key].parse().unwrap()
    }
}

/// Trades `1..=last`: two share each millisecond, 40 ms apart. Candles of any interval from `START_NS` to `now_ns`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Market {
    pub(crate) last: u64,
    pub(crate) now_ns: u64,
}

impl Market {
    pub(crate) fn time_ns(id: u64) -> u64 {
        START_NS + id / 2 * 40 * MS
    }

    /// The first id at or after a time.
    pub(crate) fn first_at(time_ns: u64) -> u64 {
        (time_ns.saturating_sub(START_NS).div_ceil(40 * MS) * 2).max(1)
    }

    /// Every seventh interval has no trades.
    pub(crate) fn has_trades(open_ns: u64, interval_ns: u64) -> bool {
        !(open_ns / interval_ns).is_multiple_of(7)
    }

    /// Opens of the candles in `[from, to]`, the one that is still open included.
    fn opens(self, interval_ns: u64, from_ns: u64, to_ns: u64) -> impl DoubleEndedIterator<Item = u64> {
        let first = from_ns.max(START_NS).div_ceil(interval_ns);
        let last = to_ns.min(self.now_ns) / interval_ns;
        (first..=last).map(move |index| index * interval_ns)
    }

    /// The answer of a venue to a request.
    pub(crate) fn answer(self, venue: &str, request: &str) -> String {
        let (path, query) = request.split_once('?').unwrap_or((request, ""));
        let query = Query(query.split('&').filter_map(|pair| pair.split_once('=')).collect());
        match (venue, path) {
            ("BINANCE", "/api/v3/aggTrades") => self.binance_aggregate(&query),
            ("BINANCE", "/api/v3/historicalTrades") => {
                let (from, limit) = (query.number("fromId").max(1), query.number("limit"));
                assert!(limit <= 1000);
                list((from..=self.last.min(from + limit - 1)).map(binance_trade))
            }
            ("BINANCE-USDM", "/fapi/v1/trades") => list(self.newest(1000).map(binance_trade)),
            ("BINANCE", "/api/v3/klines") | ("BINANCE-USDM", "/fapi/v1/klines") => self.binance_candles(&query),
            ("COINBASE", "/products/BTC-USDT/trades") => {
                let below = query.0.get("after").map_or(u64::MAX, |text| text.parse().unwrap());
                let (highest, limit) = (self.last.min(below.saturating_sub(1)), query.number("limit"));
                assert!(limit <= 1000);
                list((highest.saturating_sub(limit - 1).max(1)..=highest).rev().map(coinbase_trade))
            }
            ("COINBASE", "/products/BTC-USDT/candles") => self.coinbase_candles(&query),
            ("KRAKEN", "/0/public/Trades") => self.kraken_trades(query.number("since"), query.number("count")),
            ("KRAKEN", "/0/public/OHLC") => self.kraken_candles(&query),
            ("OKX", "/api/v5/market/history-trades") => {
                let after = query.number("after");
                let below = if query.0["type"] == "1" { after } else { Self::first_at(after * MS) };
                let highest = self.last.min(below.saturating_sub(1));
                okx(list((highest.saturating_sub(99).max(1)..=highest).rev().map(okx_trade)))
            }
            ("OKX", "/api/v5/market/history-candles") => self.okx_candles(&query),
            ("BYBIT", "/v5/market/recent-trade") => bybit(list(self.newest(60).rev().map(bybit_trade))),
            ("BYBIT", "/v5/market/kline") => self.bybit_candles(&query),
            (venue, path) => panic!("{venue} was asked for {path}"),
        }
    }

    fn newest(self, count: u64) -> impl DoubleEndedIterator<Item = u64> {
        self.last.saturating_sub(count - 1).max(1)..=self.last
    }

    fn binance_aggregate(self, query: &Query<'_>) -> String {
        let id = Self::first_at(query.number("startTime") * MS);
        if id > self.last {
            return "[]".to_owned();
        }
        format!(r#"[{{"a":1,"f":{id},"l":{id},"T":{}}}]"#, Self::time_ns(id) / MS)
    }

    fn binance_candles(self, query: &Query<'_>) -> String {
        let interval = binance_interval(query.0["interval"]);
        let opens = self.opens(interval, query.number("startTime") * MS, query.number("endTime") * MS);
        let limit = usize::try_from(query.number("limit")).unwrap();
        list(opens.take(limit).map(|open| binance_candle(open, interval)))
    }

    fn coinbase_candles(self, query: &Query<'_>) -> String {
        let interval = query.number("granularity") * 1_000_000_000;
        let opens: Vec<u64> = self.opens(interval, iso(query.0["start"]), iso(query.0["end"])).collect();
        assert!(opens.len() <= 300, "the venue refuses more than 300");
        let traded = opens.into_iter().rev().filter(|open| Self::has_trades(*open, interval));
        list(traded.map(|open| format!("[{},9.5,12,10,11,2.5]", open / 1_000_000_000)))
    }

    fn kraken_candles(self, query: &Query<'_>) -> String {
        let interval = query.number("interval") * 60_000_000_000;
        let since = query.number("since") * 1_000_000_000;
        let mut opens: Vec<u64> = self.opens(interval, START_NS, self.now_ns).rev().take(720).collect();
        opens.retain(|open| *open > since && Self::has_trades(*open, interval));
        let row = |open: &u64| format!(r#"[{},"10","12","9.5","11","10.5","2.5",4]"#, open / 1_000_000_000);
        format!(r#"{{"error":[],"result":{{"XBTUSDT":{},"last":1}}}}"#, list(opens.iter().rev().map(row)))
    }

    fn okx_candles(self, query: &Query<'_>) -> String {
        let interval = okx_interval(query.0["bar"]);
        let opens = self.opens(interval, query.number("before") * MS + 1, query.number("after") * MS - 1);
        okx(list(opens.rev().take(100).map(|open| {
            let confirm = u8::from(open + interval <= self.now_ns);
            let volume = if Self::has_trades(open, interval) { "2.5" } else { "0" };
            format!(r#"["{}","10","12","9.5","11","{volume}","{volume}","26","{confirm}"]"#, open / MS)
        })))
    }

    fn bybit_candles(self, query: &Query<'_>) -> String {
        let interval = bybit_interval(query.0["interval"]);
        let opens = self.opens(interval, query.number("start") * MS, query.number("end") * MS);
        bybit(list(opens.rev().take(1000).map(|open| {
            let volume = if Self::has_trades(open, interval) { "2.5" } else { "0" };
            format!(r#"["{}","10","12","9.5","11","{volume}","26"]"#, open / MS)
        })))
    }

    fn kraken_trades(self, since: u64, count: u64) -> String {
        let first = Self::first_at(since + 1);
        let ids: Vec<u64> = (first..=self.last).take(usize::try_from(count).unwrap()).collect();
        let last = ids.last().map_or(since, |id| Self::time_ns(*id));
        let rows = ids.iter().map(|id| {
            let time_ns = Self::time_ns(*id);
            let (seconds, fraction) = (time_ns / 1_000_000_000, time_ns % 1_000_000_000);
            format!(r#"["10","2.5",{seconds}.{fraction:09},"b","l","",{id}]"#)
        });
        format!(r#"{{"error":[],"result":{{"XBTUSDT":{},"last":"{last}"}}}}"#, list(rows))
    }
}

fn list(rows: impl Iterator<Item = String>) -> String {
    format!("[{}]", rows.collect::<Vec<_>>().join(","))
}

fn okx(rows: String) -> String {
    format!(r#"{{"code":"0","msg":"","data":{rows}}}"#)
}

fn bybit(rows: String) -> String {
    format!(r#"{{"retCode":0,"retMsg":"OK","result":{{"category":"spot","list":{rows}}},"time":1}}"#)
}

fn binance_trade(id: u64) -> String {
    format!(
        r#"{{"id":{id},"price":"10","qty":"2.5","quoteQty":"25","time":{},"isBuyerMaker":false,"isBestMatch":true}}"#,
        Market::time_ns(id) / MS
    )
}

fn coinbase_trade(id: u64) -> String {
    let ms = Market::time_ns(id) / MS % 86_400_000;
    let day = (Market::time_ns(id) - START_NS) / (86_400_000 * MS) + 8;
    let (hour, minute, second, fraction) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000);
    format!(
        r#"{{"trade_id":{id},"side":"sell","size":"2.5","price":"10","time":"2024-08-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:03}000Z"}}"#
    )
}

fn okx_trade(id: u64) -> String {
    format!(
        r#"{{"instId":"BTC-USDT","side":"buy","sz":"2.5","px":"10","tradeId":"{id}","ts":"{}"}}"#,
        Market::time_ns(id) / MS
    )
}

fn bybit_trade(id: u64) -> String {
    format!(
        r#"{{"execId":"{id}","symbol":"BTCUSDT","price":"10","size":"2.5","side":"Buy","time":"{}","isBlockTrade":false}}"#,
        Market::time_ns(id) / MS
    )
}

fn binance_candle(open: u64, interval: u64) -> String {
    let (volume, trades) = if Market::has_trades(open, interval) { ("2.5", 4) } else { ("0", 0) };
    format!(
        r#"[{},"10","12","9.5","11","{volume}",{},"26",{trades},"1","10","0"]"#,
        open / MS,
        (open + interval) / MS - 1
    )
}

fn binance_interval(word: &str) -> u64 {
    let seconds = match word {
        "1s" => 1,
        "1m" => 60,
        "5m" => 300,
        "15m" => 900,
        "1h" => 3600,
        "4h" => 14_400,
        "1d" => 86_400,
        other => panic!("no interval {other}"),
    };
    seconds * 1_000_000_000
}

fn okx_interval(word: &str) -> u64 {
    binance_interval(&word.to_ascii_lowercase().replace("utc", ""))
}

fn bybit_interval(word: &str) -> u64 {
    if word == "D" { 86_400_000_000_000 } else { word.parse::<u64>().unwrap() * 60_000_000_000 }
}

/// `2024-08-08T12:34:56Z` of August 2024.
fn iso(text: &str) -> u64 {
    let part = |range: std::ops::Range<usize>| text[range].parse::<u64>().unwrap();
    assert!(text.starts_with("2024-08-") && text.ends_with('Z'), "{text}");
    let days = part(8..10) - 8;
    START_NS + (((days * 24 + part(11..13)) * 60 + part(14..16)) * 60 + part(17..19)) * 1_000_000_000
}
