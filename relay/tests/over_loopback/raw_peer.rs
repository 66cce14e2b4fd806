//! A peer that speaks raw ZMTP, so that a test can send what no library would.

use crate::harness::soon;
use bytes::{Buf, BytesMut};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use zmtp::codec::{Command, Greeting, Parts, Ready, Scan, Scanner, SubscriptionChange, encode_message, excise};
use zmtp::{Limits, SocketType};

pub(crate) const GREETING_BYTES: usize = 64;

/// What came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    Message(Vec<Vec<u8>>),
    Subscribe(Vec<u8>),
    Cancel(Vec<u8>),
    Ping,
    Pong(Vec<u8>),
}

#[derive(Debug)]
pub(crate) struct Raw {
    pub(crate) stream: TcpStream,
    minor: u8,
    scanner: Scanner,
    input: BytesMut,
}

pub(crate) fn greeting(minor: u8) -> Vec<u8> {
    let mut bytes = Greeting::encode().to_vec();
    bytes[11] = minor;
    bytes
}

pub(crate) fn ready(socket_type: SocketType, identity: &'static [u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    Ready { socket_type, identity: identity.into() }.encode(&mut out);
    out.to_vec()
}

pub(crate) fn message(frames: &[&[u8]]) -> Vec<u8> {
    let mut out = BytesMut::new();
    encode_message(&mut out, frames);
    out.to_vec()
}

impl Raw {
    pub(crate) fn over(stream: TcpStream, minor: u8) -> Self {
        let limits = Limits { frame_bytes: 4 << 20, message_bytes: 8 << 20, ..Limits::default() };
        Self { stream, minor, scanner: Scanner::new(limits), input: BytesMut::new() }
    }

    pub(crate) async fn connect(address: SocketAddr, socket_type: SocketType) -> Self {
        Self::speaking(address, socket_type, 1, b"").await
    }

    /// Connects and shakes hands.
    pub(crate) async fn speaking(
        address: SocketAddr,
        socket_type: SocketType,
        minor: u8,
        identity: &'static [u8],
    ) -> Self {
        let stream = soon(TcpStream::connect(address)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut peer = Self::over(stream, minor);
        peer.send(&[greeting(minor), ready(socket_type, identity)].concat()).await;
        peer.shaken().await;
        peer
    }

    /// Connects with a small receive buffer, shakes hands and subscribes; a peer that is easily full.
    pub(crate) async fn narrow_subscriber(address: SocketAddr, topic: &[u8]) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let mut peer = Self::over(soon(socket.connect(address)).await.unwrap(), 1);
        peer.send(&[greeting(1), ready(SocketType::Sub, b"")].concat()).await;
        peer.shaken().await;
        peer.subscribe(topic).await;
        peer.sync().await;
        peer
    }

    /// Reads the greeting and READY of the relay.
    pub(crate) async fn shaken(&mut self) {
        while self.input.len() < GREETING_BYTES + 2
            || self.input.len() < GREETING_BYTES + 2 + usize::from(self.input[GREETING_BYTES + 1])
        {
            assert!(self.read().await, "closed in the handshake");
        }
        let len = GREETING_BYTES + 2 + usize::from(self.input[GREETING_BYTES + 1]);
        assert_eq!(&self.input[GREETING_BYTES + 2..GREETING_BYTES + 8], b"\x05READY");
        self.input.advance(len);
    }

    async fn read(&mut self) -> bool {
        matches!(soon(self.stream.read_buf(&mut self.input)).await, Ok(n) if n > 0)
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        soon(self.stream.write_all(bytes)).await.unwrap();
    }

    pub(crate) async fn publish(&mut self, frames: &[&[u8]]) {
        self.send(&message(frames)).await;
    }

    async fn change(&mut self, change: SubscriptionChange, topic: &[u8]) {
        let mut out = BytesMut::new();
        Command::encode_subscription(&mut out, self.minor, change, topic);
        self.send(&out).await;
    }

    pub(crate) async fn subscribe(&mut self, topic: &[u8]) {
        self.change(SubscriptionChange::Subscribe, topic).await;
    }

    pub(crate) async fn cancel(&mut self, topic: &[u8]) {
        self.change(SubscriptionChange::Cancel, topic).await;
    }

    /// Returns when the relay has handled everything sent before: it answered a PING.
    pub(crate) async fn sync(&mut self) {
        self.send(b"\x04\x0b\x04PING\0\0sync").await;
        assert_eq!(self.next().await, Item::Pong(b"sync".to_vec()));
    }

    /// The same for a publisher, which may hear of subscriptions meanwhile.
    pub(crate) async fn pong(&mut self) {
        self.send(b"\x04\x0b\x04PING\0\0sync").await;
        while self.next().await != Item::Pong(b"sync".to_vec()) {}
    }

    /// The next message or command; fails if the connection ends.
    pub(crate) async fn next(&mut self) -> Item {
        self.next_or_end().await.expect("the relay closed the connection")
    }

    pub(crate) async fn next_or_end(&mut self) -> Option<Item> {
        loop {
            match self.scanner.scan(&self.input).unwrap() {
                Scan::Partial { .. } => {
                    if !self.read().await {
                        return None;
                    }
                }
                Scan::Message { len, .. } => {
                    let bytes = self.input.split_to(len);
                    return Some(Item::Message(Parts::new(&bytes).map(|range| bytes[range].to_vec()).collect()));
                }
                Scan::Command { frame, body } => {
                    let item = match Command::parse(&self.input[body]).unwrap() {
                        Command::Subscription(SubscriptionChange::Subscribe, topic) => Item::Subscribe(topic.to_vec()),
                        Command::Subscription(SubscriptionChange::Cancel, topic) => Item::Cancel(topic.to_vec()),
                        Command::Ping { .. } => Item::Ping,
                        Command::Pong { context } => Item::Pong(context.to_vec()),
                        Command::Unknown => panic!("the relay sent an unknown command"),
                    };
                    let void = excise(&mut self.input, frame);
                    self.input.advance(void);
                    return Some(item);
                }
            }
        }
    }

    /// The next message; a PING is answered, anything else fails.
    pub(crate) async fn message(&mut self) -> Vec<Vec<u8>> {
        let message = async {
            loop {
                match self.next().await {
                    Item::Message(frames) => return frames,
                    Item::Ping => self.send(b"\x04\x05\x04PONG").await,
                    other => panic!("expected a message, got {other:?}"),
                }
            }
        };
        soon(message).await
    }

    /// Exactly these bytes come next.
    pub(crate) async fn expect_bytes(&mut self, expected: &[u8]) {
        while self.input.len() < expected.len() {
            assert!(self.read().await, "closed after {:?}", self.input);
        }
        assert_eq!(self.input.split_to(expected.len()), expected);
    }

    /// Returns when the relay has closed the connection; whatever came before is returned.
    pub(crate) async fn closed(&mut self) -> Vec<u8> {
        while self.read().await {}
        self.input.split().to_vec()
    }

    /// Ends the connection with a TCP reset.
    pub(crate) fn reset(self) {
        self.stream.set_zero_linger().unwrap();
    }
}
