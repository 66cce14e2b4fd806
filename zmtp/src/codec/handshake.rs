//! The NULL handshake as a state machine: greeting, READY, compatibility.

use super::{Command, FrameError, FrameHead, GREETING_BYTES, Greeting, HandshakeError, Ready};
use crate::{Limits, SocketType};
use bytes::{Bytes, BytesMut};

/// What we announce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Local {
    /// Our socket type.
    pub socket_type: SocketType,
    /// Our identity; announced by DEALER, REQ and ROUTER.
    pub identity: Bytes,
}

impl Local {
    /// Without an identity.
    #[must_use]
    pub const fn new(socket_type: SocketType) -> Self {
        Self { socket_type, identity: Bytes::new() }
    }
}

/// Who is at the other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Minor version of ZMTP 3: 0 or 1. Only 1 may be sent commands.
    pub minor: u8,
    /// Its socket type; compatible with ours.
    pub socket_type: SocketType,
    /// The identity it announced.
    pub identity: Bytes,
}

/// One handshake. It never needs more than the greeting and one command of memory.
#[derive(Debug)]
pub struct Handshake {
    local: Local,
    command_bytes: usize,
    minor: Option<u8>,
}

impl Handshake {
    /// Starts a handshake: `out` gets our greeting.
    pub fn start(local: Local, limits: &Limits, out: &mut BytesMut) -> Self {
        out.extend_from_slice(&Greeting::encode());
        Self { local, command_bytes: limits.command_bytes, minor: None }
    }

    /// Reads from `input` as far as it goes. Returns how many bytes were used and, when the handshake is complete, the
    /// peer; the bytes after those used belong to the [`super::Scanner`]. What is to be sent is appended to `out`.
    ///
    /// # Errors
    /// If the peer cannot be talked to; `out` may then hold an ERROR for it.
    pub fn advance(&mut self, input: &[u8], out: &mut BytesMut) -> Result<(usize, Option<Peer>), HandshakeError> {
        let mut used = 0;
        let minor = match self.minor {
            Some(minor) => minor,
            None => {
                let Some(greeting) = Greeting::parse(input)? else { return Ok((0, None)) };
                used = GREETING_BYTES;
                Ready { socket_type: self.local.socket_type, identity: self.local.identity.clone() }.encode(out);
                *self.minor.insert(greeting.minor)
            }
        };
        let rest = &input[used..];
        let Ok(head) = FrameHead::parse(rest)? else { return Ok((used, None)) };
        if !head.command {
            return Err(HandshakeError::NotReady);
        }
        let limit = self.command_bytes;
        let body = head.body_within(limit).ok_or(FrameError::CommandTooLong { have: head.body, limit })?;
        let Some(body) = rest.get(head.head..head.head + body) else { return Ok((used, None)) };
        let ready = Ready::parse(body)?;
        if !self.local.socket_type.is_compatible(ready.socket_type) {
            if minor > 0 {
                Command::encode_error(out, "Invalid socket type");
            }
            return Err(HandshakeError::Incompatible { local: self.local.socket_type, peer: ready.socket_type });
        }
        let peer = Peer { minor, socket_type: ready.socket_type, identity: ready.identity };
        Ok((used + head.head + body.len(), Some(peer)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(kind: SocketType) -> (Handshake, BytesMut) {
        let mut out = BytesMut::new();
        let handshake = Handshake::start(Local::new(kind), &Limits::default(), &mut out);
        (handshake, out)
    }

    fn greeting(minor: u8) -> Vec<u8> {
        let mut bytes = Greeting::encode().to_vec();
        bytes[11] = minor;
        bytes
    }

    fn ready(kind: SocketType) -> Vec<u8> {
        let mut out = BytesMut::new();
        Ready { socket_type: kind, identity: Bytes::new() }.encode(&mut out);
        out.to_vec()
    }

    #[test]
    fn two_machines_shake_hands_at_every_split() {
        let theirs = [greeting(1), ready(SocketType::Sub), b"\0\x02\x01X".to_vec()].concat();
        let done = GREETING_BYTES + ready(SocketType::Sub).len();
        for split in 0..theirs.len() {
            let (mut handshake, mut out) = start(SocketType::Xpub);
            let (used, peer) = handshake.advance(&theirs[..split], &mut out).unwrap();
            assert_eq!(peer.is_some(), split >= done, "{split}");
            let (more, peer) = match peer {
                Some(peer) => (0, Some(peer)),
                None => handshake.advance(&theirs[used..], &mut out).unwrap(),
            };
            assert_eq!(used + more, done);
            assert_eq!(peer.unwrap().socket_type, SocketType::Sub);
            assert_eq!(&out[GREETING_BYTES..], ready(SocketType::Xpub));
        }
    }

    #[test]
    fn ready_is_not_sent_before_the_peer_greets() {
        let (mut handshake, mut out) = start(SocketType::Xpub);
        assert_eq!(handshake.advance(&greeting(1)[..63], &mut out), Ok((0, None)));
        assert_eq!(out.len(), GREETING_BYTES);
    }

    #[test]
    fn incompatible_types_are_told_only_if_they_speak_3_1() {
        for (minor, told) in [(1, true), (0, false)] {
            let (mut handshake, mut out) = start(SocketType::Xpub);
            let input = [greeting(minor), ready(SocketType::Dealer)].concat();
            let error = handshake.advance(&input, &mut out).unwrap_err();
            assert_eq!(error, HandshakeError::Incompatible { local: SocketType::Xpub, peer: SocketType::Dealer });
            let sent = &out[GREETING_BYTES + ready(SocketType::Xpub).len()..];
            assert_eq!(sent.windows(5).any(|w| w == b"ERROR"), told, "minor {minor}");
        }
    }

    #[test]
    fn a_message_or_a_huge_command_in_place_of_ready_is_refused() {
        let (mut handshake, mut out) = start(SocketType::Xpub);
        let input = [greeting(1), b"\0\x01a".to_vec()].concat();
        assert_eq!(handshake.advance(&input, &mut out), Err(HandshakeError::NotReady));
        let (mut handshake, mut out) = start(SocketType::Xpub);
        let input = [greeting(1), b"\x06\x40\0\0\0\0\0\0\0".to_vec()].concat();
        assert!(matches!(
            handshake.advance(&input, &mut out),
            Err(HandshakeError::Frame(FrameError::CommandTooLong { have, .. })) if have == 1 << 62
        ));
    }
}
