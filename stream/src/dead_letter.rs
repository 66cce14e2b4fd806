//! Records that could not be used, for `dlq.norm`: with topic, reason and the bytes.

use crate::record::Rejected;
use bytes::Bytes;
use eventlog::Record;
use prost::Message;
use proto::limits::{ERROR_TEXT_BYTES, RECORD_BYTES};
use proto::{Envelope, EventType, LogTopic, Venue, wire};

/// Room for everything in the envelope besides the payload of a dead letter.
const OVERHEAD: usize = 8192;

/// What a dead letter is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeadLetter {
    pub(crate) topic: LogTopic,
    /// Key of the record; its venue is taken from it.
    pub(crate) key: Bytes,
    pub(crate) rejected: Rejected,
    pub(crate) payload: Bytes,
}

impl DeadLetter {
    /// The record for the log. A payload at the limit of a record is cut, which `detail` says.
    pub(crate) fn record(&self, now_ns: u64) -> Option<Record> {
        let venue = self.venue()?;
        let cut = self.payload.len().min(RECORD_BYTES - OVERHEAD);
        let mut detail = match self.rejected.row {
            Some(row) => format!("row {row}: {}", self.rejected.detail),
            None => self.rejected.detail.clone(),
        };
        if cut < self.payload.len() {
            detail = format!("cut at {cut} of {} bytes: {detail}", self.payload.len());
        }
        let mut end = detail.len().min(ERROR_TEXT_BYTES);
        while !detail.is_char_boundary(end) {
            end -= 1;
        }
        detail.truncate(end);
        let message = wire::DeadLetter {
            topic: self.topic.name().to_owned(),
            venue: venue.to_string(),
            reason: self.rejected.reason.to_owned(),
            detail,
            payload: self.payload.slice(..cut).to_vec(),
        };
        Some(record(EventType::DeadLetter, &venue, venue.as_str(), &message, now_ns))
    }

    /// The venue of the key, or `UNKNOWN`.
    fn venue(&self) -> Option<Venue> {
        let text = std::str::from_utf8(&self.key).ok().and_then(|key| key.split(':').next());
        text.and_then(|venue| venue.parse().ok()).or_else(|| "UNKNOWN".parse().ok())
    }
}

/// A record of our own.
pub(crate) fn record(event_type: EventType, venue: &Venue, key: &str, message: &impl Message, now_ns: u64) -> Record {
    let envelope = Envelope {
        event_id: ulid::Ulid::from_parts(now_ns / 1_000_000, rand::random()).0,
        event_type,
        venue: venue.clone(),
        observed_at_ns: now_ns,
        ingested_at_ns: now_ns,
        key: key.to_owned(),
        trace: Bytes::new(),
        payload: message.encode_to_vec().into(),
        raw: None,
    };
    Record { key: Bytes::copy_from_slice(key.as_bytes()), value: envelope.encode(), timestamp_ns: now_ns }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(key: &'static str, payload: Vec<u8>) -> wire::DeadLetter {
        let rejected = Rejected { reason: "malformed", detail: "é".repeat(600), row: Some(3) };
        let key = Bytes::from_static(key.as_bytes());
        let letter = DeadLetter { topic: LogTopic::NormTick, key, rejected, payload: payload.into() };
        let record = letter.record(1_723_161_240_000_000_000).unwrap();
        Envelope::decode(&record.value).unwrap().message(EventType::DeadLetter).unwrap()
    }

    #[test]
    fn a_dead_letter_keeps_the_bytes_and_says_whose_they_are() {
        let message = letter("SIM:BTC/USDT", vec![1, 2, 3]);
        assert_eq!((message.venue.as_str(), message.topic.as_str()), ("SIM", "norm.tick"));
        assert_eq!(message.payload, [1, 2, 3]);
        assert!(message.detail.starts_with("row 3: é") && message.detail.len() <= ERROR_TEXT_BYTES);
        assert_eq!(letter("nonsense", Vec::new()).venue, "UNKNOWN");
    }

    #[test]
    fn the_largest_record_still_fits_into_its_dead_letter() {
        let message = letter("SIM:BTC/USDT", vec![7; RECORD_BYTES]);
        assert!(message.payload.len() < RECORD_BYTES);
        assert!(message.detail.starts_with("cut at"));
    }
}
