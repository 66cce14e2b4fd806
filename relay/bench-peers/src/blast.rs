//! One publisher that sends as fast as it can, beside nine that send a hundred messages a second each: are the nine starved?

use crate::forwarder::{Forwarder, Kind};
use crate::scenario::percentiles;
use crate::wire;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

const SLOW: usize = 9;
const INTERVAL: Duration = Duration::from_millis(10);
const MESSAGES: usize = 500;

/// Sends for ever, in blocks.
fn flood(mut stream: TcpStream, stop: &AtomicBool) -> std::io::Result<()> {
    let block = wire::stamped("BLAST:", 100).0.repeat(2000);
    while !stop.load(Relaxed) {
        stream.write_all(&block)?;
    }
    Ok(())
}

fn drain(mut stream: TcpStream, stop: &AtomicBool, bytes: &AtomicU64) -> std::io::Result<()> {
    let mut buffer = vec![0; 1 << 20];
    while !stop.load(Relaxed) {
        bytes.fetch_add(stream.read(&mut buffer)? as u64, Relaxed);
    }
    Ok(())
}

/// Latency of the slow ones' messages, and what came of the flood per second.
fn measure(forwarder: &Forwarder, blast: bool) -> anyhow::Result<([f64; 3], f64)> {
    let mut subscriber = wire::confirmed_subscriber(forwarder.subscribers, &["SLOW"])?;
    let greedy = wire::confirmed_subscriber(forwarder.subscribers, &["BLAST"])?;
    let publisher = || wire::publisher(forwarder.publishers, Kind::Relay, 2);
    let mut slow = (0..SLOW).map(|_| publisher()).collect::<anyhow::Result<Vec<_>>>()?;
    let (stop, flooded) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    if blast {
        let (source, halt) = (publisher()?, Arc::clone(&stop));
        std::thread::spawn(move || flood(source, &halt));
        let (halt, bytes) = (Arc::clone(&stop), Arc::clone(&flooded));
        std::thread::spawn(move || drain(greedy, &halt, &bytes));
        std::thread::sleep(Duration::from_millis(300));
    }
    let (begin, before) = (Instant::now(), flooded.load(Relaxed));
    let (mut message, stamp) = wire::stamped("SLOW:", 100);
    let size = message.len();
    let receiver = std::thread::spawn(move || -> std::io::Result<Vec<u32>> {
        let mut latencies = Vec::new();
        let mut bytes = vec![0; size];
        for _ in 0..MESSAGES * SLOW {
            subscriber.read_exact(&mut bytes)?;
            let sent = u64::from_le_bytes(bytes[stamp..stamp + 8].try_into().map_err(std::io::Error::other)?);
            latencies.push((begin.elapsed().as_nanos() as u64 - sent) as u32);
        }
        Ok(latencies)
    });
    for round in 0..MESSAGES {
        for (number, publisher) in slow.iter_mut().enumerate() {
            // Evenly over the interval.
            let due = INTERVAL * round as u32 + INTERVAL / SLOW as u32 * number as u32;
            std::thread::sleep(due.saturating_sub(begin.elapsed()));
            message[stamp..stamp + 8].copy_from_slice(&(begin.elapsed().as_nanos() as u64).to_le_bytes());
            publisher.write_all(&message)?;
        }
    }
    let latencies = receiver.join().map_err(|_| anyhow::anyhow!("the receiver panicked"))??;
    let rate = (flooded.load(Relaxed) - before) as f64 / wire::stamped("BLAST:", 100).0.len() as f64;
    let rate = rate / begin.elapsed().as_secs_f64();
    stop.store(true, Relaxed);
    Ok((percentiles(latencies), rate))
}

pub fn run(forwarders: &[Kind], repetitions: usize) -> anyhow::Result<()> {
    println!("\n### {SLOW} publishers with 100 messages/s each beside one at full blast, 100 B\n");
    println!("| forwarder | blast received/s | nine: p50 µs | p99 µs | p99.9 µs |\n|---|---|---|---|---|");
    for _ in 0..repetitions {
        for &kind in forwarders.iter().filter(|kind| matches!(kind, Kind::Relay | Kind::Libzmq)) {
            for blast in [false, true] {
                let forwarder = Forwarder::start(kind, &[])?;
                let ([p50, p99, p999], rate) = measure(&forwarder, blast)?;
                println!("| {} | {:.0} k | {p50:.0} | {p99:.0} | {p999:.0} |", kind.name(), rate / 1e3);
            }
        }
    }
    Ok(())
}
