//! The one owner of the state: takes records in, keeps rows for the next flush, feeds the live topics. No I/O.
//!
//! A restart reads records again from the checkpoint on. Up to the offsets that a table has committed they change the
//! state and make no rows; behind them everything is as if there had been no restart.

use crate::aggregate::{Aggregator, Outcome, Params};
use crate::candle_book::{BookEvent, complete};
use crate::checkpoint::{Positions, State, encode_state};
use crate::dead_letter::DeadLetter;
use crate::flush::{Flush, Pending, Trigger};
use crate::key_state::{LEVELS, OpenWindow, Seeding};
use crate::live::{Live, LiveId, SnapshotWanted};
use crate::metrics::StreamMetrics;
use crate::record::{Decoded, FetchedTicks, HistoryEnd, Input, Rejected, Seed};
use crate::trade::Trade;
use crate::update::{KeyId, Ticker, Trust, Update};
use crate::venue_marks::{Mark, Series, VenueMarks};
use bytes::Bytes;
use proto::LogTopic;
use proto::market::{Candle, Tick};
use std::collections::HashMap;
use tokio::time::Instant;

/// Last offset that each table has, by partition of its sources.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Cuts {
    pub(crate) ticks: HashMap<(LogTopic, u32), u64>,
    pub(crate) candles: HashMap<(LogTopic, u32), u64>,
}

impl Cuts {
    fn in_ticks(&self, source: Source) -> bool {
        self.ticks.get(&(source.topic, source.partition)).is_some_and(|last| source.offset <= *last)
    }

    pub(crate) fn in_candles(&self, source: Source) -> bool {
        self.candles.get(&(source.topic, source.partition)).is_some_and(|last| source.offset <= *last)
    }
}

/// Where a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) topic: LogTopic,
    pub(crate) partition: u32,
    pub(crate) offset: u64,
}

/// A record with what it says.
#[derive(Debug)]
pub(crate) struct InputRecord {
    pub(crate) source: Source,
    pub(crate) key: Bytes,
    pub(crate) value: Bytes,
    pub(crate) decoded: Decoded,
}

/// The state and what came out of it since the last flush.
#[derive(Debug)]
pub(crate) struct Engine {
    partitions: Vec<Aggregator>,
    /// By partition and key: the place in the live feed.
    places: Vec<Vec<Option<LiveId>>>,
    /// Where to find the aggregator of a ticker.
    homes: HashMap<Ticker, (u32, KeyId), ahash::RandomState>,
    marks: VenueMarks,
    positions: Positions,
    cuts: Cuts,
    pub(crate) pending: Pending,
    pub(crate) live: Live,
    dead: Vec<DeadLetter>,
    updates: Vec<Update>,
    flush_id: u64,
    /// Ticks since the last report, by outcome.
    outcomes: [u64; Outcome::ALL.len()],
    metrics: StreamMetrics,
}

impl Engine {
    pub(crate) fn new(state: State, cuts: Cuts, pending: Pending, live: Live, metrics: StreamMetrics) -> Self {
        let places = state.partitions.iter().map(|_| Vec::new()).collect();
        Self {
            partitions: state.partitions,
            places,
            homes: HashMap::default(),
            marks: state.marks,
            positions: state.positions,
            cuts,
            pending,
            live,
            dead: Vec::new(),
            updates: Vec::new(),
            flush_id: 1,
            outcomes: [0; Outcome::ALL.len()],
            metrics,
        }
    }

    /// The next offset of a partition.
    pub(crate) fn position(&self, topic: LogTopic, partition: u32) -> u64 {
        self.positions.get(&(topic, partition)).copied().unwrap_or(0)
    }

    pub(crate) const fn positions(&self) -> &Positions {
        &self.positions
    }

    /// The records up to the cuts are read again. `rebuilt`: without a checkpoint, so that the lake may know rows that
    /// this state does not.
    pub(crate) fn recovered(&mut self, params: Params, rebuilt: bool) {
        for partition in &mut self.partitions {
            partition.set_params(params);
            if rebuilt {
                partition.verify_known_windows();
            }
        }
        for at in 0..self.partitions.len() {
            let keys: Vec<KeyId> = self.partitions[at].key_ids().collect();
            for key in keys {
                self.place(u32::try_from(at).unwrap_or(u32::MAX), key);
            }
        }
        self.live.start_publishing();
    }

    /// Takes one record of `norm.tick` or `norm.ohlc`.
    pub(crate) fn record(&mut self, record: InputRecord) {
        let InputRecord { source, key, value, decoded } = record;
        let known = self.cuts.in_candles(source);
        if !known {
            for rejected in decoded.rejected {
                self.reject(source.topic, &key, rejected, &value);
            }
        }
        match decoded.input {
            Some(Input::Tick(tick)) => self.tick(source, tick, true, &key),
            Some(Input::Ticks(fetched)) => self.ticks(source, fetched, &key),
            Some(Input::Heartbeat { ticker, event_time_ns, written_at_ns, end_of_stream }) => {
                self.heartbeat(source, &ticker, (event_time_ns, written_at_ns), end_of_stream);
            }
            Some(Input::Candles { candles, end }) => self.candles(source, candles, end),
            Some(Input::Seed(seed)) => self.seed(source, seed, (&key, &value)),
            Some(Input::Quote(_)) | None => {}
        }
        self.positions.insert((source.topic, source.partition), source.offset + 1);
    }

    fn key(&mut self, source: Source, ticker: &Ticker) -> Option<(usize, KeyId)> {
        let partition = source.partition as usize;
        let id = self.partitions.get_mut(partition)?.key(&ticker.venue, &ticker.symbol)?;
        Some((partition, id))
    }

    fn reject(&mut self, topic: LogTopic, key: &Bytes, rejected: Rejected, payload: &Bytes) {
        self.metrics.rejected(rejected.reason);
        self.dead.push(DeadLetter { topic, key: key.clone(), rejected, payload: payload.clone() });
    }

    fn refuse_tick(&mut self, source: Source, key: &Bytes, tick: &Tick, detail: &str) {
        if !self.cuts.in_candles(source) {
            let rejected = Rejected { reason: "out_of_range", detail: detail.to_owned(), row: None };
            let payload = prost::Message::encode_to_vec(&proto::wire::Tick::from(tick));
            self.reject(source.topic, key, rejected, &payload.into());
        }
    }

    /// One trade; `live` if it belongs on the live feed.
    fn tick(&mut self, source: Source, mut tick: Tick, live: bool, key: &Bytes) {
        let Some(partition) = self.partitions.get_mut(source.partition as usize) else { return };
        let Some(id) = partition.key(&tick.venue, &tick.symbol) else {
            return self.refuse_tick(source, key, &tick, "symbol: too many keys in this partition");
        };
        // All waiting rows of a ticker share its names.
        let ticker = partition.ticker(id);
        (tick.venue, tick.symbol) = (ticker.venue.clone(), ticker.symbol.clone());
        let outcome = partition.trade(id, &Trade::from(&tick), &mut self.updates);
        self.outcomes[outcome as usize] += 1;
        match outcome {
            Outcome::OnTime | Outcome::Late | Outcome::TooLate => {
                if live
                    && outcome != Outcome::TooLate
                    && let Some(place) = self.place(source.partition, id)
                {
                    self.live.tick(place, &tick);
                }
                if !self.cuts.in_ticks(source) {
                    self.pending.rows.ticks.push(tick);
                }
            }
            Outcome::Doubtful => {
                if !self.cuts.in_ticks(source) {
                    self.pending.rows.doubtful.push(tick);
                }
            }
            Outcome::Duplicate => {}
            Outcome::Ahead => self.refuse_tick(source, key, &tick, "event_time_ns: too far ahead of receive_time_ns"),
            Outcome::TooLarge => self.refuse_tick(source, key, &tick, "size: more than a candle can sum"),
        }
        self.take_updates(source);
    }

    /// Fetched trades: on the live feed if they repair a gap, not if somebody asked for history.
    fn ticks(&mut self, source: Source, fetched: FetchedTicks, key: &Bytes) {
        for tick in fetched.ticks {
            self.tick(source, tick, !fetched.answer, key);
        }
        if let Some((from_ns, to_ns)) = fetched.complete
            && let Some((partition, id)) = self.key(source, &fetched.ticker)
        {
            self.partitions[partition].fetched(id, from_ns, to_ns, &mut self.updates);
            self.take_updates(source);
        }
        let Some(end) = fetched.end else { return };
        if let Some((partition, id)) = self.key(source, &fetched.ticker) {
            self.partitions[partition].settle(id, &mut self.updates);
            self.take_updates(source);
        }
        self.history_end(end);
    }

    fn heartbeat(&mut self, source: Source, ticker: &Ticker, times_ns: (u64, u64), end_of_stream: bool) {
        let Some((partition, id)) = self.key(source, ticker) else { return };
        let aggregator = &mut self.partitions[partition];
        aggregator.heartbeat(id, times_ns.0, times_ns.1, &mut self.updates);
        if end_of_stream {
            aggregator.end_of_stream(id, &mut self.updates);
            self.pending.end_of_stream();
        }
        self.take_updates(source);
    }

    fn candles(&mut self, source: Source, candles: Vec<Candle>, end: Option<HistoryEnd>) {
        let known = self.cuts.in_candles(source);
        for candle in candles {
            self.metrics.venue_candles.inc();
            self.marks.note(&candle);
            if !known {
                self.pending.rows.events.push(BookEvent::Venue(candle));
            }
        }
        if let Some(end) = end {
            self.history_end(end);
        }
    }

    /// Candles of the time before a feed began: rows of their own, and parts of the windows that contain them.
    fn seed(&mut self, source: Source, seed: Seed, record: (&Bytes, &Bytes)) {
        let Some((partition, id)) = self.key(source, &seed.ticker) else { return };
        let aggregator = &mut self.partitions[partition];
        match aggregator.seed(id, seed.interval, seed.range_ns, &seed.candles, &mut self.updates) {
            Seeding::Taken => {
                self.candles(source, seed.candles, None);
                self.take_updates(source);
            }
            Seeding::Known => {}
            Seeding::Refused if self.cuts.in_candles(source) => {}
            Seeding::Refused => {
                let (from_ns, to_ns) = seed.range_ns;
                let detail = format!(
                    "candles of {from_ns} to {to_ns}: trades of this time are here, or a time between is missing"
                );
                let rejected = Rejected { reason: "out_of_range", detail, row: None };
                self.reject(source.topic, record.0, rejected, record.1);
            }
        }
    }

    /// Also below the cuts: whether a committed answer was notified before the crash is not known, so it is again.
    fn history_end(&mut self, end: HistoryEnd) {
        if !end.request_ids.is_empty() {
            self.pending.rows.histories.push(end);
        }
    }

    /// Moves the updates of the record to the rows and to the live feed.
    fn take_updates(&mut self, source: Source) {
        if self.updates.is_empty() {
            return;
        }
        let mut updates = std::mem::take(&mut self.updates);
        if !self.cuts.in_candles(source) {
            for update in updates.drain(..) {
                self.take_update(source.partition, update);
            }
        }
        updates.clear();
        self.updates = updates;
    }

    fn take_update(&mut self, partition: u32, mut update: Update) {
        let ticker = self.partitions[partition as usize].ticker(update.key).clone();
        if update.closed {
            let counter = if update.revision == 0 { &self.metrics.closed } else { &self.metrics.revisions };
            counter.inc();
            self.metrics.partial.inc_by(u64::from(update.partial));
        }
        let series = Series { ticker, interval: update.interval };
        match self.marks.of(&series, update.open_time_ns) {
            Mark::Untouched => {}
            Mark::Verify if update.trust == Trust::Exact => update.trust = Trust::Verify,
            Mark::Verify => {}
            Mark::Sealed(candle) => {
                let candle = candle.clone();
                self.take_sealed(partition, series, update, candle);
                return;
            }
        }
        if update.trust == Trust::Recompute {
            let recompute = &mut self.pending.rows.recompute;
            recompute.add(&series.ticker, update.interval, update.open_time_ns, update.closed && !update.partial);
            return;
        }
        if update.closed
            && let Some(place) = self.place(partition, update.key)
        {
            self.live.closed(place, update.candle(&series.ticker), self.flush_id);
        }
        self.pending.rows.events.push(BookEvent::Window(series.ticker, update));
    }

    /// The venue's candle is final, and it is what closes the window on the live feed; ours adds what the venue does not say.
    fn take_sealed(&mut self, partition: u32, series: Series, update: Update, mut candle: Candle) {
        let ours = update.candle(&series.ticker);
        let known = update.closed && update.trust != Trust::Recompute;
        let fills = known && complete(&mut candle, &ours);
        if update.closed
            && update.revision == 0
            && let Some(place) = self.place(partition, update.key)
        {
            self.live.closed(place, candle, self.flush_id);
        }
        if fills {
            self.pending.rows.events.push(BookEvent::Fill(series.ticker, update));
        }
    }

    fn place(&mut self, partition: u32, key: KeyId) -> Option<LiveId> {
        let places = &mut self.places[partition as usize];
        let at = key.0 as usize;
        if let Some(Some(place)) = places.get(at) {
            return Some(*place);
        }
        let ticker = self.partitions[partition as usize].ticker(key);
        let place = self.live.id(ticker);
        self.homes.insert(ticker.clone(), (partition, key));
        if places.len() <= at {
            places.resize(at + 1, None);
        }
        places[at] = place;
        place
    }

    /// Takes one record of `norm.quote`, which only the live feed wants.
    pub(crate) fn quote(&mut self, record: InputRecord) {
        for rejected in record.decoded.rejected {
            self.reject(record.source.topic, &record.key, rejected, &record.value);
        }
        if let Some(Input::Quote(quote)) = record.decoded.input {
            let ticker = Ticker { venue: quote.venue.clone(), symbol: quote.symbol.clone() };
            if let Some(place) = self.live.id(&ticker) {
                self.live.quote(place, quote);
            }
        }
    }

    /// Answers a new subscription with last values.
    pub(crate) fn subscribed(&mut self, prefix: &Bytes) {
        for wanted in self.live.subscribed(prefix) {
            let open = self.open_window(wanted);
            self.live.snapshot(wanted, open);
        }
    }

    fn open_window(&self, wanted: SnapshotWanted) -> Option<OpenWindow> {
        let (partition, key) = self.homes.get(self.live.ticker(wanted.id))?;
        self.partitions[*partition as usize].open_windows(*key)[wanted.level]
    }

    /// Sends the open candles that changed.
    pub(crate) fn send_open_candles(&mut self) {
        let Self { partitions, homes, live, .. } = self;
        live.send_open(|ticker| -> Option<[Option<OpenWindow>; LEVELS]> {
            let (partition, key) = homes.get(ticker)?;
            Some(partitions[*partition as usize].open_windows(*key))
        });
    }

    /// Everything since the last flush, with the state at this point if a checkpoint is due.
    pub(crate) fn take_flush(&mut self, trigger: Trigger, now: Instant) -> Flush {
        let checkpoint = trigger == Trigger::Shutdown || self.pending.checkpoint_due(now);
        let body = checkpoint
            .then(|| encode_state(&self.positions, &self.partitions.iter().collect::<Vec<_>>(), &self.marks).into());
        let id = self.flush_id;
        self.flush_id += 1;
        self.metrics.keys.set(self.key_count());
        self.metrics.windows.set(self.window_count());
        let rows = self.pending.take(trigger, checkpoint, now);
        Flush { id, trigger, rows, positions: self.positions.clone(), checkpoint: body }
    }

    pub(crate) fn key_count(&self) -> i64 {
        self.partitions.iter().map(Aggregator::key_count).sum::<usize>().try_into().unwrap_or(i64::MAX)
    }

    fn window_count(&self) -> i64 {
        self.partitions.iter().map(Aggregator::window_count).sum::<usize>().try_into().unwrap_or(i64::MAX)
    }

    /// Counts the ticks since the last call.
    pub(crate) fn report(&mut self) {
        for (outcome, count) in Outcome::ALL.into_iter().zip(&mut self.outcomes) {
            if *count > 0 {
                self.metrics.ticks(outcome, std::mem::take(count));
            }
        }
    }

    /// What could not be used since the last call.
    pub(crate) fn take_dead_letters(&mut self) -> Vec<DeadLetter> {
        std::mem::take(&mut self.dead)
    }
}

#[cfg(test)]
mod tests;
