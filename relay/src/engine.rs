//! The engine: one thread, one poll, all connections of some ports. What is done with messages is a [`Switch`].
//!
//! It is readiness-driven: each connection that can be read or written gets one turn, then the next; so a publisher with
//! a large backlog starves nobody, and a peer that does not read costs its backlog and nothing else. Received bytes are
//! looked at in place; a message on its way to subscribers is a range of the read buffer, never an object.
//!
//! Reading order: `output` (pure: what is written, kept or dropped), `admission` and `appetite` (pure), `link`, `links`, this file
//! (poll, accept, turns), `input` (what a turn does with bytes), `sweep` (what time does).

mod admission;
mod appetite;
mod input;
mod link;
mod links;
mod output;
mod sweep;

pub(crate) use input::Message;
pub(crate) use links::{Key, Links};

use crate::counters::{EngineCounters, add};
use crate::status::EngineStatus;
use admission::Admission;
use appetite::Appetite;
use link::{End, Link};
use links::OutputLimits;
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token, Waker};
use socket2::{Domain, Socket, Type};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use zmtp::SocketType;
use zmtp::codec::{Local, SubscriptionChange};

/// Most bytes of one read; how many of them are used is `appetite`'s affair.
const READ_BYTES: usize = appetite::MOST_BYTES;
/// Connections accepted before others get their turn.
const ACCEPTS_PER_TURN: usize = 64;
/// Connections that the system keeps until they are accepted.
const WAITING_CONNECTIONS: i32 = 4096;
const EVENTS: usize = 1024;
const WAKER: Token = Token(0);
const FIRST_LISTENER: usize = 1;
const FIRST_LINK: usize = 16;

/// What an engine does with subscriptions and messages. All calls come from the engine's thread.
pub(crate) trait Switch: Send {
    /// A peer has shaken hands.
    fn opened(&mut self, links: &mut Links, key: Key);
    /// A peer sent a message that is not a subscription.
    fn message(&mut self, links: &mut Links, key: Key, message: &Message<'_>);
    /// A peer of an XPUB port subscribed or cancelled.
    fn subscription(&mut self, links: &mut Links, key: Key, change: SubscriptionChange, topic: &[u8]);
    /// A peer that was opened is gone; nothing can be sent to it any more.
    fn closed(&mut self, links: &mut Links, key: Key);
    /// Called after each batch of input, while its buffer is there: hands out what was held back and adds up counters.
    fn settle(&mut self, links: &mut Links);
    /// Subscriptions of one peer, for the status page.
    fn subscriptions_of(&self, key: Key) -> usize;
    /// Different prefixes subscribed to, for the status page.
    fn prefixes(&self) -> usize;
}

/// A port to bind.
#[derive(Debug, Clone)]
pub(crate) struct Port {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    pub(crate) socket_type: SocketType,
    pub(crate) codec: zmtp::Limits,
}

/// Limits and times of an engine.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) connections: usize,
    pub(crate) connections_per_address: usize,
    pub(crate) half_open: usize,
    pub(crate) handshake_timeout: Duration,
    pub(crate) backlog_bytes: usize,
    pub(crate) backlog_total_bytes: usize,
    pub(crate) stuck_timeout: Duration,
    pub(crate) stuck_bytes: usize,
    pub(crate) heartbeat_interval: Duration,
    pub(crate) heartbeat_timeout: Duration,
}

/// A port could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for {port}")]
pub struct PortError {
    /// Which port.
    pub port: &'static str,
    /// Where.
    pub address: SocketAddr,
    /// Why not.
    #[source]
    pub source: io::Error,
}

#[derive(Debug)]
struct Listener {
    port: Port,
    socket: TcpListener,
    /// Connections may be waiting.
    ready: bool,
}

/// Tells the engine to stop.
#[derive(Debug, Clone)]
pub(crate) struct Stopper {
    orders: SyncSender<Duration>,
    waker: Arc<Waker>,
}

impl Stopper {
    /// Stop accepting, write what waits for at most `drain`, then end.
    pub(crate) fn stop(&self, drain: Duration) {
        if self.orders.try_send(drain).is_err() {
            tracing::debug!("the engine was told before, or is gone");
        }
        if let Err(error) = self.waker.wake() {
            tracing::error!(%error, "cannot wake the engine");
        }
    }
}

/// Binds with room for many connections that have not been accepted yet: while the room is full, the system makes even
/// honest peers wait for a second.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(WAITING_CONNECTIONS)?;
    Ok(TcpListener::from_std(socket.into()))
}

/// The connections of some ports and what to do with them.
pub(crate) struct Engine<S> {
    name: &'static str,
    poll: Poll,
    listeners: Vec<Listener>,
    links: Links,
    switch: S,
    admission: Admission,
    settings: Settings,
    counters: Arc<EngineCounters>,
    /// Connections that get a turn without waiting for the system.
    ready: VecDeque<Key>,
    buffer: Vec<u8>,
    appetite: Appetite,
    now: Instant,
    next_tick: Instant,
    next_status: Instant,
    orders: Receiver<Duration>,
    stopper: Stopper,
    drain_until: Option<Instant>,
    status: Arc<Mutex<EngineStatus>>,
}

impl<S: Switch> Engine<S> {
    /// Binds the ports. Nothing is accepted before [`Self::run`].
    pub(crate) fn bind(
        name: &'static str,
        ports: Vec<Port>,
        settings: Settings,
        switch: S,
        counters: Arc<EngineCounters>,
    ) -> Result<Self, PortError> {
        let first = ports.first().map(|port| (port.name, port.address));
        let (port, address) = first.unwrap_or((name, SocketAddr::from(([0, 0, 0, 0], 0))));
        let system = |source| PortError { port, address, source };
        let poll = Poll::new().map_err(system)?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER).map_err(system)?);
        let mut listeners = Vec::new();
        for (at, mut port) in ports.into_iter().enumerate() {
            let error = |source| PortError { port: port.name, address: port.address, source };
            let mut socket = listen(port.address).map_err(error)?;
            let registry = poll.registry();
            registry.register(&mut socket, Token(FIRST_LISTENER + at), Interest::READABLE).map_err(error)?;
            port.address = socket.local_addr().map_err(error)?;
            listeners.push(Listener { port, socket, ready: true });
        }
        let (sender, orders) = sync_channel(1);
        let now = Instant::now();
        let limits =
            OutputLimits { backlog_bytes: settings.backlog_bytes, backlog_total_bytes: settings.backlog_total_bytes };
        Ok(Self {
            name,
            poll,
            listeners,
            links: Links::new(limits, Arc::clone(&counters), now),
            switch,
            admission: Admission::new(&settings),
            settings,
            counters,
            ready: VecDeque::new(),
            buffer: vec![0; READ_BYTES + link::CARRY_BYTES],
            appetite: Appetite::default(),
            now,
            next_tick: now,
            next_status: now,
            orders,
            stopper: Stopper { orders: sender, waker },
            drain_until: None,
            status: Arc::default(),
        })
    }

    /// The bound address of each port, in order.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().map(|listener| listener.port.address).collect()
    }

    pub(crate) fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    pub(crate) fn status(&self) -> Arc<Mutex<EngineStatus>> {
        Arc::clone(&self.status)
    }

    /// Serves until it is told to stop.
    ///
    /// # Errors
    /// If the system's poll fails, which leaves nothing to go on with.
    pub(crate) fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS);
        loop {
            match self.poll.poll(&mut events, Some(self.patience())) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => result?,
            }
            self.now = Instant::now();
            self.links.set_now(self.now);
            for event in &events {
                self.mark(event);
            }
            if self.take_order() {
                return Ok(());
            }
            for at in 0..self.listeners.len() {
                if self.listeners[at].ready {
                    self.accept(at);
                }
            }
            for _ in 0..self.ready.len() {
                if let Some(key) = self.ready.pop_front() {
                    self.turn(key);
                }
            }
            if self.now >= self.next_tick {
                self.tick();
            }
        }
    }

    /// How long the poll may wait.
    fn patience(&self) -> Duration {
        let busy = !self.ready.is_empty() || self.listeners.iter().any(|listener| listener.ready);
        if busy { Duration::ZERO } else { self.next_tick.saturating_duration_since(Instant::now()) }
    }

    fn mark(&mut self, event: &mio::event::Event) {
        let Token(token) = event.token();
        if token >= FIRST_LINK {
            let key = token - FIRST_LINK;
            if let Some(link) = self.links.get_mut(key) {
                link.read_closed |= event.is_read_closed();
                link.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
                link.output.writable |= event.is_writable() || event.is_write_closed();
                if !std::mem::replace(&mut link.queued, true) {
                    self.ready.push_back(key);
                }
            }
        } else if let Some(listener) = token.checked_sub(FIRST_LISTENER).and_then(|at| self.listeners.get_mut(at)) {
            listener.ready = true;
        }
    }

    /// True when the engine shall end now.
    fn take_order(&mut self) -> bool {
        match self.orders.try_recv() {
            Ok(drain) => {
                self.listeners.clear();
                self.drain_until.get_or_insert(self.now + drain);
                self.next_tick = self.now;
            }
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => {}
        }
        self.drain_until.is_some_and(|until| self.now >= until || self.links.backlog_total() == 0)
    }

    fn accept(&mut self, at: usize) {
        for _ in 0..ACCEPTS_PER_TURN {
            let Some(listener) = self.listeners.get_mut(at) else { return };
            match listener.socket.accept() {
                Ok((stream, address)) => {
                    let (codec, local) = (listener.port.codec, Local::new(listener.port.socket_type));
                    self.admit(at, Link::new(stream, address.ip(), at, local, codec, self.now));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    listener.ready = false;
                    return;
                }
                Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted) => {
                }
                Err(error) => {
                    // Out of descriptors or memory: others go on, and the next tick tries again.
                    listener.ready = false;
                    add(&self.counters.accept_failures_total, 1);
                    tracing::warn!(port = listener.port.name, %error, "cannot accept");
                    return;
                }
            }
        }
    }

    fn admit(&mut self, listener: usize, link: Link) {
        if !self.admission.has_room(link.address) {
            add(&self.counters.refused_total, 1);
            return;
        }
        if self.admission.is_crowded()
            && let Some(oldest) = self.links.oldest_half_open()
        {
            self.links.doom(oldest, End::Crowded);
            self.settle();
        }
        let key = self.links.insert(link);
        let Some(link) = self.links.get_mut(key) else { return };
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.poll.registry().register(&mut link.stream, Token(FIRST_LINK + key), interest) {
            tracing::warn!(port = self.listeners[listener].port.name, %error, "cannot watch a connection");
            self.links.remove(key);
            return;
        }
        link.configure();
        add(&self.counters.accepted_total, 1);
        self.admission.entered();
        self.links.touch(key);
        self.settle();
    }

    /// One turn of one connection: write what waits, read once, hand out what is whole.
    fn turn(&mut self, key: Key) {
        let Some(link) = self.links.get_mut(key) else { return };
        link.queued = false;
        if link.output.writable && link.output.backlog_len() > 0 {
            self.links.touch(key);
            self.links.flush(&[]);
        }
        if self.links.get(key).is_some_and(|link| link.readable) {
            self.read(key);
        }
        self.settle();
        if let Some(link) = self.links.get_mut(key)
            && (link.readable || (link.output.writable && link.output.backlog_len() > 0))
            && !std::mem::replace(&mut link.queued, true)
        {
            self.ready.push_back(key);
        }
    }

    /// Writes what the last step left to write and buries who died of it, until neither is left.
    fn settle(&mut self) {
        loop {
            self.links.flush(&[]);
            let Some((key, end)) = self.links.next_doomed() else { break };
            self.bury(key, end);
        }
        self.switch.settle(&mut self.links);
    }

    fn bury(&mut self, key: Key, end: End) {
        let Some(link) = self.links.get_dying(key) else { return };
        let (address, was_open) = (link.address, link.is_open());
        end.count(&self.counters);
        tracing::debug!(engine = self.name, %address, was_open, reason = %end, "connection ended");
        if let Err(error) = self.poll.registry().deregister(&mut link.stream) {
            tracing::warn!(engine = self.name, %error, "cannot stop watching a connection");
        }
        self.admission.left(address, was_open);
        if was_open {
            self.switch.closed(&mut self.links, key);
        }
        self.links.remove(key);
    }

    fn publish_status(&mut self) {
        let status = self.observe();
        *self.status.lock().unwrap_or_else(PoisonError::into_inner) = status;
    }
}
