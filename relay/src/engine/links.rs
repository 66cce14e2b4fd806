//! All connections of an engine and everything that is sent to them.

use super::appetite::Written;
use super::link::{End, Lag, Link};
use super::output::{BacklogLimit, GATHER_BYTES};
use crate::counters::{EngineCounters, Share, add};
use bytes::BytesMut;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

/// Names a connection; used again after it ended.
pub(crate) type Key = usize;

#[derive(Debug, Clone, Copy)]
pub(super) struct OutputLimits {
    pub(super) backlog: BacklogLimit,
    pub(super) backlog_total_bytes: usize,
}

/// The connections. Sending never fails and never blocks: what a peer does not take waits in its backlog, and a link that
/// broke is doomed, which means that nothing reaches it any more until it is buried.
#[derive(Debug)]
pub(crate) struct Links {
    slots: Vec<Option<Box<Link>>>,
    free: Vec<Key>,
    touched: Vec<Key>,
    doomed: VecDeque<(Key, End)>,
    /// In order of their birth; may name links that have shaken hands or ended since.
    half_open: VecDeque<(Key, Instant)>,
    limits: OutputLimits,
    backlog_total: usize,
    /// Messages forwarded since the last flush.
    forwarded: u64,
    shown: Share,
    /// Memory in which small messages are put together.
    gather: Vec<u8>,
    counters: Arc<EngineCounters>,
    now: Instant,
}

impl Links {
    pub(super) fn new(limits: OutputLimits, counters: Arc<EngineCounters>, now: Instant) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            touched: Vec::new(),
            doomed: VecDeque::new(),
            half_open: VecDeque::new(),
            limits,
            backlog_total: 0,
            forwarded: 0,
            shown: Share::default(),
            gather: Vec::with_capacity(GATHER_BYTES),
            counters,
            now,
        }
    }

    /// The time of this wake.
    pub(crate) const fn now(&self) -> Instant {
        self.now
    }

    pub(super) fn set_now(&mut self, now: Instant) {
        self.now = now;
    }

    /// Bytes waiting for all peers.
    pub(super) const fn backlog_total(&self) -> usize {
        self.backlog_total
    }

    /// A connection that is alive.
    pub(crate) fn get(&self, key: Key) -> Option<&Link> {
        self.slots.get(key)?.as_deref().filter(|link| !link.dead)
    }

    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut Link> {
        self.slots.get_mut(key)?.as_deref_mut().filter(|link| !link.dead)
    }

    pub(crate) fn get_dying(&mut self, key: Key) -> Option<&mut Link> {
        self.slots.get_mut(key)?.as_deref_mut()
    }

    pub(super) fn insert(&mut self, link: Box<Link>) -> Key {
        self.backlog_total += link.output.backlog_len();
        let key = self.free.pop().unwrap_or(self.slots.len());
        if !link.is_open() {
            self.half_open.push_back((key, link.born));
        }
        if key == self.slots.len() {
            self.slots.push(None);
        }
        self.slots[key] = Some(link);
        key
    }

    pub(super) fn remove(&mut self, key: Key) -> Option<Box<Link>> {
        let link = self.slots.get_mut(key).and_then(Option::take)?;
        self.backlog_total -= link.output.backlog_len();
        self.free.push(key);
        Some(link)
    }

    /// Places for connections, taken or not; keys are below.
    pub(super) const fn slots(&self) -> usize {
        self.slots.len()
    }

    /// The connection that has been without handshake for longest.
    pub(super) fn oldest_half_open(&mut self) -> Option<Key> {
        while let Some(&(key, born)) = self.half_open.front() {
            if self.get(key).is_some_and(|link| link.born == born && !link.is_open()) {
                return Some(key);
            }
            self.half_open.pop_front();
        }
        None
    }

    /// All that are alive.
    pub(super) fn alive(&self) -> impl Iterator<Item = (Key, &Link)> {
        self.slots
            .iter()
            .enumerate()
            .filter_map(|(key, slot)| Some((key, slot.as_deref()?)))
            .filter(|(_, link)| !link.dead)
    }

    pub(super) fn alive_mut(&mut self) -> impl Iterator<Item = (Key, &mut Link)> {
        self.slots
            .iter_mut()
            .enumerate()
            .filter_map(|(key, slot)| Some((key, slot.as_deref_mut()?)))
            .filter(|(_, link)| !link.dead)
    }

    /// Ends a connection; it is buried at the end of the step.
    pub(super) fn doom(&mut self, key: Key, end: End) {
        if let Some(link) = self.get_mut(key) {
            link.dead = true;
            self.doomed.push_back((key, end));
        }
    }

    pub(super) fn next_doomed(&mut self) -> Option<(Key, End)> {
        self.doomed.pop_front()
    }

    /// Has a link written to at the end of the step.
    pub(super) fn touch(&mut self, key: Key) {
        if let Some(link) = self.get_mut(key)
            && !std::mem::replace(&mut link.touched, true)
        {
            self.touched.push(key);
        }
    }

    /// Sends so many neighbouring messages of this wake's buffer, given as their range.
    pub(crate) fn forward(&mut self, key: Key, range: Range<usize>, messages: u64) {
        let Some(link) = self.get_mut(key) else { return };
        link.delivered += messages;
        let is_news = link.output.push_range(range) && !std::mem::replace(&mut link.touched, true);
        self.forwarded += messages;
        if is_news {
            self.touched.push(key);
        }
    }

    /// Sends a message from elsewhere; false if it was dropped because the backlog is full or the peer is gone.
    pub(crate) fn deliver(&mut self, key: Key, message: &[u8]) -> bool {
        let limit = self.limits.backlog;
        let Some(link) = self.get_mut(key) else { return false };
        let (bytes, messages) = (link.output.backlog_len() + message.len(), link.output.backlog_messages());
        if bytes > limit.bytes || messages >= limit.messages {
            link.dropped += 1;
            add(&self.counters.dropped_total, 1);
            return false;
        }
        link.delivered += 1;
        link.output.append_message(message);
        self.backlog_total += message.len();
        self.touch(key);
        add(&self.counters.delivered_total, 1);
        true
    }

    /// Sends a command that must not be lost: a peer whose backlog has no room for it is dropped instead, and gets all of
    /// it again when it comes back.
    pub(crate) fn command(&mut self, key: Key, write: impl FnOnce(u8, &mut BytesMut)) {
        let limit = self.limits.backlog.bytes;
        let Some(link) = self.get_mut(key) else { return };
        if link.output.backlog_len() > limit + link.allowance {
            return self.doom(key, End::Overrun);
        }
        let minor = link.minor();
        self.append(key, |out| write(minor, out));
    }

    /// Sends what a peer has to know at its start; not limited, because its size is that of state which is.
    pub(crate) fn replay(&mut self, key: Key, write: impl FnOnce(u8, &mut BytesMut)) {
        let Some(link) = self.get_mut(key) else { return };
        let (minor, before) = (link.minor(), link.output.backlog_len());
        self.append(key, |out| write(minor, out));
        if let Some(link) = self.get_mut(key) {
            link.allowance = link.output.backlog_len() - before;
        }
    }

    /// Sends an answer that a peer can ask for without end; dropped when its backlog is full.
    pub(crate) fn answer(&mut self, key: Key, write: impl FnOnce(&mut BytesMut)) {
        let limit = self.limits.backlog.bytes;
        if self.get(key).is_some_and(|link| link.output.backlog_len() < limit) {
            self.append(key, write);
        }
    }

    pub(super) fn append(&mut self, key: Key, write: impl FnOnce(&mut BytesMut)) {
        let Some(link) = self.get_mut(key) else { return };
        let before = link.output.backlog_len();
        link.output.append(write);
        let added = link.output.backlog_len() - before;
        self.backlog_total += added;
        self.touch(key);
    }

    /// Writes what was sent since the last flush; `buffer` is what the ranges are of.
    pub(super) fn flush(&mut self, buffer: &[u8]) -> Written {
        let (now, limit) = (self.now, self.limits.backlog);
        let (mut dropped, mut written) = (0, Written::default());
        let mut touched = std::mem::take(&mut self.touched);
        let mut gather = std::mem::take(&mut self.gather);
        for key in touched.drain(..) {
            // Also the dead: one that failed its handshake is told why, if it takes it.
            let Some(link) = self.get_dying(key) else { continue };
            link.touched = false;
            let before = link.output.backlog_len();
            let result = link.output.flush(&mut link.stream, buffer, limit, &mut gather);
            let after = link.output.backlog_len();
            if let Ok(flushed) = &result {
                link.dropped += flushed.dropped;
                link.delivered = link.delivered.saturating_sub(flushed.dropped);
                if link.lag.is_some() {
                    link.last_lag = now;
                }
                link.lag = lag(link.lag, after, flushed.written, now);
                dropped += flushed.dropped;
                written.peers += usize::from(flushed.written > 0);
                written.bytes += flushed.written;
            }
            self.backlog_total = self.backlog_total - before + after;
            if let Err(error) = result {
                self.doom(key, End::Broken(error));
            }
        }
        (self.touched, self.gather) = (touched, gather);
        add(&self.counters.delivered_total, std::mem::take(&mut self.forwarded).saturating_sub(dropped));
        add(&self.counters.dropped_total, dropped);
        self.shown.show(&self.counters.backlog_bytes, self.backlog_total);
        if self.backlog_total > self.limits.backlog_total_bytes {
            self.drop_the_furthest_behind();
        }
        written
    }

    /// Makes room for all at the cost of the one that has been behind for longest.
    fn drop_the_furthest_behind(&mut self) {
        let behind = self.alive().filter_map(|(key, link)| Some((link.lag?.since, key)));
        if let Some((_, key)) = behind.min() {
            self.doom(key, End::Overrun);
        }
    }
}

fn lag(lag: Option<Lag>, backlog: usize, written: usize, now: Instant) -> Option<Lag> {
    if backlog == 0 {
        return None;
    }
    let mut lag = lag.unwrap_or(Lag { since: now, period: now, taken: 0 });
    lag.taken += written;
    Some(lag)
}
