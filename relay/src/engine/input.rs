//! What a turn does with received bytes: handshake, commands, subscriptions, messages.

use super::link::{CARRY_BYTES, End, Phase};
use super::{Engine, Key, Switch};
use crate::counters::add;
use bytes::BytesMut;
use std::io::{self, Read};
use std::ops::Range;
use std::time::Duration;
use zmtp::SocketType;
use zmtp::codec::{Command, Parts, Peer, Scan, Scanner, excise};

/// Most bytes of one read of a message that collects in memory of its own.
const COLLECT_BYTES: usize = 256 << 10;

/// A whole message in the read buffer.
#[derive(Debug)]
pub(crate) struct Message<'a> {
    pub(crate) buffer: &'a [u8],
    /// The message with its frame heads, to be forwarded as it is.
    pub(crate) range: Range<usize>,
    /// The body of frame 0.
    pub(crate) first: Range<usize>,
    /// What it came in by.
    pub(crate) local: SocketType,
}

impl<'a> Message<'a> {
    /// The bodies of its frames.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &'a [u8]> {
        let bytes = &self.buffer[self.range.clone()];
        Parts::new(bytes).map(|range| &bytes[range])
    }

    /// Frame 0.
    pub(crate) fn topic(&self) -> &'a [u8] {
        &self.buffer[self.first.clone()]
    }
}

impl<S: Switch> Engine<S> {
    /// Reads once and hands out what is whole.
    pub(super) fn read(&mut self, key: Key) {
        let Some(link) = self.links.get_mut(key) else { return };
        let have = link.partial.len();
        let (mut bytes, shared) = if have <= CARRY_BYTES {
            let mut buffer = std::mem::take(&mut self.buffer);
            buffer[..have].copy_from_slice(&link.partial);
            (buffer, true)
        } else {
            // Grows with what arrives, never with what is claimed.
            let mut own = std::mem::take(&mut link.partial);
            own.resize(have + link.need.saturating_sub(have).clamp(CARRY_BYTES, COLLECT_BYTES), 0);
            (own, false)
        };
        let room = if shared { have + self.appetite.bytes() } else { bytes.len() };
        let result = link.stream.read(&mut bytes[have..room]);
        let read = match result {
            Ok(0) => {
                self.links.doom(key, End::Closed);
                0
            }
            Ok(n) => {
                link.last_input = self.now;
                link.partial.clear();
                // A read that did not fill the buffer emptied the socket; the next byte is a new event (epoll(7)).
                link.readable = n == room - have || link.read_closed;
                n
            }
            Err(error) => {
                match error.kind() {
                    io::ErrorKind::WouldBlock => link.readable = false,
                    io::ErrorKind::Interrupted => {}
                    _ => self.links.doom(key, End::Broken(error)),
                }
                0
            }
        };
        let end = have + read;
        let kept = if read > 0 { self.digest(key, &mut bytes[..end])..end } else { 0..end };
        if shared {
            if read > 0
                && let Some(link) = self.links.get_mut(key)
            {
                link.partial.extend_from_slice(&bytes[kept]);
            }
            self.buffer = bytes;
        } else if let Some(link) = self.links.get_mut(key) {
            bytes.truncate(kept.end);
            bytes.drain(..kept.start);
            // What collected for a large message is given back after it.
            if bytes.len() <= CARRY_BYTES {
                bytes.shrink_to(CARRY_BYTES);
            }
            link.partial = bytes;
        }
    }

    /// Hands out what is whole. Returns how many bytes at the start are done with.
    fn digest(&mut self, key: Key, bytes: &mut [u8]) -> usize {
        let Some(link) = self.links.get_mut(key) else { return bytes.len() };
        if bytes.len() < link.need {
            return 0;
        }
        link.need = 0;
        let mut at = 0;
        if let Phase::ShakingHands(handshake) = &mut link.phase {
            let mut out = BytesMut::new();
            let result = handshake.advance(bytes, &mut out);
            self.links.append(key, |backlog| backlog.extend_from_slice(&out));
            match result {
                Ok((used, Some(peer))) => {
                    at = used;
                    self.open(key, peer);
                    if self.links.get(key).is_some_and(|link| link.leaving.is_some()) {
                        return at;
                    }
                }
                Ok((used, None)) => return used,
                Err(error) => {
                    self.links.doom(key, End::Handshake(error));
                    return bytes.len();
                }
            }
        }
        at + self.digest_open(key, &mut bytes[at..])
    }

    fn open(&mut self, key: Key, peer: Peer) {
        let Some(link) = self.links.get_mut(key) else { return };
        if !self.admission.opened(link.address) {
            return self.links.doom(key, End::NoRoom);
        }
        tracing::debug!(address = %link.address, socket = %peer.socket_type, minor = peer.minor, "peer connected");
        link.phase = Phase::Open(peer);
        link.leaving = self.switch.place(link.local);
        if link.leaving.is_none() {
            self.switch.opened(&mut self.links, key);
        }
    }

    pub(super) fn digest_open(&mut self, key: Key, bytes: &mut [u8]) -> usize {
        let Some(link) = self.links.get_mut(key) else { return bytes.len() };
        let (mut scanner, local) = (link.scanner.clone(), link.local);
        let (mut at, mut messages, mut need) = (0, 0, 0);
        let result = loop {
            match self.step(key, &mut scanner, local, bytes, at) {
                Ok(Step::Message(len)) => {
                    messages += 1;
                    at += len;
                }
                Ok(Step::Void(len)) => at += len,
                Ok(Step::Partial(n)) => {
                    need = n;
                    break Ok(());
                }
                Err(error) => break Err(error),
            }
        };
        // Counted before anybody can see the effect.
        self.switch.settle(&mut self.links, bytes);
        add(&self.counters.received_total, messages);
        add(&self.counters.received_bytes_total, at as u64);
        // The ranges are of this buffer, so they are written before anything else happens to it.
        let written = self.links.flush(bytes);
        self.appetite.learn(bytes.len(), written);
        match result {
            Ok(()) => {
                if let Some(link) = self.links.get_mut(key) {
                    link.scanner = scanner;
                    link.need = need;
                    link.received += messages;
                }
                at
            }
            Err(error) => {
                self.links.doom(key, End::Protocol(error));
                bytes.len()
            }
        }
    }

    /// Handles what stands at `at`.
    fn step(
        &mut self,
        key: Key,
        scanner: &mut Scanner,
        local: SocketType,
        bytes: &mut [u8],
        at: usize,
    ) -> Result<Step, zmtp::codec::FrameError> {
        match scanner.scan(&bytes[at..])? {
            Scan::Partial { need } => Ok(Step::Partial(need)),
            Scan::Message { len, parts, first } => {
                let first = at + first.start..at + first.end;
                let message = Message { buffer: bytes, range: at..at + len, first, local };
                let may_subscribe = local == SocketType::Xpub && parts == 1;
                match may_subscribe.then(|| Command::from_message(message.topic())).flatten() {
                    Some(Command::Subscription(change, topic)) => {
                        self.switch.subscription(&mut self.links, key, change, topic);
                    }
                    _ => self.switch.message(&mut self.links, key, &message),
                }
                Ok(Step::Message(len))
            }
            Scan::Command { frame, body } => {
                let command = Command::parse(&bytes[at + body.start..at + body.end])?;
                self.command(key, local, command);
                Ok(Step::Void(excise(&mut bytes[at..], frame)))
            }
        }
    }

    fn command(&mut self, key: Key, local: SocketType, command: Command<'_>) {
        match command {
            Command::Ping { ttl_ds, context } => {
                if let Some(link) = self.links.get_mut(key) {
                    link.ttl = (ttl_ds > 0).then(|| Duration::from_millis(u64::from(ttl_ds) * 100));
                }
                if !self.switch.holds_pong(&self.links, key, context) {
                    self.links.answer(key, |out| Command::encode_pong(out, context));
                }
            }
            Command::Subscription(change, topic) if local == SocketType::Xpub => {
                self.switch.subscription(&mut self.links, key, change, topic);
            }
            Command::Subscription(..) | Command::Pong { .. } | Command::Unknown => {}
        }
    }
}

/// What was found.
#[derive(Debug)]
enum Step {
    /// A message of so many bytes.
    Message(usize),
    /// So many bytes that mean nothing any more.
    Void(usize),
    /// So many bytes are needed.
    Partial(usize),
}
