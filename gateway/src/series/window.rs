//! One series in memory: the newest rows of the lake and what came live since.

use proto::market::Candle;
use std::collections::VecDeque;
use tokio::time::Instant;

/// True if `new` takes the place of `old`, which has the same open time: a higher revision wins; of equal revisions a closed
/// candle wins over an open one, else the one that came later.
pub(crate) fn supersedes(new: &Candle, old: &Candle) -> bool {
    new.revision > old.revision || (new.revision == old.revision && (new.closed || !old.closed))
}

/// Merges two ascending lists; of candles with the same open time the one that [`supersedes`] stays, `newer` being the
/// later one.
pub(crate) fn merge(older: Vec<Candle>, newer: Vec<Candle>) -> Vec<Candle> {
    if newer.is_empty() {
        return older;
    }
    let mut merged = Vec::with_capacity(older.len() + newer.len());
    let mut newer = newer.into_iter().peekable();
    for old in older {
        while let Some(new) = newer.next_if(|new| new.open_time_ns < old.open_time_ns) {
            merged.push(new);
        }
        match newer.next_if(|new| new.open_time_ns == old.open_time_ns) {
            Some(new) if supersedes(&new, &old) => merged.push(new),
            _ => merged.push(old),
        }
    }
    merged.extend(newer);
    merged
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Window {
    rows: VecDeque<Candle>,
    /// Every candle of the lake that opens at or after this time is in `rows`; `None` until the lake was read.
    complete_from: Option<u64>,
    loaded_at: Option<Instant>,
    /// Messages were lost: the lake must be read again before the next answer.
    suspect: bool,
    refreshing: bool,
}

impl Window {
    /// Takes a live candle; true if it changed anything.
    pub(crate) fn apply(&mut self, candle: &Candle, most: usize) -> bool {
        match self.rows.binary_search_by_key(&candle.open_time_ns, |row| row.open_time_ns) {
            Ok(at) => {
                if *candle == self.rows[at] || !supersedes(candle, &self.rows[at]) {
                    return false;
                }
                self.rows[at] = candle.clone();
            }
            // Older than what is kept completely: the lake has it.
            Err(0) if self.complete_from.is_some_and(|from| candle.open_time_ns < from) => return false,
            Err(at) => self.rows.insert(at, candle.clone()),
        }
        self.trim(most);
        true
    }

    /// Takes the lake's newest rows, ascending, of which `asked` were wanted.
    pub(crate) fn load(&mut self, rows: Vec<Candle>, asked: usize, most: usize, now: Instant) {
        let complete_from = if rows.len() < asked { 0 } else { rows.first().map_or(0, |row| row.open_time_ns) };
        let tail: Vec<Candle> = self.rows.drain(..).filter(|row| row.open_time_ns >= complete_from).collect();
        self.rows = merge(rows, tail).into();
        self.complete_from = Some(complete_from);
        self.loaded_at = Some(now);
        self.suspect = false;
        self.refreshing = false;
        self.trim(most);
    }

    fn trim(&mut self, most: usize) {
        while self.rows.len() > most {
            self.rows.pop_front();
            self.complete_from =
                self.complete_from.map(|from| from.max(self.rows.front().map_or(0, |row| row.open_time_ns)));
        }
    }

    /// The newest `limit` candles that open before `to`, or `None` if they are not all here.
    pub(crate) fn newest(&self, to: u64, limit: usize) -> Option<Vec<Candle>> {
        let complete_from = self.usable()?;
        let end = self.rows.partition_point(|row| row.open_time_ns < to);
        if end < limit && complete_from > 0 {
            return None;
        }
        Some(self.rows.range(end.saturating_sub(limit)..end).cloned().collect())
    }

    /// The first `limit` candles that open in `[from, to)`, or `None` if they are not all here.
    pub(crate) fn oldest(&self, from: u64, to: u64, limit: usize) -> Option<Vec<Candle>> {
        if self.usable()? > from {
            return None;
        }
        Some(self.range(from, to).take(limit).collect())
    }

    /// Whatever is here of `[from, to)`.
    pub(crate) fn tail(&self, from: u64, to: u64) -> Vec<Candle> {
        self.range(from, to).collect()
    }

    fn range(&self, from: u64, to: u64) -> impl Iterator<Item = Candle> {
        let start = self.rows.partition_point(|row| row.open_time_ns < from);
        let end = self.rows.partition_point(|row| row.open_time_ns < to).max(start);
        self.rows.range(start..end).cloned()
    }

    fn usable(&self) -> Option<u64> {
        if self.suspect { None } else { self.complete_from }
    }

    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Notes that live messages were lost or that the lake got rows which did not come this way.
    pub(crate) fn suspect(&mut self) {
        self.suspect = true;
    }

    /// True, once, if the series should be read again in the background: it is older than `max_age`.
    pub(crate) fn begin_refresh(&mut self, now: Instant, max_age: std::time::Duration) -> bool {
        let old = self.loaded_at.is_some_and(|at| now.duration_since(at) >= max_age);
        if old && !self.refreshing {
            self.refreshing = true;
            return true;
        }
        false
    }

    /// Notes that a refresh failed, so that it is tried again.
    pub(crate) fn refresh_failed(&mut self) {
        self.refreshing = false;
    }
}

#[cfg(test)]
mod tests;
