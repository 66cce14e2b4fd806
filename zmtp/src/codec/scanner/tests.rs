//! Tests of the scanner: limits, commands between frames, and the same result however the bytes are cut.

use super::super::{Command, SubscriptionChange, encode_frame, encode_message, message_len};
use super::*;
use bytes::BytesMut;
use proptest::prelude::*;

fn small() -> Limits {
    Limits {
        frame_bytes: 300,
        parts: 3,
        message_bytes: 500,
        command_bytes: 40,
        topic_bytes: 20,
        commands_between_parts: 2,
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Item {
    Message(Vec<Vec<u8>>),
    Command(Vec<u8>),
}

/// Feeds pieces as a connection would, with one buffer, and scans after each.
fn feed<'a>(limits: Limits, pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<Item>, FrameError> {
    let (mut scanner, mut buffer, mut items, mut need) = (Scanner::new(limits), Vec::new(), Vec::new(), 0);
    for piece in pieces {
        buffer.extend_from_slice(piece);
        while buffer.len() >= need {
            match scanner.scan(&buffer)? {
                Scan::Partial { need: n } => {
                    assert!(n > buffer.len(), "needs {n}, has {}", buffer.len());
                    need = n;
                }
                Scan::Message { len, parts, first } => {
                    let bodies: Vec<_> = Parts::new(&buffer[..len]).map(|r| buffer[r].to_vec()).collect();
                    assert_eq!((bodies.len(), &bodies[0][..]), (parts, &buffer[first]));
                    assert_eq!(whole_message_len(&buffer), Some(len));
                    items.push(Item::Message(bodies));
                    buffer.drain(..len);
                    need = 0;
                }
                Scan::Command { frame, body } => {
                    items.push(Item::Command(buffer[body].to_vec()));
                    let void = excise(&mut buffer, frame);
                    buffer.drain(..void);
                    need = 0;
                }
            }
        }
    }
    Ok(items)
}

fn ping() -> Vec<u8> {
    b"\x04\x07\x04PING\0\0".to_vec()
}

#[test]
fn a_command_between_two_frames_is_found_at_once_and_the_message_stays_whole() {
    let bytes = [&b"\x01\x05topic"[..], &ping(), &ping(), b"\0\x01x"].concat();
    let expected = [
        Item::Command(ping()[2..].to_vec()),
        Item::Command(ping()[2..].to_vec()),
        Item::Message(vec![b"topic".to_vec(), b"x".to_vec()]),
    ];
    for split in 0..=bytes.len() {
        let (a, b) = bytes.split_at(split);
        assert_eq!(feed(small(), [a, b]).unwrap(), expected, "{split}");
    }
    let first = feed(small(), [&bytes[..16]]).unwrap();
    assert_eq!(first.len(), 1, "the command does not wait for the rest of the message");
}

#[test]
fn commands_between_frames_are_limited_so_that_moving_bytes_costs_little() {
    let bytes = [&b"\x01\x01t"[..], &ping(), &ping(), &ping(), b"\0\x01x"].concat();
    assert_eq!(feed(small(), [&bytes[..]]), Err(FrameError::TooManyCommands { limit: 2 }));
    let bytes = [&b"\x01\x01t"[..], &ping(), &ping(), b"\0\x01x"].concat().repeat(3);
    assert_eq!(feed(small(), [&bytes[..]]).unwrap().len(), 9, "the count starts anew with each message");
}

#[test]
fn each_limit_accepts_its_value_and_refuses_one_more() {
    type Case = (&'static str, fn(usize) -> Vec<Vec<u8>>, FrameError);
    let cases: [Case; 3] = [
        ("frame", |n| vec![vec![0; 300 + n]], FrameError::FrameTooLong { have: 301, limit: 300 }),
        ("parts", |n| vec![vec![]; 3 + n], FrameError::TooManyParts { limit: 3 }),
        ("message", |n| vec![vec![0; 255], vec![0; 241 + n]], FrameError::MessageTooLong { have: 501, limit: 500 }),
    ];
    for (name, parts, error) in cases {
        let mut out = BytesMut::new();
        encode_message(&mut out, &parts(0));
        assert_eq!(feed(small(), [&out[..]]).unwrap(), [Item::Message(parts(0))], "{name}");
        out.clear();
        encode_message(&mut out, &parts(1));
        assert_eq!(feed(small(), [&out[..]]), Err(error), "{name}");
    }
}

#[test]
fn a_frame_beyond_the_limit_is_refused_by_its_head_alone() {
    let mut head = vec![2];
    head.extend(((1u64 << 62) - (1 << 20)).to_be_bytes());
    assert!(matches!(feed(small(), [&head[..]]), Err(FrameError::FrameTooLong { have, .. }) if have > 1 << 61));
    head[0] = 6;
    assert!(matches!(feed(small(), [&head[..]]), Err(FrameError::CommandTooLong { .. })));
}

#[test]
fn each_truncation_of_a_message_is_partial_and_says_what_it_needs() {
    let mut out = BytesMut::new();
    encode_message(&mut out, &[&b"topic"[..], &[1; 256]]);
    for end in 0..out.len() {
        let scan = Scanner::new(Limits::default()).scan(&out[..end]).unwrap();
        let Scan::Partial { need } = scan else { panic!("{end}: {scan:?}") };
        assert!(need > end && need <= out.len(), "{end}: needs {need}");
    }
}

/// Messages and commands, commands also between the frames.
fn stream() -> impl Strategy<Value = (Vec<u8>, Vec<Item>)> {
    let part = proptest::collection::vec(any::<u8>(), 0..280);
    let message = proptest::collection::vec((part, any::<bool>()), 1..4);
    proptest::collection::vec(message, 0..6).prop_map(|messages| {
        let (mut bytes, mut items) = (BytesMut::new(), Vec::new());
        for message in messages {
            let parts: Vec<Vec<u8>> = message.iter().map(|(part, _)| part.clone()).collect();
            for (at, (part, command)) in message.iter().enumerate() {
                if *command {
                    let before = bytes.len();
                    Command::encode_subscription(&mut bytes, 1, SubscriptionChange::Subscribe, b"T:");
                    items.push(Item::Command(bytes[before + 2..].to_vec()));
                }
                encode_frame(&mut bytes, part, at + 1 < parts.len());
            }
            items.push(Item::Message(parts));
        }
        (bytes.to_vec(), items)
    })
}

proptest! {
    #[test]
    fn cut_at_every_byte_the_result_is_the_same((bytes, items) in stream()) {
        let limits = Limits { commands_between_parts: 3, ..Limits::default() };
        prop_assert_eq!(&feed(limits, [&bytes[..]]).unwrap(), &items);
        prop_assert_eq!(&feed(limits, bytes.chunks(1)).unwrap(), &items);
        for split in 0..bytes.len() {
            let (a, b) = bytes.split_at(split);
            prop_assert_eq!(&feed(limits, [a, b]).unwrap(), &items);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic_and_errors_do_not_depend_on_the_cut(
        bytes in proptest::collection::vec(prop_oneof![3 => 0u8..8, 1 => any::<u8>()], 0..600),
        split in 0usize..600,
    ) {
        let whole = feed(small(), [&bytes[..]]);
        let (a, b) = bytes.split_at(split.min(bytes.len()));
        prop_assert_eq!(whole, feed(small(), [a, b]));
        let _ignored = Command::parse(&bytes);
        let _ignored = whole_message_len(&bytes);
        prop_assert!(Parts::new(&bytes).count() <= bytes.len());
    }

    #[test]
    fn the_length_that_is_computed_is_the_length_that_is_written(
        parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 1..5),
    ) {
        let mut out = BytesMut::new();
        encode_message(&mut out, &parts);
        prop_assert_eq!(out.len(), message_len(&parts));
    }
}
