//! How each topic of the platform is created: the one table of partitions, retention and durability.

use crate::{Durability, Retention, TopicSpec};
use proto::LogTopic;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);

/// The spec of a topic. All processes create what they need from this one table, so they never disagree.
#[must_use]
pub fn spec(topic: LogTopic) -> TopicSpec {
    let (partitions, days, compacted, durability) = match topic {
        LogTopic::RawWs => (4, Some(7), false, Durability::Interval),
        LogTopic::RawRest => (1, Some(7), false, Durability::Interval),
        LogTopic::NormTick | LogTopic::NormQuote | LogTopic::NormOhlc => (4, Some(30), false, Durability::Interval),
        LogTopic::EvtInstrument => (1, None, true, Durability::Interval),
        // A feed's key names its ingestor, which has a new id at every start: age removes those long gone.
        LogTopic::EvtFeed => (1, Some(7), true, Durability::Interval),
        LogTopic::EvtJob => (1, Some(1), false, Durability::Interval),
        LogTopic::NotifHistory => (1, Some(7), false, Durability::Fsync),
        LogTopic::DlqRaw | LogTopic::DlqNorm => (1, Some(30), false, Durability::Interval),
    };
    TopicSpec {
        name: topic.name().to_owned(),
        partitions,
        retention: Retention { age: days.map(|d| DAY * d), bytes: Some(bytes_max(topic)) },
        compacted,
        durability,
    }
}

/// Most bytes of one partition, so that no topic fills the disk whatever its rate.
const fn bytes_max(topic: LogTopic) -> u64 {
    const GIB: u64 = 1 << 30;
    match topic {
        LogTopic::RawWs | LogTopic::NormTick => 16 * GIB,
        LogTopic::RawRest | LogTopic::NormQuote | LogTopic::NormOhlc => 8 * GIB,
        _ => GIB,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_topic_has_a_valid_spec_of_its_name() {
        for topic in LogTopic::ALL {
            let spec = spec(topic);
            assert_eq!(spec.name, topic.name());
            spec.validate().unwrap();
        }
    }
}
