//! Messages to clients as JSON text (docs/protocol/10-websocket.md §4).

use crate::error::ApiError;
use crate::view::{CandleView, HealthView, QuoteView, TickView};
use axum::extract::ws::Utf8Bytes;
use proto::Topic;
use proto::market::{Candle, Quote, Tick};
use serde::Serialize;

#[derive(Serialize)]
struct Market<'a, D> {
    r#type: &'static str,
    topic: &'a str,
    data: D,
}

#[derive(Serialize)]
struct Health<'a> {
    r#type: &'static str,
    data: &'a HealthView,
}

#[derive(Serialize)]
struct Answer<'a> {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topics: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a ApiError>,
}

#[derive(Serialize)]
struct Lagged<'a> {
    r#type: &'static str,
    topic: &'a str,
    dropped: u64,
}

/// Serialising these structs cannot fail: string keys only, and every `Display` in them is infallible.
fn json(message: &impl Serialize) -> Utf8Bytes {
    serde_json::to_string(message).unwrap_or_default().into()
}

pub(crate) fn tick(topic: &str, tick: &Tick) -> Utf8Bytes {
    json(&Market { r#type: "tick", topic, data: TickView::from(tick) })
}

pub(crate) fn quote(topic: &str, quote: &Quote) -> Utf8Bytes {
    json(&Market { r#type: "quote", topic, data: QuoteView::from(quote) })
}

pub(crate) fn candle(topic: &str, candle: &Candle) -> Utf8Bytes {
    json(&Market { r#type: "candle", topic, data: CandleView::from(candle) })
}

pub(crate) fn health(view: &HealthView) -> Utf8Bytes {
    json(&Health { r#type: "health", data: view })
}

pub(crate) fn lagged(topic: &str, dropped: u64) -> Utf8Bytes {
    json(&Lagged { r#type: "lagged", topic, dropped })
}

pub(crate) fn subscribed(id: Option<u64>, topics: &[Topic]) -> Utf8Bytes {
    with_topics("subscribed", id, topics)
}

pub(crate) fn unsubscribed(id: Option<u64>, topics: &[Topic]) -> Utf8Bytes {
    with_topics("unsubscribed", id, topics)
}

fn with_topics(r#type: &'static str, id: Option<u64>, topics: &[Topic]) -> Utf8Bytes {
    let topics: Vec<String> = topics.iter().map(ToString::to_string).collect();
    json(&Answer { r#type, id, topics: Some(&topics), error: None })
}

pub(crate) fn pong(id: Option<u64>) -> Utf8Bytes {
    json(&Answer { r#type: "pong", id, topics: None, error: None })
}

pub(crate) fn error(id: Option<u64>, error: &ApiError) -> Utf8Bytes {
    json(&Answer { r#type: "error", id, topics: None, error: Some(error) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::market::{Side, Source};
    use proto::{Decimal, Interval};

    fn d(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    #[test]
    fn messages_look_exactly_as_documented() {
        let tick_value = Tick {
            venue: "SIM".parse().unwrap(),
            symbol: "BTC/USDT".parse().unwrap(),
            trade_id: "812".into(),
            event_time_ns: 1_795_168_800_123_456_789,
            receive_time_ns: 1_795_168_800_125_000_000,
            price: d("61837.630"),
            size: d("0.0012"),
            side: Side::Buy,
            source: Source::Live,
            repaired: false,
        };
        assert_eq!(
            tick("SIM:BTC/USDT|tick", &tick_value).as_str(),
            r#"{"type":"tick","topic":"SIM:BTC/USDT|tick","data":{"venue":"SIM","symbol":"BTC/USDT","trade_id":"812","event_time":"2026-11-20T10:00:00.123456789Z","receive_time":"2026-11-20T10:00:00.125Z","price":"61837.63","size":"0.0012","side":"buy"}}"#
        );
        let candle_value = Candle {
            venue: "SIM".parse().unwrap(),
            symbol: "BTC/USDT".parse().unwrap(),
            interval: Interval::M1,
            open_time_ns: 1_795_168_800_000_000_000,
            open: d("61837.6"),
            high: d("61840"),
            low: d("61830"),
            close: d("61837.63"),
            volume: d("1.5"),
            quote_volume: d("92756.1"),
            trades: 42,
            revision: 0,
            closed: false,
            repaired: false,
        };
        assert_eq!(
            candle("SIM:BTC/USDT|ohlc:60s", &candle_value).as_str(),
            r#"{"type":"candle","topic":"SIM:BTC/USDT|ohlc:60s","data":{"open_time":"2026-11-20T10:00:00Z","open":"61837.6","high":"61840","low":"61830","close":"61837.63","volume":"1.5","quote_volume":"92756.1","trades":42,"revision":0,"closed":false,"repaired":false}}"#
        );
        assert_eq!(
            lagged("SIM:BTC/USDT|tick", 17).as_str(),
            r#"{"type":"lagged","topic":"SIM:BTC/USDT|tick","dropped":17}"#
        );
        assert_eq!(pong(None).as_str(), r#"{"type":"pong"}"#);
        let topics = ["SIM:BTC/USDT|tick".parse().unwrap()];
        assert_eq!(
            subscribed(Some(1), &topics).as_str(),
            r#"{"type":"subscribed","id":1,"topics":["SIM:BTC/USDT|tick"]}"#
        );
        assert_eq!(
            error(Some(1), &ApiError::field("op", "op: unknown")).as_str(),
            r#"{"type":"error","id":1,"error":{"code":"INVALID_FIELD","field":"op","message":"op: unknown","retryable":false}}"#
        );
    }
}
