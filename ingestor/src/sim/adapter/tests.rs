//! What the exchange sends is what the adapter understands, page by page.

use super::*;
use crate::sim::SimConfig;
use crate::sim::exchange::SimExchange;
use proptest::prelude::*;
use proto::Interval;
use service::clock::Clock;

const START_MS: u64 = 1_723_075_200_000;
const MS: u64 = 1_000_000;

fn exchange() -> SimExchange {
    SimExchange::new(SimConfig::default(), &[], Clock::manual((START_MS + 86_400_000 + 6_000) * MS))
}

fn btc() -> Symbol {
    "BTC/USDT".parse().unwrap()
}

fn all_trades(exchange: &SimExchange, mut query: TradesQuery) -> (Vec<Tick>, usize) {
    let (mut ticks, mut pages) = (Vec::new(), 0);
    loop {
        let request = SimAdapter.trades_page(&query).unwrap();
        let (status, body) = exchange.get(&request.path_and_query);
        assert_eq!(status, 200, "{request:?}");
        let page = SimAdapter.parse_trades(&query, &body, 7).unwrap();
        assert!(page.refused.is_empty());
        ticks.extend(page.ticks);
        pages += 1;
        match page.next {
            Some(next) => query = next,
            None => return (ticks, pages),
        }
    }
}

#[test]
fn frames_become_the_ticks_and_quotes_of_the_market() {
    let exchange = exchange();
    let market = exchange.market(&btc()).unwrap();
    for trade in market.trades(START_MS, START_MS + 10_000, 50) {
        let mut out = Vec::new();
        SimAdapter.decode(&super::super::frames::trade(market, &trade), 5, &mut out).unwrap();
        SimAdapter.decode(&super::super::frames::quote(market, &trade), 6, &mut out).unwrap();
        let [Event::Tick(tick), Event::Quote(quote)] = &out[..] else { panic!("{out:?}") };
        assert_eq!((tick.trade_id.as_str(), tick.event_time_ns), (&*trade.id.to_string(), trade.time_ms * MS));
        assert_eq!((tick.price, tick.size), (market.price(trade.price), market.size(trade.lots)));
        assert!(tick.price == quote.bid_price || tick.price == quote.ask_price);
    }
}

#[test]
fn pages_by_id_bring_exactly_the_ids_asked_for() {
    let exchange = exchange();
    let first = exchange.market(&btc()).unwrap().trades(START_MS, START_MS + 1_000, 1)[0].id;
    let (ticks, pages) = all_trades(&exchange, TradesQuery::by_id(btc(), first + 3, first + 12_345, 0, 0));
    let expected: Vec<String> = (first + 3..=first + 12_345).map(|id| id.to_string()).collect();
    assert_eq!(ticks.iter().map(|t| t.trade_id.clone()).collect::<Vec<_>>(), expected);
    assert_eq!(pages, 3);
    assert!(ticks.iter().all(|t| t.source == Source::Backfill));
}

#[test]
fn pages_by_time_bring_every_trade_of_the_range() {
    let exchange = exchange();
    let (from, to) = (START_MS + 500, START_MS + 3_000_000);
    let (ticks, pages) = all_trades(&exchange, TradesQuery::by_time(btc(), from * MS, to * MS));
    let mut ids: Vec<u64> = ticks.iter().map(|t| t.trade_id.parse().unwrap()).collect();
    ids.dedup();
    let expected: Vec<u64> =
        exchange.market(&btc()).unwrap().trades(from, to, usize::MAX).iter().map(|t| t.id).collect();
    assert!(pages > 3);
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids, expected);
}

#[test]
fn candle_pages_bring_every_settled_candle() {
    let exchange = exchange();
    for (interval, expected) in [(Interval::S1, 86_400u64), (Interval::M1, 1_440), (Interval::D1, 1)] {
        let to_ns = (START_MS + 2 * 86_400_000) * MS;
        let mut query = Some(CandlesQuery { symbol: btc(), interval, from_ns: START_MS * MS, to_ns });
        let mut candles = Vec::new();
        while let Some(q) = query {
            let (_, body) = exchange.get(&SimAdapter.candles_page(&q).unwrap().path_and_query);
            let page = SimAdapter.parse_candles(&q, &body, 0).unwrap();
            candles.extend(page.candles);
            query = page.next;
        }
        assert!(candles.windows(2).all(|p| p[0].open_time_ns < p[1].open_time_ns));
        let last = candles.last().unwrap().open_time_ns + interval.nanos();
        assert_eq!(last, (START_MS + 86_400_000) * MS, "{interval}");
        // Seconds without a trade have no candle.
        assert!(candles.len() as u64 <= expected && candles.len() as u64 * 10 >= expected * 9, "{interval}");
    }
}

#[test]
fn what_is_not_listed_and_what_makes_no_sense_is_an_error() {
    let exchange = exchange();
    for (path, status) in [
        ("/v1/trades?symbol=NO/NE&from_id=1&to_id=2", 404),
        ("/v1/trades?symbol=BTC/USDT", 400),
        ("/v1/candles?symbol=BTC/USDT&interval=61&from_ms=0&to_ms=1", 400),
        ("/v1/candles", 400),
        ("/nothing?symbol=BTC/USDT", 404),
    ] {
        assert_eq!(exchange.get(path).0, status, "{path}");
    }
}

#[test]
fn the_instruments_carry_the_steps_of_the_market() {
    let instruments = SimAdapter.parse_instruments(&exchange().get("/v1/instruments").1).unwrap();
    let found = instruments.listed.iter().find(|i| i.symbol == btc()).unwrap();
    assert_eq!((found.tick_size.to_string(), found.lot_size.to_string()), ("0.01".into(), "0.00001".into()));
    assert!(instruments.refused.is_empty());
}

#[test]
fn broken_frames_are_refused_by_reason() {
    for (frame, reason) in [
        ("", Reason::Malformed),
        ("{}", Reason::Malformed),
        (r#"{"e":"depth","s":"BTC/USDT"}"#, Reason::UnknownChannel),
        (r#"{"e":"trade","s":"BTC/USDT","T":1723075200000}"#, Reason::MissingField),
        (r#"{"e":"trade","s":"BTCUSDT","i":1,"T":1723075200000,"p":"1","q":"1","m":"buy"}"#, Reason::UnknownSymbol),
        (r#"{"e":"trade","s":"A/B","i":1,"T":1723075200000,"p":"x","q":"1","m":"buy"}"#, Reason::BadNumber),
        (r#"{"e":"trade","s":"A/B","i":1,"T":1723075200000,"p":"0","q":"1","m":"buy"}"#, Reason::OutOfRange),
        (r#"{"e":"trade","s":"A/B","i":1,"T":99999999999999999,"p":"1","q":"1","m":"buy"}"#, Reason::BadTime),
        (r#"{"e":"quote","s":"A/B","T":1723075200000,"b":"2","B":"1","a":"1","A":"1"}"#, Reason::CrossedQuote),
    ] {
        let mut out = Vec::new();
        assert_eq!(SimAdapter.decode(frame.as_bytes(), 1, &mut out).unwrap_err().reason, reason, "{frame}");
        assert!(out.is_empty());
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        let query = TradesQuery::by_time(btc(), 0, 1);
        let _refused = SimAdapter.decode(&bytes, 1, &mut Vec::new());
        let _refused = SimAdapter.parse_trades(&query, &bytes, 1);
        let _refused = SimAdapter.parse_instruments(&bytes);
    }
}
