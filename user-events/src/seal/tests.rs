//! Whatever is changed in a sealed message, and whoever seals it, only the owner's own words open.

use super::*;
use proptest::prelude::*;
use proto::{EventId, EventKind, EventOutcome, OutboxId, Severity, UserEvent};

const USER: UserId = UserId::from_bits(77);
const OTHER: UserId = UserId::from_bits(78);
const POSITION: Position = Position { outbox_id: OutboxId::from_bits(5), sequence: 3 };

fn key(first: u8) -> MacKey {
    let mut bytes = [9; crate::KEY_BYTES];
    bytes[0] = first;
    MacKey::new(1, &bytes).unwrap()
}

fn ring() -> Keyring {
    let mut ring = Keyring::default();
    ring.insert(USER, key(1));
    ring.insert(OTHER, key(2));
    ring
}

fn message(user_id: UserId, payload: &'static [u8]) -> EventMessage {
    EventMessage::Event(UserEvent {
        event_id: EventId::from_bits(1),
        user_id,
        kind: EventKind::OrderFilled,
        severity: Severity::Critical(POSITION),
        created_at_ns: 10,
        expires_at_ns: 0,
        payload: Bytes::from_static(payload),
    })
}

fn sealed_by(key: &MacKey, message: &EventMessage, sequence: u64) -> Sealed {
    let header = FrameHeader::new(Kind::UserEvent, 4, sequence, 10);
    seal_event(key, message, header.encode(&wire::UserEvent::from(message)).unwrap())
}

fn sealed() -> Sealed {
    sealed_by(&key(1), &message(USER, b"{}"), 3)
}

#[test]
fn what_the_owner_sealed_opens() {
    let opened = open(&sealed(), &ring()).unwrap();
    assert_eq!((opened.message, opened.key_id), (message(USER, b"{}"), 1));
}

#[test]
fn each_changed_bit_of_each_frame_is_refused() {
    for (frame, bytes) in sealed().iter().enumerate() {
        for bit in 0..bytes.len() * 8 {
            let mut frames = sealed();
            let mut changed = bytes.to_vec();
            changed[bit / 8] ^= 1 << (bit % 8);
            frames[frame] = changed.into();
            let error = open(&frames, &ring()).unwrap_err();
            assert!(error.is_unauthenticated(), "frame {frame}, bit {bit}: {error}");
        }
    }
}

#[test]
fn each_cut_frame_is_refused() {
    for (frame, bytes) in sealed().iter().enumerate() {
        for end in 0..bytes.len() {
            let mut frames = sealed();
            frames[frame] = bytes.slice(..end);
            assert!(open(&frames, &ring()).unwrap_err().is_unauthenticated(), "frame {frame} cut at {end}");
        }
    }
    assert_eq!(open(&sealed()[..2], &ring()), Err(OpenError::Frames(2)));
}

#[test]
fn a_byte_that_moves_from_one_frame_to_the_next_is_refused() {
    let [route, body, seal] = sealed();
    let moved = [route.slice(..route.len() - 1), [&route[route.len() - 1..], &body].concat().into(), seal];
    assert!(open(&moved, &ring()).unwrap_err().is_unauthenticated());
}

#[test]
fn a_container_cannot_speak_for_another() {
    let forged = sealed_by(&key(2), &message(USER, b"{}"), 3);
    assert_eq!(open(&forged, &ring()), Err(OpenError::Mac { user_id: USER, key_id: 1 }));
    // Under its own route, with the other's name inside.
    let [_, body, _] = forged;
    let inside = seal(&key(2), EVENT_DOMAIN, Topic::UserEvent(OTHER, EventKind::OrderFilled).to_string().into(), body);
    assert_eq!(open(&inside, &ring()), Err(OpenError::Mismatch { user_id: OTHER, field: "user_id" }));
}

#[test]
fn an_unknown_key_and_a_removed_one_are_refused() {
    let mut ring = ring();
    ring.remove(USER, 1);
    assert_eq!(open(&sealed(), &ring), Err(OpenError::UnknownKey { user_id: USER, key_id: 1 }));
}

#[test]
fn an_unknown_seal_is_refused_by_its_part() {
    for (at, value, why) in [(0, 2, "unknown version"), (1, 2, "unknown algorithm"), (3, 1, "reserved bytes are not 0")]
    {
        let mut frames = sealed();
        let mut seal = frames[2].to_vec();
        seal[at] = value;
        frames[2] = seal.into();
        assert_eq!(open(&frames, &ring()), Err(OpenError::Seal(why)));
    }
}

#[test]
fn header_route_and_message_must_say_the_same() {
    let frames = sealed_by(&key(1), &message(USER, b"{}"), 4);
    assert_eq!(open(&frames, &ring()), Err(OpenError::Mismatch { user_id: USER, field: "sequence" }));
    let [_, body, _] = sealed();
    let frames = seal(&key(1), EVENT_DOMAIN, Topic::UserEvent(USER, EventKind::Alert).to_string().into(), body);
    assert_eq!(open(&frames, &ring()), Err(OpenError::Mismatch { user_id: USER, field: "kind" }));
}

#[test]
fn a_payload_that_is_no_json_is_authentic_but_not_valid() {
    let error = open(&sealed_by(&key(1), &message(USER, b"{"), 3), &ring()).unwrap_err();
    assert!(!error.is_unauthenticated());
    assert!(matches!(error, OpenError::Content { position: Some(POSITION), .. }), "{error:?}");
}

fn ack() -> EventAck {
    EventAck { user_id: USER, position: POSITION, outcome: EventOutcome::Accepted, next_sequence: 4 }
}

#[test]
fn an_ack_opens_for_its_user_only_and_is_no_event() {
    let header = FrameHeader::new(Kind::EventAck, 1, 1, 0);
    let sealed = seal_ack(&key(1), header, &ack()).unwrap();
    assert_eq!(open_ack(&sealed, USER, &key(1)).unwrap().ack, ack());
    assert_eq!(open_ack(&sealed, OTHER, &key(1)), Err(OpenError::Route));
    assert_eq!(open_ack(&sealed, USER, &key(2)), Err(OpenError::Mac { user_id: USER, key_id: 1 }));
    let [route, body, _] = sealed.clone();
    let as_event = seal(&key(1), EVENT_DOMAIN, route, body);
    assert_eq!(open_ack(&as_event, USER, &key(1)), Err(OpenError::Mac { user_id: USER, key_id: 1 }));
    assert_eq!(open(&sealed, &ring()), Err(OpenError::Route));
    for bit in 0..sealed[1].len() * 8 {
        let mut frames = sealed.clone();
        let mut changed = frames[1].to_vec();
        changed[bit / 8] ^= 1 << (bit % 8);
        frames[1] = changed.into();
        assert!(open_ack(&frames, USER, &key(1)).is_err(), "bit {bit}");
    }
}

/// The seal of docs/protocol/07-user-events.md, computed from its text with another implementation of HMAC.
#[test]
fn the_seal_is_the_one_of_the_protocol() {
    let route = Bytes::from_static(b"USER_EVENT:01J9ZQ6V8KXW3R4T5Y6Z7A8B9C|alert");
    let body = Bytes::from_static(b"frame 1");
    let key = MacKey::new(258, &std::array::from_fn(|i| u8::try_from(i).unwrap())).unwrap();
    let [_, _, seal] = seal(&key, EVENT_DOMAIN, route, body);
    let hex: String = seal.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, concat!("0101000002010000", "4acc85355d07f0f7c8bff0ab597df85352e341fed6dbd2ef781f710e6b3f218a"));
}

proptest! {
    #[test]
    fn arbitrary_frames_never_panic(
        frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..80), 0..4),
    ) {
        let frames: Vec<Bytes> = frames.into_iter().map(Bytes::from).collect();
        prop_assert!(open(&frames, &ring()).is_err());
        prop_assert!(open_ack(&frames, USER, &key(1)).is_err());
    }
}
