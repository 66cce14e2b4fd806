//! 10 000 subscribers, one topic of a hundred each. Then the same with one in a hundred that never reads: what does it cost
//! the relay in memory, and the healthy ones in messages and time?

use crate::forwarder::{Forwarder, Kind};
use crate::scenario::percentiles;
use crate::wire;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::net::sockopt::set_socket_recv_buffer_size;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

const SUBSCRIBERS: usize = 10_000;
const TOPICS: usize = 100;
const PAYLOAD: usize = 1000;
const MESSAGES_PER_S: u64 = 300;
const TIME: Duration = Duration::from_secs(6);
/// Sent before to those that do not read, and to nobody else: more than the system and the relay keep for them.
const FLOOD_BYTES: usize = 8 << 20;
const FLOOD: &str = "FLOOD:";
const BACKLOG_BYTES: usize = 256 << 10;

struct Crowd {
    source: TcpStream,
    /// Those that read, with the bytes they got.
    healthy: Vec<(TcpStream, u64)>,
    stuck: Vec<TcpStream>,
    epoll: OwnedFd,
    buffer: Vec<u8>,
    /// One message of each topic, and where its stamp is.
    messages: Vec<(Vec<u8>, usize)>,
    sent: u64,
    begin: Instant,
    latencies: Vec<u32>,
}

impl Crowd {
    fn connect(relay: &Forwarder, stuck_in_a_hundred: usize) -> anyhow::Result<Self> {
        let topics: Vec<String> = (0..TOPICS).map(|number| wire::topic(number, Kind::Relay)).collect();
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let (mut healthy, mut stuck) = (Vec::new(), Vec::new());
        for number in 0..SUBSCRIBERS {
            let topic = topics[number % TOPICS].as_str();
            // One in a hundred of each topic.
            if number / TOPICS < stuck_in_a_hundred {
                let stream = wire::confirmed_subscriber(relay.subscribers, &[topic, FLOOD])?;
                set_socket_recv_buffer_size(&stream, 4096)?;
                stuck.push(stream);
                continue;
            }
            let stream = wire::confirmed_subscriber(relay.subscribers, &[topic])?;
            stream.set_nonblocking(true)?;
            epoll::add(&epoll, &stream, EventData::new_u64(healthy.len() as u64), EventFlags::IN)?;
            healthy.push((stream, 0));
        }
        let source = wire::publisher(relay.publishers, Kind::Relay, TOPICS + stuck_in_a_hundred.min(1))?;
        source.set_nonblocking(true)?;
        Ok(Self {
            source,
            healthy,
            stuck,
            epoll,
            buffer: vec![0; 64 << 10],
            messages: topics.iter().map(|topic| wire::stamped(topic, PAYLOAD)).collect(),
            sent: 0,
            begin: Instant::now(),
            latencies: Vec::new(),
        })
    }

    fn size(&self) -> u64 {
        self.messages[0].0.len() as u64
    }

    fn now_ns(&self) -> u64 {
        self.begin.elapsed().as_nanos() as u64
    }

    fn send(&mut self, due_ns: u64) -> anyhow::Result<()> {
        let (mut message, stamp) = self.messages[self.sent as usize % TOPICS].clone();
        message[stamp..stamp + 8].copy_from_slice(&due_ns.to_le_bytes());
        let mut rest = &message[..];
        while !rest.is_empty() {
            match self.source.write(rest) {
                Ok(n) => rest = &rest[n..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.receive(false)?,
                Err(error) => return Err(error.into()),
            }
        }
        self.sent += 1;
        Ok(())
    }

    fn receive(&mut self, record: bool) -> anyhow::Result<()> {
        let mut events: Vec<Event> = Vec::with_capacity(256);
        epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&Default::default()))?;
        let (size, stamp_at) = (self.size() as usize, self.messages[0].1);
        for event in &events {
            let now = self.now_ns();
            let (stream, bytes) = &mut self.healthy[event.data.u64() as usize];
            let len = stream.read(&mut self.buffer)?;
            anyhow::ensure!(len > 0, "the relay closed a healthy subscriber");
            let mut at = (stamp_at + size - *bytes as usize % size) % size;
            while record && at + 8 <= len {
                let stamp = u64::from_le_bytes(self.buffer[at..at + 8].try_into()?);
                self.latencies.push(u32::try_from(now.saturating_sub(stamp)).unwrap_or(u32::MAX));
                at += size;
            }
            *bytes += len as u64;
        }
        Ok(())
    }

    /// Waits until every healthy subscriber has each message of its topic.
    fn finish(&mut self) -> anyhow::Result<()> {
        let begin = Instant::now();
        loop {
            let expected = self.sent * (self.healthy.len() / TOPICS) as u64 * self.size();
            let received: u64 = self.healthy.iter().map(|(_, bytes)| bytes).sum();
            if received == expected {
                return Ok(());
            }
            anyhow::ensure!(received < expected, "healthy subscribers got too much");
            anyhow::ensure!(begin.elapsed() < Duration::from_secs(20), "{received} bytes of {expected} arrived");
            self.receive(false)?;
        }
    }

    fn flood(&mut self) -> anyhow::Result<()> {
        let block = wire::stamped(FLOOD, PAYLOAD).0;
        self.source.set_nonblocking(false)?;
        for _ in 0..FLOOD_BYTES / block.len() {
            self.source.write_all(&block)?;
        }
        self.source.set_nonblocking(true)?;
        // What is measured begins when the relay has digested this.
        for _ in 0..TOPICS {
            self.send(0)?;
        }
        self.finish()
    }

    fn measure(&mut self) -> anyhow::Result<[f64; 3]> {
        let (start, first) = (self.now_ns(), self.sent);
        let interval = 1_000_000_000 / MESSAGES_PER_S;
        while self.now_ns() - start < TIME.as_nanos() as u64 {
            let due = start + (self.sent - first) * interval;
            if due <= self.now_ns() {
                self.send(due)?;
            }
            self.receive(true)?;
        }
        self.finish()?;
        Ok(percentiles(std::mem::take(&mut self.latencies)))
    }
}

pub fn run(repetitions: usize) -> anyhow::Result<()> {
    println!("### {SUBSCRIBERS} subscribers, one of {TOPICS} topics each, {PAYLOAD} B, {MESSAGES_PER_S} messages/s\n");
    println!("| stuck | healthy lose | p50 µs | p99 µs | p99.9 µs | relay RSS MiB (highest) | bound of backlogs MiB |");
    println!("|---|---|---|---|---|---|---|");
    let options = [
        format!("connections={}", SUBSCRIBERS + 100),
        format!("backlog_bytes={BACKLOG_BYTES}"),
        "frame_bytes=65536".to_owned(),
        // So that the stuck ones stay, and the silent ones are not asked, while it is measured.
        "stuck_seconds=600".to_owned(),
        "heartbeat_seconds=600".to_owned(),
    ];
    for _ in 0..repetitions {
        for stuck in [0, 1] {
            let relay = Forwarder::start(Kind::Relay, &options)?;
            let mut crowd = Crowd::connect(&relay, stuck)?;
            if stuck > 0 {
                crowd.flood()?;
            }
            let [p50, p99, p999] = crowd.measure()?;
            let (now, highest) = relay.memory_mib();
            let (count, bound) = (crowd.stuck.len(), (crowd.stuck.len() * BACKLOG_BYTES) >> 20);
            println!("| {count} | 0 | {p50:.0} | {p99:.0} | {p999:.0} | {now} ({highest}) | {bound} |");
        }
    }
    Ok(())
}
