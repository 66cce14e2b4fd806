//! Paging of trades and candles against servers that behave as each venue documents: all of it, once, and an end.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

#[path = "history/market.rs"]
mod market;

use market::{Market, START_NS};
use proptest::prelude::*;
use proto::{Interval, Symbol};
use std::collections::BTreeSet;
use venues::{Adapter, CandlesQuery, Cursor, TradeIds, TradesQuery};

const HOUR_NS: u64 = 3_600_000_000_000;
/// Two hours and a bit: 180 000 trades.
const MARKET: Market = Market { last: 360_000, now_ns: START_NS + 2 * HOUR_NS + 12_345_678_901 };

fn venue(name: &str) -> &'static dyn Adapter {
    venues::adapter(&name.parse().unwrap()).unwrap()
}

fn btc() -> Symbol {
    "BTC/USDT".parse().unwrap()
}

/// What a chain of trade pages gave.
#[derive(Debug, Default)]
struct Fetched {
    ids: Vec<u64>,
    pages: usize,
    cut_short: bool,
}

fn fetch(name: &str, market: Market, query: TradesQuery) -> Fetched {
    let adapter = venue(name);
    let mut fetched = Fetched::default();
    let mut next = Some(query);
    while let Some(query) = next {
        fetched.pages += 1;
        assert!(fetched.pages < 5000, "{name} does not end");
        let request = adapter.trades_page(&query).expect("a request");
        let body = market.answer(name, &request.path_and_query);
        let page = adapter.parse_trades(&query, body.as_bytes(), market.now_ns).expect("a page");
        assert!(page.refused.is_empty(), "{name}: {:?}", page.refused);
        let times: Vec<_> =
            page.ticks.iter().map(|tick| (tick.event_time_ns, tick.trade_id.parse::<u64>().unwrap())).collect();
        assert!(times.is_sorted(), "{name}: a page must ascend");
        assert!(times.iter().all(|(time_ns, id)| *time_ns == Market::time_ns(*id)), "{name}: a wrong time");
        fetched.ids.extend(times.iter().map(|(_, id)| id));
        fetched.cut_short |= page.cut_short;
        next = page.next;
    }
    fetched
}

/// Each id once; Kraken repeats the trades of the last time of a page, whose ids tell them.
fn distinct(name: &str, fetched: &Fetched) -> BTreeSet<u64> {
    let ids: BTreeSet<u64> = fetched.ids.iter().copied().collect();
    if name != "KRAKEN" {
        assert_eq!(ids.len(), fetched.ids.len(), "{name} gave a trade twice");
    }
    ids
}

/// Venues that can give any trade of the past.
const DEEP: [&str; 4] = ["BINANCE", "COINBASE", "KRAKEN", "OKX"];

#[test]
fn a_hole_of_ids_is_filled_exactly() {
    for name in DEEP {
        for (first, last) in [(1, 1), (5000, 5000), (5000, 5001), (4990, 8123), (359_000, 360_000)] {
            let (from_ns, to_ns) = (Market::time_ns(first), Market::time_ns(last + 1));
            let fetched = fetch(name, MARKET, TradesQuery::by_id(btc(), first, last, from_ns, to_ns));
            assert!(!fetched.cut_short, "{name}");
            assert_eq!(distinct(name, &fetched), (first..=last).collect(), "{name} {first}..={last}");
        }
    }
}

#[test]
fn a_range_of_time_is_fetched_exactly() {
    let ranges = [(0, 1_000_000), (0, 40_000_000), (HOUR_NS / 2, HOUR_NS / 2 + 90_000_000_000), (HOUR_NS, HOUR_NS)];
    for name in DEEP {
        for (from, to) in ranges {
            let (from_ns, to_ns) = (START_NS + from, START_NS + to);
            let fetched = fetch(name, MARKET, TradesQuery::by_time(btc(), from_ns, to_ns));
            let wanted = (1..=MARKET.last).filter(|id| (from_ns..to_ns).contains(&Market::time_ns(*id))).collect();
            assert_eq!(distinct(name, &fetched), wanted, "{name} {from}..{to}");
        }
    }
}

#[test]
fn coinbase_finds_an_old_time_in_few_pages() {
    let market = Market { last: 4_000_000, now_ns: START_NS + 23 * HOUR_NS };
    let query = TradesQuery::by_time(btc(), START_NS + HOUR_NS, START_NS + HOUR_NS + 1_000_000_000);
    let fetched = fetch("COINBASE", market, query);
    assert_eq!(fetched.ids.len(), 50);
    assert!(fetched.pages < 16, "{} pages", fetched.pages);
}

#[test]
fn coinbase_asks_only_below_ids_that_exist() {
    let market = Market { last: 3, now_ns: START_NS + HOUR_NS };
    let fetched = fetch("COINBASE", market, TradesQuery::by_time(btc(), START_NS - 2, START_NS - 1));
    assert_eq!((fetched.ids.len(), fetched.pages < 4), (0, true));
}

#[test]
fn a_venue_that_kept_too_little_says_so() {
    let early = TradesQuery::by_time(btc(), START_NS, START_NS + HOUR_NS);
    for name in ["BINANCE-USDM", "BYBIT"] {
        let fetched = fetch(name, MARKET, early.clone());
        assert!(fetched.cut_short && fetched.ids.is_empty(), "{name}");
    }
    let recent = TradesQuery::by_time(btc(), Market::time_ns(359_980), u64::MAX);
    for name in ["BINANCE-USDM", "BYBIT"] {
        let fetched = fetch(name, MARKET, recent.clone());
        assert!(!fetched.cut_short, "{name}");
        assert_eq!(distinct(name, &fetched), (359_980..=360_000).collect(), "{name}");
    }
    let hole = |first| TradesQuery::by_id(btc(), first, 359_500, 0, u64::MAX);
    assert!(!fetch("BINANCE-USDM", MARKET, hole(359_001)).cut_short);
    assert!(fetch("BINANCE-USDM", MARKET, hole(359_000)).cut_short);
    // Ids of this venue tell nothing about holes.
    assert!(venue("BYBIT").trades_page(&hole(1)).is_none());
    assert_eq!(venue("BYBIT").profile().trade_ids, TradeIds::Opaque);
}

/// Opens of all candles that a query gives.
fn fetch_candles(name: &str, market: Market, query: CandlesQuery) -> Option<(Vec<u64>, bool)> {
    let adapter = venue(name);
    let (mut opens, mut cut_short, mut pages) = (Vec::new(), false, 0);
    let mut next = Some(query);
    while let Some(query) = next {
        pages += 1;
        assert!(pages < 5000, "{name} does not end");
        let request = adapter.candles_page(&query)?;
        let body = market.answer(name, &request.path_and_query);
        let page = adapter.parse_candles(&query, body.as_bytes(), market.now_ns).expect("a page");
        assert!(page.refused.is_empty(), "{name}: {:?}", page.refused);
        assert!(page.candles.iter().all(|candle| candle.closed && candle.revision == 0));
        opens.extend(page.candles.iter().map(|candle| candle.open_time_ns));
        cut_short |= page.cut_short;
        if let Some(next) = &page.next {
            assert!(next.from_ns > query.from_ns && next.to_ns == query.to_ns, "{name}: no progress");
        }
        next = page.next;
    }
    Some((opens, cut_short))
}

#[test]
fn candles_of_a_range_longer_than_a_page_come_complete_in_order_and_closed() {
    for adapter in venues::all() {
        let name = adapter.venue().as_str();
        let market = Market { last: 0, now_ns: START_NS + 8 * HOUR_NS + 30_000_000_000 };
        let (from_ns, to_ns) = (START_NS + 60_000_000_000, START_NS + 9 * HOUR_NS);
        let query = CandlesQuery { symbol: btc(), interval: Interval::M1, from_ns, to_ns };
        let Some((opens, cut_short)) = fetch_candles(name, market, query) else {
            assert_eq!(name, "HYPERLIQUID");
            continue;
        };
        let minute = Interval::M1.nanos();
        let wanted: Vec<u64> = (1..8 * 60)
            .map(|index| START_NS + index * minute)
            .filter(|open| Market::has_trades(*open, minute))
            .collect();
        assert_eq!((opens, cut_short), (wanted, false), "{name}");
    }
}

#[test]
fn each_venue_names_the_intervals_it_has() {
    let seconds = |name: &str| -> Vec<u32> {
        let query = |interval| CandlesQuery { symbol: btc(), interval, from_ns: START_NS, to_ns: START_NS + HOUR_NS };
        let has = |interval: &Interval| venue(name).candles_page(&query(*interval)).is_some();
        Interval::ALL.into_iter().filter(has).map(Interval::seconds).collect()
    };
    assert_eq!(seconds("BINANCE"), [1, 60, 300, 900, 3600, 14_400, 86_400]);
    assert_eq!(seconds("BINANCE-USDM"), [60, 300, 900, 3600, 14_400, 86_400]);
    assert_eq!(seconds("COINBASE"), [60, 300, 900, 3600, 86_400]);
    assert_eq!(seconds("KRAKEN"), [60, 300, 900, 3600, 14_400, 86_400]);
    assert_eq!(seconds("OKX"), [1, 60, 300, 900, 3600, 14_400, 86_400]);
    assert_eq!(seconds("BYBIT"), [60, 300, 900, 3600, 14_400, 86_400]);
}

#[test]
fn the_candle_that_is_still_open_is_left_out_until_its_end_is_certain() {
    let minute = Interval::M1.nanos();
    for name in ["BINANCE", "BINANCE-USDM", "COINBASE", "KRAKEN", "OKX", "BYBIT"] {
        let count = |now_ns| {
            let query =
                CandlesQuery { symbol: btc(), interval: Interval::M1, from_ns: START_NS, to_ns: START_NS + HOUR_NS };
            fetch_candles(name, Market { last: 0, now_ns }, query).unwrap().0.len()
        };
        let end = START_NS + 10 * minute;
        let before = count(end - 1);
        assert_eq!(count(end + 1_999_999_999), before, "{name}");
        assert_eq!(count(end + 2_000_000_000), before + 1, "{name}");
    }
}

#[test]
fn kraken_says_that_older_candles_are_gone() {
    let market = Market { last: 0, now_ns: START_NS + 20 * HOUR_NS };
    let query =
        |from_ns| CandlesQuery { symbol: btc(), interval: Interval::M1, from_ns, to_ns: START_NS + 20 * HOUR_NS };
    let (opens, cut_short) = fetch_candles("KRAKEN", market, query(START_NS)).unwrap();
    assert_eq!((opens.first(), cut_short), (Some(&(START_NS + 8 * HOUR_NS + 60_000_000_000)), true));
    let (opens, cut_short) = fetch_candles("KRAKEN", market, query(START_NS + 9 * HOUR_NS)).unwrap();
    assert_eq!((opens.first(), cut_short), (Some(&(START_NS + 9 * HOUR_NS)), false));
}

#[test]
fn requests_are_written_as_documented() {
    let by_id = TradesQuery::by_id(btc(), 100, 300, START_NS, START_NS + 1);
    let by_time = TradesQuery::by_time(btc(), START_NS, START_NS + 1);
    let candles =
        CandlesQuery { symbol: btc(), interval: Interval::H1, from_ns: START_NS, to_ns: START_NS + 2 * HOUR_NS };
    let cases = [
        ("BINANCE", &by_id, Some("/api/v3/historicalTrades?symbol=BTCUSDT&fromId=100&limit=201")),
        ("BINANCE", &by_time, Some("/api/v3/aggTrades?symbol=BTCUSDT&startTime=1723075200000&limit=1")),
        ("BINANCE-USDM", &by_id, Some("/fapi/v1/trades?symbol=BTCUSDT&limit=1000")),
        ("COINBASE", &by_id, Some("/products/BTC-USDT/trades?limit=1000&after=301")),
        ("COINBASE", &by_time, Some("/products/BTC-USDT/trades?limit=1000")),
        ("KRAKEN", &by_id, Some("/0/public/Trades?pair=XBTUSDT&since=1723075199999999999&count=1000")),
        ("OKX", &by_id, Some("/api/v5/market/history-trades?instId=BTC-USDT&type=1&after=301&limit=100")),
        ("OKX", &by_time, Some("/api/v5/market/history-trades?instId=BTC-USDT&type=2&after=1723075200001&limit=100")),
        ("BYBIT", &by_time, Some("/v5/market/recent-trade?category=spot&symbol=BTCUSDT&limit=60")),
        ("HYPERLIQUID", &by_time, None),
    ];
    for (name, query, path) in cases {
        assert_eq!(venue(name).trades_page(query).map(|request| request.path_and_query).as_deref(), path, "{name}");
    }
    let cases = [
        (
            "BINANCE",
            "/api/v3/klines?symbol=BTCUSDT&interval=1h&startTime=1723075200000&endTime=1723082399999&limit=1000",
        ),
        ("COINBASE", "/products/BTC-USDT/candles?granularity=3600&start=2024-08-08T00:00:00Z&end=2024-08-08T01:59:59Z"),
        ("KRAKEN", "/0/public/OHLC?pair=XBTUSDT&interval=60&since=1723071600"),
        (
            "OKX",
            "/api/v5/market/history-candles?instId=BTC-USDT&bar=1H&before=1723075199999&after=1723082400000&limit=100",
        ),
        (
            "BYBIT",
            "/v5/market/kline?category=spot&symbol=BTCUSDT&interval=60&start=1723075200000&end=1723082399999&limit=1000",
        ),
    ];
    for (name, path) in cases {
        assert_eq!(venue(name).candles_page(&candles).unwrap().path_and_query, path, "{name}");
    }
}

#[test]
fn one_bad_row_does_not_take_the_page_with_it() {
    let rows = r#"[{"id":1,"price":"10","qty":"1","time":1723075200000,"isBuyerMaker":true},
        {"id":2,"price":"-10","qty":"1","time":1723075200000,"isBuyerMaker":true},
        {"id":3,"price":"10","time":1723075200000,"isBuyerMaker":true},"four",
        {"id":5,"price":"10","qty":"1","time":1723075200000,"isBuyerMaker":true}]"#;
    let query = TradesQuery::by_id(btc(), 1, 5, START_NS, START_NS + 1);
    let page = venue("BINANCE").parse_trades(&query, rows.as_bytes(), MARKET.now_ns).unwrap();
    assert_eq!((page.ticks.len(), page.refused.len(), page.next), (2, 3, None));
}

#[test]
fn bad_candles_are_refused_by_cause() {
    let query = CandlesQuery { symbol: btc(), interval: Interval::M1, from_ns: START_NS, to_ns: START_NS + HOUR_NS };
    let cases = [
        (r#"["1723075200000","10","9","8","10","1","1"]"#, "bad_candle"),
        (r#"["1723075200000","10","12","11","10","1","1"]"#, "bad_candle"),
        (r#"["1723075200001","10","12","9","10","1","1"]"#, "bad_candle"),
        (r#"["1723075200000","10","12","9","10","-1","1"]"#, "out_of_range"),
        (r#"["1723075200000","10","12","0","10","1","1"]"#, "out_of_range"),
        (r#"["1723075200000","x","12","9","10","1","1"]"#, "bad_number"),
        (r#"["1723075200000","10","12","9","10","1"]"#, "missing_field"),
        (r#"["soon","10","12","9","10","1","1"]"#, "bad_time"),
        ("{}", "malformed"),
    ];
    for (row, reason) in cases {
        let body = format!(r#"{{"retCode":0,"retMsg":"OK","result":{{"list":[{row}]}}}}"#);
        let page = venue("BYBIT").parse_candles(&query, body.as_bytes(), MARKET.now_ns).unwrap();
        assert_eq!(page.refused.first().map(|rejection| rejection.reason.label()), Some(reason), "{row}");
    }
}

proptest! {
    #[test]
    fn any_hole_is_filled_exactly(name in prop::sample::select(DEEP.to_vec()), first in 1u64..20_000, length in 0u64..2500) {
        let market = Market { last: 20_000, now_ns: START_NS + HOUR_NS };
        let last = (first + length).min(market.last);
        let query = TradesQuery::by_id(btc(), first, last, Market::time_ns(first), Market::time_ns(last + 1));
        prop_assert_eq!(distinct(name, &fetch(name, market, query)), (first..=last).collect());
    }

    #[test]
    fn any_range_of_time_is_fetched_exactly(name in prop::sample::select(DEEP.to_vec()), from in 0u64..400_000, length in 0u64..60_000) {
        let market = Market { last: 20_000, now_ns: START_NS + HOUR_NS };
        let (from_ns, to_ns) = (START_NS + from * 1_000_000, START_NS + (from + length) * 1_000_000);
        let fetched = fetch(name, market, TradesQuery::by_time(btc(), from_ns, to_ns));
        let wanted: BTreeSet<u64> = (1..=market.last).filter(|id| (from_ns..to_ns).contains(&Market::time_ns(*id))).collect();
        prop_assert_eq!(distinct(name, &fetched), wanted);
    }

    /// Whatever a server answers, a chain of pages ends: each next query asks for strictly less.
    #[test]
    fn no_server_can_keep_us_paging(
        at in 0usize..7,
        ids in proptest::collection::vec((1u64..2_000_000, 0u64..400_000_000), 0..5),
        copies in 1usize..1001,
    ) {
        let adapter = venues::all()[at];
        let name = adapter.venue().as_str();
        let rows: Vec<(u64, u64)> = ids.iter().copied().cycle().take(ids.len() * copies).take(1000).collect();
        let body = same_rows(name, &rows);
        for query in [TradesQuery::by_time(btc(), START_NS, START_NS + HOUR_NS), TradesQuery::by_id(btc(), 5, 1_000_000, START_NS, START_NS + HOUR_NS)] {
            let mut next = Some(query);
            for page in 0.. {
                let Some(query) = next.filter(|query| adapter.trades_page(query).is_some()) else { break };
                prop_assert!(page < 100, "{} goes on: {:?}", name, query.cursor);
                next = match adapter.parse_trades(&query, body.as_bytes(), MARKET.now_ns) {
                    Ok(page) => page.next,
                    Err(_) => None,
                };
                if let (Some(Cursor::BeforeId(old)), Some(TradesQuery { cursor: Some(Cursor::BeforeId(new)), .. })) = (query.cursor, &next) {
                    prop_assert!(*new < old);
                }
            }
        }
    }
}

/// One answer for all requests.
fn same_rows(name: &str, rows: &[(u64, u64)]) -> String {
    let ms = |time: u64| START_NS / 1_000_000 + time;
    let join = |rows: Vec<String>| format!("[{}]", rows.join(","));
    match name {
        "BINANCE" | "BINANCE-USDM" => join(
            rows.iter()
                .map(|(id, time)| {
                    let time = ms(*time);
                    format!(
                        r#"{{"id":{id},"f":{id},"T":{time},"price":"1","qty":"1","time":{time},"isBuyerMaker":true}}"#
                    )
                })
                .collect(),
        ),
        "COINBASE" => join(
            rows.iter()
                .map(|(id, _)| {
                    format!(r#"{{"trade_id":{id},"side":"buy","size":"1","price":"1","time":"2024-08-08T00:30:00Z"}}"#)
                })
                .collect(),
        ),
        "KRAKEN" => {
            let last = rows.last().map_or(0, |(_, time)| ms(*time) * 1_000_000);
            let rows = join(
                rows.iter().map(|(id, time)| format!(r#"["1","1",{}.5,"b","l","",{id}]"#, ms(*time) / 1000)).collect(),
            );
            format!(r#"{{"error":[],"result":{{"X":{rows},"last":"{last}"}}}}"#)
        }
        "OKX" => format!(
            r#"{{"code":"0","data":{}}}"#,
            join(
                rows.iter()
                    .map(|(id, time)| format!(
                        r#"{{"instId":"BTC-USDT","side":"buy","sz":"1","px":"1","tradeId":"{id}","ts":"{}"}}"#,
                        ms(*time)
                    ))
                    .collect()
            )
        ),
        _ => format!(
            r#"{{"retCode":0,"result":{{"list":{}}}}}"#,
            join(
                rows.iter()
                    .map(|(id, time)| format!(
                        r#"{{"execId":"{id}","symbol":"BTCUSDT","price":"1","size":"1","side":"Buy","time":"{}"}}"#,
                        ms(*time)
                    ))
                    .collect()
            )
        ),
    }
}
