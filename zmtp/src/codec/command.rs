//! Commands after the handshake: subscriptions and heartbeats.

use super::FrameError;
use super::frame::command_head;
use bytes::{BufMut, BytesMut};

/// Longest context of a PING; the PONG echoes it.
pub const PING_CONTEXT_BYTES: usize = 16;

/// Whether a subscription begins or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubscriptionChange {
    /// SUBSCRIBE, or a message that starts with 1.
    Subscribe,
    /// CANCEL, or a message that starts with 0.
    Cancel,
}

/// A command, borrowing from the receive buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command<'a> {
    /// A subscription begins or ends.
    Subscription(SubscriptionChange, &'a [u8]),
    /// The peer asks for a sign of life.
    Ping {
        /// If not 0: hang up after that many tenths of a second of silence.
        ttl_ds: u16,
        /// To be echoed.
        context: &'a [u8],
    },
    /// The answer to a PING.
    Pong {
        /// The context of the PING.
        context: &'a [u8],
    },
    /// A command this version does not know; to be ignored.
    Unknown,
}

impl<'a> Command<'a> {
    /// Reads the body of a command frame.
    ///
    /// # Errors
    /// If the body is not of the command's form, or is READY or ERROR, which end a connection here.
    pub fn parse(body: &'a [u8]) -> Result<Self, FrameError> {
        let (&length, rest) = body.split_first().ok_or(FrameError::Command("empty"))?;
        let (name, data) = rest.split_at_checked(usize::from(length)).ok_or(FrameError::Command("nameless"))?;
        match name {
            b"SUBSCRIBE" => Ok(Self::Subscription(SubscriptionChange::Subscribe, data)),
            b"CANCEL" => Ok(Self::Subscription(SubscriptionChange::Cancel, data)),
            b"PING" => {
                let (ttl, context) = data.split_first_chunk::<2>().ok_or(FrameError::Command("PING"))?;
                if context.len() > PING_CONTEXT_BYTES {
                    return Err(FrameError::Command("PING"));
                }
                Ok(Self::Ping { ttl_ds: u16::from_be_bytes(*ttl), context })
            }
            b"PONG" if data.len() > PING_CONTEXT_BYTES => Err(FrameError::Command("PONG")),
            b"PONG" => Ok(Self::Pong { context: data }),
            b"READY" => Err(FrameError::UnexpectedReady),
            b"ERROR" => Err(FrameError::Peer),
            _ => Ok(Self::Unknown),
        }
    }

    /// A subscription as a ZMTP 3.0 message: one frame that starts with 1 or 0. To be accepted from every peer.
    #[must_use]
    pub fn from_message(body: &'a [u8]) -> Option<Self> {
        let (&first, topic) = body.split_first()?;
        match first {
            1 => Some(Self::Subscription(SubscriptionChange::Subscribe, topic)),
            0 => Some(Self::Subscription(SubscriptionChange::Cancel, topic)),
            _ => None,
        }
    }

    /// Appends a subscription in the form the peer's version asks for.
    pub fn encode_subscription(out: &mut BytesMut, minor: u8, change: SubscriptionChange, topic: &[u8]) {
        if minor == 0 {
            let mut body = Vec::with_capacity(topic.len() + 1);
            body.push(u8::from(change == SubscriptionChange::Subscribe));
            body.extend_from_slice(topic);
            return super::encode_frame(out, &body, false);
        }
        let name: &[u8] = match change {
            SubscriptionChange::Subscribe => b"\x09SUBSCRIBE",
            SubscriptionChange::Cancel => b"\x06CANCEL",
        };
        command_head(out, name.len() + topic.len());
        out.put_slice(name);
        out.put_slice(topic);
    }

    /// Appends a PING; only for a peer that announced 3.1.
    pub fn encode_ping(out: &mut BytesMut, ttl_ds: u16, context: &[u8]) {
        command_head(out, 7 + context.len());
        out.put_slice(b"\x04PING");
        out.put_u16(ttl_ds);
        out.put_slice(context);
    }

    /// Appends a PONG.
    pub fn encode_pong(out: &mut BytesMut, context: &[u8]) {
        command_head(out, 5 + context.len());
        out.put_slice(b"\x04PONG");
        out.put_slice(context);
    }

    /// Appends an ERROR; only for a peer that announced 3.1.
    pub fn encode_error(out: &mut BytesMut, reason: &str) {
        let reason = &reason.as_bytes()[..reason.len().min(200)];
        command_head(out, 7 + reason.len());
        out.put_slice(b"\x05ERROR");
        out.put_u8(u8::try_from(reason.len()).unwrap_or(u8::MAX));
        out.put_slice(reason);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_have_the_bytes_that_libzmq_sends() {
        let mut out = BytesMut::new();
        Command::encode_subscription(&mut out, 1, SubscriptionChange::Subscribe, b"BINANCE:");
        assert_eq!(&out[..], b"\x04\x12\x09SUBSCRIBEBINANCE:");
        out.clear();
        Command::encode_subscription(&mut out, 0, SubscriptionChange::Subscribe, b"BINANCE:");
        assert_eq!(&out[..], b"\0\x09\x01BINANCE:");
        out.clear();
        Command::encode_subscription(&mut out, 0, SubscriptionChange::Cancel, b"X");
        assert_eq!(&out[..], b"\0\x02\0X");
        out.clear();
        Command::encode_ping(&mut out, 10, b"");
        assert_eq!(&out[..], b"\x04\x07\x04PING\0\x0a");
        out.clear();
        Command::encode_pong(&mut out, b"ctx");
        assert_eq!(&out[..], b"\x04\x08\x04PONGctx");
    }

    #[test]
    fn what_is_encoded_is_read_back() {
        let topic = [b'T'; 300];
        let mut out = BytesMut::new();
        Command::encode_subscription(&mut out, 1, SubscriptionChange::Cancel, &topic);
        assert_eq!(Command::parse(&out[9..]), Ok(Command::Subscription(SubscriptionChange::Cancel, &topic)));
        out.clear();
        Command::encode_ping(&mut out, 300, b"0123456789abcdef");
        assert_eq!(Command::parse(&out[2..]), Ok(Command::Ping { ttl_ds: 300, context: b"0123456789abcdef" }));
    }

    #[test]
    fn each_truncation_of_a_ping_is_malformed() {
        for end in 0..7 {
            let body = &b"\x04PING\0\x0a"[..end];
            assert!(matches!(Command::parse(body), Err(FrameError::Command(_))), "{end}");
        }
    }

    #[test]
    fn a_context_of_16_bytes_is_accepted_and_17_refused() {
        let body = |n: usize| [&b"\x04PING\0\0"[..], &vec![1; n]].concat();
        assert!(Command::parse(&body(16)).is_ok());
        assert_eq!(Command::parse(&body(17)), Err(FrameError::Command("PING")));
    }

    #[test]
    fn unknown_commands_are_named_as_such_and_ready_is_refused() {
        assert_eq!(Command::parse(b"\x04JOINgroup"), Ok(Command::Unknown));
        assert_eq!(Command::parse(b"\x05READY"), Err(FrameError::UnexpectedReady));
        assert_eq!(Command::parse(b"\x05ERROR\0"), Err(FrameError::Peer));
    }
}
