//! READY and its metadata (RFC 37, "The NULL Security Mechanism").

use super::HandshakeError;
use super::frame::command_head;
use crate::SocketType;
use bytes::{BufMut, Bytes, BytesMut};

const NAME: &[u8] = b"\x05READY";
const SOCKET_TYPE: &[u8] = b"Socket-Type";
const IDENTITY: &[u8] = b"Identity";
/// Longest identity of RFC 37.
pub(super) const IDENTITY_BYTES: usize = 255;

/// What a READY says; other properties are skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// The peer's socket type.
    pub socket_type: SocketType,
    /// The identity it asks for; not a credential, and never used to route.
    pub identity: Bytes,
}

fn property(out: &mut BytesMut, name: &[u8], value: &[u8]) {
    out.put_u8(u8::try_from(name.len()).unwrap_or(0));
    out.put_slice(name);
    out.put_u32(u32::try_from(value.len()).unwrap_or(0));
    out.put_slice(value);
}

impl Ready {
    /// Appends the command frame. An identity beyond 255 bytes is left out.
    pub fn encode(&self, out: &mut BytesMut) {
        let mut body = BytesMut::new();
        body.put_slice(NAME);
        property(&mut body, SOCKET_TYPE, self.socket_type.name().as_bytes());
        // As libzmq: only these types announce an identity, which may be empty.
        let announces = matches!(self.socket_type, SocketType::Req | SocketType::Dealer | SocketType::Router);
        if announces && self.identity.len() <= IDENTITY_BYTES {
            property(&mut body, IDENTITY, &self.identity);
        }
        command_head(out, body.len());
        out.put_slice(&body);
    }

    /// Reads the body of a command frame.
    ///
    /// # Errors
    /// If it is not READY, its metadata is broken, or the socket type is missing or unknown.
    pub fn parse(body: &[u8]) -> Result<Self, HandshakeError> {
        if body.starts_with(b"\x05ERROR") {
            return Err(HandshakeError::Refused);
        }
        let mut rest = body.strip_prefix(NAME).ok_or(HandshakeError::NotReady)?;
        let (mut socket_type, mut identity) = (None, Bytes::new());
        while let Some((&length, after)) = rest.split_first() {
            let (name, after) = after.split_at_checked(usize::from(length)).ok_or(HandshakeError::Metadata)?;
            let (size, after) = after.split_first_chunk::<4>().ok_or(HandshakeError::Metadata)?;
            let size = usize::try_from(u32::from_be_bytes(*size)).map_err(|_| HandshakeError::Metadata)?;
            let (value, after) = after.split_at_checked(size).ok_or(HandshakeError::Metadata)?;
            if name.is_empty() {
                return Err(HandshakeError::Metadata);
            }
            // Property names are not case-sensitive (RFC 37).
            if name.eq_ignore_ascii_case(SOCKET_TYPE) {
                socket_type = Some(SocketType::from_name(value).ok_or(HandshakeError::SocketType)?);
            } else if name.eq_ignore_ascii_case(IDENTITY) {
                if value.len() > IDENTITY_BYTES {
                    return Err(HandshakeError::Metadata);
                }
                identity = Bytes::copy_from_slice(value);
            }
            rest = after;
        }
        Ok(Self { socket_type: socket_type.ok_or(HandshakeError::SocketType)?, identity })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUB: &[u8] = b"\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03SUB";

    #[test]
    fn ready_has_the_bytes_that_libzmq_sends() {
        let mut out = BytesMut::new();
        Ready { socket_type: SocketType::Sub, identity: Bytes::new() }.encode(&mut out);
        assert_eq!(&out[..], SUB);
    }

    #[test]
    fn each_truncation_of_the_metadata_is_a_typed_error() {
        for end in 0..SUB.len() - 2 {
            assert!(Ready::parse(&SUB[2..2 + end]).is_err(), "{end}");
        }
        assert_eq!(Ready::parse(&SUB[2..]).unwrap().socket_type, SocketType::Sub);
    }

    #[test]
    fn identity_and_unknown_properties_are_read_in_any_case() {
        let body = b"\x05READY\x03X-a\0\0\0\x01z\x0bsocket-TYPE\0\0\0\x06DEALER\x08IDENTITY\0\0\0\x02me";
        let ready = Ready::parse(body).unwrap();
        assert_eq!((ready.socket_type, &ready.identity[..]), (SocketType::Dealer, &b"me"[..]));
    }

    #[test]
    fn a_value_longer_than_the_command_is_refused() {
        let body = b"\x05READY\x0bSocket-Type\xff\xff\xff\xffSUB";
        assert_eq!(Ready::parse(body), Err(HandshakeError::Metadata));
        assert_eq!(Ready::parse(b"\x05READY\x0bSocket-Type\0\0\0\x03FOO"), Err(HandshakeError::SocketType));
        assert_eq!(Ready::parse(b"\x05READY"), Err(HandshakeError::SocketType));
        assert_eq!(Ready::parse(b"\x05ERROR\x02no"), Err(HandshakeError::Refused));
        assert_eq!(Ready::parse(b"\x04PING\0\0"), Err(HandshakeError::NotReady));
    }
}
