//! What happens to the frames of one connection: one task that owns their way into the log.
//!
//! Sessions (usually one, two while a connection is being replaced) push items into a bounded queue; this task takes what
//! is there, never waits to fill a batch, and writes raw bytes before their meaning. Because items are taken in order, it
//! also knows until when the feed is complete and writes the heartbeats of quiet symbols.

use crate::continuity::Continuity;
use crate::gaps::Observed;
use crate::heartbeat::Heartbeats;
use crate::log_writer::WriteError;
use crate::normalise::{Decoded, Normaliser, SourceRules};
use crate::store::{RawInput, Store};
use proto::Symbol;
use proto::wire::FeedState;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, mpsc, watch};
use venues::Adapter;

/// The number of a session of a connection; later ones are higher.
pub(crate) type SessionNumber = u32;

/// What a session reports, in order.
#[derive(Debug)]
pub(crate) enum Item {
    /// The subscriptions were sent.
    Up(SessionNumber),
    /// A frame.
    Frame(SessionNumber, RawInput),
    /// Something without content (a pong) arrived at this time: everything before it is here.
    Alive(SessionNumber, u64),
    /// The session is over.
    Lost(SessionNumber),
}

/// The continuity of a venue, shared by its connections and its repair task. Never locked across an await.
#[derive(Debug, Clone)]
pub(crate) struct SharedContinuity {
    state: Arc<Mutex<Continuity>>,
    /// Wakes the repair task.
    pub(crate) changed: Arc<Notify>,
}

impl SharedContinuity {
    pub(crate) fn new(continuity: Continuity) -> Self {
        Self { state: Arc::new(Mutex::new(continuity)), changed: Arc::new(Notify::new()) }
    }

    pub(crate) fn with<T>(&self, use_it: impl FnOnce(&mut Continuity) -> T) -> T {
        use_it(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The task that writes what a connection brings.
#[derive(Debug)]
pub(crate) struct Intake {
    adapter: watch::Receiver<Arc<dyn Adapter>>,
    link: String,
    symbols: Vec<Symbol>,
    rules: SourceRules,
    store: Store,
    continuity: SharedContinuity,
    heartbeats: Heartbeats,
    heartbeat_every: Duration,
    batch: usize,
    /// Live sessions with their decoder; the first is the one whose arrivals prove completeness.
    sessions: BTreeMap<SessionNumber, Normaliser>,
    /// The latest session that brought data.
    data_seen: watch::Sender<SessionNumber>,
}

/// What an intake needs to know about its connection.
#[derive(Debug)]
pub(crate) struct IntakeParts {
    pub(crate) adapter: watch::Receiver<Arc<dyn Adapter>>,
    pub(crate) link: String,
    pub(crate) symbols: Vec<Symbol>,
    pub(crate) rules: SourceRules,
    pub(crate) store: Store,
    pub(crate) continuity: SharedContinuity,
    pub(crate) heartbeat_every: Duration,
    pub(crate) heartbeat_margin: Duration,
    pub(crate) batch: usize,
}

impl Intake {
    /// An intake, and where to see which session brought data.
    pub(crate) fn new(parts: IntakeParts) -> (Self, watch::Receiver<SessionNumber>) {
        let (data_seen, seen) = watch::channel(0);
        let intake = Self {
            heartbeats: Heartbeats::new(parts.heartbeat_every, parts.heartbeat_margin),
            adapter: parts.adapter,
            link: parts.link,
            symbols: parts.symbols,
            rules: parts.rules,
            store: parts.store,
            continuity: parts.continuity,
            heartbeat_every: parts.heartbeat_every,
            batch: parts.batch,
            sessions: BTreeMap::new(),
            data_seen,
        };
        (intake, seen)
    }

    /// Runs until all senders are gone and everything they sent is written.
    ///
    /// # Errors
    /// [`WriteError`].
    pub(crate) async fn run(mut self, mut items: mpsc::Receiver<Item>) -> Result<(), WriteError> {
        let mut timer = tokio::time::interval(self.heartbeat_every);
        timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut taken = Vec::with_capacity(self.batch);
        loop {
            tokio::select! {
                biased;
                // First, or a busy symbol would keep the candles of a quiet one open. What waits in the queue arrived after
                // the last proof, so a heartbeat claims nothing about it.
                _ = timer.tick() => self.beat().await?,
                count = items.recv_many(&mut taken, self.batch) => {
                    if count == 0 {
                        return Ok(());
                    }
                    self.take(&mut taken).await?;
                }
            }
        }
    }

    async fn take(&mut self, items: &mut Vec<Item>) -> Result<(), WriteError> {
        let mut frames: Vec<(SessionNumber, RawInput)> = Vec::new();
        for item in items.drain(..) {
            match item {
                Item::Frame(session, frame) => frames.push((session, frame)),
                Item::Alive(session, at_ns) => {
                    // Frames before it are written first; later ones of this batch only prove more.
                    self.write(&mut frames).await?;
                    self.prove(session, at_ns);
                }
                Item::Up(session) => {
                    self.write(&mut frames).await?;
                    self.up(session);
                }
                Item::Lost(session) => {
                    self.write(&mut frames).await?;
                    self.lost(session);
                }
            }
        }
        self.write(&mut frames).await
    }

    async fn write(&mut self, frames: &mut Vec<(SessionNumber, RawInput)>) -> Result<(), WriteError> {
        if frames.is_empty() {
            return Ok(());
        }
        let adapter = Arc::clone(&self.adapter.borrow());
        let (sessions, inputs): (Vec<SessionNumber>, Vec<RawInput>) = frames.drain(..).unzip();
        let raw = self.store.raw(&inputs).await?;
        let metrics = &self.store.writer().board().metrics;
        metrics.frames.inc_by(inputs.len() as u64);
        metrics.frame_bytes.inc_by(inputs.iter().map(|input| input.payload.len() as u64).sum());
        let mut decoded = Decoded::default();
        let mut latest_with_data = None;
        for (index, (session, input)) in sessions.iter().zip(&inputs).enumerate() {
            let normaliser = self.sessions.entry(*session).or_default();
            let frame = (index, &input.payload[..], input.receive_time_ns);
            let before = decoded.ticks.len() + decoded.quotes.len();
            let subscribed_before = std::mem::take(&mut decoded.subscribed);
            normaliser.frame(adapter.as_ref(), self.rules, frame, &mut decoded);
            if decoded.subscribed || decoded.ticks.len() + decoded.quotes.len() > before {
                latest_with_data = latest_with_data.max(Some(*session));
            }
            decoded.subscribed |= subscribed_before;
        }
        self.store.decoded(&decoded, &inputs, &raw).await?;
        self.note(&decoded, &inputs);
        for (session, input) in sessions.iter().zip(&inputs) {
            self.prove(*session, input.receive_time_ns);
        }
        if let Some(latest) = latest_with_data {
            let news = |seen: &mut SessionNumber| {
                let later = latest > *seen;
                *seen = (*seen).max(latest);
                later
            };
            self.data_seen.send_if_modified(news);
            self.store.writer().board().set_link(&self.link, FeedState::Live, "");
        }
        Ok(())
    }

    /// Tells the continuity check and the heartbeats what was written.
    fn note(&mut self, decoded: &Decoded, inputs: &[RawInput]) {
        let board = self.store.writer().board().clone();
        for (_, tick) in &decoded.ticks {
            self.heartbeats.tick(&tick.symbol, tick.event_time_ns, tick.receive_time_ns);
        }
        let gaps = self.continuity.with(|continuity| {
            let ticks =
                decoded.ticks.iter().map(|(_, t)| (&t.symbol, t.trade_id.clone(), t.event_time_ns, t.receive_time_ns));
            let void = decoded.void.iter().map(|(frame, symbol, id)| {
                let at_ns = inputs.get(*frame).map_or(0, |input| input.receive_time_ns);
                (symbol, id.to_string(), at_ns, at_ns)
            });
            let observe = |(symbol, id, event_ns, now_ns): (&Symbol, String, u64, u64)| {
                matches!(continuity.live(symbol, &id, event_ns, now_ns), Observed::Gap { .. })
            };
            // Ids that are no trades come in between: in the order of the frames they would make holes that are none.
            let mut all: Vec<_> = ticks.chain(void).collect();
            if !decoded.void.is_empty() {
                all.sort_by_key(|(_, id, ..)| id.parse::<u64>().unwrap_or(u64::MAX));
            }
            all.into_iter().map(observe).filter(|gap| *gap).count()
        });
        if gaps > 0 {
            board.metrics.gaps.inc_by(gaps as u64);
            self.continuity.changed.notify_one();
        }
        for error in &decoded.venue_errors {
            board.metrics.venue_errors.inc();
            tracing::warn!(venue = %board.venue(), link = %self.link, error, "venue reports an error");
            board.note(error.clone());
        }
    }

    fn prove(&mut self, session: SessionNumber, at_ns: u64) {
        // While a connection is being replaced, only the older session carries everything since before.
        if self.sessions.first_key_value().is_some_and(|(first, _)| *first == session) {
            self.heartbeats.proven(at_ns);
        }
    }

    fn up(&mut self, session: SessionNumber) {
        self.sessions.entry(session).or_default();
        let now_ns = self.store.writer().now_ns();
        self.continuity.with(|continuity| continuity.connected(&self.symbols, now_ns));
        self.continuity.changed.notify_one();
    }

    fn lost(&mut self, session: SessionNumber) {
        self.sessions.remove(&session);
        if self.sessions.is_empty() {
            self.heartbeats.lost();
            self.continuity.with(|continuity| continuity.disconnected(&self.symbols));
        }
    }

    async fn beat(&mut self) -> Result<(), WriteError> {
        let now_ns = self.store.writer().now_ns();
        let heartbeats = &mut self.heartbeats;
        let due = self.continuity.with(|c| heartbeats.due(now_ns, |symbol| c.is_complete(symbol)));
        if due.is_empty() { Ok(()) } else { self.store.heartbeats(&due, false).await }
    }
}
