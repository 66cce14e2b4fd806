//! What a client may send on the requests' port, from bytes to verdict. Shared by the fuzzer and the tests.

use crate::request::{Envelope, examine};
use zmtp::Limits;
use zmtp::codec::{Command, Parts, Scan, Scanner, excise};

/// Whatever comes is judged without a panic; what is accepted is consistent, what is refused echoes nothing but an id.
pub(crate) fn run(data: &[u8]) {
    let limits = Limits { frame_bytes: 16 << 10, message_bytes: 32 << 10, ..Limits::default() };
    let (mut scanner, mut buffer) = (Scanner::new(limits), data.to_vec());
    while let Ok(found) = scanner.scan(&buffer) {
        let used = match found {
            Scan::Partial { .. } => break,
            Scan::Message { len, .. } => {
                judge(&buffer[..len]);
                len
            }
            Scan::Command { frame, body } => {
                if Command::parse(&buffer[body]).is_err() {
                    break;
                }
                excise(&mut buffer, frame)
            }
        };
        buffer.drain(..used);
    }
}

fn judge(message: &[u8]) {
    let envelope = Envelope::open(Parts::new(message).map(|range| &message[range]));
    assert!(envelope.route.len() <= proto::limits::TOPIC_BYTES);
    match examine(&envelope) {
        Ok(accepted) => {
            assert_eq!(accepted.venue.as_str(), accepted.request.venue);
            assert_eq!(accepted.notification_topic, ["HISTORY_READY:", &accepted.request.request_id].concat());
            assert_eq!(envelope.route, format!("{}:", accepted.venue.as_str()).as_bytes());
        }
        Err(refusal) => {
            let id = &refusal.request_id;
            assert!(id.is_empty() || id.parse::<proto::RequestId>().is_ok(), "{id}");
            assert!(refusal.error.code != 0);
        }
    }
}
