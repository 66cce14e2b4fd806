//! One connection: handshake, then reading, writing and heartbeats until it ends.

use super::outbox::Outbox;
use super::{Counters, Multipart, SocketOptions};
use crate::codec::{
    Command, FrameError, Handshake, HandshakeError, Local, Parts, Peer, Scan, Scanner, SubscriptionChange, excise,
};
use bytes::{Buf, Bytes, BytesMut};
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::ReadHalf;
use tokio::sync::watch;
use tokio::time::{Instant, interval_at, sleep, timeout};

/// Most bytes asked of the system in one read.
const READ_BYTES: usize = 64 << 10;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("no connection or handshake within {0:?}")]
    Timeout(Duration),
    #[error("no sign of life for {0:?}")]
    Silent(Duration),
    #[error("the peer closed the connection")]
    Closed,
}

/// What a socket type does with its connections.
pub(crate) trait Pattern: Send + Sync + 'static {
    fn local(&self) -> Local;
    fn attached(&self, link: &Arc<Link>);
    fn detached(&self, link: &Arc<Link>) -> impl Future<Output = ()> + Send;
    fn subscription(
        &self,
        link: &Arc<Link>,
        change: SubscriptionChange,
        topic: Bytes,
    ) -> impl Future<Output = ()> + Send;
    fn message(&self, link: &Arc<Link>, message: Multipart, bytes: usize) -> impl Future<Output = ()> + Send;
}

/// A live connection as the socket sees it.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) key: u64,
    pub(crate) peer: Peer,
    pub(crate) outbox: Outbox,
    started: Instant,
    /// Milliseconds from `started` to the last bytes received.
    last_input_ms: AtomicU64,
    /// The reader waits for the owner of the socket, so silence says nothing about the peer.
    paused: AtomicBool,
    pings: AtomicU64,
    pong: watch::Sender<u64>,
    /// The peer asked to be given up after this much silence.
    ttl: watch::Sender<Option<Duration>>,
}

impl Link {
    fn new(key: u64, peer: Peer, options: &SocketOptions) -> Self {
        Self {
            key,
            peer,
            outbox: Outbox::new(options.send_queue_bytes, options.send_queue_messages),
            started: Instant::now(),
            last_input_ms: AtomicU64::new(0),
            paused: AtomicBool::new(false),
            pings: AtomicU64::new(0),
            pong: watch::Sender::new(0),
            ttl: watch::Sender::new(None),
        }
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn silent_ms(&self) -> u64 {
        self.elapsed_ms().saturating_sub(self.last_input_ms.load(Ordering::Relaxed))
    }

    /// Waits until the peer has handled everything that was queued before; false if the connection ended first. A peer
    /// of ZMTP 3.0 cannot be asked: then this waits for the write only.
    pub(crate) async fn confirmed(&self) -> bool {
        if self.peer.minor == 0 {
            return self.outbox.flushed(self.outbox.position()).await;
        }
        let number = self.pings.fetch_add(1, Ordering::Relaxed) + 1;
        let mut pong = self.pong.subscribe();
        if self.outbox.push_command(|out| Command::encode_ping(out, 0, &number.to_be_bytes())).is_err() {
            return false;
        }
        tokio::select! {
            seen = pong.wait_for(|seen| *seen >= number) => seen.is_ok(),
            () = self.outbox.closed() => false,
        }
    }

    fn heard_pong(&self, context: &[u8]) {
        if let Ok(number) = <[u8; 8]>::try_from(context) {
            let number = u64::from_be_bytes(number);
            self.pong.send_if_modified(|seen| std::mem::replace(seen, number.max(*seen)) < number);
        }
    }
}

async fn shake_hands(
    stream: &mut TcpStream,
    local: Local,
    options: &SocketOptions,
) -> Result<(Peer, BytesMut), LinkError> {
    let (mut input, mut output) = (BytesMut::new(), BytesMut::new());
    let mut handshake = Handshake::start(local, &options.limits, &mut output);
    loop {
        stream.write_all_buf(&mut output).await?;
        input.reserve(256);
        if stream.read_buf(&mut input).await? == 0 {
            return Err(LinkError::Closed);
        }
        match handshake.advance(&input, &mut output) {
            Ok((used, peer)) => {
                input.advance(used);
                if let Some(peer) = peer {
                    stream.write_all_buf(&mut output).await?;
                    return Ok((peer, input));
                }
            }
            Err(error) => {
                // The peer is told why if it can be; it is gone either way.
                if let Err(error) = stream.write_all_buf(&mut output).await {
                    tracing::debug!(%error, "could not report a failed handshake");
                }
                return Err(error.into());
            }
        }
    }
}

/// Serves a connection until it ends. `Ok` is never: the error says whether it came before or after the handshake.
pub(crate) async fn serve<P: Pattern>(
    key: u64,
    mut stream: TcpStream,
    pattern: &P,
    options: &SocketOptions,
    counters: &Counters,
) -> (bool, LinkError) {
    let limit = options.handshake_timeout;
    let hands = async {
        stream.set_nodelay(true)?;
        shake_hands(&mut stream, pattern.local(), options).await
    };
    let (peer, input) = match timeout(limit, hands).await.unwrap_or(Err(LinkError::Timeout(limit))) {
        Ok(done) => done,
        Err(error) => {
            Counters::add(&counters.failed, 1);
            return (false, error);
        }
    };
    let link = Arc::new(Link::new(key, peer, options));
    Counters::add(&counters.connected, 1);
    pattern.attached(&link);
    let (mut reader, mut writer) = stream.split();
    let error = tokio::select! {
        ended = read(&mut reader, input, &link, pattern, options) => ended,
        ended = link.outbox.drain(&mut writer) => ended.err().map_or(LinkError::Closed, LinkError::Io),
        error = beat(&link, options) => error,
        error = expire(&link) => error,
    };
    Counters::add(&counters.send_dropped, link.outbox.close());
    Counters::add(&counters.disconnected, 1);
    pattern.detached(&link).await;
    (true, error)
}

async fn read<P: Pattern>(
    stream: &mut ReadHalf<'_>,
    mut input: BytesMut,
    link: &Arc<Link>,
    pattern: &P,
    options: &SocketOptions,
) -> LinkError {
    let mut scanner = Scanner::new(options.limits);
    let mut need = 0;
    loop {
        if input.len() >= need {
            need = match take_all(&mut scanner, &mut input, link, pattern).await {
                Ok(need) => need,
                Err(error) => return error.into(),
            };
        }
        // Never more than what is known to come and never more than one read: a claimed length is no reason to allocate.
        input.reserve((need - input.len()).clamp(4096, READ_BYTES));
        match stream.read_buf(&mut input).await {
            Ok(0) => return LinkError::Closed,
            Ok(_) => link.last_input_ms.store(link.elapsed_ms(), Ordering::Relaxed),
            Err(error) => return error.into(),
        }
    }
}

/// Hands out everything that is whole in `input`. Returns how many bytes it takes to go on.
async fn take_all<P: Pattern>(
    scanner: &mut Scanner,
    input: &mut BytesMut,
    link: &Arc<Link>,
    pattern: &P,
) -> Result<usize, FrameError> {
    loop {
        match scanner.scan(input)? {
            Scan::Partial { need } => return Ok(need),
            Scan::Message { len, .. } => {
                let whole = input.split_to(len).freeze();
                let message = Parts::new(&whole).map(|range| whole.slice(range)).collect();
                link.paused.store(true, Ordering::Relaxed);
                pattern.message(link, message, len).await;
                link.resume();
            }
            Scan::Command { frame, body } => {
                match Command::parse(&input[body])? {
                    Command::Ping { ttl_ds, context } => {
                        let ttl = (ttl_ds > 0).then(|| Duration::from_millis(u64::from(ttl_ds) * 100));
                        link.ttl.send_if_modified(|current| std::mem::replace(current, ttl) != ttl);
                        link.outbox.push_answer(|out| Command::encode_pong(out, context));
                    }
                    Command::Pong { context } => link.heard_pong(context),
                    Command::Subscription(change, topic) => {
                        let topic = Bytes::copy_from_slice(topic);
                        link.paused.store(true, Ordering::Relaxed);
                        pattern.subscription(link, change, topic).await;
                        link.resume();
                    }
                    Command::Unknown => {}
                }
                let void = excise(input, frame);
                input.advance(void);
            }
        }
    }
}

impl Link {
    fn resume(&self) {
        self.last_input_ms.store(self.elapsed_ms(), Ordering::Relaxed);
        self.paused.store(false, Ordering::Relaxed);
    }
}

/// Ends when the peer was silent for as long as it said it would never be.
async fn expire(link: &Link) -> LinkError {
    let mut changes = link.ttl.subscribe();
    loop {
        let Some(ttl) = *changes.borrow_and_update() else {
            // It cannot end before the link does.
            if changes.changed().await.is_err() {
                return std::future::pending().await;
            }
            continue;
        };
        let silent = Duration::from_millis(link.silent_ms());
        if silent >= ttl && !link.paused.load(Ordering::Relaxed) {
            return LinkError::Silent(ttl);
        }
        let rest = ttl.saturating_sub(silent).max(Duration::from_millis(10));
        tokio::select! {
            () = sleep(rest) => {}
            changed = changes.changed() => if changed.is_err() { return std::future::pending().await },
        }
    }
}

/// Sends PINGs and ends when the peer is silent for too long.
async fn beat(link: &Link, options: &SocketOptions) -> LinkError {
    let Some(heartbeat) = options.heartbeat.filter(|_| link.peer.minor > 0) else {
        return std::future::pending().await;
    };
    let ttl_ds = u16::try_from(heartbeat.timeout.as_millis() / 100).unwrap_or(u16::MAX);
    let mut ticks = interval_at(link.started + heartbeat.interval, heartbeat.interval);
    loop {
        ticks.tick().await;
        if link.silent_ms() > u64::try_from(heartbeat.timeout.as_millis()).unwrap_or(u64::MAX)
            && !link.paused.load(Ordering::Relaxed)
        {
            return LinkError::Silent(heartbeat.timeout);
        }
        link.outbox.push_answer(|out| Command::encode_ping(out, ttl_ds, b""));
    }
}
