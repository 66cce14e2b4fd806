//! What arrives from the relay: checked once, decoded once.

use bytes::Bytes;
use proto::market::{Candle, MarketError, Quote, Tick, candles_of};
use proto::{Frame, FrameHeader, Kind, Topic, TopicError, WireError, wire};

/// A market message of the fan-out port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    Tick(Tick),
    Quote(Quote),
    Candle(Candle),
    /// What a new subscriber needs: closed candles that are not in the lake yet, and the open one.
    Snapshot(Vec<Candle>),
}

/// Why a message is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InboundError {
    #[error("{0} parts, expected 2")]
    Parts(usize),
    #[error("topic is not UTF-8")]
    TopicText,
    #[error(transparent)]
    Topic(#[from] TopicError),
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error(transparent)]
    Market(#[from] MarketError),
    #[error("the message is about another topic than its own")]
    OtherTopic,
}

/// Reads a message; the topic must be the one that the content belongs to.
pub(crate) fn read(parts: &[Bytes]) -> Result<(Topic, FrameHeader, Event), InboundError> {
    let [topic, frame] = parts else { return Err(InboundError::Parts(parts.len())) };
    let topic: Topic = std::str::from_utf8(topic).map_err(|_| InboundError::TopicText)?.parse()?;
    let frame = Frame::decode(frame)?;
    let event = match &topic {
        Topic::Tick(..) => Event::Tick(Tick::try_from(&frame.message::<wire::Tick>(Kind::Tick)?)?),
        Topic::Quote(..) => Event::Quote(Quote::try_from(&frame.message::<wire::Quote>(Kind::Quote)?)?),
        Topic::Candle(..) if frame.header.kind == Kind::OhlcBatch => {
            Event::Snapshot(candles_of(&frame.message(Kind::OhlcBatch)?)?)
        }
        Topic::Candle(..) => Event::Candle(Candle::try_from(&frame.message::<wire::Candle>(Kind::Candle)?)?),
        Topic::Response(_) | Topic::HistoryReady(_) | Topic::UserEvent(..) | Topic::EventAck(_) => {
            return Err(InboundError::OtherTopic);
        }
    };
    if belongs(&topic, &event) { Ok((topic, frame.header, event)) } else { Err(InboundError::OtherTopic) }
}

fn belongs(topic: &Topic, event: &Event) -> bool {
    let same = |candle: &Candle| {
        matches!(topic, Topic::Candle(venue, symbol, interval)
            if *venue == candle.venue && *symbol == candle.symbol && *interval == candle.interval)
    };
    match (topic, event) {
        (Topic::Tick(venue, symbol), Event::Tick(tick)) => *venue == tick.venue && *symbol == tick.symbol,
        (Topic::Quote(venue, symbol), Event::Quote(quote)) => *venue == quote.venue && *symbol == quote.symbol,
        (Topic::Candle(..), Event::Candle(candle)) => same(candle),
        (Topic::Candle(..), Event::Snapshot(candles)) => candles.iter().all(same),
        _ => false,
    }
}

/// Finds losses on one topic: each publisher counts its messages from 1 without gaps. A topic has one publisher, two while
/// one takes over from another; more are forgotten oldest first.
#[derive(Debug, Default)]
pub(crate) struct Sequences {
    publishers: [(u64, u64); 2],
}

/// What a sequence number says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// The first message of the topic.
    First,
    /// The next one.
    InOrder,
    /// The first one of another publisher; what came before is unknown.
    NewPublisher,
    /// So many are missing.
    Gap(u64),
    /// Seen before.
    Repeated,
}

impl Sequences {
    pub(crate) fn arrive(&mut self, publisher: u64, sequence: u64) -> Arrival {
        let Some(known) = self.publishers.iter_mut().find(|(id, last)| *id == publisher && *last > 0) else {
            let first = self.publishers == [(0, 0); 2];
            self.publishers.rotate_right(1);
            self.publishers[0] = (publisher, sequence);
            return if first { Arrival::First } else { Arrival::NewPublisher };
        };
        let last = known.1;
        known.1 = sequence.max(last);
        match sequence.checked_sub(last) {
            Some(1) => Arrival::InOrder,
            Some(step) if step > 1 => Arrival::Gap(step - 1),
            _ => Arrival::Repeated,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tick(symbol: &str) -> wire::Tick {
        let one = Some(proto::Decimal::ONE.into());
        wire::Tick {
            venue: "SIM".into(),
            symbol: symbol.into(),
            trade_id: "1".into(),
            event_time_ns: 1_795_168_800_000_000_000,
            receive_time_ns: 1_795_168_800_000_000_000,
            price: one,
            size: one,
            side: 1,
            source: 1,
            repaired: false,
        }
    }

    fn parts(topic: &str, kind: Kind, message: &impl prost::Message) -> Vec<Bytes> {
        let frame = FrameHeader::new(kind, 7, 1, 0).encode(message).unwrap();
        vec![Bytes::copy_from_slice(topic.as_bytes()), frame]
    }

    #[test]
    fn a_message_under_its_own_topic_is_read() {
        let (topic, header, event) = read(&parts("SIM:A/B|tick", Kind::Tick, &tick("A/B"))).unwrap();
        assert_eq!(topic.to_string(), "SIM:A/B|tick");
        assert_eq!(header.publisher_id, 7);
        assert!(matches!(event, Event::Tick(tick) if tick.trade_id == "1"));
    }

    #[test]
    fn a_message_under_another_topic_or_kind_is_refused() {
        assert_eq!(read(&parts("SIM:A/C|tick", Kind::Tick, &tick("A/B"))), Err(InboundError::OtherTopic));
        assert!(matches!(read(&parts("SIM:A/B|quote", Kind::Tick, &tick("A/B"))), Err(InboundError::Wire(_))));
        assert!(matches!(read(&parts("SIM:A/B|tick", Kind::Tick, &tick("a"))), Err(InboundError::Market(_))));
        assert_eq!(read(&parts("SIM:A/B|tick", Kind::Tick, &tick("A/B"))[..1]), Err(InboundError::Parts(1)));
    }

    #[test]
    fn losses_are_counted_per_publisher() {
        let mut sequences = Sequences::default();
        let steps = [
            (1, 5, Arrival::First),
            (1, 6, Arrival::InOrder),
            (1, 9, Arrival::Gap(2)),
            (1, 8, Arrival::Repeated),
            (2, 1, Arrival::NewPublisher),
            (1, 10, Arrival::InOrder),
            (2, 2, Arrival::InOrder),
            (3, 1, Arrival::NewPublisher),
        ];
        for (publisher, sequence, expected) in steps {
            assert_eq!(sequences.arrive(publisher, sequence), expected, "{publisher} {sequence}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(topic in proptest::collection::vec(any::<u8>(), 0..40), frame in proptest::collection::vec(any::<u8>(), 0..100)) {
            prop_assert!(read(&[topic.into(), frame.into()]).is_err());
        }
    }
}
