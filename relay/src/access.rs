//! Who may subscribe to what (docs/protocol/04-relay.md, "Access").

use proto::{Topic, TopicPrefix};

/// The words that open the topics of notifications; whoever could subscribe to less than a whole id behind them would
/// read what is meant for others.
const PRIVATE: [&[u8]; 2] = [b"RESPONSE:", b"HISTORY_READY:"];

/// Whether a subscription on the subscribers' port is allowed.
pub(crate) fn may_subscribe(prefix: &[u8], allow_empty: bool) -> bool {
    if prefix.is_empty() {
        return allow_empty;
    }
    if PRIVATE.iter().any(|word| word.starts_with(prefix)) {
        return false;
    }
    if PRIVATE.iter().any(|word| prefix.starts_with(word)) {
        let topic = std::str::from_utf8(prefix).ok().and_then(|text| text.parse::<Topic>().ok());
        return matches!(topic, Some(Topic::Response(_) | Topic::HistoryReady(_)));
    }
    true
}

/// Whether a subscription on the work port is allowed: exactly the work of one venue. So `VENUE:` in the index means that
/// an ingestor serves the venue, and nothing else does.
pub(crate) fn may_take_work(prefix: &[u8]) -> bool {
    TopicPrefix::parse_work(prefix).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proto::{ClientId, RequestId};

    #[test]
    fn market_topics_and_whole_ids_are_allowed() {
        let ready = Topic::HistoryReady(RequestId::from_bits(1)).to_string();
        let response = Topic::Response(ClientId::from_bits(2)).to_string();
        for prefix in ["BINANCE:", "B", "SIM:BTC/USDT|tick", "RESPONSES", "HISTORY_READYX", &ready, &response] {
            assert!(may_subscribe(prefix.as_bytes(), false), "{prefix}");
        }
    }

    #[test]
    fn nothing_shorter_or_longer_than_a_whole_id_opens_notifications() {
        for whole in [Topic::HistoryReady(RequestId::from_bits(1)), Topic::Response(ClientId::from_bits(2))] {
            let whole = whole.to_string();
            for end in 1..whole.len() {
                assert!(!may_subscribe(&whole.as_bytes()[..end], true), "{}", &whole[..end]);
            }
            assert!(!may_subscribe(format!("{whole}0").as_bytes(), true));
            assert!(!may_subscribe(whole.replace('0', "o").as_bytes(), true), "not the canonical form of an id");
        }
    }

    #[test]
    fn the_empty_prefix_is_a_matter_of_configuration() {
        assert!(!may_subscribe(b"", false));
        assert!(may_subscribe(b"", true));
    }

    #[test]
    fn work_is_taken_by_whole_venue_only() {
        assert!(may_take_work(b"BINANCE-USDM:"));
        for bad in [&b""[..], b"BINANCE", b"BINANCE:X", b":", b"binance:", b"B\xff:"] {
            assert!(!may_take_work(bad), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn an_allowed_subscription_never_matches_the_topic_of_another_id(bits in any::<u128>(), prefix in "[A-Z_:0-9]{0,45}") {
            let topic = Topic::HistoryReady(RequestId::from_bits(bits)).to_string();
            let reads = topic.starts_with(&prefix) && may_subscribe(prefix.as_bytes(), false);
            prop_assert!(!reads || prefix == topic);
        }
    }
}
