//! What a peer may send, on the pure half of `zmtp`: each function takes arbitrary bytes and asserts what must hold
//! whatever they are. Shared by the fuzzer and the tests.

use bytes::BytesMut;
use std::collections::BTreeSet;
use zmtp::codec::{
    Command, FrameError, Handshake, Local, Parts, Peer, Scan, Scanner, SubscriptionChange, excise, whole_message_len,
};
use zmtp::{Limits, SocketType, SubscriptionIndex};

const LIMITS: Limits = Limits {
    frame_bytes: 300,
    parts: 3,
    message_bytes: 500,
    command_bytes: 60,
    topic_bytes: 20,
    commands_between_parts: 2,
};

/// The data in pieces of one size, or at once; the first byte says which.
fn pieces(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (size, rest) = data.split_first().map_or((1, data), |(first, rest)| (usize::from(*first).max(1), rest));
    rest.chunks(size)
}

fn handshake<'a>(socket_type: SocketType, pieces: impl Iterator<Item = &'a [u8]>) -> Option<Result<Peer, ()>> {
    let mut out = BytesMut::new();
    let mut handshake = Handshake::start(Local::new(socket_type), &Limits::default(), &mut out);
    let mut input = Vec::new();
    for piece in pieces {
        input.extend_from_slice(piece);
        let result = handshake.advance(&input, &mut out);
        assert!(out.len() < 1024, "a handshake says little");
        match result {
            Ok((used, Some(peer))) => {
                assert!(used <= input.len() && socket_type.is_compatible(peer.socket_type));
                return Some(Ok(peer));
            }
            Ok((used, None)) => drop(input.drain(..used)),
            Err(_) => return Some(Err(())),
        }
    }
    None
}

/// A handshake ends the same however its bytes are cut.
pub(crate) fn greeting(data: &[u8]) {
    let types = [SocketType::Xsub, SocketType::Xpub, SocketType::Router, SocketType::Dealer];
    for socket_type in types {
        let cut = handshake(socket_type, pieces(data));
        let whole = handshake(socket_type, data.get(1..).into_iter());
        assert_eq!(cut, whole);
    }
}

#[derive(Debug, PartialEq)]
enum Item {
    Message(Vec<Vec<u8>>),
    Command(Vec<u8>),
}

fn scan<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Item>, Option<FrameError>) {
    let (mut scanner, mut buffer, mut items) = (Scanner::new(LIMITS), Vec::new(), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            let used = match scanner.scan(&buffer) {
                Err(error) => return (items, Some(error)),
                Ok(Scan::Partial { need }) => {
                    assert!(need > buffer.len() && need <= LIMITS.message_bytes + 9 + LIMITS.command_bytes);
                    break;
                }
                Ok(Scan::Message { len, parts, first }) => {
                    let bodies: Vec<Vec<u8>> = Parts::new(&buffer[..len]).map(|range| buffer[range].to_vec()).collect();
                    assert_eq!((bodies.len(), &bodies[0][..]), (parts, &buffer[first]));
                    assert_eq!(whole_message_len(&buffer), Some(len));
                    assert!(parts <= LIMITS.parts && len <= LIMITS.message_bytes);
                    items.push(Item::Message(bodies));
                    len
                }
                Ok(Scan::Command { frame, body }) => {
                    items.push(Item::Command(buffer[body].to_vec()));
                    excise(&mut buffer, frame)
                }
            };
            buffer.drain(..used);
        }
    }
    (items, None)
}

/// The same messages and commands are found, in the same order, however the bytes are cut.
pub(crate) fn frames(data: &[u8]) {
    assert_eq!(scan(pieces(data)), scan(data.get(1..).into_iter()));
}

/// A command that is read and written again is the same.
pub(crate) fn commands(data: &[u8]) {
    let Ok(command) = Command::parse(data) else { return };
    let mut out = BytesMut::new();
    match command {
        Command::Subscription(change, topic) => Command::encode_subscription(&mut out, 1, change, topic),
        Command::Ping { ttl_ds, context } => Command::encode_ping(&mut out, ttl_ds, context),
        Command::Pong { context } => Command::encode_pong(&mut out, context),
        Command::Unknown => return,
    }
    let mut scanner = Scanner::new(Limits { command_bytes: 1 << 20, ..Limits::default() });
    let Ok(Scan::Command { frame, body }) = scanner.scan(&out) else { panic!("not a command: {out:?}") };
    assert_eq!(frame.end, out.len());
    assert_eq!(Command::parse(&out[body]), Ok(command));
    if let Command::Subscription(change, topic) = command {
        out.clear();
        Command::encode_subscription(&mut out, 0, change, topic);
        let Ok(Scan::Message { first, .. }) =
            Scanner::new(Limits { frame_bytes: 1 << 20, message_bytes: 2 << 20, ..Limits::default() }).scan(&out)
        else {
            panic!("not a message: {out:?}")
        };
        assert_eq!(Command::from_message(&out[first]), Some(command));
    }
}

/// A stream of subscriptions in both forms leaves the index as it leaves a plain set.
pub(crate) fn subscriptions(data: &[u8]) {
    let (items, _) = scan(data.get(1..).into_iter());
    let (mut index, mut model) = (SubscriptionIndex::default(), BTreeSet::new());
    for (number, item) in items.iter().enumerate() {
        let subscriber = number % 3;
        let command = match item {
            Item::Command(body) => Command::parse(body).ok(),
            Item::Message(bodies) => Command::from_message(&bodies[0]),
        };
        match command {
            Some(Command::Subscription(SubscriptionChange::Subscribe, topic)) => {
                index.subscribe(subscriber, topic);
                model.insert((subscriber, topic.to_vec()));
            }
            Some(Command::Subscription(SubscriptionChange::Cancel, topic)) => {
                index.cancel(subscriber, topic);
                model.remove(&(subscriber, topic.to_vec()));
            }
            Some(Command::Ping { .. }) => {
                index.remove(subscriber);
                model.retain(|(id, _)| *id != subscriber);
            }
            _ => {
                let topic = match item {
                    Item::Command(body) => body,
                    Item::Message(bodies) => &bodies[0],
                };
                let expected: BTreeSet<usize> =
                    model.iter().filter(|(_, prefix)| topic.starts_with(prefix)).map(|(id, _)| *id).collect();
                assert_eq!(index.matches(topic), expected.into_iter().collect::<Vec<_>>());
            }
        }
        assert_eq!(index.pair_count(), model.len());
        let prefixes: BTreeSet<&[u8]> = model.iter().map(|(_, prefix)| &prefix[..]).collect();
        assert_eq!(index.prefix_count(), prefixes.len());
    }
}
