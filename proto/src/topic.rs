//! The only place that spells topics, of ZeroMQ and of the event log (docs/protocol/01-frames.md, 02-log.md, 07-user-events.md).

use crate::limits::TOPIC_BYTES;
use crate::{ClientId, EventKind, IdError, Interval, IntervalError, RequestId, Symbol, UserId, Venue};
use std::fmt;
use std::str::FromStr;

/// Why a text is not a topic.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// Too long.
    #[error("topic: {0} bytes, limit {TOPIC_BYTES}")]
    Length(usize),
    /// Not one of the forms.
    #[error(
        "topic: none of VENUE:SYMBOL|tick, |quote, |ohlc:60s, RESPONSE:id, HISTORY_READY:id, USER_EVENT:id|kind, EVENT_ACK:id"
    )]
    Form,
    /// A part is not valid.
    #[error("topic: {0}")]
    Id(#[from] IdError),
    /// The candle interval is not valid.
    #[error("topic: {0}")]
    Interval(#[from] IntervalError),
}

/// Frame 0 of a message on the fan-out port. No valid topic is a proper prefix of another: ids have a fixed length and
/// every market topic ends in a word that no longer word starts with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// `VENUE:SYMBOL|tick`
    Tick(Venue, Symbol),
    /// `VENUE:SYMBOL|quote`
    Quote(Venue, Symbol),
    /// `VENUE:SYMBOL|ohlc:60s`
    Candle(Venue, Symbol, Interval),
    /// `RESPONSE:{client_id}`
    Response(ClientId),
    /// `HISTORY_READY:{request_id}`
    HistoryReady(RequestId),
    /// `USER_EVENT:{user_id}|alert`; between a user's container and the gateway, never at the relay.
    UserEvent(UserId, EventKind),
    /// `EVENT_ACK:{user_id}`; the same.
    EventAck(UserId),
}

const RESPONSE: &str = "RESPONSE:";
const HISTORY_READY: &str = "HISTORY_READY:";
const USER_EVENT: &str = "USER_EVENT:";
const EVENT_ACK: &str = "EVENT_ACK:";

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tick(venue, symbol) => write!(f, "{venue}:{symbol}|tick"),
            Self::Quote(venue, symbol) => write!(f, "{venue}:{symbol}|quote"),
            Self::Candle(venue, symbol, interval) => write!(f, "{venue}:{symbol}|ohlc:{interval}"),
            Self::Response(id) => write!(f, "{RESPONSE}{id}"),
            Self::HistoryReady(id) => write!(f, "{HISTORY_READY}{id}"),
            Self::UserEvent(id, kind) => write!(f, "{USER_EVENT}{id}|{kind}"),
            Self::EventAck(id) => write!(f, "{EVENT_ACK}{id}"),
        }
    }
}

impl FromStr for Topic {
    type Err = TopicError;

    fn from_str(text: &str) -> Result<Self, TopicError> {
        if text.len() > TOPIC_BYTES {
            return Err(TopicError::Length(text.len()));
        }
        if let Some(id) = text.strip_prefix(RESPONSE) {
            return Ok(Self::Response(id.parse()?));
        }
        if let Some(id) = text.strip_prefix(HISTORY_READY) {
            return Ok(Self::HistoryReady(id.parse()?));
        }
        if let Some(rest) = text.strip_prefix(USER_EVENT) {
            let (id, kind) = rest.split_once('|').ok_or(TopicError::Form)?;
            return Ok(Self::UserEvent(id.parse()?, EventKind::from_name(kind).ok_or(TopicError::Form)?));
        }
        if let Some(id) = text.strip_prefix(EVENT_ACK) {
            return Ok(Self::EventAck(id.parse()?));
        }
        let (ticker, kind) = text.split_once('|').ok_or(TopicError::Form)?;
        let (venue, symbol) = ticker.split_once(':').ok_or(TopicError::Form)?;
        let (venue, symbol) = (venue.parse()?, symbol.parse()?);
        match kind {
            "tick" => Ok(Self::Tick(venue, symbol)),
            "quote" => Ok(Self::Quote(venue, symbol)),
            _ => {
                let text = kind.strip_prefix("ohlc:").ok_or(TopicError::Form)?;
                let interval: Interval = text.parse()?;
                // One spelling per topic: `ohlc:1m` would never match what is published.
                if interval.to_string() == text {
                    Ok(Self::Candle(venue, symbol, interval))
                } else {
                    Err(TopicError::Form)
                }
            }
        }
    }
}

/// What may be subscribed to by prefix: all topics of a ticker or of a venue, or the work of a venue.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TopicPrefix {
    /// `VENUE:`: on the work port all work of the venue, on the fan-out port all its topics.
    Venue(Venue),
    /// `VENUE:SYMBOL|`: all topics of one instrument.
    Ticker(Venue, Symbol),
    /// `USER_EVENT:{user_id}|`: all events of one user.
    User(UserId),
}

impl TopicPrefix {
    /// The venue of a work topic `VENUE:`.
    ///
    /// # Errors
    /// If the bytes are not exactly a venue and a colon.
    pub fn parse_work(bytes: &[u8]) -> Result<Venue, TopicError> {
        let text = std::str::from_utf8(bytes).map_err(|_| TopicError::Form)?;
        Ok(text.strip_suffix(':').ok_or(TopicError::Form)?.parse()?)
    }
}

impl fmt::Display for TopicPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Venue(venue) => write!(f, "{venue}:"),
            Self::Ticker(venue, symbol) => write!(f, "{venue}:{symbol}|"),
            Self::User(id) => write!(f, "{USER_EVENT}{id}|"),
        }
    }
}

/// A topic of the event log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogTopic {
    /// Exact WebSocket frames of venues.
    RawWs,
    /// Exact REST answers of venues.
    RawRest,
    /// Ticks, heartbeats and fetched tick batches; the input of the aggregator.
    NormTick,
    /// Best bid and ask.
    NormQuote,
    /// Candles fetched from venues.
    NormOhlc,
    /// Instrument metadata, compacted.
    EvtInstrument,
    /// Feed health and membership of ingestors, compacted.
    EvtFeed,
    /// Life of history jobs.
    EvtJob,
    /// History notifications.
    NotifHistory,
    /// Dead letters of raw frames.
    DlqRaw,
    /// Dead letters of normalised events.
    DlqNorm,
}

impl LogTopic {
    /// All topics of this version.
    pub const ALL: [Self; 11] = [
        Self::RawWs,
        Self::RawRest,
        Self::NormTick,
        Self::NormQuote,
        Self::NormOhlc,
        Self::EvtInstrument,
        Self::EvtFeed,
        Self::EvtJob,
        Self::NotifHistory,
        Self::DlqRaw,
        Self::DlqNorm,
    ];

    /// The name on the log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RawWs => "raw.ws",
            Self::RawRest => "raw.rest",
            Self::NormTick => "norm.tick",
            Self::NormQuote => "norm.quote",
            Self::NormOhlc => "norm.ohlc",
            Self::EvtInstrument => "evt.instrument",
            Self::EvtFeed => "evt.feed",
            Self::EvtJob => "evt.job",
            Self::NotifHistory => "notif.history",
            Self::DlqRaw => "dlq.raw",
            Self::DlqNorm => "dlq.norm",
        }
    }

    /// Record key of an instrument: `VENUE:SYMBOL`.
    #[must_use]
    pub fn key(venue: &Venue, symbol: &Symbol) -> String {
        format!("{venue}:{symbol}")
    }
}

impl fmt::Display for LogTopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn topic() -> impl Strategy<Value = Topic> {
        let venue = "[A-Z][A-Z0-9-]{1,8}".prop_map(|t| t.parse::<Venue>().unwrap());
        let symbol = "[A-Z0-9]{1,6}/[A-Z0-9]{1,6}".prop_map(|t| t.parse::<Symbol>().unwrap());
        (venue, symbol, 0usize..7, any::<u128>(), 0..7).prop_map(|(venue, symbol, interval, bits, form)| match form {
            0 => Topic::Tick(venue, symbol),
            1 => Topic::Quote(venue, symbol),
            2 => Topic::Candle(venue, symbol, Interval::ALL[interval]),
            3 => Topic::Response(ClientId::from_bits(bits)),
            4 => Topic::UserEvent(UserId::from_bits(bits % 4), EventKind::ALL[bits as usize % EventKind::ALL.len()]),
            5 => Topic::EventAck(UserId::from_bits(bits % 4)),
            _ => Topic::HistoryReady(RequestId::from_bits(bits)),
        })
    }

    proptest! {
        #[test]
        fn topics_round_trip(topic in topic()) {
            prop_assert_eq!(topic.to_string().parse::<Topic>(), Ok(topic));
        }

        #[test]
        fn no_topic_is_a_proper_prefix_of_another(a in topic(), b in topic()) {
            let (a, b) = (a.to_string(), b.to_string());
            prop_assert!(a == b || !b.starts_with(&a));
        }

        #[test]
        fn arbitrary_text_never_panics(text in ".{0,200}") {
            let _ignored = text.parse::<Topic>();
        }
    }

    #[test]
    fn a_ticker_prefix_never_matches_a_longer_symbol() {
        let prefix = TopicPrefix::Ticker("SIM".parse().unwrap(), "BTC/USD".parse().unwrap()).to_string();
        let longer = Topic::Tick("SIM".parse().unwrap(), "BTC/USDT".parse().unwrap()).to_string();
        assert!(!longer.starts_with(&prefix));
    }

    #[test]
    fn no_kind_of_event_is_a_prefix_of_another_and_a_user_prefix_matches_one_user() {
        for a in EventKind::ALL {
            for b in EventKind::ALL.into_iter().filter(|b| *b != a) {
                assert!(!b.name().starts_with(a.name()), "{a} {b}");
            }
        }
        let (one, other) = (UserId::from_bits(1), UserId::from_bits(1 << 5 | 1));
        let prefix = TopicPrefix::User(one).to_string();
        assert!(Topic::UserEvent(one, EventKind::Alert).to_string().starts_with(&prefix));
        assert!(!Topic::UserEvent(other, EventKind::Alert).to_string().starts_with(&prefix));
    }

    #[test]
    fn malformed_topics_are_refused() {
        for bad in [
            "",
            "BTC/USDT|tick",
            "SIM:BTC/USDT",
            "SIM:BTC/USDT|",
            "SIM:BTC/USDT|ticks",
            "SIM:BTC/USDT|ohlc:1m",
            "SIM:BTC/USDT|ohlc:61s",
            "RESPONSE:",
            "RESPONSE:12",
            "USER_EVENT:",
            "USER_EVENT:01J9ZQ6V8KXW3R4T5Y6Z7A8B9C",
            "USER_EVENT:01J9ZQ6V8KXW3R4T5Y6Z7A8B9C|",
            "USER_EVENT:01J9ZQ6V8KXW3R4T5Y6Z7A8B9C|nothing",
            "USER_EVENT:01J9ZQ6V8KXW3R4T5Y6Z7A8B9CC|alert",
            "EVENT_ACK:01J9ZQ6V8KXW3R4T5Y6Z7A8B9",
            "sim:BTC/USDT|tick",
        ] {
            assert!(bad.parse::<Topic>().is_err(), "{bad}");
        }
    }
}
