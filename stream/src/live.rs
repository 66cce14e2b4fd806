//! The live feed: what is sent to which topic, and the last values that a late subscriber gets.
//!
//! Owned by one task. Never waits: a full queue drops a message, which shows as a gap in its topic's sequence and in a
//! counter. Nothing is encoded for a topic without subscriber.

use crate::config::LiveConfig;
use crate::key_state::{LEVELS, OpenWindow};
use crate::metrics::StreamMetrics;
use crate::update::{Ticker, candle};
use bytes::Bytes;
use proto::market::{Candle, Quote, Tick};
use proto::{FrameHeader, Interval, Kind, Topic, wire};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt::Debug;
use std::ops::Bound;
use std::sync::Arc;
use zmtp::{PubSocket, SendOutcome};

/// Where messages go: the relay, or a test.
pub(crate) trait Outlet: Debug + Send + Sync {
    /// Changes whenever an answer of [`Outlet::has_subscriber`] may have changed.
    fn version(&self) -> u64;
    fn has_subscriber(&self, topic: &[u8]) -> bool;
    fn send(&self, topic: &[u8], body: &[u8]) -> SendOutcome;
}

impl Outlet for Arc<PubSocket> {
    fn version(&self) -> u64 {
        self.subscription_version()
    }

    fn has_subscriber(&self, topic: &[u8]) -> bool {
        PubSocket::has_subscriber(self, topic)
    }

    fn send(&self, topic: &[u8], body: &[u8]) -> SendOutcome {
        PubSocket::send(self, topic, body)
    }
}

/// A topic that we publish.
#[derive(Debug)]
struct Channel {
    topic: Bytes,
    sequence: u64,
    /// The answer and the version it belongs to.
    wanted: (bool, u64),
}

impl Channel {
    fn new(topic: &Topic) -> Self {
        Self { topic: topic.to_string().into(), sequence: 0, wanted: (false, u64::MAX) }
    }
}

/// Where messages are encoded and counted.
#[derive(Debug)]
struct Feed {
    outlet: Box<dyn Outlet>,
    publisher_id: u64,
    metrics: StreamMetrics,
}

impl Feed {
    fn wanted(&self, channel: &mut Channel) -> bool {
        let version = self.outlet.version();
        if channel.wanted.1 != version {
            channel.wanted = (self.outlet.has_subscriber(&channel.topic), version);
        }
        channel.wanted.0
    }

    /// Sends a message if somebody wants it; `message` is made only then.
    fn send<M: prost::Message>(&self, channel: &mut Channel, kind: Kind, time_ns: u64, message: impl FnOnce() -> M) {
        if !self.wanted(channel) {
            return;
        }
        let header = FrameHeader::new(kind, self.publisher_id, channel.sequence + 1, time_ns);
        let Ok(body) = header.encode(&message()) else {
            // Only a snapshot could be too long, and its rows are bounded far below the limit of a frame.
            self.metrics.dropped.inc();
            return;
        };
        match self.outlet.send(&channel.topic, &body) {
            SendOutcome::Sent => {
                channel.sequence += 1;
                self.metrics.published(name(kind));
            }
            SendOutcome::NoSubscriber => {}
            SendOutcome::Dropped => {
                channel.sequence += 1;
                self.metrics.dropped.inc();
            }
        }
    }
}

const fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Tick => "tick",
        Kind::Quote => "quote",
        Kind::Candle => "candle",
        Kind::OhlcBatch => "snapshot",
        _ => "notification",
    }
}

/// Index of a ticker in the live feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LiveId(usize);

#[derive(Debug)]
struct LiveTicker {
    ticker: Ticker,
    tick: Channel,
    quote: Channel,
    candles: [Channel; LEVELS],
    last_tick: Option<Tick>,
    last_quote: Option<Quote>,
    /// Closed candles that are not in the lake yet, with the flush that will bring them there.
    uncommitted: [VecDeque<(u64, Candle)>; LEVELS],
    /// The open candles changed since they were last sent.
    changed: bool,
}

#[derive(Debug, Clone, Copy)]
enum Place {
    Tick(usize),
    Quote(usize),
    Candle(usize, usize),
}

/// What is sent to a new subscriber, once the caller has found the open candle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SnapshotWanted {
    pub(crate) id: LiveId,
    pub(crate) level: usize,
}

/// The live feed.
#[derive(Debug)]
pub(crate) struct Live {
    feed: Feed,
    config: LiveConfig,
    tickers: Vec<LiveTicker>,
    by_ticker: HashMap<Ticker, LiveId, ahash::RandomState>,
    /// Sorted, so that a prefix is a range.
    places: BTreeMap<Bytes, Place>,
    notices: HashMap<Bytes, (Channel, wire::HistoryReadyNotification)>,
    notice_order: VecDeque<Bytes>,
    /// False while records are read again that were published before the restart.
    publishing: bool,
}

impl Live {
    pub(crate) fn new(outlet: Box<dyn Outlet>, publisher_id: u64, config: LiveConfig, metrics: StreamMetrics) -> Self {
        Self {
            feed: Feed { outlet, publisher_id, metrics },
            config,
            tickers: Vec::new(),
            by_ticker: HashMap::default(),
            places: BTreeMap::new(),
            notices: HashMap::new(),
            notice_order: VecDeque::new(),
            publishing: false,
        }
    }

    pub(crate) const fn start_publishing(&mut self) {
        self.publishing = true;
    }

    /// The place of a ticker, made if absent; `None` if there are too many.
    pub(crate) fn id(&mut self, ticker: &Ticker) -> Option<LiveId> {
        if let Some(id) = self.by_ticker.get(ticker) {
            return Some(*id);
        }
        if self.tickers.len() >= self.config.tickers {
            self.feed.metrics.tickers_refused.inc();
            return None;
        }
        let at = self.tickers.len();
        let (venue, symbol) = (&ticker.venue, &ticker.symbol);
        let entry = LiveTicker {
            ticker: ticker.clone(),
            tick: Channel::new(&Topic::Tick(venue.clone(), symbol.clone())),
            quote: Channel::new(&Topic::Quote(venue.clone(), symbol.clone())),
            candles: Interval::ALL.map(|i| Channel::new(&Topic::Candle(venue.clone(), symbol.clone(), i))),
            last_tick: None,
            last_quote: None,
            uncommitted: Default::default(),
            changed: false,
        };
        self.places.insert(entry.tick.topic.clone(), Place::Tick(at));
        self.places.insert(entry.quote.topic.clone(), Place::Quote(at));
        for (level, channel) in entry.candles.iter().enumerate() {
            self.places.insert(channel.topic.clone(), Place::Candle(at, level));
        }
        self.tickers.push(entry);
        self.by_ticker.insert(ticker.clone(), LiveId(at));
        Some(LiveId(at))
    }

    /// A new trade.
    pub(crate) fn tick(&mut self, id: LiveId, tick: &Tick) {
        let entry = &mut self.tickers[id.0];
        entry.changed = true;
        if self.publishing {
            self.feed.send(&mut entry.tick, Kind::Tick, tick.event_time_ns, || wire::Tick::from(tick));
        }
        if entry.last_tick.as_ref().is_none_or(|last| last.event_time_ns <= tick.event_time_ns) {
            entry.last_tick = Some(tick.clone());
        }
    }

    /// New best prices.
    pub(crate) fn quote(&mut self, id: LiveId, quote: Quote) {
        let entry = &mut self.tickers[id.0];
        if self.publishing {
            self.feed.send(&mut entry.quote, Kind::Quote, quote.event_time_ns, || wire::Quote::from(&quote));
        }
        entry.last_quote = Some(quote);
    }

    /// A closed candle, or a correction of one, that flush `flush` will bring to the lake.
    pub(crate) fn closed(&mut self, id: LiveId, candle: Candle, flush: u64) {
        let entry = &mut self.tickers[id.0];
        let Some(level) = Interval::ALL.iter().position(|interval| *interval == candle.interval) else { return };
        if self.publishing {
            let time_ns = candle.open_time_ns + candle.interval.nanos();
            self.feed.send(&mut entry.candles[level], Kind::Candle, time_ns, || wire::Candle::from(&candle));
        }
        let waiting = &mut entry.uncommitted[level];
        waiting.push_back((flush, candle));
        // One place of the snapshot is for the open candle.
        while waiting.len() >= self.config.snapshot_candles.max(2) {
            waiting.pop_front();
            self.feed.metrics.snapshot_cut.inc();
        }
    }

    /// A correction that is in the lake already.
    pub(crate) fn corrected(&mut self, candle: &Candle) {
        let ticker = Ticker { venue: candle.venue.clone(), symbol: candle.symbol.clone() };
        let Some(id) = self.by_ticker.get(&ticker) else { return };
        let entry = &mut self.tickers[id.0];
        let Some(level) = Interval::ALL.iter().position(|interval| *interval == candle.interval) else { return };
        let time_ns = candle.open_time_ns + candle.interval.nanos();
        self.feed.send(&mut entry.candles[level], Kind::Candle, time_ns, || wire::Candle::from(candle));
    }

    /// Flush `flush` is in the lake: its candles need no snapshot any more.
    pub(crate) fn committed(&mut self, flush: u64) {
        for waiting in self.tickers.iter_mut().flat_map(|entry| &mut entry.uncommitted) {
            while waiting.front().is_some_and(|(of, _)| *of <= flush) {
                waiting.pop_front();
            }
        }
    }

    /// Sends the open candles that changed since the last call, at most one message a topic.
    pub(crate) fn send_open(&mut self, mut windows: impl FnMut(&Ticker) -> Option<[Option<OpenWindow>; LEVELS]>) {
        for entry in &mut self.tickers {
            if !std::mem::take(&mut entry.changed) || !self.publishing {
                continue;
            }
            if !entry.candles.iter_mut().any(|channel| self.feed.wanted(channel)) {
                continue;
            }
            let Some(windows) = windows(&entry.ticker) else { continue };
            for ((channel, window), interval) in entry.candles.iter_mut().zip(windows).zip(Interval::ALL) {
                if let Some(window) = window {
                    let time_ns = window.content.last.time_us.saturating_mul(1000);
                    self.feed.send(channel, Kind::Candle, time_ns, || open_candle(&entry.ticker, interval, &window));
                }
            }
        }
    }

    /// A history answer is in the lake.
    pub(crate) fn notify(&mut self, topic: &Topic, notice: wire::HistoryReadyNotification) {
        let mut channel = Channel::new(topic);
        self.feed.send(&mut channel, Kind::HistoryReadyNotification, 0, || notice.clone());
        self.keep_notice(channel, notice);
    }

    /// A history answer was in the lake before this process began.
    pub(crate) fn remember(&mut self, topic: &Topic, notice: wire::HistoryReadyNotification) {
        self.keep_notice(Channel::new(topic), notice);
    }

    fn keep_notice(&mut self, channel: Channel, notice: wire::HistoryReadyNotification) {
        let key = channel.topic.clone();
        if self.notices.insert(key.clone(), (channel, notice)).is_none() {
            self.notice_order.push_back(key);
        }
        while self.notice_order.len() > self.config.notifications {
            if let Some(oldest) = self.notice_order.pop_front() {
                self.notices.remove(&oldest);
            }
        }
    }

    /// Somebody subscribed: sends the last values of the topics that match. Candle topics are returned, because their
    /// open candle is the aggregator's.
    pub(crate) fn subscribed(&mut self, prefix: &Bytes) -> Vec<SnapshotWanted> {
        if let Some((channel, notice)) = self.notices.get_mut(prefix) {
            self.feed.metrics.republished.inc();
            self.feed.send(channel, Kind::HistoryReadyNotification, 0, || notice.clone());
            return Vec::new();
        }
        let range = (Bound::Included(prefix.clone()), Bound::Unbounded);
        let matching = self.places.range::<Bytes, _>(range).take_while(|(topic, _)| topic.starts_with(prefix));
        let places: Vec<Place> = matching.take(self.config.republish_topics).map(|(_, place)| *place).collect();
        let mut snapshots = Vec::new();
        for place in places {
            match place {
                Place::Tick(at) => {
                    let entry = &mut self.tickers[at];
                    if let Some(tick) = &entry.last_tick {
                        self.feed.metrics.republished.inc();
                        self.feed.send(&mut entry.tick, Kind::Tick, tick.event_time_ns, || wire::Tick::from(tick));
                    }
                }
                Place::Quote(at) => {
                    let entry = &mut self.tickers[at];
                    if let Some(quote) = &entry.last_quote {
                        self.feed.metrics.republished.inc();
                        let time_ns = quote.event_time_ns;
                        self.feed.send(&mut entry.quote, Kind::Quote, time_ns, || wire::Quote::from(quote));
                    }
                }
                Place::Candle(at, level) => snapshots.push(SnapshotWanted { id: LiveId(at), level }),
            }
        }
        snapshots
    }

    pub(crate) fn ticker(&self, id: LiveId) -> &Ticker {
        &self.tickers[id.0].ticker
    }

    /// Sends the closed candles of a series that are not in the lake yet, then the open one.
    pub(crate) fn snapshot(&mut self, wanted: SnapshotWanted, open: Option<OpenWindow>) {
        let entry = &mut self.tickers[wanted.id.0];
        let interval = Interval::ALL[wanted.level];
        // The newest revision of each.
        let closed: BTreeMap<u64, &Candle> =
            entry.uncommitted[wanted.level].iter().map(|(_, candle)| (candle.open_time_ns, candle)).collect();
        let mut candles: Vec<wire::Candle> = closed.into_values().map(wire::Candle::from).collect();
        candles.extend(open.map(|window| open_candle(&entry.ticker, interval, &window)));
        if candles.is_empty() {
            return;
        }
        self.feed.metrics.republished.inc();
        let ticker = &entry.ticker;
        self.feed.send(&mut entry.candles[wanted.level], Kind::OhlcBatch, 0, || wire::OhlcBatch {
            venue: ticker.venue.to_string(),
            symbol: ticker.symbol.to_string(),
            interval_s: interval.seconds(),
            from_ns: candles.first().map_or(0, |candle| candle.open_time_ns),
            to_ns: candles.last().map_or(0, |candle| candle.open_time_ns + interval.nanos()),
            last: true,
            candles,
            ..Default::default()
        });
    }
}

fn open_candle(ticker: &Ticker, interval: Interval, window: &OpenWindow) -> wire::Candle {
    let mut candle = candle(ticker, interval, window.open_time_ns, &window.content);
    candle.revision = window.revision;
    wire::Candle::from(&candle)
}

#[cfg(test)]
mod tests;
