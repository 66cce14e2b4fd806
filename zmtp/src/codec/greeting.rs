//! The 64-byte greeting (RFC 37, "Version Negotiation"; the bytes libzmq sends are in docs/protocol/04-relay.md).

use super::HandshakeError;

/// Size of a greeting.
pub const GREETING_BYTES: usize = 64;
const MECHANISM: &[u8; 20] = b"NULL\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

/// What a greeting says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Greeting {
    /// Minor version of ZMTP 3; what is above 1 is spoken to as 1.
    pub minor: u8,
}

impl Greeting {
    /// Our greeting: ZMTP 3.1, NULL.
    #[must_use]
    pub fn encode() -> [u8; GREETING_BYTES] {
        let mut bytes = [0; GREETING_BYTES];
        bytes[0] = 0xff;
        bytes[8] = 1;
        bytes[9] = 0x7f;
        bytes[10] = 3;
        bytes[11] = 1;
        bytes[12..32].copy_from_slice(MECHANISM);
        bytes
    }

    /// Reads a greeting; `None` if more bytes are needed. A wrong byte is refused as soon as it is there.
    ///
    /// # Errors
    /// If the peer does not speak ZMTP 3 with NULL.
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>, HandshakeError> {
        match bytes.first() {
            None => return Ok(None),
            Some(0xff) => {}
            Some(_) => return Err(HandshakeError::Signature { at: 0 }),
        }
        // Bytes 1 to 8 are padding that libzmq fills with a length; only the low bit of byte 9 is defined.
        if bytes.get(9).is_some_and(|b| b & 1 == 0) {
            return Err(HandshakeError::Signature { at: 9 });
        }
        if let Some(&major) = bytes.get(10)
            && major < 3
        {
            return Err(HandshakeError::Version { major });
        }
        let mechanism = bytes.get(12..).unwrap_or_default();
        let seen = mechanism.len().min(MECHANISM.len());
        if mechanism[..seen] != MECHANISM[..seen] {
            return Err(HandshakeError::Mechanism);
        }
        if bytes.len() < GREETING_BYTES {
            return Ok(None);
        }
        // A higher major version must fall back to ours (RFC 37), so its minor version says nothing.
        Ok(Some(Self { minor: if bytes[10] > 3 { 1 } else { bytes[11].min(1) } }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_greeting_is_the_one_libzmq_sends() {
        let mut expected = vec![0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 1];
        expected.extend(b"NULL");
        expected.resize(64, 0);
        assert_eq!(&Greeting::encode()[..], &expected[..]);
    }

    #[test]
    fn each_prefix_of_a_greeting_needs_more_and_the_whole_is_read() {
        let mut bytes = Greeting::encode();
        for end in 0..GREETING_BYTES {
            assert_eq!(Greeting::parse(&bytes[..end]), Ok(None), "{end}");
        }
        assert_eq!(Greeting::parse(&bytes), Ok(Some(Greeting { minor: 1 })));
        bytes[11] = 0;
        assert_eq!(Greeting::parse(&bytes), Ok(Some(Greeting { minor: 0 })));
    }

    #[test]
    fn foreign_greetings_are_refused_at_the_first_wrong_byte() {
        assert_eq!(Greeting::parse(b"GET / HTTP/1.1"), Err(HandshakeError::Signature { at: 0 }));
        let patch = |at: usize, value: u8| {
            let mut bytes = Greeting::encode();
            bytes[at] = value;
            Greeting::parse(&bytes[..=at])
        };
        assert_eq!(patch(9, 0), Err(HandshakeError::Signature { at: 9 }));
        assert_eq!(patch(10, 1), Err(HandshakeError::Version { major: 1 }));
        assert_eq!(patch(12, b'C'), Err(HandshakeError::Mechanism));
        assert_eq!(patch(16, b'X'), Err(HandshakeError::Mechanism));
    }
}
