//! All windows of one key: where a trade belongs, when windows close, what late trades change.
//!
//! A trade goes into its 1s window only. When a window closes, it is folded into the next longer one, so that the
//! seven intervals cost little more than one. A late trade goes into each closed window and then into the first open
//! one, which is folded upward in its turn.

use crate::content::{Content, Print};
use crate::coverage::Coverage;
use crate::dedup::Dedup;
use crate::encoding::{CorruptState, Reader, Writer};
use crate::update::{KeyId, Trust, Update};
use crate::windows::{Level, Window};
use proto::Interval;

/// Number of intervals.
pub const LEVELS: usize = Interval::ALL.len();
const SECOND: u64 = 1_000_000_000;

/// Whether a trade came in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lateness {
    OnTime,
    /// It changed closed windows that are in memory.
    Late,
    /// At least one of its windows is no longer in memory.
    TooLate,
}

/// A window that is not over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenWindow {
    /// Start, ns since the epoch.
    pub open_time_ns: u64,
    /// All its trades so far.
    pub content: Content,
    /// The revision that its first closed row will have.
    pub revision: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyState {
    id: KeyId,
    pub(crate) dedup: Dedup,
    levels: [Level; LEVELS],
    /// Closed windows that changed since the last whole second of the watermark.
    dirty: Vec<(u8, u64)>,
    /// Newest event time, of trades and heartbeats.
    pub(crate) newest_ns: u64,
    /// The watermark cut to whole seconds: every window that ends at or before it is closed.
    pub(crate) closed_until_ns: u64,
    /// Windows that open before were not seen from their start on.
    pub(crate) trusted_from_ns: u64,
    /// Windows that open before may have rows in the lake that this state does not know.
    pub(crate) verify_until_ns: u64,
    /// From when on trades are known.
    pub(crate) coverage: Coverage,
    /// Of the time from here on …
    seeded_from_ns: u64,
    /// … to here the venue's candles are in the longer windows; 0 if of none.
    seeded_until_ns: u64,
}

/// What became of the venue's candles of the time before a feed began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seeding {
    /// They are in the windows that contain them.
    Taken,
    /// They were there before.
    Known,
    /// They would count trades twice, leave a hole, or be part of no longer window.
    Refused,
}

impl KeyState {
    pub(crate) fn new(id: KeyId) -> Self {
        Self {
            id,
            dedup: Dedup::default(),
            levels: Interval::ALL.map(|interval| Level::new(interval.nanos())),
            dirty: Vec::new(),
            newest_ns: 0,
            closed_until_ns: 0,
            trusted_from_ns: 0,
            verify_until_ns: 0,
            coverage: Coverage::unknown(),
            seeded_from_ns: 0,
            seeded_until_ns: 0,
        }
    }

    /// Adds the venue's candles of one interval (by its index) for a time before the feed began to all windows that
    /// contain them, so that those are whole. All of the range or nothing: it must touch what was seeded before, and hold no
    /// trade of ours.
    pub(crate) fn seed(
        &mut self,
        index: usize,
        range_ns: (u64, u64),
        parts: &[(u64, Content)],
        out: &mut Vec<Update>,
    ) -> Seeding {
        let (from_ns, to_ns) = range_ns;
        if self.seeded_from_ns <= from_ns && to_ns <= self.seeded_until_ns {
            return Seeding::Known;
        }
        let touches = self.seeded_until_ns == 0 || to_ns == self.seeded_from_ns || from_ns == self.seeded_until_ns;
        let ours = self.levels[..=index].iter().any(|level| level.any_between(from_ns, to_ns));
        if !touches || ours || index + 1 >= LEVELS {
            return Seeding::Refused;
        }
        for (open_time_ns, content) in parts {
            for longer in index + 1..LEVELS {
                let level = &mut self.levels[longer];
                let open_time_ns = level.open_time(*open_time_ns);
                if level.is_gone(open_time_ns) {
                    continue;
                }
                let over = level.end(open_time_ns) <= self.closed_until_ns;
                let window = level.at_or_new(open_time_ns, self.closed_until_ns);
                window.content.merge(content);
                if !over {
                    break;
                }
                mark_dirty(window, longer, &mut self.dirty);
            }
        }
        if self.seeded_until_ns == 0 {
            (self.seeded_from_ns, self.seeded_until_ns) = range_ns;
        }
        self.seeded_from_ns = self.seeded_from_ns.min(from_ns);
        self.seeded_until_ns = self.seeded_until_ns.max(to_ns);
        self.fetched(from_ns, to_ns, out);
        self.settle(out);
        Seeding::Taken
    }

    const fn is_seeded(&self, time_ns: u64) -> bool {
        self.seeded_from_ns <= time_ns && time_ns < self.seeded_until_ns
    }

    /// A trade of a time of which the venue's candles are in the windows: those that began before stay as they are, and
    /// the others are made from the lake.
    fn place_seeded(&self, time_ns: u64, out: &mut Vec<Update>) {
        for (index, level) in self.levels.iter().enumerate() {
            let open_time_ns = level.open_time(time_ns);
            if level.end(open_time_ns) <= self.closed_until_ns.min(self.seeded_until_ns) {
                out.push(self.unknown(index, open_time_ns));
            }
        }
    }

    /// Adds a trade that is certainly new.
    #[inline]
    pub(crate) fn place(&mut self, time_ns: u64, print: &Print, out: &mut Vec<Update>) -> Lateness {
        if time_ns < self.closed_until_ns || time_ns < self.seeded_until_ns {
            return self.place_late(time_ns, print, out);
        }
        let (open_time_ns, closed_until_ns) = (time_ns - time_ns % SECOND, self.closed_until_ns);
        let level = &mut self.levels[0];
        match level.newest_at(open_time_ns) {
            Some(window) => window.content.add(print),
            None => level.at_or_new(open_time_ns, closed_until_ns).content.add(print),
        }
        Lateness::OnTime
    }

    fn place_late(&mut self, time_ns: u64, print: &Print, out: &mut Vec<Update>) -> Lateness {
        if self.is_seeded(time_ns) {
            self.place_seeded(time_ns, out);
            return Lateness::TooLate;
        }
        let mut lateness = Lateness::Late;
        for index in 0..LEVELS {
            let level = &mut self.levels[index];
            let open_time_ns = level.open_time(time_ns);
            if level.is_gone(open_time_ns) {
                lateness = Lateness::TooLate;
                out.push(self.unknown(index, open_time_ns));
                continue;
            }
            let over = level.end(open_time_ns) <= self.closed_until_ns;
            let window = level.at_or_new(open_time_ns, self.closed_until_ns);
            window.content.add(print);
            if !over {
                break;
            }
            mark_dirty(window, index, &mut self.dirty);
        }
        lateness
    }

    /// A trade that may be a duplicate: none of its windows is known any more.
    pub(crate) fn taint(&mut self, time_ns: u64, out: &mut Vec<Update>) {
        if self.is_seeded(time_ns) {
            return self.place_seeded(time_ns, out);
        }
        for index in 0..LEVELS {
            let level = &mut self.levels[index];
            let open_time_ns = level.open_time(time_ns);
            if level.is_gone(open_time_ns) {
                out.push(self.unknown(index, open_time_ns));
                continue;
            }
            let over = level.end(open_time_ns) <= self.closed_until_ns;
            let window = level.at_or_new(open_time_ns, self.closed_until_ns);
            window.tainted = true;
            if over {
                mark_dirty(window, index, &mut self.dirty);
            }
        }
    }

    /// All trades of a range are here: windows that it completes are reported again.
    pub(crate) fn fetched(&mut self, from_ns: u64, to_ns: u64, out: &mut Vec<Update>) {
        let before = self.coverage;
        if !self.coverage.fetched(from_ns, to_ns) {
            return;
        }
        for (index, level) in self.levels.iter_mut().enumerate() {
            let (length_ns, coverage) = (Interval::ALL[index].nanos(), &self.coverage);
            let completed = |w: &&mut Window| {
                w.partial && !coverage.is_partial(w.open_time_ns, w.open_time_ns.saturating_add(length_ns))
            };
            for window in level.iter_mut().filter(completed) {
                mark_dirty(window, index, &mut self.dirty);
            }
        }
        self.settle(out);
        // The windows that the feed began in, if they are no longer in memory.
        for index in 0..LEVELS {
            let level = &self.levels[index];
            let open_time_ns = level.open_time(before.unknown_until_ns());
            let end_ns = level.end(open_time_ns);
            let completed = before.is_partial(open_time_ns, end_ns) && !self.coverage.is_partial(open_time_ns, end_ns);
            if completed && level.is_gone(open_time_ns) {
                out.push(self.unknown(index, open_time_ns));
            }
        }
    }

    fn unknown(&self, index: usize, open_time_ns: u64) -> Update {
        Update {
            key: self.id,
            interval: Interval::ALL[index],
            open_time_ns,
            closed: true,
            partial: self.coverage.is_partial(open_time_ns, self.levels[index].end(open_time_ns)),
            revision: 0,
            trust: Trust::Recompute,
            content: Content::default(),
        }
    }

    /// Moves the watermark; when it enters a new second, reports late changes and closes windows.
    #[inline]
    pub(crate) fn observe(&mut self, time_ns: u64, lateness_ns: u64, keep_ns: &[u64; LEVELS], out: &mut Vec<Update>) {
        if time_ns <= self.newest_ns {
            return;
        }
        self.newest_ns = time_ns;
        let watermark_ns = time_ns.saturating_sub(lateness_ns);
        if watermark_ns >= self.closed_until_ns + SECOND {
            self.closed_until_ns = watermark_ns - watermark_ns % SECOND;
            self.advance(keep_ns, out);
        }
    }

    fn advance(&mut self, keep_ns: &[u64; LEVELS], out: &mut Vec<Update>) {
        self.settle(out);
        let until_ns = self.closed_until_ns;
        for index in 0..LEVELS {
            let writer = self.writer(index);
            let (shorter, longer) = self.levels.split_at_mut(index + 1);
            while let Some(window) = shorter[index].close_next(until_ns) {
                let (open_time_ns, content) = (window.open_time_ns, window.content);
                writer.write(window, content, true, out);
                if let Some(parent) = longer.first_mut() {
                    let parent_open_ns = parent.open_time(open_time_ns);
                    parent.at_or_new(parent_open_ns, 0).content.merge(&content);
                }
            }
            self.levels[index].evict(until_ns.saturating_sub(keep_ns[index]));
        }
    }

    /// Reports closed windows that changed.
    pub(crate) fn settle(&mut self, out: &mut Vec<Update>) {
        if self.dirty.is_empty() {
            return;
        }
        let mut dirty = std::mem::take(&mut self.dirty);
        dirty.sort_unstable();
        for (index, open_time_ns) in dirty.drain(..) {
            let writer = self.writer(usize::from(index));
            if let Some(window) = self.levels[usize::from(index)].at(open_time_ns) {
                window.dirty = false;
                writer.write(window, window.content, true, out);
            }
        }
        self.dirty = dirty;
    }

    /// Reports open windows as they stand, where they changed since they were last reported.
    pub(crate) fn write_open(&mut self, out: &mut Vec<Update>) {
        self.settle(out);
        for (index, windows) in self.open_contents().into_iter().enumerate() {
            let writer = self.writer(index);
            for (open_time_ns, content) in windows {
                let window = self.levels[index].at_or_new(open_time_ns, self.closed_until_ns);
                if window.tainted || content.trades != window.written_trades {
                    writer.write(window, content, false, out);
                }
            }
        }
    }

    /// The newest open window of each interval.
    pub(crate) fn newest_open(&self) -> [Option<OpenWindow>; LEVELS] {
        let contents = self.open_contents();
        std::array::from_fn(|index| {
            let (open_time_ns, content) = *contents[index].last()?;
            let known = self.levels[index].open_windows().find(|window| window.open_time_ns == open_time_ns);
            let revision = known.map_or(0, |window| window.revision);
            (!content.is_empty()).then_some(OpenWindow { open_time_ns, content, revision })
        })
    }

    /// For each interval the open windows with all their trades, also those that still sit in shorter open windows.
    fn open_contents(&self) -> [Vec<(u64, Content)>; LEVELS] {
        let mut all: [Vec<(u64, Content)>; LEVELS] = Default::default();
        for index in 0..LEVELS {
            let level = &self.levels[index];
            let mut windows: Vec<_> = level.open_windows().map(|w| (w.open_time_ns, w.content)).collect();
            let (shorter, rest) = all.split_at_mut(index);
            for (child_ns, content) in shorter.last().into_iter().flatten() {
                let open_time_ns = level.open_time(*child_ns);
                match windows.binary_search_by_key(&open_time_ns, |(open, _)| *open) {
                    Ok(at) => windows[at].1.merge(content),
                    Err(at) => windows.insert(at, (open_time_ns, *content)),
                }
            }
            rest[0] = windows;
        }
        all
    }

    /// Windows in memory.
    pub(crate) fn window_count(&self) -> usize {
        self.levels.iter().map(Level::len).sum()
    }

    fn writer(&self, index: usize) -> UpdateWriter {
        UpdateWriter {
            key: self.id,
            interval: Interval::ALL[index],
            trusted_from_ns: self.trusted_from_ns,
            verify_until_ns: self.verify_until_ns,
            coverage: self.coverage,
        }
    }

    pub(crate) fn encode(&self, out: &mut Writer) {
        for time_ns in [self.newest_ns, self.closed_until_ns, self.trusted_from_ns, self.verify_until_ns] {
            out.u64(time_ns);
        }
        out.u64(self.seeded_from_ns);
        out.u64(self.seeded_until_ns);
        self.coverage.encode(out);
        self.dedup.encode(out);
        out.count(self.dirty.len());
        for (index, open_time_ns) in &self.dirty {
            out.u8(*index);
            out.u64(*open_time_ns);
        }
        for level in &self.levels {
            level.encode(out);
        }
    }

    pub(crate) fn decode(id: KeyId, input: &mut Reader<'_>) -> Result<Self, CorruptState> {
        let mut state = Self {
            newest_ns: input.u64()?,
            closed_until_ns: input.u64()?,
            trusted_from_ns: input.u64()?,
            verify_until_ns: input.u64()?,
            seeded_from_ns: input.u64()?,
            seeded_until_ns: input.u64()?,
            ..Self::new(id)
        };
        state.coverage = Coverage::decode(input)?;
        state.dedup = Dedup::decode(input)?;
        for _ in 0..input.count(9)? {
            let (index, open_time_ns) = (input.u8()?, input.u64()?);
            if usize::from(index) >= LEVELS {
                return Err(input.corrupt("interval"));
            }
            state.dirty.push((index, open_time_ns));
        }
        for (level, interval) in state.levels.iter_mut().zip(Interval::ALL) {
            *level = Level::decode(interval.nanos(), input)?;
        }
        Ok(state)
    }
}

fn mark_dirty(window: &mut Window, index: usize, dirty: &mut Vec<(u8, u64)>) {
    if !window.dirty {
        window.dirty = true;
        dirty.push((u8::try_from(index).unwrap_or(u8::MAX), window.open_time_ns));
    }
}

/// Writes the updates of one interval of one key.
struct UpdateWriter {
    key: KeyId,
    interval: Interval,
    trusted_from_ns: u64,
    verify_until_ns: u64,
    coverage: Coverage,
}

impl UpdateWriter {
    fn write(&self, window: &mut Window, content: Content, closed: bool, out: &mut Vec<Update>) {
        let open_time_ns = window.open_time_ns;
        let trust = if window.tainted || open_time_ns < self.trusted_from_ns {
            Trust::Recompute
        } else if content.is_empty() {
            return;
        } else if open_time_ns < self.verify_until_ns {
            Trust::Verify
        } else {
            Trust::Exact
        };
        let content = if trust == Trust::Recompute { Content::default() } else { content };
        let (key, interval, revision) = (self.key, self.interval, window.revision);
        let partial = self.coverage.is_partial(open_time_ns, open_time_ns.saturating_add(interval.nanos()));
        out.push(Update { key, interval, open_time_ns, closed, partial, revision, trust, content });
        window.partial = partial && closed;
        window.revision += 1;
        window.written_trades = window.content.trades.max(content.trades);
    }
}
