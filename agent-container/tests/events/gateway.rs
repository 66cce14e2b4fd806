//! A gateway for tests: a ROUTER, the receiver of `user-events`, and a journal that is on disk before it answers.

use super::ring;
use bytes::Bytes;
use futures_util::FutureExt;
use proto::{EventAck, EventId, EventMessage, FrameHeader, Kind, OutboxId, Position, UserId};
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::Path;
use user_events::{Decision, Keyring, OpenError, Opened, Stream, open, seal_ack};
use zmtp::{PeerKey, RouterOptions, RouterSocket};

/// What is in effect: one line `user outbox sequence event_id payload` for each event, in the order of the effects.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    streams: HashMap<(UserId, OutboxId), Stream>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) user_id: UserId,
    pub(super) position: Position,
    pub(super) event_id: EventId,
    pub(super) payload: String,
}

impl Entry {
    fn parse(line: &str) -> Self {
        let parts: Vec<&str> = line.splitn(5, ' ').collect();
        Self {
            user_id: parts[0].parse().unwrap(),
            position: Position { outbox_id: parts[1].parse().unwrap(), sequence: parts[2].parse().unwrap() },
            event_id: parts[3].parse().unwrap(),
            payload: parts[4].to_owned(),
        }
    }
}

/// The whole lines of a journal; a half one was never acked.
pub(super) fn entries(path: &Path) -> Vec<Entry> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')).map(Entry::parse).collect()
}

impl Journal {
    pub(super) fn open(path: &Path) -> Self {
        let mut file = OpenOptions::new().create(true).read(true).write(true).truncate(false).open(path).unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        file.set_len(whole as u64).unwrap();
        file.seek(std::io::SeekFrom::End(0)).unwrap();
        let mut ids: HashMap<(UserId, OutboxId), Vec<Option<EventId>>> = HashMap::new();
        for entry in entries(path) {
            ids.entry((entry.user_id, entry.position.outbox_id)).or_default().push(Some(entry.event_id));
        }
        let restore = |((user, outbox), ids): (_, Vec<_>)| {
            ((user, outbox), Stream::restore(user, outbox, ids.len() as u64 + 1, ids).unwrap())
        };
        Self { file, streams: ids.into_iter().map(restore).collect() }
    }

    /// Decides, writes what changes, and tells what to answer after [`Self::sync`].
    pub(super) fn take(&mut self, opened: &Opened) -> (Decision, EventAck) {
        let (user_id, position) = (opened.message.user_id(), opened.message.position().unwrap());
        let stream = self
            .streams
            .entry((user_id, position.outbox_id))
            .or_insert_with(|| Stream::new(user_id, position.outbox_id));
        let decision = stream.decide(opened);
        if let (Decision::Accept, EventMessage::Event(event)) = (&decision, &opened.message) {
            let Position { outbox_id, sequence } = position;
            let payload = std::str::from_utf8(&event.payload).unwrap();
            let line = format!("{user_id} {outbox_id} {sequence} {} {payload}\n", event.event_id);
            self.file.write_all(line.as_bytes()).unwrap();
        }
        stream.apply(Some(opened), &decision);
        (decision.clone(), stream.ack(position, &decision))
    }

    pub(super) fn sync(&self) {
        self.file.sync_data().unwrap();
    }
}

/// Most messages that share one write to disk.
const BATCH: usize = 64;

/// The socket, the keys and the journal.
#[derive(Debug)]
pub(super) struct Gateway {
    socket: RouterSocket,
    keys: Keyring,
    journal: Journal,
    answers: u64,
}

/// What became of one message.
pub(super) type Outcome = Result<Decision, OpenError>;

impl Gateway {
    pub(super) async fn bind(port: u16, journal: &Path) -> Self {
        let endpoint = format!("tcp://127.0.0.1:{port}");
        let socket = RouterSocket::bind(&endpoint, RouterOptions::default()).await.unwrap();
        Self { socket, keys: ring(), journal: Journal::open(journal), answers: 0 }
    }

    pub(super) fn port(&self) -> u16 {
        self.socket.local_addr().unwrap().port()
    }

    /// Takes one message: what it decided is on disk before it answers.
    pub(super) async fn serve_one(&mut self) -> Outcome {
        let (peer, frames) = self.socket.recv().await;
        let opened = open(&frames, &self.keys)?;
        let (decision, ack) = self.journal.take(&opened);
        self.journal.sync();
        self.answer(peer, &opened, &ack);
        Ok(decision)
    }

    /// Takes the messages that are there, up to a limit, with one write to disk; answers each.
    pub(super) async fn serve_some(&mut self) -> Vec<Outcome> {
        let mut messages = vec![self.socket.recv().await];
        while messages.len() < BATCH
            && let Some(message) = self.socket.recv().now_or_never()
        {
            messages.push(message);
        }
        let mut outcomes = Vec::new();
        let mut answers = Vec::new();
        for (peer, frames) in messages {
            outcomes.push(open(&frames, &self.keys).map(|opened| {
                let (decision, ack) = self.journal.take(&opened);
                answers.push((peer, opened, ack));
                decision
            }));
        }
        self.journal.sync();
        for (peer, opened, ack) in answers {
            self.answer(peer, &opened, &ack);
        }
        outcomes
    }

    fn answer(&mut self, peer: PeerKey, opened: &Opened, ack: &EventAck) {
        self.answers += 1;
        let key = self.keys.get(ack.user_id, opened.key_id).unwrap();
        let header = FrameHeader::new(Kind::EventAck, 1, self.answers, 0);
        let frames: [Bytes; 3] = seal_ack(key, header, ack).unwrap();
        // A peer that has gone asks again.
        let _gone = self.socket.send(peer, &frames).is_err();
    }
}
