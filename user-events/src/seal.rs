//! Sealing and opening: three frames, the last of them a MAC over the other two.

use crate::{Keyring, MacKey};
use bytes::{BufMut, Bytes, BytesMut};
use hmac::Mac;
use proto::limits::TOPIC_BYTES;
use proto::{EventAck, EventError, EventMessage, Frame, FrameHeader, Kind, Position, Topic, UserId, WireError, wire};

/// Length of the seal, frame 2.
pub const SEAL_BYTES: usize = 40;
const HEAD_BYTES: usize = 8;
const VERSION: u8 = 1;
const HMAC_SHA256: u8 = 1;

/// What a seal says about the other frames: an event can never be taken for an ack, nor for anything else a key may seal.
const EVENT_DOMAIN: &[u8] = b"dexorder.v1.user-event\0";
const ACK_DOMAIN: &[u8] = b"dexorder.v1.event-ack\0\0";

/// The three frames of a message: route, header and payload, seal.
pub type Sealed = [Bytes; 3];

/// Why frames are not a sealed message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Another number of frames than three.
    #[error("{0} frames, expected 3")]
    Frames(usize),
    /// Frame 0 is no route of this channel.
    #[error("route: not a topic of user events")]
    Route,
    /// Frame 2 is no seal of a known form.
    #[error("seal: {0}")]
    Seal(&'static str),
    /// The user has no key of this number.
    #[error("no key {key_id} for user {user_id}")]
    UnknownKey {
        /// The user in the route.
        user_id: UserId,
        /// The key in the seal.
        key_id: u32,
    },
    /// The seal was not made with this key over these frames.
    #[error("seal: does not fit (user {user_id}, key {key_id})")]
    Mac {
        /// The user in the route.
        user_id: UserId,
        /// The key in the seal.
        key_id: u32,
    },
    /// Sealed with the right key, yet no frame of this protocol.
    #[error("user {user_id}: {source}")]
    Wire {
        /// Who sealed it.
        user_id: UserId,
        /// What is wrong.
        source: WireError,
    },
    /// Sealed with the right key, yet no valid message.
    #[error("user {user_id}: {source}")]
    Content {
        /// Who sealed it.
        user_id: UserId,
        /// Which message of which outbox it is, as far as it says so.
        position: Option<Position>,
        /// What is wrong.
        source: EventError,
    },
    /// Sealed with the right key, but header, route and message do not say the same.
    #[error("user {user_id}: {field} differs between route, header and message")]
    Mismatch {
        /// Who sealed it.
        user_id: UserId,
        /// What differs.
        field: &'static str,
    },
}

impl OpenError {
    /// True if nothing proves who sent the message: it must not change any state.
    #[must_use]
    pub const fn is_unauthenticated(&self) -> bool {
        matches!(self, Self::Frames(_) | Self::Route | Self::Seal(_) | Self::UnknownKey { .. } | Self::Mac { .. })
    }
}

/// A message whose seal was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The header.
    pub header: FrameHeader,
    /// The event or gap fill; its user is the owner of the key.
    pub message: EventMessage,
    /// With which key it was sealed, and the answer is to be.
    pub key_id: u32,
}

/// An ack whose seal was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedAck {
    /// The header.
    pub header: FrameHeader,
    /// The ack.
    pub ack: EventAck,
}

fn mac_of(key: &MacKey, domain: &[u8], head: &[u8], route: &[u8], body: &[u8]) -> impl Mac {
    // Each length stands before its frame, so that no byte can move from one frame to the other.
    let length = |frame: &[u8]| (frame.len() as u64).to_le_bytes();
    key.mac(&[domain, head, &length(route), route, &length(body), body])
}

fn seal(key: &MacKey, domain: &[u8], route: Bytes, body: Bytes) -> Sealed {
    let mut seal = BytesMut::with_capacity(SEAL_BYTES);
    seal.put_u8(VERSION);
    seal.put_u8(HMAC_SHA256);
    seal.put_u16_le(0);
    seal.put_u32_le(key.id());
    let mac = mac_of(key, domain, &seal, &route, &body).finalize().into_bytes();
    seal.put_slice(&mac);
    [route, body, seal.freeze()]
}

/// Seals frame 1 of a critical event or gap fill, as [`FrameHeader::encode`] made it.
#[must_use]
pub fn seal_event(key: &MacKey, message: &EventMessage, body: Bytes) -> Sealed {
    let route = Topic::UserEvent(message.user_id(), message.kind()).to_string();
    seal(key, EVENT_DOMAIN, route.into(), body)
}

/// Encodes and seals an ack; `header` says who answers and how often it did.
///
/// # Errors
/// [`WireError::TooLong`], which no ack of a [`crate::Stream`] is.
pub fn seal_ack(key: &MacKey, header: FrameHeader, ack: &EventAck) -> Result<Sealed, WireError> {
    let body = header.encode(&wire::EventAck::from(ack))?;
    Ok(seal(key, ACK_DOMAIN, Topic::EventAck(ack.user_id).to_string().into(), body))
}

fn key_id(seal: &[u8]) -> Result<u32, OpenError> {
    let seal = <&[u8; SEAL_BYTES]>::try_from(seal).map_err(|_| OpenError::Seal("not 40 bytes"))?;
    let [version, algorithm, reserved @ .., a, b, c, d] = seal.first_chunk::<HEAD_BYTES>().copied().unwrap_or_default();
    match (version, algorithm, reserved) {
        (VERSION, HMAC_SHA256, [0, 0]) => Ok(u32::from_le_bytes([a, b, c, d])),
        (VERSION, HMAC_SHA256, _) => Err(OpenError::Seal("reserved bytes are not 0")),
        (VERSION, ..) => Err(OpenError::Seal("unknown algorithm")),
        _ => Err(OpenError::Seal("unknown version")),
    }
}

fn topic(route: &[u8]) -> Option<Topic> {
    if route.len() > TOPIC_BYTES {
        return None;
    }
    std::str::from_utf8(route).ok()?.parse().ok()
}

fn verify(key: &MacKey, domain: &[u8], user_id: UserId, frames: [&[u8]; 3]) -> Result<(), OpenError> {
    let [route, body, seal] = frames;
    let (head, mac) = seal.split_at(HEAD_BYTES);
    // Takes the same time wherever the first wrong byte is.
    mac_of(key, domain, head, route, body).verify_slice(mac).map_err(|_| OpenError::Mac { user_id, key_id: key.id() })
}

/// Verifies and reads a critical event or gap fill.
///
/// # Errors
/// [`OpenError`]; ask it whether the sender is known.
pub fn open(frames: &[Bytes], keys: &Keyring) -> Result<Opened, OpenError> {
    let [route, body, seal] = frames else { return Err(OpenError::Frames(frames.len())) };
    let Some(Topic::UserEvent(user_id, kind)) = topic(route) else { return Err(OpenError::Route) };
    let key_id = key_id(seal)?;
    let key = keys.get(user_id, key_id).ok_or(OpenError::UnknownKey { user_id, key_id })?;
    verify(key, EVENT_DOMAIN, user_id, [route, body, seal])?;
    // From here on the user is known to have said it.
    let wire_error = |source| OpenError::Wire { user_id, source };
    let frame = Frame::decode(body).map_err(wire_error)?;
    let message: wire::UserEvent = frame.message(Kind::UserEvent).map_err(wire_error)?;
    let header = frame.header;
    let position =
        message.outbox_id.parse().ok().filter(|_| message.sequence > 0 && message.sequence == header.sequence);
    let position = position.map(|outbox_id| Position { outbox_id, sequence: header.sequence });
    let message = EventMessage::try_from(message)
        .and_then(|message| if is_json(&message) { Ok(message) } else { Err(EventError::Field("payload")) })
        .map_err(|source| OpenError::Content { user_id, position, source })?;
    let agree = |field, holds: bool| if holds { Ok(()) } else { Err(OpenError::Mismatch { user_id, field }) };
    agree("user_id", message.user_id() == user_id)?;
    agree("kind", message.kind() == kind)?;
    agree("sequence", message.position().is_some_and(|position| position.sequence == header.sequence))?;
    Ok(Opened { header, message, key_id })
}

fn is_json(message: &EventMessage) -> bool {
    match message {
        EventMessage::Event(event) => serde_json::from_slice::<serde::de::IgnoredAny>(&event.payload).is_ok(),
        EventMessage::Gap(_) => true,
    }
}

/// Verifies and reads an ack for the owner of `key`.
///
/// # Errors
/// [`OpenError`]; whatever it is, the ack must be ignored.
pub fn open_ack(frames: &[Bytes], user_id: UserId, key: &MacKey) -> Result<OpenedAck, OpenError> {
    let [route, body, seal] = frames else { return Err(OpenError::Frames(frames.len())) };
    if topic(route) != Some(Topic::EventAck(user_id)) {
        return Err(OpenError::Route);
    }
    let key_id = key_id(seal)?;
    if key_id != key.id() {
        return Err(OpenError::UnknownKey { user_id, key_id });
    }
    verify(key, ACK_DOMAIN, user_id, [route, body, seal])?;
    let wire_error = |source| OpenError::Wire { user_id, source };
    let frame = Frame::decode(body).map_err(wire_error)?;
    let ack: wire::EventAck = frame.message(Kind::EventAck).map_err(wire_error)?;
    let header = frame.header;
    let ack = EventAck::try_from(ack).map_err(|source| OpenError::Content { user_id, position: None, source })?;
    if ack.user_id != user_id {
        return Err(OpenError::Mismatch { user_id, field: "user_id" });
    }
    Ok(OpenedAck { header, ack })
}

#[cfg(test)]
mod tests;
