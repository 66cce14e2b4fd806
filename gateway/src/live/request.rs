//! What a client may say (docs/protocol/10-websocket.md §3).

use crate::error::{ApiError, Code};
use proto::Topic;
use serde::Deserialize;
use std::time::Duration;
use tokio::time::Instant;

/// Greatest `id`: what JavaScript holds exactly.
const MAX_ID: u64 = (1 << 53) - 1;

/// A valid message of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Request {
    Subscribe(Vec<Topic>),
    Unsubscribe(Vec<Topic>),
    Ping,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Op {
    Subscribe,
    Unsubscribe,
    Ping,
}

/// Members as they come. Parsed leniently first, so that the answer can carry the `id` of a message that is refused.
#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(default, borrow)]
    op: Option<&'a serde_json::value::RawValue>,
    #[serde(default, borrow)]
    id: Option<&'a serde_json::value::RawValue>,
    #[serde(default, borrow)]
    topics: Option<&'a serde_json::value::RawValue>,
    #[serde(flatten)]
    others: std::collections::BTreeMap<String, serde::de::IgnoredAny>,
}

/// Reads a message: its `id`, if it has a valid one, and what it asks for.
pub(crate) fn parse(text: &str, most_topics: usize) -> (Option<u64>, Result<Request, ApiError>) {
    let Ok(raw) = serde_json::from_str::<Raw<'_>>(text) else {
        return (None, Err(ApiError::new(Code::Malformed, "not a JSON object with op, id and topics")));
    };
    let id = match raw.id.map(|id| serde_json::from_str::<u64>(id.get())) {
        None => None,
        Some(Ok(id)) if id <= MAX_ID => Some(id),
        Some(_) => return (None, Err(ApiError::field("id", "id: must be a whole number from 0 to 2^53-1"))),
    };
    (id, request(&raw, most_topics))
}

fn request(raw: &Raw<'_>, most_topics: usize) -> Result<Request, ApiError> {
    if let Some(name) = raw.others.keys().next() {
        let shown: String = name.chars().take(32).collect();
        return Err(ApiError::field(shown, "unknown member; known are op, id and topics"));
    }
    let op = raw.op.and_then(|op| serde_json::from_str::<Op>(op.get()).ok());
    let Some(op) = op else { return Err(ApiError::field("op", "op: not one of subscribe, unsubscribe, ping")) };
    match op {
        Op::Subscribe => Ok(Request::Subscribe(topics(raw, most_topics)?)),
        Op::Unsubscribe => Ok(Request::Unsubscribe(topics(raw, most_topics)?)),
        Op::Ping if raw.topics.is_some() => Err(ApiError::field("topics", "topics: not allowed with ping")),
        Op::Ping => Ok(Request::Ping),
    }
}

fn topics(raw: &Raw<'_>, most: usize) -> Result<Vec<Topic>, ApiError> {
    let names = raw.topics.and_then(|topics| serde_json::from_str::<Vec<String>>(topics.get()).ok());
    let Some(names) = names.filter(|names| !names.is_empty()) else {
        return Err(ApiError::field("topics", "topics: must be a list of 1 or more topics"));
    };
    if names.len() > most {
        return Err(too_many(most));
    }
    let check = |(at, name): (usize, &String)| match name.parse() {
        Ok(topic @ (Topic::Tick(..) | Topic::Quote(..) | Topic::Candle(..))) => Ok(topic),
        Ok(_) => Err(ApiError::field(format!("topics[{at}]"), "topic: not VENUE:SYMBOL|tick, |quote or |ohlc:60s")),
        Err(error) => Err(ApiError::field(format!("topics[{at}]"), error.to_string())),
    };
    names.iter().enumerate().map(check).collect()
}

/// The answer to a client that wants more topics than it may have.
pub(crate) fn too_many(most: usize) -> ApiError {
    ApiError::new(Code::LimitExceeded, format!("topics: at most {most} at one time")).about("topics")
}

/// A token bucket for the messages of one client.
#[derive(Debug)]
pub(crate) struct Quota {
    per_second: f64,
    burst: f64,
    tokens: f64,
    at: Instant,
    refused_in_a_row: u32,
}

/// Verdict of a [`Quota`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Allowed,
    Refused,
    /// So many were refused in a row that the client does not listen.
    Abuse,
}

impl Quota {
    const ABUSE: u32 = 100;

    pub(crate) fn new(per_second: u32, burst: u32, now: Instant) -> Self {
        let burst = f64::from(burst);
        Self { per_second: f64::from(per_second), burst, tokens: burst, at: now, refused_in_a_row: 0 }
    }

    pub(crate) fn take(&mut self, now: Instant) -> Verdict {
        let elapsed: Duration = now.saturating_duration_since(self.at);
        self.at = now;
        self.tokens = (self.tokens + elapsed.as_secs_f64() * self.per_second).min(self.burst);
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            self.refused_in_a_row = 0;
            return Verdict::Allowed;
        }
        self.refused_in_a_row += 1;
        if self.refused_in_a_row >= Self::ABUSE { Verdict::Abuse } else { Verdict::Refused }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn valid_messages_are_read() {
        let topics: Vec<Topic> = ["SIM:BTC/USDT|tick", "SIM:BTC/USDT|ohlc:60s"].map(|t| t.parse().unwrap()).into();
        let text = r#"{"op":"subscribe","id":1,"topics":["SIM:BTC/USDT|tick","SIM:BTC/USDT|ohlc:60s"]}"#;
        assert_eq!(parse(text, 2), (Some(1), Ok(Request::Subscribe(topics.clone()))));
        let text = r#"{"topics":["SIM:BTC/USDT|tick","SIM:BTC/USDT|ohlc:60s"],"op":"unsubscribe"}"#;
        assert_eq!(parse(text, 2), (None, Ok(Request::Unsubscribe(topics))));
        assert_eq!(parse(r#" {"op":"ping","id":9007199254740991} "#, 2), (Some(MAX_ID), Ok(Request::Ping)));
    }

    #[test]
    fn each_fault_is_named_and_answered_with_its_id() {
        for (text, id, code, field) in [
            ("", None, Code::Malformed, ""),
            ("[]", None, Code::Malformed, ""),
            ("nonsense", None, Code::Malformed, ""),
            (r#"{"op":"ping"} {"#, None, Code::Malformed, ""),
            (r#"{"op":"ping","id":-1}"#, None, Code::InvalidField, "id"),
            (r#"{"op":"ping","id":"a"}"#, None, Code::InvalidField, "id"),
            (r#"{"op":"ping","id":9007199254740992}"#, None, Code::InvalidField, "id"),
            (r#"{"id":7}"#, Some(7), Code::InvalidField, "op"),
            (r#"{"op":"trade","id":7}"#, Some(7), Code::InvalidField, "op"),
            (r#"{"op":1,"id":7}"#, Some(7), Code::InvalidField, "op"),
            (r#"{"op":"ping","id":7,"x":1}"#, Some(7), Code::InvalidField, "x"),
            (r#"{"op":"ping","id":7,"topics":[]}"#, Some(7), Code::InvalidField, "topics"),
            (r#"{"op":"subscribe","id":7}"#, Some(7), Code::InvalidField, "topics"),
            (r#"{"op":"subscribe","id":7,"topics":[]}"#, Some(7), Code::InvalidField, "topics"),
            (r#"{"op":"subscribe","id":7,"topics":"SIM:A/B|tick"}"#, Some(7), Code::InvalidField, "topics"),
            (r#"{"op":"subscribe","id":7,"topics":[1]}"#, Some(7), Code::InvalidField, "topics"),
            (r#"{"op":"subscribe","id":7,"topics":["SIM:A/B|tick","x"]}"#, Some(7), Code::InvalidField, "topics[1]"),
            (r#"{"op":"subscribe","id":7,"topics":["SIM:A/B|ohlc:1m"]}"#, Some(7), Code::InvalidField, "topics[0]"),
            (
                r#"{"op":"subscribe","id":7,"topics":["HISTORY_READY:01J9ZQ6V8KXW3R4T5Y6Z7A8B9C"]}"#,
                Some(7),
                Code::InvalidField,
                "topics[0]",
            ),
            (
                r#"{"op":"subscribe","id":7,"topics":["S1:A/B|tick","S2:A/B|tick","S3:A/B|tick"]}"#,
                Some(7),
                Code::LimitExceeded,
                "topics",
            ),
        ] {
            let (got_id, result) = parse(text, 2);
            let error = result.unwrap_err();
            assert_eq!((got_id, error.code, error.field.as_ref()), (id, code, field), "{text}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_quota_allows_a_burst_then_the_rate_and_notices_abuse() {
        let mut quota = Quota::new(2, 3, Instant::now());
        let verdicts: Vec<_> = (0..4).map(|_| quota.take(Instant::now())).collect();
        assert_eq!(verdicts, [Verdict::Allowed, Verdict::Allowed, Verdict::Allowed, Verdict::Refused]);
        tokio::time::advance(Duration::from_millis(500)).await;
        assert_eq!(quota.take(Instant::now()), Verdict::Allowed);
        assert_eq!((0..99).filter(|_| quota.take(Instant::now()) == Verdict::Refused).count(), 99);
        assert_eq!(quota.take(Instant::now()), Verdict::Abuse);
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in ".{0,300}") {
            let _ignored = parse(&text, 4);
        }
    }
}
