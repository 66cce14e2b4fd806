//! Load by raw peers: one thread, one source, all sinks. Saturated, the sinks let the system discard what was counted, so
//! that they cost next to nothing; before and after, and always at a fixed rate, every byte is compared or looked at.

use crate::forwarder::{Forwarder, Kind};
use crate::scenario::{Outcome, Scenario, percentiles};
use crate::wire::{self, Block};
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::net::{RecvFlags, recv};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

const WARM_UP: Duration = Duration::from_millis(400);
/// Without any progress for this long, something was lost.
const PATIENCE: Duration = Duration::from_secs(10);
const BLOCK_BYTES: usize = 1 << 20;

struct Sink {
    stream: TcpStream,
    /// Bytes received.
    bytes: u64,
    topic: Option<usize>,
}

pub struct RawLoad<'a> {
    scenario: Scenario,
    forwarder: &'a Forwarder,
    block: Block,
    source: TcpStream,
    sinks: Vec<Sink>,
    epoll: OwnedFd,
    events: Vec<Event>,
    buffer: Vec<u8>,
    /// Bytes sent.
    sent: u64,
    begin: Instant,
    latencies: Vec<u32>,
}

/// What a sink does with what it receives.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sinking {
    Compare,
    Discard,
    Time { record: bool },
}

impl<'a> RawLoad<'a> {
    pub fn connect(scenario: Scenario, forwarder: &'a Forwarder) -> anyhow::Result<Self> {
        let kind = forwarder.kind;
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let mut sinks = Vec::new();
        for number in 0..scenario.subscribers {
            let stream = wire::subscriber(forwarder.subscribers, kind, number, scenario.all)?;
            sinks.push(Sink { stream, bytes: 0, topic: scenario.topic_of(number) });
        }
        let source = wire::publisher(forwarder.publishers, kind, scenario.prefixes())?;
        source.set_nonblocking(true)?;
        for (number, sink) in sinks.iter_mut().enumerate() {
            if kind == Kind::Nats {
                wire::nats_first_ping(&mut sink.stream)?;
            }
            sink.stream.set_nonblocking(true)?;
            epoll::add(&epoll, &sink.stream, EventData::new_u64(number as u64), EventFlags::IN)?;
        }
        let messages = BLOCK_BYTES / (scenario.payload + 27);
        Ok(Self {
            scenario,
            forwarder,
            block: Block::new(kind, scenario.topics(), scenario.payload, messages),
            source,
            sinks,
            epoll,
            events: Vec::with_capacity(256),
            buffer: vec![0; 1 << 20],
            sent: 0,
            begin: Instant::now(),
            latencies: Vec::new(),
        })
    }

    fn now_ns(&self) -> u64 {
        self.begin.elapsed().as_nanos() as u64
    }

    /// Messages that came to one sink, counted as messages of the source.
    fn progress(&self, sink: &Sink) -> u64 {
        let stride = if self.scenario.all { 1 } else { self.scenario.topics() as u64 };
        sink.bytes / self.block.received_size as u64 * stride
    }

    fn slowest(&self) -> u64 {
        self.sinks.iter().map(|sink| self.progress(sink)).min().unwrap_or(0)
    }

    fn delivered(&self) -> u64 {
        self.sinks.iter().map(|sink| sink.bytes / self.block.received_size as u64).sum()
    }

    /// Sends up to a number of messages in all, whole or begun. Returns whether anything was taken.
    fn send_until(&mut self, messages: u64) -> anyhow::Result<bool> {
        let limit = messages * self.block.sent_size as u64;
        let at = (self.sent % self.block.bytes.len() as u64) as usize;
        let room = limit.saturating_sub(self.sent).min((self.block.bytes.len() - at) as u64) as usize;
        if room == 0 {
            return Ok(false);
        }
        match self.source.write(&self.block.bytes[at..at + room.min(256 << 10)]) {
            Ok(n) => self.sent += n as u64,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        Ok(true)
    }

    /// Takes what has come, waiting for at most `wait`. Returns whether anything came.
    fn receive(&mut self, sinking: Sinking, wait: Duration) -> anyhow::Result<bool> {
        self.events.clear();
        let timeout = rustix::event::Timespec { tv_sec: 0, tv_nsec: wait.subsec_nanos().into() };
        epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut self.events), Some(&timeout))?;
        let events = std::mem::take(&mut self.events);
        for event in &events {
            self.take(event.data.u64() as usize, sinking)?;
        }
        let any = !events.is_empty();
        self.events = events;
        Ok(any)
    }

    fn take(&mut self, number: usize, sinking: Sinking) -> anyhow::Result<()> {
        let now = self.now_ns();
        let sink = &mut self.sinks[number];
        let result = if sinking == Sinking::Discard {
            // In TCP this throws away what is there without copying it (tcp(7)).
            recv(&sink.stream, &mut self.buffer[..], RecvFlags::TRUNC).map(|(_, len)| len).map_err(Into::into)
        } else {
            let room = if matches!(sinking, Sinking::Time { .. }) { 64 << 10 } else { self.buffer.len() };
            sink.stream.read(&mut self.buffer[..room])
        };
        let len = match result {
            Ok(0) => anyhow::bail!("the forwarder closed a subscriber"),
            Ok(len) => len,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        match sinking {
            Sinking::Discard => {}
            Sinking::Compare => {
                let expected = self.block.expected(sink.topic);
                let (mut got, mut at) = (&self.buffer[..len], (sink.bytes % expected.len() as u64) as usize);
                while !got.is_empty() {
                    let piece = got.len().min(expected.len() - at);
                    anyhow::ensure!(got[..piece] == expected[at..at + piece], "subscriber {number} got other bytes");
                    (got, at) = (&got[piece..], 0);
                }
            }
            Sinking::Time { record } => {
                // A stamp that is torn by the read is passed over: seven of so many thousand places.
                let size = self.block.received_size;
                let phase = (sink.bytes % size as u64) as usize;
                let mut at = (self.block.received_stamp + size - phase) % size;
                while at + 8 <= len {
                    let stamp: [u8; 8] = self.buffer[at..at + 8].try_into()?;
                    if record {
                        let ns = now.saturating_sub(u64::from_le_bytes(stamp));
                        self.latencies.push(u32::try_from(ns).unwrap_or(u32::MAX));
                    }
                    at += size;
                }
            }
        }
        sink.bytes += len as u64;
        Ok(())
    }

    /// As fast as the slowest sink allows for a while.
    fn saturate(&mut self, sinking: Sinking, time: Duration) -> anyhow::Result<()> {
        let (begin, mut progress) = (Instant::now(), Instant::now());
        while begin.elapsed() < time {
            let mut moved = false;
            let limit = self.slowest() + self.scenario.window();
            for _ in 0..8 {
                if !self.send_until(limit)? {
                    break;
                }
                moved = true;
            }
            let wait = if moved { Duration::ZERO } else { Duration::from_millis(1) };
            moved |= self.receive(sinking, wait)?;
            if moved {
                progress = Instant::now();
            }
            anyhow::ensure!(progress.elapsed() < PATIENCE, "messages were lost");
        }
        Ok(())
    }

    /// Completes the block that was begun and waits until everything has arrived; what comes is what was sent.
    fn finish(&mut self, sinking: Sinking) -> anyhow::Result<()> {
        let messages = self.sent.div_ceil(self.block.bytes.len() as u64) * self.block.messages as u64;
        let mut progress = Instant::now();
        while self.slowest() < messages {
            let limit = messages.min(self.slowest() + self.scenario.window());
            let sent = self.send_until(limit)?;
            if self.receive(sinking, Duration::from_millis(1))? || sent {
                progress = Instant::now();
            }
            anyhow::ensure!(progress.elapsed() < PATIENCE, "messages were lost");
        }
        let expected = messages * self.scenario.copies() as u64;
        anyhow::ensure!(self.delivered() == expected, "{} delivered instead of {expected}", self.delivered());
        Ok(())
    }

    /// Deliveries and CPU at full load.
    pub fn saturated(&mut self, time: Duration) -> anyhow::Result<Outcome> {
        self.saturate(Sinking::Compare, WARM_UP)?;
        self.finish(Sinking::Compare)?;
        self.saturate(Sinking::Discard, WARM_UP / 2)?;
        let (cpu, delivered, begin) = (self.forwarder.cpu_ns(), self.delivered(), Instant::now());
        self.saturate(Sinking::Discard, time)?;
        let (cpu, delivered) = (self.forwarder.cpu_ns() - cpu, self.delivered() - delivered);
        let elapsed = begin.elapsed();
        self.finish(Sinking::Discard)?;
        self.saturate(Sinking::Compare, WARM_UP / 4)?;
        self.finish(Sinking::Compare)?;
        let deliveries_per_s = delivered as f64 / elapsed.as_secs_f64();
        Ok(Outcome {
            deliveries_per_s,
            messages_per_s: deliveries_per_s / self.scenario.copies() as f64,
            cpu_ns: cpu as f64 / delivered as f64,
            cores: cpu as f64 / elapsed.as_nanos() as f64,
            ..Outcome::default()
        })
    }

    /// Latency, and CPU per delivery, at a fixed rate of messages. A stamp is the time at which the message was due, so a
    /// source that is late counts against the forwarder that made it late.
    pub fn at_rate(&mut self, per_second: f64, time: Duration) -> anyhow::Result<Outcome> {
        let (start, interval) = (self.now_ns(), 1e9 / per_second);
        let first = self.sent / self.block.sent_size as u64;
        let (warm, end) = (WARM_UP.as_nanos() as u64, (WARM_UP + time).as_nanos() as u64);
        let (mut due, mut from) = (first, None);
        loop {
            let elapsed = self.now_ns() - start;
            if elapsed >= end {
                break;
            }
            if from.is_none() && elapsed >= warm {
                from = Some((self.forwarder.cpu_ns(), self.delivered(), Instant::now()));
            }
            let target = first + (elapsed as f64 / interval) as u64;
            // Never so far ahead that a stamp would be overwritten before it is sent.
            let sent = self.sent / self.block.sent_size as u64;
            while due < target.min(sent + self.block.messages as u64 / 2) {
                self.block.stamp(due, start + ((due - first) as f64 * interval) as u64);
                due += 1;
            }
            while self.send_until(due)? {}
            self.receive(Sinking::Time { record: from.is_some() }, Duration::ZERO)?;
        }
        let Some((cpu, delivered, begin)) = from else { anyhow::bail!("no time to measure") };
        let (cpu, delivered) = (self.forwarder.cpu_ns() - cpu, self.delivered() - delivered);
        let elapsed = begin.elapsed();
        self.finish(Sinking::Time { record: false })?;
        let [p50_us, p99_us, p999_us] = percentiles(std::mem::take(&mut self.latencies));
        let deliveries_per_s = delivered as f64 / elapsed.as_secs_f64();
        Ok(Outcome {
            deliveries_per_s,
            messages_per_s: deliveries_per_s / self.scenario.copies() as f64,
            cpu_ns: cpu as f64 / delivered as f64,
            cores: cpu as f64 / elapsed.as_nanos() as f64,
            p50_us,
            p99_us,
            p999_us,
        })
    }
}
