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
mod mail;
mod output;
mod sweep;

pub(crate) use input::Message;
pub(crate) use links::{Key, Links};
pub(crate) use mail::{Mail, Mailbox, Post};

use crate::counters::{EngineCounters, Share, add};
use crate::status::{EndpointStatus, EngineStatus};
use admission::Admission;
use appetite::Appetite;
use link::{End, Link};
use links::OutputLimits;
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};
use output::BacklogLimit;
use socket2::{Domain, Socket, Type};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::Receiver;
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
/// Letters read before the connections get their turns.
const MAIL_PER_TURN: usize = 4096;
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
    fn settle(&mut self, links: &mut Links, buffer: &[u8]);
    /// The shard that shall have a peer that has shaken hands; `None` keeps it here, where it is opened.
    fn place(&mut self, _local: SocketType) -> Option<usize> {
        None
    }
    /// Sends a peer to a shard; gives it back if the shard cannot take it.
    fn hand_over(&mut self, _shard: usize, mail: Mail) -> Result<(), Mail> {
        Err(mail)
    }
    /// Whether publishers may be read now. When not, mail will come.
    fn has_room(&self) -> bool {
        true
    }
    /// Mail for the front.
    fn mail(&mut self, _links: &mut Links, _mail: Mail) {}
    /// Messages for this shard.
    fn batch(&mut self, _links: &mut Links, _messages: &[u8]) {}
    /// A batch is written; its memory goes back.
    fn handed_out(&mut self, _memory: Vec<u8>) {}
    /// Whether the answer to a PING has to wait; it is then sent by the switch.
    fn holds_pong(&mut self, _links: &Links, _key: Key, _context: &[u8]) -> bool {
        false
    }
    /// Called when the mail has been read.
    fn after_mail(&mut self, _links: &mut Links) {}
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
    pub(crate) backlog_messages: usize,
    pub(crate) backlog_total_bytes: usize,
    pub(crate) stuck_timeout: Duration,
    pub(crate) stuck_bytes: usize,
    pub(crate) heartbeat_interval: Duration,
    pub(crate) heartbeat_timeout: Duration,
    /// Subscribers come by mail.
    pub(crate) is_shard: bool,
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
    /// How long to drain.
    order: Arc<Mutex<Option<Duration>>>,
    post: Post,
}

impl Stopper {
    /// Stop accepting, write what waits for at most `drain`, then end.
    pub(crate) fn stop(&self, drain: Duration) {
        self.order.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(drain);
        self.post.wake();
    }

    fn order(&self) -> Option<Duration> {
        *self.order.lock().unwrap_or_else(PoisonError::into_inner)
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
    /// Publishers that are read again when there is room.
    waiting: Vec<Key>,
    letters: Receiver<Mail>,
    more_mail: bool,
    buffer: Vec<u8>,
    appetite: Appetite,
    now: Instant,
    next_tick: Instant,
    /// Where the next tick goes on.
    sweep_at: usize,
    next_status: Instant,
    stopper: Stopper,
    drain_until: Option<Instant>,
    /// For the status page.
    endpoints: Vec<EndpointStatus>,
    last_status: Instant,
    status: Arc<Mutex<EngineStatus>>,
    shown: [Share; 2],
}

impl<S: Switch> Engine<S> {
    /// Binds the ports. Nothing is accepted before [`Self::run`].
    pub(crate) fn bind(
        name: &'static str,
        mailbox: Mailbox,
        ports: Vec<Port>,
        settings: Settings,
        switch: S,
        counters: Arc<EngineCounters>,
    ) -> Result<Self, PortError> {
        let mut engine = Self::of_shard(name, mailbox, Vec::new(), settings, switch, counters);
        for (at, mut port) in ports.into_iter().enumerate() {
            let error = |source| PortError { port: port.name, address: port.address, source };
            let mut socket = listen(port.address).map_err(error)?;
            let registry = engine.poll.registry();
            registry.register(&mut socket, Token(FIRST_LISTENER + at), Interest::READABLE).map_err(error)?;
            port.address = socket.local_addr().map_err(error)?;
            let (name, address, socket_type) = (port.name, port.address, port.socket_type.name());
            engine.endpoints.push(EndpointStatus { name, address, socket: socket_type, peers: 0 });
            engine.listeners.push(Listener { port, socket, ready: true });
        }
        Ok(engine)
    }

    /// An engine without ports: its peers come by mail.
    pub(crate) fn of_shard(
        name: &'static str,
        mailbox: Mailbox,
        endpoints: Vec<EndpointStatus>,
        settings: Settings,
        switch: S,
        counters: Arc<EngineCounters>,
    ) -> Self {
        let Mailbox { poll, letters, post } = mailbox;
        let now = Instant::now();
        let backlog = BacklogLimit { bytes: settings.backlog_bytes, messages: settings.backlog_messages };
        let limits = OutputLimits { backlog, backlog_total_bytes: settings.backlog_total_bytes };
        Self {
            name,
            poll,
            listeners: Vec::new(),
            links: Links::new(limits, Arc::clone(&counters), now),
            switch,
            admission: Admission::new(&settings),
            settings,
            counters,
            ready: VecDeque::new(),
            waiting: Vec::new(),
            letters,
            more_mail: false,
            buffer: vec![0; READ_BYTES + link::CARRY_BYTES],
            appetite: Appetite::default(),
            now,
            next_tick: now,
            sweep_at: 0,
            next_status: now,
            stopper: Stopper { order: Arc::default(), post },
            drain_until: None,
            endpoints,
            last_status: now,
            status: Arc::default(),
            shown: Default::default(),
        }
    }

    /// The ports, for the status page of engines that share them.
    pub(crate) fn endpoints(&self) -> Vec<EndpointStatus> {
        self.endpoints.clone()
    }

    /// The bound address of each port, in order.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.endpoints.iter().map(|endpoint| endpoint.address).collect()
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
            self.read_mail();
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
        let busy = self.more_mail || !self.ready.is_empty() || self.listeners.iter().any(|listener| listener.ready);
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
        if let Some(drain) = self.stopper.order().filter(|_| self.drain_until.is_none()) {
            self.listeners.clear();
            self.drain_until = Some(self.now + drain);
            self.next_tick = self.now;
        }
        self.drain_until.is_some_and(|until| self.now >= until || self.links.backlog_total() == 0)
    }

    /// Reads what other threads have sent, at most so much that the connections get their turns.
    fn read_mail(&mut self) {
        self.more_mail = true;
        for _ in 0..MAIL_PER_TURN {
            let Ok(mail) = self.letters.try_recv() else {
                self.more_mail = false;
                break;
            };
            match mail {
                Mail::Adopt(link) => self.adopt(link),
                Mail::Batch(messages) => {
                    self.switch.batch(&mut self.links, &messages);
                    self.links.flush(&messages);
                    self.switch.handed_out(messages);
                }
                mail => {
                    if let Mail::Left { address, .. } = &mail {
                        self.admission.left(*address, true);
                    }
                    self.switch.mail(&mut self.links, mail);
                }
            }
        }
        self.switch.after_mail(&mut self.links);
        self.settle();
        if self.switch.has_room() {
            self.ready.extend(self.waiting.drain(..));
        }
    }

    /// Takes over a peer that shook hands elsewhere, with what it sent since.
    fn adopt(&mut self, mut link: Box<Link>) {
        let mut bytes = std::mem::take(&mut link.partial);
        link.arrive();
        let address = link.address;
        self.admission.entered();
        self.admission.opened(address);
        let Some(key) = self.watch(link) else { return };
        self.switch.opened(&mut self.links, key);
        let used = self.digest_open(key, &mut bytes);
        bytes.drain(..used);
        if let Some(link) = self.links.get_mut(key) {
            link.partial = bytes;
            link.queued = true;
            self.ready.push_back(key);
        }
        self.links.touch(key);
        self.settle();
    }

    /// Sends a peer that has shaken hands to its shard.
    fn hand_over(&mut self, key: Key, shard: usize) {
        let Some(mut link) = self.links.remove(key) else { return };
        if let Err(error) = self.poll.registry().deregister(&mut link.stream) {
            tracing::warn!(engine = self.name, %error, "cannot stop watching a connection");
        }
        let address = link.address;
        if self.switch.hand_over(shard, Mail::Adopt(link)).is_err() {
            self.admission.left(address, true);
            add(&self.counters.refused_total, 1);
        }
    }

    fn accept(&mut self, at: usize) {
        let mut made_room = false;
        for _ in 0..ACCEPTS_PER_TURN {
            let Some(listener) = self.listeners.get_mut(at) else { return };
            match listener.socket.accept() {
                Ok((stream, address)) => {
                    made_room = false;
                    let (codec, local) = (listener.port.codec, Local::new(listener.port.socket_type));
                    let name = listener.port.name;
                    self.admit(Box::new(Link::new(stream, address.ip(), name, local, codec, self.now)));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    listener.ready = false;
                    return;
                }
                Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted) => {
                }
                Err(error) => {
                    // Out of descriptors or memory. A connection without handshake makes room; if there is none, or that did
                    // not help, others go on, and the next tick tries again. The system needs the descriptor before it looks
                    // whether anybody waits, so one more goes than has to, and that one stays free.
                    let port = listener.port.name;
                    add(&self.counters.accept_failures_total, 1);
                    if std::mem::replace(&mut made_room, true) || !self.evict() {
                        tracing::warn!(port, %error, "cannot accept");
                        self.listeners[at].ready = false;
                        return;
                    }
                }
            }
        }
    }

    fn admit(&mut self, link: Box<Link>) {
        if !self.admission.has_room(link.address) {
            add(&self.counters.refused_total, 1);
            return;
        }
        if self.admission.is_crowded() {
            self.evict();
        }
        link.configure();
        self.admission.entered();
        let Some(key) = self.watch(link) else { return };
        add(&self.counters.accepted_total, 1);
        self.links.touch(key);
        self.settle();
    }

    /// Ends the connection that has been without handshake for longest; false if there is none.
    fn evict(&mut self) -> bool {
        let oldest = self.links.oldest_half_open();
        if let Some(oldest) = oldest {
            self.links.doom(oldest, End::Crowded);
            self.settle();
        }
        oldest.is_some()
    }

    /// Has the system say when a connection can be read or written.
    fn watch(&mut self, link: Box<Link>) -> Option<Key> {
        let key = self.links.insert(link);
        let link = self.links.get_mut(key)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.poll.registry().register(&mut link.stream, Token(FIRST_LINK + key), interest) {
            tracing::warn!(port = link.endpoint, %error, "cannot watch a connection");
            self.links.doom(key, End::Broken(error));
            self.settle();
            return None;
        }
        Some(key)
    }

    /// One turn of one connection: write what waits, read once, hand out what is whole.
    fn turn(&mut self, key: Key) {
        let Some(link) = self.links.get_mut(key) else { return };
        link.queued = false;
        if link.output.writable && link.output.backlog_len() > 0 {
            self.links.touch(key);
            self.links.flush(&[]);
        }
        let has_room = self.switch.has_room();
        if self.links.get(key).is_some_and(|link| link.readable && (has_room || link.local != SocketType::Xsub)) {
            self.read(key);
        }
        self.settle();
        let Some(link) = self.links.get_mut(key) else { return };
        if let Some(shard) = link.leaving {
            self.hand_over(key, shard);
        } else if (link.readable || (link.output.writable && link.output.backlog_len() > 0))
            && !std::mem::replace(&mut link.queued, true)
        {
            let waits = !has_room && link.local == SocketType::Xsub;
            if waits { self.waiting.push(key) } else { self.ready.push_back(key) }
        }
    }

    /// Writes what the last step left to write and buries who died of it, until neither is left.
    fn settle(&mut self) {
        loop {
            self.links.flush(&[]);
            let Some((key, end)) = self.links.next_doomed() else { break };
            self.bury(key, end);
        }
        self.switch.settle(&mut self.links, &[]);
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
        drop(self.links.remove(key));
    }

    fn publish_status(&mut self) {
        let status = self.observe();
        *self.status.lock().unwrap_or_else(PoisonError::into_inner) = status;
    }
}
