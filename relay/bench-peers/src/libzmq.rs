//! Load by sockets of libzmq: XPUB as source, SUBs as sinks, queues that never drop.

use crate::forwarder::Forwarder;
use crate::scenario::{Outcome, Scenario, percentiles};
use crate::wire;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

const WARM_UP: Duration = Duration::from_millis(400);
const PATIENCE: Duration = Duration::from_secs(10);

/// What source and sinks tell each other.
struct Shared {
    /// Messages of the source that each sink has seen.
    seen: Vec<AtomicU64>,
    delivered: AtomicU64,
    stop: AtomicBool,
    record: AtomicBool,
    wrong: AtomicBool,
}

impl Shared {
    fn slowest(&self) -> u64 {
        self.seen.iter().map(|seen| seen.load(Relaxed)).min().unwrap_or(0)
    }
}

pub struct LibzmqLoad<'a> {
    scenario: Scenario,
    forwarder: &'a Forwarder,
    source: zmq::Socket,
    topics: Vec<String>,
    shared: Arc<Shared>,
    sinks: Option<std::thread::JoinHandle<anyhow::Result<Vec<u32>>>>,
    sent: u64,
    begin: Instant,
}

impl<'a> LibzmqLoad<'a> {
    pub fn connect(scenario: Scenario, forwarder: &'a Forwarder) -> anyhow::Result<Self> {
        let kind = forwarder.kind;
        let context = zmq::Context::new();
        let begin = Instant::now();
        let shared = Arc::new(Shared {
            seen: (0..scenario.subscribers).map(|_| AtomicU64::new(0)).collect(),
            delivered: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            record: AtomicBool::new(false),
            wrong: AtomicBool::new(false),
        });
        let mut sockets = Vec::new();
        for number in 0..scenario.subscribers {
            let socket = context.socket(zmq::SUB)?;
            socket.set_rcvhwm(0)?;
            socket.set_linger(0)?;
            socket.connect(&format!("tcp://{}", forwarder.subscribers))?;
            let prefix = if scenario.all { "BINANCE:".to_owned() } else { wire::topic(number, kind) };
            socket.set_subscribe(prefix.as_bytes())?;
            if scenario.all {
                socket.set_subscribe(wire::marker(number).as_bytes())?;
            }
            sockets.push(socket);
        }
        // As two processes would: one context each, so that reading does not wait for writing.
        let source = zmq::Context::new().socket(zmq::XPUB)?;
        source.set_sndhwm(0)?;
        source.set_linger(0)?;
        source.set_rcvtimeo(10_000)?;
        source.connect(&format!("tcp://{}", forwarder.publishers))?;
        for _ in 0..scenario.prefixes() {
            source.recv_bytes(0)?;
        }
        let sinks = Sinks { scenario, sockets, shared: Arc::clone(&shared), begin, latencies: Vec::new() };
        let sinks = Some(std::thread::spawn(move || sinks.run()));
        let topics = (0..scenario.topics()).map(|number| wire::topic(number, kind)).collect();
        Ok(Self { scenario, forwarder, source, topics, shared, sinks, sent: 0, begin })
    }

    fn send(&mut self, payload: &mut [u8], stamp_ns: u64) -> anyhow::Result<()> {
        payload[..8].copy_from_slice(&self.sent.to_le_bytes());
        payload[8..16].copy_from_slice(&stamp_ns.to_le_bytes());
        let topic = &self.topics[(self.sent % self.topics.len() as u64) as usize];
        self.source.send(topic.as_bytes(), zmq::SNDMORE)?;
        self.source.send(&payload[..], 0)?;
        self.sent += 1;
        Ok(())
    }

    fn saturate(&mut self, time: Duration) -> anyhow::Result<()> {
        let mut payload = vec![b'x'; self.scenario.payload];
        let (begin, mut progress, mut last) = (Instant::now(), Instant::now(), 0);
        while begin.elapsed() < time {
            let slowest = self.shared.slowest();
            if slowest != last {
                (last, progress) = (slowest, Instant::now());
            }
            anyhow::ensure!(progress.elapsed() < PATIENCE, "messages were lost");
            let room = (slowest + self.scenario.window()).saturating_sub(self.sent);
            for _ in 0..room.min(256) {
                self.send(&mut payload, 0)?;
            }
            if room == 0 {
                std::thread::sleep(Duration::from_micros(20));
            }
        }
        Ok(())
    }

    /// Waits until everything that was sent has arrived.
    fn finish(&mut self) -> anyhow::Result<()> {
        let mut payload = vec![b'x'; self.scenario.payload];
        while self.sent % self.topics.len() as u64 != 0 {
            self.send(&mut payload, 0)?;
        }
        let begin = Instant::now();
        while self.shared.slowest() < self.sent {
            anyhow::ensure!(begin.elapsed() < PATIENCE, "messages were lost");
            std::thread::sleep(Duration::from_micros(200));
        }
        let (delivered, expected) = (self.shared.delivered.load(Relaxed), self.sent * self.scenario.copies() as u64);
        anyhow::ensure!(delivered == expected, "{delivered} delivered instead of {expected}");
        anyhow::ensure!(!self.shared.wrong.load(Relaxed), "a message was missing or twice");
        Ok(())
    }

    fn outcome(&self, cpu: u64, delivered: u64, elapsed: Duration) -> Outcome {
        let deliveries_per_s = delivered as f64 / elapsed.as_secs_f64();
        Outcome {
            deliveries_per_s,
            messages_per_s: deliveries_per_s / self.scenario.copies() as f64,
            cpu_ns: cpu as f64 / delivered as f64,
            cores: cpu as f64 / elapsed.as_nanos() as f64,
            ..Outcome::default()
        }
    }

    pub fn saturated(&mut self, time: Duration) -> anyhow::Result<Outcome> {
        self.saturate(WARM_UP)?;
        let (cpu, delivered, begin) = (self.forwarder.cpu_ns(), self.shared.delivered.load(Relaxed), Instant::now());
        self.saturate(time)?;
        let (cpu, delivered) = (self.forwarder.cpu_ns() - cpu, self.shared.delivered.load(Relaxed) - delivered);
        let elapsed = begin.elapsed();
        self.finish()?;
        Ok(self.outcome(cpu, delivered, elapsed))
    }

    pub fn at_rate(mut self, per_second: f64, time: Duration) -> anyhow::Result<Outcome> {
        let mut payload = vec![b'x'; self.scenario.payload];
        let interval = 1e9 / per_second;
        let (start, first, mut from) = (self.begin.elapsed(), self.sent, None);
        loop {
            let elapsed = self.begin.elapsed() - start;
            if elapsed >= WARM_UP + time {
                break;
            }
            if from.is_none() && elapsed >= WARM_UP {
                self.shared.record.store(true, Relaxed);
                from = Some((self.forwarder.cpu_ns(), self.shared.delivered.load(Relaxed), Instant::now()));
            }
            let target = first + (elapsed.as_nanos() as f64 / interval) as u64;
            while self.sent < target {
                let due = start.as_nanos() as u64 + ((self.sent - first) as f64 * interval) as u64;
                self.send(&mut payload, due)?;
            }
            let next = start.as_nanos() as u64 + ((self.sent - first) as f64 * interval) as u64;
            let wait = next.saturating_sub(self.begin.elapsed().as_nanos() as u64);
            std::thread::sleep(Duration::from_nanos(wait.min(1_000_000)));
        }
        let Some((cpu, delivered, begin)) = from else { anyhow::bail!("no time to measure") };
        let (cpu, delivered) = (self.forwarder.cpu_ns() - cpu, self.shared.delivered.load(Relaxed) - delivered);
        let elapsed = begin.elapsed();
        self.shared.record.store(false, Relaxed);
        self.finish()?;
        let outcome = self.outcome(cpu, delivered, elapsed);
        self.shared.stop.store(true, Relaxed);
        let Some(sinks) = self.sinks.take() else { anyhow::bail!("no sinks") };
        let latencies = sinks.join().map_err(|_| anyhow::anyhow!("the sinks panicked"))??;
        let [p50_us, p99_us, p999_us] = percentiles(latencies);
        Ok(Outcome { p50_us, p99_us, p999_us, ..outcome })
    }
}

impl Drop for LibzmqLoad<'_> {
    fn drop(&mut self) {
        self.shared.stop.store(true, Relaxed);
        if let Some(sinks) = self.sinks.take()
            && let Ok(Err(error)) = sinks.join()
        {
            eprintln!("sinks: {error}");
        }
    }
}

struct Sinks {
    scenario: Scenario,
    sockets: Vec<zmq::Socket>,
    shared: Arc<Shared>,
    begin: Instant,
    latencies: Vec<u32>,
}

impl Sinks {
    fn run(mut self) -> anyhow::Result<Vec<u32>> {
        let stride = if self.scenario.all { 1 } else { self.scenario.topics() as u64 };
        let mut next: Vec<u64> =
            (0..self.sockets.len()).map(|number| if self.scenario.all { 0 } else { number as u64 }).collect();
        let mut message = zmq::Message::new();
        while !self.shared.stop.load(Relaxed) {
            let mut any = false;
            for (number, socket) in self.sockets.iter().enumerate() {
                let mut got = 0;
                while got < 256 && socket.recv(&mut message, zmq::DONTWAIT).is_ok() {
                    socket.recv(&mut message, 0)?;
                    got += 1;
                    let word = |at: usize| message[at..at + 8].try_into().map(u64::from_le_bytes);
                    if word(0)? != next[number] {
                        self.shared.wrong.store(true, Relaxed);
                    }
                    next[number] += stride;
                    if self.shared.record.load(Relaxed) {
                        let ns = (self.begin.elapsed().as_nanos() as u64).saturating_sub(word(8)?);
                        self.latencies.push(u32::try_from(ns).unwrap_or(u32::MAX));
                    }
                }
                if got > 0 {
                    any = true;
                    self.shared.delivered.fetch_add(got, Relaxed);
                    let first = if self.scenario.all { 0 } else { number as u64 };
                    self.shared.seen[number].store(next[number] - first, Relaxed);
                }
            }
            if !any {
                let mut items: Vec<zmq::PollItem> =
                    self.sockets.iter().map(|socket| socket.as_poll_item(zmq::POLLIN)).collect();
                zmq::poll(&mut items, 50)?;
            }
        }
        Ok(self.latencies)
    }
}
