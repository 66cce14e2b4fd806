//! The hot path takes no memory from the allocator for a message, whatever the number of its subscribers.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(unsafe_code, reason = "an allocator that counts")]

use bytes::BytesMut;
use relay::Relay;
use relay::config::Config;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use tokio_util::sync::CancellationToken;
use zmtp::SocketType;
use zmtp::codec::{Command, Greeting, Ready, SubscriptionChange, encode_message};

/// Allocations of all threads but the test's own.
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static IS_TEST: Cell<bool> = const { Cell::new(false) };
}

struct Counting;

// SAFETY: every call is passed on unchanged to the system's allocator; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !IS_TEST.get() {
            ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        }
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`; the memory came from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if !IS_TEST.get() {
            ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        }
        // SAFETY: the caller keeps the contract of `realloc`; the memory came from `System`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn peer(address: SocketAddr, socket_type: SocketType, prefixes: &[&str]) -> TcpStream {
    let mut out = BytesMut::from(&Greeting::encode()[..]);
    Ready { socket_type, identity: bytes::Bytes::new() }.encode(&mut out);
    for prefix in prefixes {
        Command::encode_subscription(&mut out, 1, SubscriptionChange::Subscribe, prefix.as_bytes());
    }
    Command::encode_ping(&mut out, 0, b"");
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(&out).unwrap();
    // The PONG comes when the subscriptions are in force.
    let mut seen = Vec::new();
    while !seen.ends_with(b"\x04\x05\x04PONG") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        seen.push(byte[0]);
    }
    stream
}

fn allocations_per_message(fan_out_threads: usize) -> f64 {
    const ROUNDS: u64 = 400;
    const MESSAGES: usize = 500;
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let config =
        Config { requests: any, work: any, publishers: any, subscribers: any, fan_out_threads, ..Config::default() };
    let relay = Relay::bind(&config).unwrap();
    let (addresses, stop) = (relay.addresses(), CancellationToken::new());
    let token = stop.clone();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let running = runtime.spawn(relay.run(token));

    let wants: [&[&str]; 6] = [&["T"], &["T"], &["T0:"], &["T1:", "T2:"], &["T3:"], &["T"]];
    let mut subscribers: Vec<_> = wants.iter().map(|want| peer(addresses.subscribers, SocketType::Sub, want)).collect();
    let mut publisher = peer(addresses.publishers, SocketType::Pub, &[]);
    let (mut block, mut shares) = (BytesMut::new(), [0; 6]);
    for number in 0..MESSAGES {
        let (topic, before) = (format!("T{}:", number % 4), block.len());
        encode_message(&mut block, &[topic.as_bytes(), &[7; 100]]);
        for (share, want) in shares.iter_mut().zip(wants) {
            if want.iter().any(|prefix| topic.starts_with(prefix)) {
                *share += block.len() - before;
            }
        }
    }
    let mut buffer = vec![0; block.len()];
    let mut round = || {
        publisher.write_all(&block).unwrap();
        for (subscriber, share) in subscribers.iter_mut().zip(shares) {
            subscriber.read_exact(&mut buffer[..share]).unwrap();
        }
    };
    // The first rounds fill the topic cache and grow the memory that is used again and again.
    (0..20).for_each(|_| round());
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    (0..ROUNDS).for_each(|_| round());
    let count = ALLOCATIONS.load(Ordering::Relaxed) - before;
    stop.cancel();
    runtime.block_on(running).unwrap().unwrap();
    #[allow(clippy::cast_precision_loss, reason = "a mean")]
    let mean = count as f64 / (ROUNDS * MESSAGES as u64) as f64;
    mean
}

#[test]
fn a_message_costs_no_allocation() {
    IS_TEST.set(true);
    for threads in [1, 3] {
        // The status page takes some now and then.
        let mean = allocations_per_message(threads);
        assert!(mean < 0.01, "{mean} allocations per message with {threads} threads");
    }
}
