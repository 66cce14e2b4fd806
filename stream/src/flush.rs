//! What one flush carries from the aggregator to the lake, and when it is due.

use crate::candle_book::BookEvent;
use crate::checkpoint::Positions;
use crate::config::FlushConfig;
use crate::recompute::Recompute;
use crate::record::HistoryEnd;
use bytes::Bytes;
use proto::market::Tick;
use std::time::Duration;
use tokio::time::Instant;

/// What starts a flush.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trigger {
    /// Enough rows.
    Rows,
    /// Enough windows to be made from the lake.
    Recompute,
    /// The oldest row is old enough.
    Age,
    /// A history answer is complete.
    History,
    /// A replay ended.
    EndOfStream,
    /// The process stops.
    Shutdown,
}

impl Trigger {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::Recompute => "recompute",
            Self::Age => "age",
            Self::History => "history",
            Self::EndOfStream => "end_of_stream",
            Self::Shutdown => "shutdown",
        }
    }
}

/// Rows and facts since the last flush. Bounded: past the limits reading pauses.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    /// New trades.
    pub(crate) ticks: Vec<Tick>,
    /// Trades that the lake may already have.
    pub(crate) doubtful: Vec<Tick>,
    /// What may become candles, in order.
    pub(crate) events: Vec<BookEvent>,
    /// Windows to be made from the lake.
    pub(crate) recompute: Recompute,
    /// Answers that are complete.
    pub(crate) histories: Vec<HistoryEnd>,
}

impl Rows {
    pub(crate) fn count(&self) -> usize {
        self.ticks.len() + self.doubtful.len() + self.events.len() + self.histories.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count() == 0 && self.recompute.is_empty()
    }
}

/// One flush.
#[derive(Debug)]
pub(crate) struct Flush {
    /// Counts flushes of this process from 1.
    pub(crate) id: u64,
    pub(crate) trigger: Trigger,
    pub(crate) rows: Rows,
    /// Every record before these is in this or an earlier flush.
    pub(crate) positions: Positions,
    /// The state at exactly these positions, if a checkpoint is due.
    pub(crate) checkpoint: Option<Bytes>,
}

/// Collects rows and says when to flush.
#[derive(Debug)]
pub(crate) struct Pending {
    config: FlushConfig,
    pub(crate) rows: Rows,
    oldest: Option<Instant>,
    interval: Duration,
    ended: bool,
    last_checkpoint: Instant,
}

impl Pending {
    pub(crate) fn new(config: FlushConfig, now: Instant) -> Self {
        let interval = config.interval_min;
        Self { config, rows: Rows::default(), oldest: None, interval, ended: false, last_checkpoint: now }
    }

    /// Notes the age of the first record since the last flush. Records without rows count: a checkpoint moves past them.
    pub(crate) fn touched(&mut self, now: Instant) {
        self.oldest.get_or_insert(now);
    }

    /// A replay ended.
    pub(crate) const fn end_of_stream(&mut self) {
        self.ended = true;
    }

    /// Why a flush is due, if it is.
    pub(crate) fn due(&self, now: Instant) -> Option<Trigger> {
        let rows = &self.rows;
        if !rows.histories.is_empty() {
            Some(Trigger::History)
        } else if self.ended {
            Some(Trigger::EndOfStream)
        } else if rows.count() >= self.config.rows {
            Some(Trigger::Rows)
        } else if rows.recompute.len() >= self.config.recompute_windows {
            Some(Trigger::Recompute)
        } else {
            self.deadline().filter(|deadline| now >= *deadline).map(|_| Trigger::Age)
        }
    }

    /// When a flush by age is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        Some(self.oldest? + self.interval)
    }

    /// True if no more may be read until a flush is done.
    pub(crate) fn is_full(&self) -> bool {
        self.rows.count() >= self.config.rows * 2 || self.rows.recompute.len() >= self.config.recompute_windows * 2
    }

    pub(crate) fn checkpoint_due(&self, now: Instant) -> bool {
        now >= self.last_checkpoint + self.config.checkpoint_interval
    }

    /// The rows for a flush; the next one begins.
    pub(crate) fn take(&mut self, trigger: Trigger, checkpoint: bool, now: Instant) -> Rows {
        if trigger == Trigger::Age {
            self.interval = (self.interval * 2).min(self.config.interval_max);
        }
        if checkpoint {
            self.last_checkpoint = now;
        }
        self.oldest = None;
        self.ended = false;
        std::mem::take(&mut self.rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::update::Ticker;

    fn history() -> HistoryEnd {
        let ticker = Ticker { venue: "SIM".parse().unwrap(), symbol: "A/B".parse().unwrap() };
        HistoryEnd { request_ids: Vec::new(), ticker, interval: None, from_ns: 0, to_ns: 1, error: None }
    }

    #[tokio::test(start_paused = true)]
    async fn the_interval_doubles_with_each_flush_by_age_up_to_its_maximum() {
        let mut pending = Pending::new(FlushConfig::default(), Instant::now());
        let mut waits = Vec::new();
        for _ in 0..6 {
            let start = Instant::now();
            pending.touched(start);
            let deadline = pending.deadline().unwrap();
            assert_eq!(pending.due(deadline - Duration::from_millis(1)), None);
            assert_eq!(pending.due(deadline), Some(Trigger::Age));
            waits.push((deadline - start).as_secs());
            pending.take(Trigger::Age, false, deadline);
        }
        assert_eq!(waits, [10, 20, 40, 80, 120, 120]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_complete_history_and_the_end_of_a_replay_flush_at_once() {
        let now = Instant::now();
        let mut pending = Pending::new(FlushConfig::default(), now);
        assert_eq!(pending.due(now), None);
        pending.end_of_stream();
        assert_eq!(pending.due(now), Some(Trigger::EndOfStream));
        pending.rows.histories.push(history());
        assert_eq!(pending.due(now), Some(Trigger::History));
        pending.take(Trigger::History, false, now);
        assert_eq!(pending.due(now), None);
    }

    #[tokio::test(start_paused = true)]
    async fn twice_the_rows_of_a_flush_pause_reading() {
        let config = FlushConfig { rows: 2, ..FlushConfig::default() };
        let mut pending = Pending::new(config, Instant::now());
        let mut full = Vec::new();
        for _ in 0..4 {
            pending.rows.histories.push(history());
            full.push(pending.is_full());
        }
        assert_eq!(full, [false, false, false, true]);
    }
}
