//! Frame heads: flags and length (RFC 37, "Framing").

use super::FrameError;
use bytes::{BufMut, BytesMut};

const MORE: u8 = 1;
const LONG: u8 = 2;
const COMMAND: u8 = 4;

/// The head of one frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHead {
    /// Another frame of the same message follows.
    pub more: bool,
    /// A command, not part of a message.
    pub command: bool,
    /// Bytes of the head itself: 2 or 9.
    pub head: usize,
    /// Bytes of the body, as claimed.
    pub body: u64,
}

impl FrameHead {
    /// Reads the head at the start of `bytes`; `Err(need)` inside `Ok` says how many bytes it takes to know more.
    ///
    /// # Errors
    /// If the flags are not those of ZMTP 3.1.
    pub fn parse(bytes: &[u8]) -> Result<Result<Self, usize>, FrameError> {
        let Some(&flags) = bytes.first() else { return Ok(Err(2)) };
        if flags & !(MORE | LONG | COMMAND) != 0 {
            return Err(FrameError::Flags(flags));
        }
        let (more, command) = (flags & MORE != 0, flags & COMMAND != 0);
        if more && command {
            return Err(FrameError::CommandMore);
        }
        if flags & LONG == 0 {
            return Ok(bytes.get(1).map(|&n| Self { more, command, head: 2, body: u64::from(n) }).ok_or(2));
        }
        let word = bytes.get(1..9).and_then(|b| <[u8; 8]>::try_from(b).ok());
        Ok(word.map(|b| Self { more, command, head: 9, body: u64::from_be_bytes(b) }).ok_or(9))
    }

    /// The length of the body, if it is within `limit`.
    #[must_use]
    pub fn body_within(&self, limit: usize) -> Option<usize> {
        usize::try_from(self.body).ok().filter(|n| *n <= limit)
    }
}

/// Bytes on the wire of a frame with a body of `body` bytes.
#[must_use]
pub const fn frame_len(body: usize) -> usize {
    body + if body > 255 { 9 } else { 2 }
}

/// Bytes on the wire of a message of these parts.
pub fn message_len<P: AsRef<[u8]>>(parts: &[P]) -> usize {
    parts.iter().map(|part| frame_len(part.as_ref().len())).sum()
}

fn head(out: &mut BytesMut, flags: u8, body: usize) {
    match u8::try_from(body) {
        Ok(short) => out.put_slice(&[flags, short]),
        Err(_) => {
            out.put_u8(flags | LONG);
            out.put_u64(body as u64);
        }
    }
}

pub(super) fn command_head(out: &mut BytesMut, body: usize) {
    head(out, COMMAND, body);
}

/// Appends one frame of a message.
pub fn encode_frame(out: &mut BytesMut, body: &[u8], more: bool) {
    head(out, u8::from(more), body.len());
    out.put_slice(body);
}

/// Appends a message.
pub fn encode_message<P: AsRef<[u8]>>(out: &mut BytesMut, parts: &[P]) {
    for (at, part) in parts.iter().enumerate() {
        encode_frame(out, part.as_ref(), at + 1 < parts.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_long_heads_have_the_bytes_of_the_rfc() {
        let mut out = BytesMut::new();
        encode_frame(&mut out, b"ab", true);
        assert_eq!(&out[..], b"\x01\x02ab");
        out.clear();
        encode_frame(&mut out, &[7; 256], false);
        assert_eq!(&out[..9], b"\x02\0\0\0\0\0\0\x01\0");
        assert_eq!(out.len(), frame_len(256));
        out.clear();
        encode_frame(&mut out, &[7; 255], false);
        assert_eq!(&out[..2], b"\0\xff");
    }

    #[test]
    fn each_truncation_of_a_head_says_how_many_bytes_it_takes() {
        assert_eq!(FrameHead::parse(b""), Ok(Err(2)));
        assert_eq!(FrameHead::parse(b"\0"), Ok(Err(2)));
        for end in 1..9 {
            assert_eq!(FrameHead::parse(&b"\x02\0\0\0\0\0\0\x01\0"[..end]), Ok(Err(9)), "{end}");
        }
    }

    #[test]
    fn reserved_flags_and_commands_with_more_are_refused() {
        for flags in 8..=255u8 {
            assert_eq!(FrameHead::parse(&[flags, 0]), Err(FrameError::Flags(flags)));
        }
        assert_eq!(FrameHead::parse(&[5, 0]), Err(FrameError::CommandMore));
    }

    #[test]
    fn a_claim_of_2_to_the_62_is_a_number_and_not_an_allocation() {
        let mut bytes = vec![LONG];
        bytes.extend(((1u64 << 62) - (1 << 20)).to_be_bytes());
        let head = FrameHead::parse(&bytes).unwrap().unwrap();
        assert_eq!(head.body_within(1 << 20), None);
    }
}
