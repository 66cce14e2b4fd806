//! The windows of one key and one interval: a bounded, sorted run of closed ones followed by the open ones.

use crate::content::Content;
use crate::encoding::{CorruptState, Reader, Writer};
use std::collections::VecDeque;

/// One candle in the making, or closed and kept for late trades.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Window {
    pub(crate) open_time_ns: u64,
    /// Trades of this window, except those that still sit in open windows of the next shorter interval.
    pub(crate) content: Content,
    /// Revision of the next row.
    pub(crate) revision: u32,
    /// Trades in the last row.
    pub(crate) written_trades: u64,
    /// Changed after it was closed; listed for the next row.
    pub(crate) dirty: bool,
    /// A trade here may or may not be a duplicate: only the lake knows the content.
    pub(crate) tainted: bool,
    /// It is over, and its last row said that trades from before the live feed are missing.
    pub(crate) partial: bool,
}

/// The windows of one interval.
///
/// Invariants: sorted by open time without duplicates; exactly the first `closed` ones are over; every window that ends
/// at or before `evicted_until_ns` is gone and every later one that had a trade is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Level {
    length_ns: u64,
    windows: VecDeque<Window>,
    closed: usize,
    evicted_until_ns: u64,
}

impl Level {
    pub(crate) const fn new(length_ns: u64) -> Self {
        Self { length_ns, windows: VecDeque::new(), closed: 0, evicted_until_ns: 0 }
    }

    #[inline]
    pub(crate) const fn open_time(&self, time_ns: u64) -> u64 {
        time_ns - time_ns % self.length_ns
    }

    /// True if the window that opens then was dropped from memory.
    pub(crate) const fn is_gone(&self, open_time_ns: u64) -> bool {
        open_time_ns.saturating_add(self.length_ns) <= self.evicted_until_ns
    }

    /// End of the window that opens then.
    pub(crate) const fn end(&self, open_time_ns: u64) -> u64 {
        open_time_ns.saturating_add(self.length_ns)
    }

    pub(crate) fn len(&self) -> usize {
        self.windows.len()
    }

    /// The last window if it opens then: the case of nearly every tick.
    #[inline]
    pub(crate) fn newest_at(&mut self, open_time_ns: u64) -> Option<&mut Window> {
        self.windows.back_mut().filter(|window| window.open_time_ns == open_time_ns)
    }

    /// True if a window that opens in `from_ns..to_ns` holds something.
    pub(crate) fn any_between(&self, from_ns: u64, to_ns: u64) -> bool {
        let first = self.windows.partition_point(|window| window.open_time_ns < from_ns);
        self.windows
            .range(first..)
            .take_while(|window| window.open_time_ns < to_ns)
            .any(|window| !window.content.is_empty())
    }

    pub(crate) fn at(&mut self, open_time_ns: u64) -> Option<&mut Window> {
        let index = self.windows.binary_search_by_key(&open_time_ns, |window| window.open_time_ns).ok()?;
        self.windows.get_mut(index)
    }

    /// The window that opens then, made if absent. It counts as closed if it ends at or before `closed_until_ns`.
    pub(crate) fn at_or_new(&mut self, open_time_ns: u64, closed_until_ns: u64) -> &mut Window {
        let index = match self.windows.back() {
            Some(newest) if newest.open_time_ns < open_time_ns => Err(self.windows.len()),
            Some(newest) if newest.open_time_ns == open_time_ns => Ok(self.windows.len() - 1),
            _ => self.windows.binary_search_by_key(&open_time_ns, |window| window.open_time_ns),
        };
        match index {
            Ok(index) => &mut self.windows[index],
            Err(index) => {
                if self.end(open_time_ns) <= closed_until_ns {
                    self.closed += 1;
                }
                self.windows.insert(index, Window { open_time_ns, ..Window::default() });
                &mut self.windows[index]
            }
        }
    }

    /// Closes the oldest open window if it ends at or before `until_ns`.
    pub(crate) fn close_next(&mut self, until_ns: u64) -> Option<&mut Window> {
        let length_ns = self.length_ns;
        let window =
            self.windows.get_mut(self.closed).filter(|w| w.open_time_ns.saturating_add(length_ns) <= until_ns)?;
        self.closed += 1;
        Some(window)
    }

    /// Drops windows that end at or before `until_ns`.
    pub(crate) fn evict(&mut self, until_ns: u64) {
        if until_ns <= self.evicted_until_ns {
            return;
        }
        self.evicted_until_ns = until_ns;
        while self.closed > 0 && self.windows.front().is_some_and(|window| self.is_gone(window.open_time_ns)) {
            self.windows.pop_front();
            self.closed -= 1;
        }
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Window> {
        self.windows.iter_mut()
    }

    pub(crate) fn open_windows(&self) -> impl Iterator<Item = &Window> {
        self.windows.range(self.closed..)
    }

    pub(crate) fn encode(&self, out: &mut Writer) {
        out.u64(self.evicted_until_ns);
        out.count(self.closed);
        out.count(self.windows.len());
        for window in &self.windows {
            out.u64(window.open_time_ns);
            window.content.encode(out);
            out.u32(window.revision);
            out.u64(window.written_trades);
            out.bool(window.dirty);
            out.bool(window.tainted);
            out.bool(window.partial);
        }
    }

    pub(crate) fn decode(length_ns: u64, input: &mut Reader<'_>) -> Result<Self, CorruptState> {
        let mut level = Self { evicted_until_ns: input.u64()?, ..Self::new(length_ns) };
        level.closed = usize::try_from(input.u64()?).map_err(|_| input.corrupt("closed windows"))?;
        for _ in 0..input.count(Content::BYTES + 23)? {
            let window = Window {
                open_time_ns: input.u64()?,
                content: Content::decode(input)?,
                revision: input.u32()?,
                written_trades: input.u64()?,
                dirty: input.bool()?,
                tainted: input.bool()?,
                partial: input.bool()?,
            };
            let sorted = level.windows.back().is_none_or(|before| before.open_time_ns < window.open_time_ns);
            if !sorted || !window.open_time_ns.is_multiple_of(length_ns) {
                return Err(input.corrupt("window times"));
            }
            level.windows.push_back(window);
        }
        if level.closed > level.windows.len() {
            return Err(input.corrupt("closed windows"));
        }
        Ok(level)
    }
}
