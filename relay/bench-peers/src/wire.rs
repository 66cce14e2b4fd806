//! The bytes that raw peers send and expect: ZMTP 3.1, or the text protocol of NATS.

use crate::forwarder::Kind;
use bytes::BytesMut;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use zmtp::SocketType;
use zmtp::codec::{Command, Greeting, Ready, SubscriptionChange, encode_message};

/// Where in the payload the time stamp stands.
const STAMP_AT: usize = 8;
/// NATS takes a subject; its separators differ, its length does not.
pub fn topic(number: usize, kind: Kind) -> String {
    let separators = if kind == Kind::Nats { ['.', '.', '.'] } else { [':', '/', '|'] };
    let [a, b, c] = separators;
    format!("BINANCE{a}S{number:03}{b}USDT{c}tick")
}

/// Prefix of all topics.
fn everything(kind: Kind) -> &'static str {
    if kind == Kind::Nats { "BINANCE.>" } else { "BINANCE:" }
}

/// A block of messages, one topic after the other, that the source repeats for ever.
pub struct Block {
    pub bytes: Vec<u8>,
    pub messages: usize,
    /// Bytes of one message as sent.
    pub sent_size: usize,
    /// Bytes of one message as received.
    pub received_size: usize,
    sent_stamp: usize,
    pub received_stamp: usize,
    /// What a subscriber of each topic gets for a block, and last what a subscriber of all gets.
    expected: Vec<Vec<u8>>,
}

impl Block {
    pub fn new(kind: Kind, topics: usize, payload: usize, messages: usize) -> Self {
        let rounds = messages.div_ceil(topics).max(1);
        let mut block = Self {
            bytes: Vec::new(),
            messages: rounds * topics,
            sent_size: 0,
            received_size: 0,
            sent_stamp: 0,
            received_stamp: 0,
            expected: vec![Vec::new(); topics + 1],
        };
        for number in 0..block.messages {
            let at = number % topics;
            let mut body = vec![b'x'; payload];
            body[..8].copy_from_slice(&(number as u64).to_le_bytes());
            let (sent, received) = encode(kind, &topic(at, kind), &body);
            block.bytes.extend_from_slice(&sent);
            block.expected[at].extend_from_slice(&received);
            block.expected[topics].extend_from_slice(&received);
            (block.sent_size, block.received_size) = (sent.len(), received.len());
        }
        let tail = if kind == Kind::Nats { 2 } else { 0 };
        block.sent_stamp = block.sent_size - tail - payload + STAMP_AT;
        block.received_stamp = block.received_size - tail - payload + STAMP_AT;
        block
    }

    /// What comes to a subscriber of a topic, or of all, again and again.
    pub fn expected(&self, topic: Option<usize>) -> &[u8] {
        &self.expected[topic.unwrap_or(self.expected.len() - 1)]
    }

    /// Writes the time into the message with this number.
    pub fn stamp(&mut self, number: u64, now_ns: u64) {
        let at = (number % self.messages as u64) as usize * self.sent_size + self.sent_stamp;
        self.bytes[at..at + 8].copy_from_slice(&now_ns.to_le_bytes());
    }
}

fn encode(kind: Kind, topic: &str, body: &[u8]) -> (Vec<u8>, Vec<u8>) {
    if kind != Kind::Nats {
        let mut out = BytesMut::new();
        encode_message(&mut out, &[topic.as_bytes(), body]);
        return (out.to_vec(), out.to_vec());
    }
    let with_head = |head: String| [head.as_bytes(), body, b"\r\n"].concat();
    let len = body.len();
    (with_head(format!("PUB {topic} {len}\r\n")), with_head(format!("MSG {topic} 1 {len}\r\n")))
}

/// Connects and shakes hands. Returns the minor version that the forwarder announced as well.
fn shake_hands(address: SocketAddr, kind: Kind, socket_type: SocketType) -> anyhow::Result<(TcpStream, u8)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(std::time::Duration::from_secs(10)))?;
    if kind == Kind::Nats {
        stream.write_all(b"CONNECT {\"verbose\":false,\"pedantic\":false}\r\n")?;
        anyhow::ensure!(read_line(&mut stream)?.starts_with(b"INFO"), "no INFO");
        nats_sync(&mut stream)?;
        return Ok((stream, 0));
    }
    stream.write_all(&Greeting::encode())?;
    let mut greeting = [0; 64];
    stream.read_exact(&mut greeting)?;
    let mut out = BytesMut::new();
    Ready { socket_type, identity: Default::default() }.encode(&mut out);
    stream.write_all(&out)?;
    let mut head = [0; 2];
    stream.read_exact(&mut head)?;
    let mut ready = vec![0; usize::from(head[1])];
    stream.read_exact(&mut ready)?;
    anyhow::ensure!(ready.starts_with(b"\x05READY"), "the forwarder refused");
    Ok((stream, greeting[11]))
}

fn read_line(stream: &mut TcpStream) -> anyhow::Result<Vec<u8>> {
    let (mut line, mut byte) = (Vec::new(), [0]);
    while !line.ends_with(b"\r\n") {
        stream.read_exact(&mut byte)?;
        line.push(byte[0]);
    }
    Ok(line)
}

fn nats_sync(stream: &mut TcpStream) -> anyhow::Result<()> {
    stream.write_all(b"PING\r\n")?;
    while !read_line(stream)?.starts_with(b"PONG") {}
    Ok(())
}

/// Waits for the PING with which nats-server measures the round trip of each new connection, and answers it: the next one
/// comes after two minutes, so it does not stand between messages.
pub fn nats_first_ping(stream: &mut TcpStream) -> anyhow::Result<()> {
    while !read_line(stream)?.starts_with(b"PING") {}
    Ok(stream.write_all(b"PONG\r\n")?)
}

/// A prefix of its own for each subscriber of all topics, so that the source hears of each of them.
pub fn marker(subscriber: usize) -> String {
    format!("~{subscriber:05}")
}

/// Connects a subscriber of one topic or of all.
pub fn subscriber(address: SocketAddr, kind: Kind, number: usize, all: bool) -> anyhow::Result<TcpStream> {
    let (mut stream, minor) = shake_hands(address, kind, SocketType::Sub)?;
    let prefix = if all { everything(kind).to_owned() } else { topic(number, kind) };
    if kind == Kind::Nats {
        stream.write_all(format!("SUB {prefix} 1\r\n").as_bytes())?;
        nats_sync(&mut stream)?;
    } else {
        let mut out = BytesMut::new();
        let mut subscribe = |prefix: &str| {
            Command::encode_subscription(&mut out, minor, SubscriptionChange::Subscribe, prefix.as_bytes());
        };
        subscribe(&prefix);
        if all {
            subscribe(&marker(number));
        }
        stream.write_all(&out)?;
    }
    Ok(stream)
}

/// Connects a subscriber and waits until its subscriptions are in force (ZMTP 3.1).
pub fn confirmed_subscriber(address: SocketAddr, prefixes: &[&str]) -> anyhow::Result<TcpStream> {
    let (mut stream, _) = shake_hands(address, Kind::Relay, SocketType::Sub)?;
    let mut out = BytesMut::new();
    for prefix in prefixes {
        Command::encode_subscription(&mut out, 1, SubscriptionChange::Subscribe, prefix.as_bytes());
    }
    Command::encode_ping(&mut out, 0, b"");
    stream.write_all(&out)?;
    let mut pong = [0; 7];
    stream.read_exact(&mut pong)?;
    anyhow::ensure!(&pong == b"\x04\x05\x04PONG", "no PONG");
    Ok(stream)
}

/// One message of ZMTP with a stamp, and where the stamp stands in it.
pub fn stamped(topic: &str, payload: usize) -> (Vec<u8>, usize) {
    let (bytes, _) = encode(Kind::Relay, topic, &vec![b'x'; payload]);
    let stamp = bytes.len() - payload + STAMP_AT;
    (bytes, stamp)
}

/// Connects a publisher and waits until it has heard of so many prefixes: then all subscriptions are in force.
pub fn publisher(address: SocketAddr, kind: Kind, prefixes: usize) -> anyhow::Result<TcpStream> {
    let (mut stream, _) = shake_hands(address, kind, SocketType::Pub)?;
    if kind != Kind::Nats {
        for _ in 0..prefixes {
            let mut head = [0; 2];
            stream.read_exact(&mut head)?;
            let mut body = vec![0; usize::from(head[1])];
            stream.read_exact(&mut body)?;
        }
    }
    Ok(stream)
}
