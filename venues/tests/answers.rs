//! REST answers other than rows: errors by what to do about them, instruments, the budget.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use std::time::Duration;
use venues::{Adapter, Answer, InstrumentKind, InstrumentStatus, Reason, RestError};

fn venue(name: &str) -> &'static dyn Adapter {
    venues::adapter(&name.parse().unwrap()).unwrap()
}

fn check(name: &str, status: u16, retry_after: Option<&str>, body: &str) -> Result<(), RestError> {
    venue(name).check(&Answer { status, retry_after, body: body.as_bytes() })
}

/// The variant's name.
fn kind(outcome: &Result<(), RestError>) -> &'static str {
    match outcome {
        Ok(()) => "ok",
        Err(RestError::RateLimited { .. }) => "rate limited",
        Err(RestError::Banned { .. }) => "banned",
        Err(RestError::Forbidden { .. }) => "forbidden",
        Err(RestError::UnknownSymbol) => "unknown symbol",
        Err(RestError::Retryable { .. }) => "retryable",
        Err(RestError::Fatal { .. }) => "fatal",
    }
}

#[test]
fn errors_are_classified_by_what_to_do_about_them() {
    let cases = [
        ("BINANCE", 200, "[]", "ok"),
        ("BINANCE", 429, r#"{"code":-1003,"msg":"Too many requests"}"#, "rate limited"),
        ("BINANCE", 418, r#"{"code":-1003,"msg":"Way too many requests; IP banned"}"#, "banned"),
        ("BINANCE", 403, "<html>WAF</html>", "rate limited"),
        ("BINANCE", 451, r#"{"code":0,"msg":"Service unavailable from a restricted location"}"#, "forbidden"),
        ("BINANCE", 400, r#"{"code":-1121,"msg":"Invalid symbol."}"#, "unknown symbol"),
        ("BINANCE", 401, r#"{"code":-2014,"msg":"API-key format invalid."}"#, "forbidden"),
        ("BINANCE", 400, r#"{"code":-1100,"msg":"Illegal characters found in parameter"}"#, "fatal"),
        ("BINANCE", 503, "", "retryable"),
        ("BINANCE-USDM", 408, r#"{"code":-1007,"msg":"Timeout"}"#, "retryable"),
        ("COINBASE", 200, "[]", "ok"),
        ("COINBASE", 404, r#"{"message":"NotFound"}"#, "unknown symbol"),
        ("COINBASE", 429, r#"{"message":"Public rate limit exceeded"}"#, "rate limited"),
        ("COINBASE", 403, r#"{"message":"Forbidden"}"#, "forbidden"),
        ("COINBASE", 400, r#"{"message":"granularity too small"}"#, "fatal"),
        ("COINBASE", 500, r#"{"message":"Internal server error"}"#, "retryable"),
        ("KRAKEN", 200, r#"{"error":[],"result":{}}"#, "ok"),
        ("KRAKEN", 200, r#"{"error":["EQuery:Unknown asset pair"]}"#, "unknown symbol"),
        ("KRAKEN", 200, r#"{"error":["EGeneral:Too many requests"]}"#, "rate limited"),
        ("KRAKEN", 200, r#"{"error":["EAPI:Rate limit exceeded"]}"#, "rate limited"),
        ("KRAKEN", 200, r#"{"error":["EGeneral:Temporary lockout"]}"#, "banned"),
        ("KRAKEN", 200, r#"{"error":["EService:Throttled: 1700000000"]}"#, "banned"),
        ("KRAKEN", 200, r#"{"error":["EService:Unavailable"]}"#, "retryable"),
        ("KRAKEN", 200, r#"{"error":["EGeneral:Invalid arguments"]}"#, "fatal"),
        ("KRAKEN", 520, "", "retryable"),
        ("OKX", 200, r#"{"code":"0","msg":"","data":[]}"#, "ok"),
        ("OKX", 429, r#"{"code":"50011","msg":"Too Many Requests"}"#, "rate limited"),
        ("OKX", 200, r#"{"code":"51001","msg":"Instrument ID does not exist"}"#, "unknown symbol"),
        ("OKX", 200, r#"{"code":"50013","msg":"Systems are busy"}"#, "retryable"),
        ("OKX", 401, r#"{"code":"50111","msg":"Invalid OK-ACCESS-KEY"}"#, "forbidden"),
        ("OKX", 200, r#"{"code":"51000","msg":"Parameter bar error"}"#, "fatal"),
        ("OKX", 404, r#"{"code":404,"data":{},"msg":"Not Found"}"#, "fatal"),
        ("BYBIT", 200, r#"{"retCode":0,"retMsg":"OK","result":{}}"#, "ok"),
        ("BYBIT", 200, r#"{"retCode":10006,"retMsg":"Too many visits!"}"#, "rate limited"),
        ("BYBIT", 403, "access too frequent", "banned"),
        ("BYBIT", 200, r#"{"retCode":10001,"retMsg":"params error: Symbol Invalid"}"#, "unknown symbol"),
        ("BYBIT", 200, r#"{"retCode":10001,"retMsg":"params error: Interval"}"#, "fatal"),
        ("BYBIT", 200, r#"{"retCode":10016,"retMsg":"Internal server error"}"#, "retryable"),
        ("BYBIT", 502, "", "retryable"),
        ("HYPERLIQUID", 429, "", "rate limited"),
    ];
    for (name, status, body, wanted) in cases {
        let outcome = check(name, status, None, body);
        assert_eq!(kind(&outcome), wanted, "{name} {status} {body}");
        let retryable = matches!(wanted, "rate limited" | "banned" | "retryable");
        assert_eq!(outcome.is_err_and(|error| error.is_retryable()), retryable, "{name} {status} {body}");
    }
}

#[test]
fn retry_after_is_honoured_in_seconds_and_a_date_is_unknown() {
    let seconds = |text| match check("BINANCE", 429, Some(text), "") {
        Err(RestError::RateLimited { retry_after }) => retry_after,
        other => panic!("{other:?}"),
    };
    assert_eq!(seconds("7"), Some(Duration::from_secs(7)));
    assert_eq!(seconds("Wed, 21 Oct 2026 07:28:00 GMT"), None);
    assert_eq!(
        check("BINANCE", 418, Some("120"), ""),
        Err(RestError::Banned { retry_after: Some(Duration::from_secs(120)) })
    );
    assert_eq!(check("BYBIT", 403, None, ""), Err(RestError::Banned { retry_after: Some(Duration::from_secs(600)) }));
}

#[test]
fn an_error_inside_a_200_never_reads_as_an_empty_page() {
    let symbol: proto::Symbol = "BTC/USDT".parse().unwrap();
    let query = venues::TradesQuery::by_time(symbol, 0, u64::MAX);
    let cases = [
        ("KRAKEN", r#"{"error":["EService:Unavailable"]}"#),
        ("OKX", r#"{"code":"50013","msg":"Systems are busy","data":[]}"#),
        ("BYBIT", r#"{"retCode":10016,"retMsg":"Internal server error","result":{"list":[]}}"#),
    ];
    for (name, body) in cases {
        let rejection = venue(name).parse_trades(&query, body.as_bytes(), 0).unwrap_err();
        assert_eq!(rejection.reason, Reason::VenueError, "{name}");
    }
}

#[test]
fn room_for_orders_is_kept_free() {
    for adapter in venues::all() {
        let limits = adapter.profile().rest;
        let budget = limits.market_data_budget();
        assert!(budget < limits.budget && budget > 0, "{}", adapter.venue());
    }
    assert_eq!(venue("BINANCE").profile().rest.market_data_budget(), 4500);
}

#[test]
fn instruments_carry_steps_kind_and_status() {
    let cases = [
        (
            "BINANCE",
            r#"{"symbols":[{"symbol":"BTCUSDT","status":"TRADING","baseAsset":"BTC","quoteAsset":"USDT","filters":[
                {"filterType":"PRICE_FILTER","tickSize":"0.01000000"},{"filterType":"LOT_SIZE","stepSize":"0.00001000"},
                {"filterType":"NOTIONAL","minNotional":"5.00000000"}]}]}"#,
            ("BTC/USDT", "BTCUSDT", "0.01", "0.00001", "5"),
            (InstrumentKind::Spot, InstrumentStatus::Trading),
        ),
        (
            "BINANCE-USDM",
            r#"{"symbols":[{"symbol":"BTCUSDT_260925","contractType":"CURRENT_QUARTER","status":"SETTLING","baseAsset":"BTC",
                "quoteAsset":"USDT","filters":[{"filterType":"PRICE_FILTER","tickSize":"0.1"},
                {"filterType":"LOT_SIZE","stepSize":"0.001"},{"filterType":"MIN_NOTIONAL","notional":"100"}]}]}"#,
            ("BTC/USDT_260925", "BTCUSDT_260925", "0.1", "0.001", "100"),
            (InstrumentKind::Future, InstrumentStatus::Closed),
        ),
        (
            "COINBASE",
            r#"[{"id":"BTC-USD","base_currency":"BTC","quote_currency":"USD","quote_increment":"0.01",
                "base_increment":"0.00000001","min_market_funds":"1","status":"online","post_only":true,
                "trading_disabled":false}]"#,
            ("BTC/USD", "BTC-USD", "0.01", "0.00000001", "1"),
            (InstrumentKind::Spot, InstrumentStatus::Halted),
        ),
        (
            "KRAKEN",
            r#"{"error":[],"result":{"XXBTZUSD":{"altname":"XBTUSD","wsname":"XBT/USD","base":"XXBT","quote":"ZUSD",
                "pair_decimals":1,"lot_decimals":8,"costmin":"0.5","tick_size":"0.1","status":"online"}}}"#,
            ("BTC/USD", "BTC/USD", "0.1", "0.00000001", "0.5"),
            (InstrumentKind::Spot, InstrumentStatus::Trading),
        ),
        (
            "OKX",
            r#"{"code":"0","msg":"","data":[{"instType":"SPOT","instId":"BTC-USDT","baseCcy":"BTC","quoteCcy":"USDT",
                "tickSz":"0.1","lotSz":"0.00000001","minSz":"0.00001","state":"suspend"}]}"#,
            ("BTC/USDT", "BTC-USDT", "0.1", "0.00000001", "0"),
            (InstrumentKind::Spot, InstrumentStatus::Halted),
        ),
        (
            "BYBIT",
            r#"{"retCode":0,"retMsg":"OK","result":{"category":"spot","list":[{"symbol":"BTCUSDT","baseCoin":"BTC",
                "quoteCoin":"USDT","status":"Trading","lotSizeFilter":{"basePrecision":"0.000001","minOrderAmt":"5"},
                "priceFilter":{"tickSize":"0.01"}}]}}"#,
            ("BTC/USDT", "BTCUSDT", "0.01", "0.000001", "5"),
            (InstrumentKind::Spot, InstrumentStatus::Trading),
        ),
    ];
    for (name, body, (symbol, venue_symbol, tick, lot, notional), (kind, status)) in cases {
        let answer = venue(name).parse_instruments(body.as_bytes()).unwrap();
        assert!(answer.refused.is_empty(), "{name}: {:?}", answer.refused);
        let i = &answer.listed[0];
        let shown = (i.symbol.to_string(), i.venue_symbol.clone(), i.tick_size.to_string(), i.lot_size.to_string());
        assert_eq!(shown, (symbol.to_owned(), venue_symbol.to_owned(), tick.to_owned(), lot.to_owned()), "{name}");
        assert_eq!((i.min_notional.to_string().as_str(), i.kind, i.status), (notional, kind, status), "{name}");
        let wire = i.to_wire(true);
        assert_eq!((wire.base.as_str(), wire.live, wire.venue.as_str()), (i.symbol.base(), true, name));
        assert_eq!(venue(name).canonical(&i.venue_symbol).as_ref(), Ok(&i.symbol), "{name}");
    }
}

#[test]
fn an_entry_without_its_steps_is_refused_and_the_others_stand() {
    let body = r#"{"symbols":[{"symbol":"AUSDT","status":"TRADING","baseAsset":"A","quoteAsset":"USDT","filters":[]},
        {"symbol":"BUSDT","status":"TRADING","baseAsset":"B","quoteAsset":"USDT","filters":[
        {"filterType":"PRICE_FILTER","tickSize":"0"},{"filterType":"LOT_SIZE","stepSize":"1"}]},
        {"symbol":"CUSDT","status":"TRADING","baseAsset":"C","quoteAsset":"USDT","filters":[
        {"filterType":"PRICE_FILTER","tickSize":"1"},{"filterType":"LOT_SIZE","stepSize":"1"}]}]}"#;
    let answer = venue("BINANCE").parse_instruments(body.as_bytes()).unwrap();
    let reasons: Vec<Reason> = answer.refused.iter().map(|rejection| rejection.reason).collect();
    assert_eq!((answer.listed.len(), reasons), (1, vec![Reason::MissingField, Reason::OutOfRange]));
}
