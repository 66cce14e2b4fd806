//! One connection: its stream, what it is doing, and why it ended.

use super::output::Output;
use crate::counters::{EngineCounters, add};
use mio::net::TcpStream;
use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, Instant};
use zmtp::codec::{FrameError, Handshake, HandshakeError, Local, Peer, Scanner};
use zmtp::{Limits, SocketType};

/// A begun message up to this size is carried to the front of the shared read buffer; a longer one collects in memory of
/// its own, so that a peer that drips bytes costs little for each.
pub(super) const CARRY_BYTES: usize = 4096;

#[derive(Debug)]
pub(super) enum Phase {
    ShakingHands(Handshake),
    Open(Peer),
}

/// Most bytes that the system keeps for a peer before it has sent them (TCP_NOTSENT_LOWAT). The rest waits in the backlog,
/// which is limited and counted, and a PING does not stand behind megabytes that a slow peer has to read first.
const UNSENT_BYTES: u32 = 256 << 10;

/// Behind since when, and how much was taken in this period.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lag {
    /// The backlog has not been empty since.
    pub(super) since: Instant,
    /// Begin of the period in which `taken` counts.
    pub(super) period: Instant,
    pub(super) taken: usize,
}

#[derive(Debug)]
pub(crate) struct Link {
    pub(super) stream: TcpStream,
    pub(crate) address: IpAddr,
    /// Name of the port it came in by.
    pub(super) endpoint: &'static str,
    pub(crate) local: SocketType,
    pub(super) phase: Phase,
    pub(super) scanner: Scanner,
    /// The begin of a message that is not whole, and how many bytes it takes to go on.
    pub(super) partial: Vec<u8>,
    pub(super) need: usize,
    pub(super) output: Output,
    /// Bytes of the replay at the start, on top of the backlog limit.
    pub(super) allowance: usize,
    pub(super) readable: bool,
    /// The peer has said that no more will come; the end is to be read after what came before it.
    pub(super) read_closed: bool,
    /// In the engine's queue of turns.
    pub(super) queued: bool,
    /// In the list of links with something to write.
    pub(super) touched: bool,
    /// Ended, but not buried yet: nothing is sent to it any more.
    pub(super) dead: bool,
    /// The shard that shall have it.
    pub(crate) leaving: Option<usize>,
    pub(crate) born: Instant,
    pub(super) last_input: Instant,
    pub(super) last_ping: Instant,
    /// When it was last behind. Meanwhile it was sent no PING that it could have answered.
    pub(super) last_lag: Instant,
    /// The peer asked to be dropped after this much silence.
    pub(super) ttl: Option<Duration>,
    pub(super) lag: Option<Lag>,
    pub(super) received: u64,
    pub(super) delivered: u64,
    pub(super) dropped: u64,
    /// Received and delivered when the status was last looked at.
    pub(super) shown: [u64; 2],
    /// What they had grown by then, per second.
    pub(super) rates: [u64; 2],
}

impl Link {
    pub(super) fn new(
        stream: TcpStream,
        address: IpAddr,
        endpoint: &'static str,
        local: Local,
        codec: Limits,
        now: Instant,
    ) -> Self {
        let mut output = Output::new();
        let socket_type = local.socket_type;
        let mut handshake = None;
        output.append(|out| handshake = Some(Handshake::start(local, &codec, out)));
        Self {
            stream,
            address,
            endpoint,
            local: socket_type,
            phase: Phase::ShakingHands(handshake.expect("append calls its argument")),
            scanner: Scanner::new(codec),
            partial: Vec::new(),
            need: 0,
            output,
            allowance: 0,
            readable: true,
            read_closed: false,
            queued: false,
            touched: false,
            dead: false,
            leaving: None,
            born: now,
            last_input: now,
            last_ping: now,
            last_lag: now,
            ttl: None,
            lag: None,
            received: 0,
            delivered: 0,
            dropped: 0,
            shown: [0; 2],
            rates: [0; 2],
        }
    }

    /// Sets what the system shall do by itself. A failure leaves a connection that works all the same.
    pub(super) fn configure(&self) {
        // Peers of ZMTP 3.0 cannot be sent PINGs; the system finds out when they are gone.
        let keepalive =
            socket2::TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(20));
        let result = self
            .stream
            .set_nodelay(true)
            .and_then(|()| socket2::SockRef::from(&self.stream).set_tcp_keepalive(&keepalive))
            .and_then(|()| socket2::SockRef::from(&self.stream).set_tcp_notsent_lowat(UNSENT_BYTES));
        if let Err(error) = result {
            tracing::debug!(%error, "cannot configure a connection");
        }
    }

    /// Forgets what concerned the thread it comes from.
    pub(super) fn arrive(&mut self) {
        (self.leaving, self.queued, self.touched, self.readable) = (None, false, false, true);
    }

    pub(crate) fn peer(&self) -> Option<&Peer> {
        match &self.phase {
            Phase::Open(peer) => Some(peer),
            Phase::ShakingHands(_) => None,
        }
    }

    pub(super) const fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open(_))
    }

    /// Minor version of ZMTP 3 that the peer speaks.
    pub(super) fn minor(&self) -> u8 {
        self.peer().map_or(0, |peer| peer.minor)
    }
}

/// Why a connection ended.
#[derive(Debug)]
pub(super) enum End {
    Closed,
    Broken(std::io::Error),
    Handshake(HandshakeError),
    HandshakeTimeout,
    /// Had not shaken hands when newer connections needed its place.
    Crowded,
    /// Too many peers when it had shaken hands.
    NoRoom,
    Protocol(FrameError),
    Stuck,
    Overrun,
    Silent,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("closed by the peer"),
            Self::Broken(error) => write!(f, "connection broken: {error}"),
            Self::Handshake(error) => write!(f, "handshake failed: {error}"),
            Self::HandshakeTimeout => f.write_str("handshake took too long"),
            Self::Crowded => f.write_str("too many connections without a handshake"),
            Self::NoRoom => f.write_str("too many peers"),
            Self::Protocol(error) => write!(f, "protocol broken: {error}"),
            Self::Stuck => f.write_str("peer does not take what waits for it"),
            Self::Overrun => f.write_str("backlog full"),
            Self::Silent => f.write_str("no sign of life"),
        }
    }
}

impl End {
    pub(super) fn count(&self, counters: &EngineCounters) {
        let counter = match self {
            Self::Closed | Self::Broken(_) => &counters.disconnected_total,
            Self::Handshake(_) => &counters.handshake_failed_total,
            Self::HandshakeTimeout => &counters.handshake_timeout_total,
            Self::Crowded => &counters.handshake_evicted_total,
            Self::NoRoom => &counters.refused_total,
            Self::Protocol(_) => &counters.protocol_errors_total,
            Self::Stuck => &counters.stuck_total,
            Self::Overrun => &counters.overrun_total,
            Self::Silent => &counters.silent_total,
        };
        add(counter, 1);
    }
}
