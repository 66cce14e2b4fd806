//! The aggregator of one partition: dedup and candles of all its keys. Pure: no clock, no I/O, no randomness, so that
//! the same records give the same updates after every restart.

use crate::content::{Content, Print};
use crate::coverage::Coverage;
use crate::dedup::{DedupLimits, Seen};
use crate::encoding::{CorruptState, Reader, Writer};
use crate::key_state::{KeyState, LEVELS, Lateness, OpenWindow, Seeding};
use crate::trade::Trade;
use crate::update::{KeyId, Ticker, Update};
use proto::market::Candle;
use proto::{Interval, Symbol, Venue};
use std::collections::HashMap;

/// What the updates depend on besides the records. It is part of the state: changed settings take effect only behind the
/// offsets that are committed, or a restart would derive other updates than before the crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Params {
    /// How far the watermark stays behind the newest event time, ns.
    pub lateness_ns: u64,
    /// How long closed windows of each interval are kept for late trades, ns of event time.
    pub keep_ns: [u64; LEVELS],
    /// A trade whose event time is further ahead of its receive time is refused, ns.
    pub ahead_ns: u64,
    /// Memory for trade ids per key.
    pub dedup: DedupLimits,
    /// Keys of one partition at most.
    pub keys: usize,
}

impl Default for Params {
    fn default() -> Self {
        const HOUR: u64 = 3_600_000_000_000;
        const WEEK: u64 = 7 * 24 * HOUR;
        Self {
            lateness_ns: 2_000_000_000,
            keep_ns: [HOUR, 24 * HOUR, WEEK, WEEK, WEEK, WEEK, WEEK],
            ahead_ns: 300_000_000_000,
            dedup: DedupLimits { ranges: 16_384, ids: 65_536 },
            keys: 20_000,
        }
    }
}

/// What became of a trade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// New and in time.
    OnTime,
    /// New; it changed closed windows.
    Late,
    /// New; at least one of its windows is no longer in memory and has to be made from the lake.
    TooLate,
    /// Seen before: nothing changed.
    Duplicate,
    /// So old that its id may have been forgotten: the lake knows whether it is new.
    Doubtful,
    /// Refused: its event time is too far ahead of our clock.
    Ahead,
    /// Refused: its size or value is beyond what a candle can sum.
    TooLarge,
}

impl Outcome {
    /// All outcomes, in the order of their declaration.
    pub const ALL: [Self; 7] =
        [Self::OnTime, Self::Late, Self::TooLate, Self::Duplicate, Self::Doubtful, Self::Ahead, Self::TooLarge];
}

/// State of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aggregator {
    params: Params,
    /// Trades up to this event time may be in the lake without this state knowing: the log no longer has its start.
    unknown_until_ns: u64,
    tickers: Vec<Ticker>,
    keys: Vec<KeyState>,
    index: HashMap<Ticker, KeyId, ahash::RandomState>,
}

impl Aggregator {
    /// A state that will see its partition from the first record on.
    #[must_use]
    pub fn new(params: Params) -> Self {
        Self { params, unknown_until_ns: 0, tickers: Vec::new(), keys: Vec::new(), index: HashMap::default() }
    }

    /// A state for a partition whose first records are gone: of anything up to `time_ns` only the lake knows.
    #[must_use]
    pub fn with_unknown_past(params: Params, time_ns: u64) -> Self {
        Self { unknown_until_ns: time_ns, ..Self::new(params) }
    }

    /// The settings in force.
    #[must_use]
    pub const fn params(&self) -> &Params {
        &self.params
    }

    /// Puts other settings in force from the next record on.
    pub const fn set_params(&mut self, params: Params) {
        self.params = params;
    }

    /// From now on no update of a window that opened up to now is written without a look into the lake.
    pub fn verify_known_windows(&mut self) {
        for key in &mut self.keys {
            key.verify_until_ns = key.verify_until_ns.max(key.newest_ns + 1);
        }
    }

    /// The key of a ticker, made if absent; `None` if there are too many keys.
    pub fn key(&mut self, venue: &Venue, symbol: &Symbol) -> Option<KeyId> {
        let ticker = Ticker { venue: venue.clone(), symbol: symbol.clone() };
        if let Some(key) = self.index.get(&ticker) {
            return Some(*key);
        }
        if self.keys.len() >= self.params.keys {
            return None;
        }
        let key = KeyId(u32::try_from(self.keys.len()).ok()?);
        let mut state = KeyState::new(key);
        if self.unknown_until_ns > 0 {
            state.dedup.forget_until(self.unknown_until_ns);
            state.trusted_from_ns = self.unknown_until_ns;
            state.coverage = Coverage::whole();
        }
        self.keys.push(state);
        self.tickers.push(ticker.clone());
        self.index.insert(ticker, key);
        Some(key)
    }

    /// The ticker of a key of this partition.
    #[must_use]
    pub fn ticker(&self, key: KeyId) -> &Ticker {
        &self.tickers[key.0 as usize]
    }

    /// All keys.
    pub fn key_ids(&self) -> impl Iterator<Item = KeyId> {
        (0..u32::try_from(self.keys.len()).unwrap_or(u32::MAX)).map(KeyId)
    }

    /// Number of keys.
    #[must_use]
    pub fn key_count(&self) -> usize {
        self.keys.len()
    }

    /// Number of windows in memory.
    #[must_use]
    pub fn window_count(&self) -> usize {
        self.keys.iter().map(KeyState::window_count).sum()
    }

    /// Takes a trade; what it changes goes to `out`.
    #[inline]
    pub fn trade(&mut self, key: KeyId, trade: &Trade, out: &mut Vec<Update>) -> Outcome {
        let params = &self.params;
        if trade.receive_time_ns != 0 && trade.event_time_ns > trade.receive_time_ns.saturating_add(params.ahead_ns) {
            return Outcome::Ahead;
        }
        let state = &mut self.keys[key.0 as usize];
        let Some(print) = Print::of(trade) else { return Outcome::TooLarge };
        let seen = state.dedup.insert(trade.id, trade.event_time_ns, &params.dedup);
        if seen != Seen::Before && !trade.repaired {
            state.coverage.live(trade.event_time_ns);
        }
        let outcome = match seen {
            Seen::Before => return Outcome::Duplicate,
            Seen::New => match state.place(trade.event_time_ns, &print, out) {
                Lateness::OnTime => Outcome::OnTime,
                Lateness::Late => Outcome::Late,
                Lateness::TooLate => Outcome::TooLate,
            },
            Seen::Perhaps => {
                state.taint(trade.event_time_ns, out);
                Outcome::Doubtful
            }
        };
        state.observe(trade.event_time_ns, params.lateness_ns, &params.keep_ns, out);
        outcome
    }

    /// The feed of the key is complete up to an event time. `written_at_ns` is our clock when that was said: a heartbeat
    /// from the future moves the watermark only as far as a trade could.
    pub fn heartbeat(&mut self, key: KeyId, time_ns: u64, written_at_ns: u64, out: &mut Vec<Update>) {
        let params = &self.params;
        let time_ns = time_ns.min(written_at_ns.saturating_add(params.ahead_ns));
        let state = &mut self.keys[key.0 as usize];
        state.coverage.begin(time_ns);
        state.observe(time_ns, params.lateness_ns, &params.keep_ns, out);
    }

    /// All trades of the key in `[from_ns, to_ns)` have been given to [`Self::trade`]: windows that began before the live
    /// feed did become whole if that reaches back to their start.
    pub fn fetched(&mut self, key: KeyId, from_ns: u64, to_ns: u64, out: &mut Vec<Update>) {
        self.keys[key.0 as usize].fetched(from_ns, to_ns, out);
    }

    /// Takes the venue's closed candles of `range_ns`, a time before the feed of the key began.
    pub fn seed(
        &mut self,
        key: KeyId,
        interval: Interval,
        range_ns: (u64, u64),
        candles: &[Candle],
        out: &mut Vec<Update>,
    ) -> Seeding {
        let Some(index) = Interval::ALL.iter().position(|known| *known == interval) else { return Seeding::Refused };
        let parts: Vec<_> = candles.iter().map(|candle| (candle.open_time_ns, Content::of_candle(candle))).collect();
        self.keys[key.0 as usize].seed(index, range_ns, &parts, out)
    }

    /// Reports what late trades changed without waiting for the next second of the watermark.
    pub fn settle(&mut self, key: KeyId, out: &mut Vec<Update>) {
        self.keys[key.0 as usize].settle(out);
    }

    /// The stream of the key ended: reports its open windows as they stand.
    pub fn end_of_stream(&mut self, key: KeyId, out: &mut Vec<Update>) {
        self.keys[key.0 as usize].write_open(out);
    }

    /// The newest open window of each interval, shortest interval first.
    #[must_use]
    pub fn open_windows(&self, key: KeyId) -> [Option<OpenWindow>; LEVELS] {
        self.keys[key.0 as usize].newest_open()
    }

    pub(crate) fn encode(&self, out: &mut Writer) {
        let params = &self.params;
        out.u64(params.lateness_ns);
        params.keep_ns.iter().for_each(|keep| out.u64(*keep));
        out.u64(params.ahead_ns);
        out.count(params.dedup.ranges);
        out.count(params.dedup.ids);
        out.count(params.keys);
        out.u64(self.unknown_until_ns);
        out.count(self.keys.len());
        for (ticker, state) in self.tickers.iter().zip(&self.keys) {
            out.text(ticker.venue.as_str());
            out.text(ticker.symbol.as_str());
            state.encode(out);
        }
    }

    pub(crate) fn decode(input: &mut Reader<'_>) -> Result<Self, CorruptState> {
        let size =
            |input: &mut Reader<'_>| usize::try_from(input.u64()?).map_err(|_| input.corrupt("limit of the state"));
        let mut params = Params { lateness_ns: input.u64()?, ..Params::default() };
        for keep in &mut params.keep_ns {
            *keep = input.u64()?;
        }
        params.ahead_ns = input.u64()?;
        params.dedup = DedupLimits { ranges: size(input)?, ids: size(input)? };
        params.keys = size(input)?;
        let mut state = Self::with_unknown_past(params, input.u64()?);
        for at in 0..input.count(64)? {
            let id = KeyId(u32::try_from(at).map_err(|_| input.corrupt("keys"))?);
            let ticker = Ticker { venue: input.id("venue")?, symbol: input.id("symbol")? };
            state.keys.push(KeyState::decode(id, input)?);
            state.tickers.push(ticker.clone());
            if state.index.insert(ticker, id).is_some() {
                return Err(input.corrupt("key twice"));
            }
        }
        Ok(state)
    }
}

#[cfg(test)]
mod tests;
